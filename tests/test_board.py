"""Board: what it draws, saves and keeps of a training, and that it closes however the training ends."""

import json
import signal
from unittest import mock

import numpy as np
import pytest
import torch
from emulated import gpu
from made import noise_set

from uslab import metrics
from uslab.models import cyclegan
from uslab.models.dcgan import DCGAN, Config
from uslab.training import Diverged, Run
from uslab.widgets import Board
from uslab.widgets.curves import draw

SMALL = Config(z=8, ngf=8, ndf=8)


def small_run(folder) -> Run:
    return Run(folder, DCGAN, SMALL, noise_set(20), seed=3, log_every=1)


def train(board: Board) -> None:
    for batch in board.batches():
        board.log(board.run.gan.step(batch))


def sheets(run: Run) -> list[int]:
    """The steps of which there are contact sheets."""
    return sorted(int(path.stem) for path in run.folder.rglob("*.png"))


def drawn_steps(board: Board) -> list[int]:
    return board.monitor._table()[:, 0].astype(int).tolist()


@pytest.mark.slow
def test_it_draws_saves_and_keeps_what_was_asked_for(tmp_path):
    run = small_run(tmp_path)
    board = Board(run, 20, sheet=6, keep=[0.25, 1.0], n_kept=5, looks=5)
    train(board)
    assert run.step == 20 and drawn_steps(board) == list(range(1, 21))
    assert sheets(run) == [1, 4, 8, 12, 16, 20]
    assert {step: len(images) for step, images in run.sets().items()} == {5: 5, 20: 5}
    assert torch.equal(run.sets()[20], run.gan.sample(5, seed=4))
    assert (board.monitor._images["pixels"] == run.gan.sample(6, seed=3)[:, 0].numpy()).all()
    assert board.monitor._closed and repr(board.monitor).startswith("Training board: step 20 of 20")


@pytest.mark.slow
def test_a_training_with_a_board_is_the_same_to_the_bit(tmp_path):
    watched, plain = small_run(tmp_path / "watched"), small_run(tmp_path / "plain")
    train(Board(watched, 6, sheet=2, n_kept=3))
    for batch in plain.batches(6):
        plain.log(plain.gan.step(batch))
    for name, value in plain.gan.G.state_dict().items():
        assert torch.equal(value, watched.gan.G.state_dict()[name]), name


@pytest.mark.slow
def test_an_earlier_session_is_drawn_and_gone_on_with(tmp_path):
    first = small_run(tmp_path)
    for batch in first.batches(4):
        first.log(first.gan.step(batch))
    board = Board(small_run(tmp_path), 8, sheet=2, n_kept=3, looks=2)
    train(board)
    assert drawn_steps(board) == list(range(1, 9)) and sheets(board.run) == [8]
    # All is trained: only what an earlier session did not keep is made, from the networks as they are.
    again = Board(small_run(tmp_path), 8, sheet=2, keep=[1.0], n_kept=4)
    train(again)
    assert drawn_steps(again) == list(range(1, 9)) and again.monitor._images is not None
    assert {step: len(images) for step, images in again.run.sets().items()} == {8: 3}
    (tmp_path / "samples" / "000008.safetensors").unlink()
    train(Board(small_run(tmp_path), 8, keep=[1.0], n_kept=4))
    assert {step: len(images) for step, images in again.run.sets().items()} == {8: 4}


@pytest.mark.slow
def test_an_interrupt_closes_it_on_the_step_reached(tmp_path):
    run = small_run(tmp_path)
    board = Board(run, 100, sheet=2, n_kept=3)
    for batch in board.batches():
        board.log(run.gan.step(batch))
        if run.step == 4:
            run.stop()
    assert board.monitor._closed and board.monitor._status()[0] == "stopped at step 4 of 100"
    assert sheets(run) == [1, 2, 4] and list(run.sets()) == [4] and small_run(tmp_path).step == 4


@pytest.mark.slow
def test_a_training_that_diverges_closes_it(tmp_path):
    run = small_run(tmp_path)
    board, before = Board(run, 10, sheet=2), signal.getsignal(signal.SIGINT)
    with pytest.raises(Diverged):
        for batch in board.batches():
            board.log({"loss_d": run.gan.step(batch)["loss_d"] * float("nan")})
    board.close()       # as the end of a notebook's cell does
    assert board.monitor._closed and signal.getsignal(signal.SIGINT) is before


@pytest.mark.notebook
def test_an_error_in_a_cell_closes_it_and_gives_the_stop_button_back(tmp_path, run_cells):
    cells = [f"""
import signal, sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from test_board import Board, small_run
run = small_run({str(tmp_path)!r})
board = Board(run, 100, sheet=2)
""", """
for batch in board.batches():
    board.log(run.gan.step(batch))
    if run.step == 3:
        raise KeyError("a mistake in the loop")
""", """
print(board.monitor._closed, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""]
    _, loop, last = [cell.outputs for cell in run_cells(*cells, allow_errors=True).cells]
    assert [output.ename for output in loop if output.output_type == "error"] == ["KeyError"]
    figure, = [output.data for output in loop if "image/png" in output.get("data", {})]
    assert figure["text/plain"].startswith("Training board: stopped at step 3 of 100")
    assert last[0].text == "True True\n"


@pytest.mark.slow
def test_sheets_and_sets_by_functions_of_a_translating_gan(tmp_path):
    config = cyclegan.Config(size=32, epochs=1, decay=1, ngf=4, ndf=4, blocks=1, layers=1, margin=4)
    planes, frames = noise_set(6, 32), noise_set(5, 32)
    run = Run(tmp_path, cyclegan.CycleGAN, config, {"ct": planes, "us": frames}, log_every=1)

    def there_and_back(gan):
        translated = gan.translate(planes.images[:2])
        return torch.cat([planes.images[:2], translated, gan.translate(translated, "ct")])

    board = Board(run, 3, sheet=there_and_back, keep=[1.0], n_kept=lambda gan: gan.translate(planes.images))
    train(board)
    assert len(board.monitor._images["pixels"]) == 6 and sheets(run) == [1, 2, 3]
    assert torch.equal(run.sets()[3], run.gan.translate(planes.images))


@pytest.mark.parametrize("keep", [[0.0], [0.5, 1.5]])
def test_shares_outside_the_training_are_refused(tmp_path, keep):
    with pytest.raises(ValueError, match="shares of the steps, above 0 and at most 1"):
        Board(small_run(tmp_path), 10, keep=keep)


def test_a_gpu_is_logged_and_drawn_and_hidden_where_there_is_none(tmp_path, monkeypatch):
    def lines(folder):
        run = Run(tmp_path / folder, DCGAN, SMALL, noise_set(20), log_every=1)
        board = Board(run, 2, sheet=2, keep=[])
        train(board)
        panels = {curve["label"]: curve["panel"] for curve in board.monitor._curves()}
        return [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()], panels

    with gpu():
        hidden, panels = lines("no_driver")
        monkeypatch.setattr(torch.cuda, "utilization", lambda *_: 57)
        told, both = lines("gpu")
    assert hidden[0]["gpu_memory"] == told[0]["gpu_memory"] == 25 and "gpu_busy" not in hidden[0]
    assert told[0]["gpu_busy"] == 57 and (panels["memory"], both["memory"], both["busy"]) == (2, 2, 2)
    alone, panels = lines("cpu")
    assert "gpu_memory" not in alone[0] and set(panels.values()) == {0, 1}


def test_what_is_measured_now_and_then_is_one_line():
    """A panel of the still joins the points of a curve that most lines of the log lack."""
    table = np.array([[1, 0.5, 3], [2, 0.4, np.nan], [3, 0.3, np.nan], [4, 0.2, 1], [5, 0.1, np.nan]], np.float32)
    curves = [{"label": name, "panel": panel, "colour": "#000000", "dash": False}
              for panel, name in enumerate(("loss D", "d"))]
    with mock.patch("matplotlib.axes.Axes.plot", autospec=True) as plotted:
        draw(table, curves, ["step"], None)
    sparse = [call.args[1:3] for call in plotted.call_args_list][2:]
    assert all(len(steps) == 2 and np.isfinite(values).all() for steps, values in sparse)


@pytest.mark.slow
def test_what_is_watched_is_drawn_beside_and_stands_in_the_log(tmp_path):
    told = []

    def watch(gan):
        told.append(board.run.step)
        return {"distance_FD-x": float(len(told))}

    board = Board(small_run(tmp_path), 6, sheet=2, keep=[1.0], n_kept=2, watch=watch, watches=2)
    train(board)
    assert told == [0, 3, 6]
    lines = [json.loads(line)["distance_FD-x"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [1, 1, 2, 2, 2, 3], "each line holds the latest, the last one the last"
    panels = {curve["label"]: curve["panel"] for curve in board.monitor._curves()}
    assert panels["FD-x"] == 3 and panels["loss D"] == 0
    assert board.monitor.still()[0]["image/png"]


def test_a_distance_is_that_of_the_table_and_draws_no_image_anew():
    real, other = noise_set(30, 64, 64), noise_set(30, 64, 64, 1)

    class Copies:
        def sample(self, n, seed):
            return other.images[:n]

    distance = metrics.Distance(real, n=30)
    told = distance(Copies())
    assert told["distance_FD-lite0"] == pytest.approx(metrics.fid(real, other, "lite0", draws=3).value, rel=1e-4)
    kernel = 1000 * metrics.kid(real, other, "lite0", draws=3).value
    assert told["distance_KD-lite0 x 1000"] == pytest.approx(kernel, rel=1e-3, abs=1e-3)
    assert metrics.Distance(real, n=500).n == 30
