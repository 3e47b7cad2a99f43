"""`uslab sweep`, with real processes on small notebooks: nothing finished is lost or run twice, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_whole import in_use

from uslab.cli.main import main
from uslab.data.lock import held, locked
from uslab.sweeps import sweep
from uslab.sweeps.estimate import extended, short_runs

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "notebooks" / "sweeps").glob("*.yaml"))

# Writes one line when it begins and one when it ends, so that a test can count runs and see two at a time.
COUNT = '''import os, pathlib, time
out = pathlib.Path(out)
out.mkdir(parents=True, exist_ok=True)
def mark(word):
    with open(out.parents[2] / "marks.txt", "a") as file:
        file.write(f"{word} {steps} {lr}\\n")
mark("begin")'''
END = '''import json
metrics = [{"name": "KD-lite0", "value": steps * lr, "low": 0.0, "high": 9.0, "n": 120, "note": ""}]
record = {"profile": profile, "data": data, "metrics": metrics, "threads": os.environ["OMP_NUM_THREADS"]}
(out / "run.json").write_text(json.dumps(record))
mark("end")'''
# Waits on the first run of steps = 2 until it is interrupted; then leaves a checkpoint, from which a later one goes on.
WAIT = '''if steps == 2 and not (out / "checkpoint").exists():
    try:
        mark("wait")
        time.sleep(100)
    except KeyboardInterrupt:
        (out / "checkpoint").touch()
        raise'''

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of this kind")


@pytest.fixture
def toy(make_notebook, tmp_path):
    """A function that writes a notebook with these cells between the counting ones, and a sweep file of it."""

    def make(*cells: str, **grid: list) -> Path:
        notebook = make_notebook("toy", COUNT, *cells, END)
        file = tmp_path / "toy.yaml"
        file.write_text(yaml.safe_dump({"notebook": str(notebook), "profile": "smoke", "grid": grid}, sort_keys=False))
        return file

    return make


def started(file: Path, *arguments) -> subprocess.Popen:
    """A sweep into the folder o beside its file, as a process that runs."""
    command = [sys.executable, "-m", "uslab.cli", "sweep", file, "--out", file.parent / "o", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Its exit code and what it said."""
    said = "".join(process.communicate(timeout=300))
    assert "Traceback" not in said
    return process.returncode, said


def marks(file: Path) -> list[str]:
    path = file.parent / "marks.txt"
    return path.read_text().splitlines() if path.is_file() else []


def wait_for(file: Path, mark: str, process: subprocess.Popen) -> None:
    while mark not in marks(file):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def process_of(file: Path, name: str) -> int:
    """The number of the process that runs the job whose folder begins with `name`."""
    import psutil

    folder, = (file.parent / "o").glob(f"{name}_*")
    found = [process.pid for process in psutil.process_iter(["cmdline"])
             if "uslab.sweeps.job" in (process.info["cmdline"] or [])
             and str(folder.resolve()) in process.info["cmdline"]]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_committed_sweep_fits_its_notebook(file, tmp_path):
    told = sweep.read(file)
    jobs = sweep.jobs(told, tmp_path)
    assert file.stem.startswith(told.notebook.stem[:2])
    assert len({job.output for job in jobs}) == len(jobs) > 1


@pytest.mark.parametrize(("change", "message"), [
    ({"notebok": "x"}, "unknown key notebok; there are notebook, profile, data, root, grid"),
    ({"grid": {"stepz": [1]}}, "toy has no parameter 'stepz': there are profile"),
    ({"grid": {"steps": [1, "many"]}}, "steps takes a value like 3 (int), not 'many'"),
    ({"grid": {"steps": 3}}, "grid: steps takes a list of values, such as [1, 2], not 3"),
    ({"grid": {"steps": [1, 2, 1]}}, "grid: steps has a value twice"),
    ({"grid": {}}, "grid names no parameter"),
    ({"grid": {"profile": ["smoke"]}}, "profile stands at the top of the file"),
    ({"grid": {"out": ["a", "b"]}}, "out is each job's own folder under --out"),
    ({"parameters": {"steps": 4}}, "steps has one value for all jobs and several in the grid"),
    ({"parameters": {"lrr": 4}}, "toy has no parameter 'lrr'"),
    ({"parameters": [3]}, "parameters must be parameters with their values"),
    ({"profile": "paper"}, "toy has no profile 'paper'"),
    ({"profile": "big"}, "profile is 'big', not one of smoke, class, paper"),
    ({"root": "absent"}, "absent is not a folder"),
    ({"notebook": "absent"}, "no notebook 'absent'"),
    ({"notebook": None}, "notebook must be a name"),
])
def test_a_wrong_file_is_refused_before_anything_runs(toy, tmp_path, capsys, change, message):
    file = toy(steps=[1, 2])
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | change))
    assert main(["sweep", str(file), "--out", str(tmp_path / "o")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_jobs_are_all_combinations_each_in_a_folder_of_its_own(toy, tmp_path, capsys):
    file = toy(steps=[1, 2], lr=[0.1, 1], sizes=[[1, 2], [3]])
    jobs = sweep.jobs(sweep.read(file), tmp_path / "o")
    told = [(job.parameters["steps"], job.parameters["lr"], job.parameters["sizes"]) for job in jobs]
    assert told == [(s, lr, z) for s in (1, 2) for lr in (0.1, 1.0) for z in ([1, 2], [3])]
    assert all(type(job.parameters["lr"]) is float and job.parameters["profile"] == "smoke" for job in jobs)
    assert all(Path(job.parameters["out"]) == job.output.with_suffix("") for job in jobs)
    names = [job.output.parent.name for job in jobs]
    assert len(set(names)) == 8 and names[0].startswith("steps-1_lr-0.1_sizes-1-2_")
    # Where the data lie is not part of a job's identity; a fixed parameter is.
    moved = sweep.jobs(sweep.read(file, tmp_path), tmp_path / "o")
    assert [job.output for job in moved] == [job.output for job in jobs]
    assert moved[0].parameters["root"] == str(tmp_path)
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"parameters": {"flip": True}}, sort_keys=False))
    assert not {job.output for job in sweep.jobs(sweep.read(file), tmp_path / "o")} & {job.output for job in jobs}
    assert main(["sweep", str(file), "--out", str(tmp_path / "o"), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("_sizes-") == 8 and not (tmp_path / "o").exists()


def test_a_lock_is_held_once_and_ends_with_its_holder(tmp_path):
    path = tmp_path / "lock"
    assert not held(path)
    with locked(path) as mine, locked(path) as second:
        assert mine is not None and second is None and held(path)
    assert not held(path)
    code = f"""
import time
from pathlib import Path
from uslab.data.lock import locked
with locked(Path({str(path)!r})):
    print(1, flush=True)
    time.sleep(100)"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    holder.stdout.readline()
    assert held(path)
    holder.kill()
    holder.wait()
    assert not held(path)


@pytest.mark.notebook
def test_what_is_complete_is_left_and_what_failed_is_run_again_on_request(toy):
    file = toy("assert steps != 2 or (out.parents[2] / 'mended').exists(), 'not yet'", steps=[1, 2, 3])
    code, said = ended(started(file, "--workers", 2, "--threads", 1))
    assert code == 1 and "3 runs of toy: 0 complete, 0 failed, 3 to do" in said
    assert "FAILED" in said and "AssertionError: not yet" in said and "log.txt" in said
    assert sorted(marks(file)) == ["begin 1 0.0002", "begin 2 0.0002", "begin 3 0.0002", "end 1 0.0002", "end 3 0.0002"]
    records = [json.loads(path.read_text()) for path in sorted((file.parent / "o").glob("*/toy/run.json"))]
    assert [record["metrics"][0]["value"] for record in records] == [1 * 2e-4, 3 * 2e-4]
    assert {record["threads"] for record in records} == {"1"}
    assert {path.name for path in (file.parent / "o").glob("steps-1_*/*")} == {
        "toy.ipynb", "toy.html", "toy", "index.html", "job.json", "log.txt", "lock"}
    code, said = ended(started(file))
    assert code == 1 and "2 complete, 1 failed, 0 to do" in said and "with --retry" in said and len(marks(file)) == 5
    (file.parent / "mended").touch()
    assert ended(started(file, "--retry"))[0] == 0
    assert marks(file)[5:] == ["begin 2 0.0002", "end 2 0.0002"]
    assert "not yet" in next((file.parent / "o").glob("steps-2_*/log.txt")).read_text(), "an earlier log was lost"


@pytest.mark.notebook
def test_two_sweeps_in_one_folder_share_its_jobs(toy):
    file = toy("time.sleep(0.3)", steps=[1, 2, 3])
    both = [started(file, "--workers", 2) for _ in range(2)]
    assert [ended(process)[0] for process in both] == [0, 0]
    assert sorted(marks(file)) == sorted(f"{word} {i} 0.0002" for word in ("begin", "end") for i in (1, 2, 3))


@pytest.mark.notebook
def test_a_sweep_says_whose_end_it_waits_for(toy):
    file = toy(steps=[1])
    folder = sweep.jobs(sweep.read(file), file.parent / "o")[0].output.parent
    with in_use(folder) as number:
        process = started(file)
        while "is in use by" not in (line := process.stderr.readline()):
            assert line, process.communicate()
        assert f"{folder} is in use by process {number} on" in line and line.endswith(": waiting for it\n")
    assert ended(process)[0] == 0 and marks(file) == ["begin 1 0.0002", "end 1 0.0002"]


@pytest.mark.notebook
@posix
def test_kill_9_of_a_job_costs_that_job_alone(toy):
    file = toy(WAIT, steps=[1, 2])
    process = started(file, "--workers", 2)
    wait_for(file, "wait 2 0.0002", process)
    os.kill(process_of(file, "steps-2"), signal.SIGKILL)
    code, said = ended(process)
    assert code == 1 and "KILLED" in said and "ended by signal 9" in said
    assert {mark for mark in marks(file) if mark.startswith("end")} == {"end 1 0.0002"}
    next((file.parent / "o").glob("steps-2_*/toy/")).joinpath("checkpoint").touch()
    before = len(marks(file))
    assert ended(started(file))[0] == 0    # without --retry: it did not fail
    assert marks(file)[before:] == ["begin 2 0.0002", "end 2 0.0002"]


@pytest.mark.notebook
@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_jobs_end_with_the_sweep_and_go_on_from_their_checkpoint(toy, number):
    file = toy(WAIT, steps=[1, 2])
    process = started(file, "--workers", 1)
    wait_for(file, "wait 2 0.0002", process)
    lock = next((file.parent / "o").glob("steps-2_*/lock"))
    process.send_signal(number)
    code, said = ended(process)
    assert code == (130 if number == signal.SIGINT else -9)
    while held(lock):    # the job writes its checkpoint without its sweep
        time.sleep(0.05)
    assert list((file.parent / "o").glob("steps-2_*/toy/checkpoint"))
    assert marks(file) == ["begin 1 0.0002", "end 1 0.0002", "begin 2 0.0002", "wait 2 0.0002"]
    assert ended(started(file))[0] == 0
    assert marks(file)[4:] == ["begin 2 0.0002", "end 2 0.0002"]


@pytest.mark.notebook
@posix
def test_a_cell_that_never_ends_is_ended(toy):
    file = toy(WAIT, steps=[1, 2])
    code, said = ended(started(file, "--timeout", 2, "--workers", 2))
    assert code == 1 and "TimeoutError: the cell was still running after 2 s" in said
    assert list((file.parent / "o").glob("steps-2_*/toy/checkpoint"))
    assert [mark for mark in marks(file) if mark.startswith("end")] == ["end 1 0.0002"]


@pytest.mark.notebook
@posix
def test_a_full_disk_loses_nothing_finished_and_a_later_start_completes(toy):
    import resource

    # No file may grow beyond 200 kB, as on a full disk: the second job's notebook would.
    file = toy("print('x' * (300_000 if steps == 2 else 1))", steps=[1, 2])
    command = [sys.executable, "-m", "uslab.cli", "sweep", file, "--out", file.parent / "o", "--workers", "1"]
    full = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (200_000, 200_000)))
    assert full.returncode == 1 and "steps-2_" in full.stderr and "Traceback" not in full.stderr
    assert ended(started(file))[0] == 0
    assert marks(file).count("end 1 0.0002") == 1 and marks(file)[-1] == "end 2 0.0002"


def test_the_estimate_extends_along_every_length():
    assert extended({"steps": [2, 4]}, [10.0, 14.0], {"steps": 100}) == 10 + 2 * 98
    assert extended({"steps": [2, 4]}, [10.0, 9.0], {"steps": 100}) == 10   # noise: no run is below the shortest
    # Steps of 3 s at first, of 5 s later: 20 in all, 4 of them at first, is 12 + 80.
    def run(first, steps):
        return 3 * first + 5 * (steps - first)

    lengths = {"first": [1, 2], "steps": [2, 4], "fade": [1]}
    assert short_runs(lengths) == [{"first": 1, "steps": 2, "fade": 1}, {"first": 2, "steps": 2, "fade": 1},
                                   {"first": 1, "steps": 4, "fade": 1}]
    seconds = [run(short["first"], short["steps"]) for short in short_runs(lengths)]
    assert extended(lengths, seconds, {"first": 4, "steps": 20, "fade": 9}) == run(4, 20) == 92


@pytest.mark.notebook
def test_a_dry_run_calibrates_elsewhere_and_later_takes_what_is_complete(toy, tmp_path, capsys):
    file = toy(lr=[0.1])
    file.write_text(file.read_text() + "calibrate: {steps: [1, 2]}\n")
    arguments = ["sweep", str(file), "--out", str(tmp_path / "o")]
    assert main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "from 2 short runs here" in said and "steps 1 and 2" in said and not (tmp_path / "o").exists()
    assert main(arguments) == 0
    assert marks(file) == ["begin 3 0.1", "end 3 0.1"], "the calibration wrote beside the sweep"
    assert main([*arguments, "--dry-run"]) == 0 and "nothing is left to run" in capsys.readouterr().out
    file.write_text(file.read_text().replace("- 0.1", "- 0.1\n  - 0.2"))
    assert main([*arguments, "--dry-run"]) == 0 and "from the 1 complete" in capsys.readouterr().out


@pytest.fixture
def cluster(tmp_path):
    """A function that starts a Dask scheduler and workers of one thread: (address, scheduler, workers)."""
    processes = []

    def begin(*arguments) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{arguments[0]}", "--no-dashboard", *arguments[1:]]
        processes.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return processes[-1]

    def make(workers: int):
        told = tmp_path / "scheduler.json"
        scheduler = begin("scheduler", "--port", "0", "--scheduler-file", told)
        rest = [begin("worker", "--scheduler-file", told, "--nthreads", "1", "--no-nanny") for _ in range(workers)]
        while not told.is_file() or not told.read_text().endswith("}"):
            time.sleep(0.05)
        return json.loads(told.read_text())["address"], scheduler, rest

    yield make
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.notebook
@posix
def test_a_dask_worker_that_is_killed_loses_nothing(toy, cluster):
    import psutil

    file = toy(WAIT, steps=[1, 2])
    address, _, workers = cluster(2)
    process = started(file, "--cluster", address, "--threads", 1)
    wait_for(file, "wait 2 0.0002", process)
    parent = psutil.Process(process_of(file, "steps-2")).ppid()
    assert parent in [worker.pid for worker in workers]
    os.kill(parent, signal.SIGKILL)
    code, said = ended(process)
    assert code == 0, said
    assert sorted(marks(file)) == ["begin 1 0.0002", "begin 2 0.0002", "begin 2 0.0002", "end 1 0.0002", "end 2 0.0002",
                                   "wait 2 0.0002"]


@pytest.mark.notebook
@posix
def test_a_scheduler_that_is_killed_ends_the_sweep_and_another_place_goes_on(toy, cluster):
    file = toy(WAIT, steps=[2, 3])
    nobody = started(file, "--cluster", "tcp://127.0.0.1:9")   # asked while the rest goes on: it waits for an answer
    address, scheduler, _ = cluster(1)
    process = started(file, "--cluster", address)
    wait_for(file, "wait 2 0.0002", process)
    scheduler.kill()
    code, said = ended(process)
    assert code == 1 and "its worker or the cluster is gone" in said
    assert ended(started(file, "--workers", 1))[0] == 0
    assert sorted(mark for mark in marks(file) if mark.startswith("end")) == ["end 2 0.0002", "end 3 0.0002"]
    code, said = ended(nobody)
    assert code == 2 and "no Dask scheduler answers there" in said


@pytest.mark.notebook
@posix
def test_slurm_starts_workers_as_dasks_configuration_says(toy, tmp_path, monkeypatch):
    """A stand-in for SLURM's commands, which this machine has not: sbatch runs the script that Dask wrote."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "sbatch").write_text(
        f"#!/bin/bash\ncp $1 {tmp_path}/script.sh\nsetsid bash {tmp_path}/script.sh </dev/null >/dev/null 2>&1 &\n"
        f"echo $! > {tmp_path}/job\necho Submitted batch job 7\n")
    (commands / "scancel").write_text(f"#!/bin/bash\nkill -- -$(cat {tmp_path}/job)\n")
    for command in commands.iterdir():
        command.chmod(0o755)
    (tmp_path / "dask.yaml").write_text(yaml.safe_dump({"jobqueue": {"slurm": {
        "cores": 1, "processes": 1, "job-cpu": 4, "memory": "2GB", "walltime": "01:00:00", "interface": "lo",
        "job-extra-directives": ["--gres=gpu:1"]}}}))
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask.yaml"))
    file = toy(steps=[1, 2])
    code, said = ended(started(file, "--cluster", "slurm", "--workers", 1, "--threads", 3))
    assert code == 0 and "1 job of SLURM" in said, said
    script = (tmp_path / "script.sh").read_text()
    assert "--gres=gpu:1" in script and "--cpus-per-task=4" in script
    records = [json.loads(path.read_text()) for path in (file.parent / "o").glob("*/toy/run.json")]
    assert [record["threads"] for record in records] == ["3", "3"]
