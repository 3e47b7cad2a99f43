"""What several test files use."""

import os
import signal
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from uslab.notebooks.kernels import private_sockets

# Started in the background by a shell, these tests would not notice Ctrl-C, nor would what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PARAMETERS = '''profile = "class"
data = "phantom"
root = ""
out = "../runs/STEM"
seed = 0
steps = 3
lr = 2e-4
name = "plain"
flip = False
sizes = [1, 2]
'''


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, with a sub-folder for each data set."""
    folder = os.environ.get("USLAB_TEST_DATA")
    if not folder:
        pytest.skip("USLAB_TEST_DATA is not set: it names the folder of real images that this test reads")
    return Path(folder)


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """A cache of the test's own, so that it neither finds nor leaves anything in the user's."""
    monkeypatch.setenv("USLAB_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def run_cells():
    """A function that runs code cells in a kernel of their own and returns the executed notebook."""

    def run(*cells: str, allow_errors: bool = False) -> nbformat.NotebookNode:
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        with private_sockets() as sockets:
            return nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", allow_errors=allow_errors,
                                           config=sockets).execute()

    return run


@pytest.fixture
def make_notebook(tmp_path):
    """A function that writes a small notebook, with a smoke profile, into a folder of the test's own."""

    def make(stem: str, *cells: str | tuple[str, str], profile: str = "profile: smoke\n") -> Path:
        """Write a title, the parameters above, and the cells: code, or (code, tag)."""
        nodes = [new_markdown_cell(f"# The *{stem}* notebook")]
        for cell in ((PARAMETERS.replace("STEM", stem), "parameters"), *cells):
            source, tag = cell if isinstance(cell, tuple) else (cell, None)
            nodes.append(new_code_cell(source, metadata={"tags": [tag]} if tag else {}))
        node = new_notebook(cells=nodes)
        node.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
        folder = tmp_path / "notebooks"
        (folder / "profiles").mkdir(parents=True, exist_ok=True)
        (folder / "profiles" / f"{stem}.smoke.yaml").write_text(profile)
        nbformat.write(node, folder / f"{stem}.ipynb")
        return folder / f"{stem}.ipynb"

    return make
