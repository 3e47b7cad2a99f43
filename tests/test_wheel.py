"""The wheel: it holds all that a user needs, and works where no checkout is."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
from pydicom import examples

from uslab import __version__
from uslab.cli.main import EXTRAS, main

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools is older than pyproject.toml asks for, and a newer one would have to be fetched")
    place = tmp_path_factory.mktemp("wheel")
    copy = place / "source"
    tracked = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True,
                             text=True, check=True).stdout.split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir",
                    str(place), str(copy)], check=True, timeout=300)
    return next(place.glob("*.whl"))


@pytest.mark.slow
def test_it_holds_the_notebooks_the_generators_and_the_version(wheel):
    assert wheel.name.startswith(f"uslab-{__version__}-")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("uslab/bundle/notebooks/02_stylegan2_breast.ipynb", "uslab/bundle/data_cards/busi.md",
                   "uslab/bundle/notebooks/diagrams/dcgan.svg", "uslab/bundle/docs/glossary.md",
                   "uslab/bundle/notebooks/profiles/01_dcgan_fetal_head.smoke.yaml",
                   "uslab/generators/dcgan_fetal_head_64/generator.safetensors", "uslab/widgets/static/live.js",
                   "uslab/widgets/exercises.yaml", "uslab/pages/templates/card.md.j2",
                   "uslab/pages/templates/paper/notebook.j2"):
        assert wanted in names
    assert not [name for name in names if re.match("tests|tools|benchmarks|.*runs/|.*ipynb_checkpoints", name)]


@pytest.mark.slow
@pytest.mark.notebook
def test_it_works_where_no_checkout_is(wheel, tmp_path):
    """An environment of its own that borrows all packages of this one but uslab."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    python = tmp_path / "v" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = next((tmp_path / "v").rglob("site-packages"))
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))     # without reading the .pth files in there
    zipfile.ZipFile(wheel).extractall(site)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")       # borrowed, too

    def uslab(*words: str) -> str:
        done = subprocess.run([python, "-m", "uslab.cli", *words], cwd=tmp_path, env=environment, capture_output=True,
                              text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    where = subprocess.run([python, "-c", "import uslab; print(uslab.__file__)"], cwd=tmp_path, env=environment,
                           capture_output=True, text=True, check=True).stdout
    assert Path(where.strip()).is_relative_to(tmp_path)
    uslab("generate", "dcgan_fetal_head_64", "--n", "16", "--out", "heads")
    uslab("run", "00_start_here", "--profile", "smoke", "--out", "first")
    assert (tmp_path / "first" / "00_start_here.html").is_file()
    assert "Copied to mine" in uslab("notebooks", "copy", "mine")
    assert len(list((tmp_path / "mine" / "notebooks").glob("*.ipynb"))) >= 7
    uslab("study", "build", "study", "--real", "phantom:fetal_head?n=16,seed=1", "--synthetic", "dcgan=heads",
          "--n", "8", "--repeats", "0", "--size", "64")


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"nibabel", "pydicom", "monai", "segno", "voila", "jupyterlab", "h5py",
                                      "distributed"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from uslab.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("words, code, says", [
    (["metrics", "{a}", "{b}", "--out", "{out}"], 0, "FD-lite0"),
    (["generate", "sgan_ovary_64", "--n", "2", "--out", "{out}"], 0, ""),
    (["data", "check", "{scans}"], 2, "uslab: this needs pydicom: pip install 'uslab[dicom]'"),
    (["study", "serve", "{out}"], 2, "uslab: "),
])
def test_the_core_alone_measures_and_names_what_it_lacks(tmp_path, words, code, says):
    for name, seed in (("a", 1), ("b", 2)):
        assert main(["generate", "phantom:breast", "--n", "12", "--size", "64", "--seed", str(seed), "--out",
                     str(tmp_path / name)]) == 0
    (tmp_path / "scans").mkdir()
    shutil.copy(examples.get_path("ybr_color"), tmp_path / "scans" / "a.dcm")
    places = {name: tmp_path / name for name in ("a", "b", "out", "scans")}
    done = subprocess.run([sys.executable, "-c", BLOCKED, *(word.format(**places) for word in words)], cwd=tmp_path,
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_every_extra_that_is_named_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for package, extra in EXTRAS.items():
        assert any(re.match(rf"{package.replace('_', '-')}\b", need) for need in extras[extra]), package
        assert not [need for need in project["dependencies"] if re.match(rf"{package}\b", need)]


def test_copies_overwrite_nothing(tmp_path, capsys):
    assert main(["notebooks", "copy", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "notebooks" / "profiles").is_dir()
    for notebook in (tmp_path / "mine" / "notebooks").glob("*.ipynb"):
        text = "\n".join(cell["source"] for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "markdown")
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^):]+)\)", text)]
        assert not [link for link in links if not (notebook.parent / link).exists()], notebook.name
    assert main(["notebooks", "copy", str(tmp_path / "mine")]) == 2
    assert "is there already: name another folder" in capsys.readouterr().err
