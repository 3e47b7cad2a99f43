"""`uslab new-paper`: what it writes runs at once, it overwrites nothing, and it says why it refuses."""

import os
import shutil
import subprocess
import sys
from difflib import ndiff
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the files of this checkout."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout, whose files could be listed")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():     # the list knows files that were deleted, too
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def python(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run this Python on a checkout's own package."""
    return subprocess.run([sys.executable, "-m", *arguments], cwd=checkout, capture_output=True, text=True, timeout=550,
                          env=os.environ | {"PYTHONPATH": str(checkout)})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}


@pytest.mark.slow
@pytest.mark.notebook
def test_a_new_paper_runs_at_once_and_the_contract_covers_it(checkout):
    before = files(checkout)
    made = python(checkout, "uslab.cli", "new-paper", "WGAN", "--organ", "fetal_head")
    assert made.returncode == 0, made.stderr
    stem, after = "07_wgan_fetal_head", files(checkout)
    new = {"uslab/models/wgan.py", f"notebooks/{stem}.ipynb", f"notebooks/profiles/{stem}.smoke.yaml",
           f"notebooks/profiles/{stem}.paper.yaml", f"notebooks/sweeps/{stem}.yaml", "tests/test_wgan.py"}
    assert set(after) - set(before) == new
    assert all(name in made.stdout for name in new)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"uslab/models/store.py", "uslab/widgets/exercises.yaml", "README.md"}
    for name in changed:
        lost = [line[2:] for line in ndiff(before[name].decode().splitlines(), after[name].decode().splitlines())
                if line.startswith("- ")]
        assert all(line.endswith('"pgsgan"}') for line in lost), "nothing goes but a closing bracket"
    of_notebooks = [f"tests/test_notebooks.py::test_{name}[{stem}]" for name in (
        "the_readme_lists_it", "its_code_can_be_read_without_scrolling", "every_profile_fits_the_notebooks_parameters",
        "the_headings_are_those_of_the_plan_in_its_first_cell", "its_first_cell_leads_to_the_words")]
    tests = python(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_wgan.py", "tests/test_exercises.py",
                   "tests/test_house.py", "tests/test_gan.py", *of_notebooks, "-k", "wgan or exercises or house")
    assert tests.returncode == 0, tests.stdout[-4000:]
    listed = python(checkout, "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "tests/test_gan.py")
    assert "[wgan]" in listed.stdout
    ran = python(checkout, "uslab.cli", "run", stem, "--profile", "smoke", "--out", "o")
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert (checkout / "o" / stem / "run.json").is_file()
    loaded = python(checkout, "uslab.cli", "generate", str(next((checkout / "o" / stem).glob("run-*"))), "--n", "2",
                    "--out", "images")
    assert loaded.returncode == 0 and len(list((checkout / "images").glob("*.png"))) == 2, loaded.stderr
    planned = yaml.safe_load((checkout / f"notebooks/sweeps/{stem}.yaml").read_text())
    assert planned["notebook"] == stem and planned["grid"]
    lint = python(checkout, "ruff", "check", "--no-cache", ".")
    assert lint.returncode == 0, lint.stdout
    again = python(checkout, "uslab.cli", "new-paper", "WGAN")
    assert again.returncode == 2 and "is there already: take another name" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "message"), [
    (["DCGAN"], "dcgan.py is there already: take another name than DCGAN"),
    (["Layers"], "layers.py is there already"), (["my-gan"], "'my-gan' is no name of a class"),
    (["../GAN"], "is no name of a class"), (["Class"], "is no name of a class"),
    (["Wgan", "--organ", "lung"], "invalid choice: 'lung'"),
])
def test_a_name_that_cannot_be_is_refused_in_one_line_and_nothing_is_written(checkout, arguments, message):
    before = files(checkout)
    said = python(checkout, "uslab.cli", "new-paper", *arguments)
    assert said.returncode == 2 and message in said.stderr and said.stderr.count("\n") == 1
    assert files(checkout) == before


def test_a_number_is_the_next_and_names_are_imported_in_their_order(tmp_path):
    from uslab.notebooks.new_paper import following, imported

    (tmp_path / "notebooks").mkdir()
    for stem in ("00_a", "11_b", "notes"):
        (tmp_path / "notebooks" / f"{stem}.ipynb").touch()
    assert following(tmp_path) == 12
    assert imported(["Config", "WGAN"]) == "WGAN, Config" and imported(["Wgan", "Config"]) == "Config, Wgan"


def test_outside_a_checkout_it_says_so(tmp_path, monkeypatch, capsys):
    from uslab.cli.main import main

    monkeypatch.setattr("uslab.notebooks.new_paper.bundle", lambda: tmp_path)
    assert main(["new-paper", "WGAN"]) == 2
    assert "is added to a checkout of the repository" in capsys.readouterr().err and not list(tmp_path.iterdir())
