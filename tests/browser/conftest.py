"""A real browser: the fixture `lab` opens small notebooks in a real JupyterLab, `voila` serves one by a plain Voila."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
SETTINGS = {
    # All cells in the page, so a test finds what it looks for wherever the page is scrolled.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


class Notebook:
    """One notebook open in JupyterLab; of one served by Voila, only the page and its errors."""

    def __init__(self, page, path: Path):
        self.page, self.path, self.errors = page, path, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def run_all(self) -> None:
        """Start every cell; returns at once."""
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")

    def wait_idle(self, seconds: float = 60) -> None:
        """Wait until no cell runs or waits."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-InputArea-prompt')].some(e => e.innerText.includes('*'))",
            timeout=1000 * seconds)

    def run(self, code: str) -> str:
        """Run one line of code in the last cell, which is for that, and return the text that it prints."""
        cell = self.page.locator(".jp-CodeCell").last
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(f"print('<<' + str({code}) + '>>')")
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_timeout(300)
        self.wait_idle()
        return cell.locator(".jp-OutputArea-output").inner_text().split("<<")[1].split(">>")[0]

    def save(self) -> None:
        """Save by the menu, as a focused quiz keeps Ctrl+S for itself."""
        self.page.click(".lm-MenuBar-itemLabel:text-is('File')")
        self.page.click(".lm-Menu-itemLabel:text-is('Save Notebook')")
        self.page.wait_for_timeout(1500)

    def wait_ready(self) -> None:
        """Wait for the notebook and its kernel."""
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60000)
        self.page.wait_for_selector(".jp-StatusBar-TextItem:has-text('| Idle')", timeout=60000)

    def reload(self) -> None:
        """Save and load the page again; the kernel goes on, and may be busy."""
        self.save()
        self.page.reload()
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60000)

    def shoot(self, name: str) -> None:
        """Keep a screenshot where USLAB_SHOTS names a folder, for people to look at."""
        if os.environ.get("USLAB_SHOTS"):
            self.page.screenshot(path=Path(os.environ["USLAB_SHOTS"]) / f"{name}.png")


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; a test without one is skipped, and fails in CI."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    lacking = [what for what, there in (("playwright (pip install playwright)", find_spec("playwright")),
                                        ("chromium (apt-get install chromium)", path)) if not there]
    if lacking:
        reason = f"browser tests need {' and '.join(lacking)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def await_answer(address: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers anything at all."""
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    pytest.fail(f"{address} did not answer within two minutes:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A JupyterLab on loopback with settings of its own: (folder, address, token)."""
    folder = tmp_path_factory.mktemp("lab")
    private = folder / ".private"
    for name, value in SETTINGS.items():
        path = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    env = dict(os.environ, JUPYTERLAB_SETTINGS_DIR=str(private / "settings"),
               JUPYTER_CONFIG_DIR=str(private / "config"),
               JUPYTERLAB_WORKSPACES_DIR=str(private / "workspaces"), OMP_NUM_THREADS="1",
               PYTHONPATH=str(Path(__file__).parents[2]))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        await_answer(f"{address}/api?token={token}", process, folder / "server.log")
        yield folder, address, token
    finally:
        process.terminate()     # it shuts its kernels down
        process.wait(20)


def write(path: Path, *cells: str) -> None:
    """Write a notebook of these code cells."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
                                            metadata={"kernelspec": kernel}), path)


@pytest.fixture
def lab(chromium, server, request):
    """`lab(cell, cell, ...)` opens a notebook of these cells and one empty cell more, in a page of 1200 x 1000 px."""
    folder, address, token = server
    pages = []

    def open_notebook(*cells: str) -> Notebook:
        path = folder / f"{request.node.name}_{len(pages)}.ipynb"
        write(path, *cells, "")
        page = chromium.new_page(viewport={"width": 1200, "height": 1000})
        pages.append(page)
        page.goto(f"{address}/lab/tree/{path.name}?reset&token={token}")
        notebook = Notebook(page, path)
        notebook.wait_ready()
        page.keyboard.press("Control+b")        # hides the file browser
        return notebook

    yield open_notebook
    for page in pages:
        page.close()
    for kernel in json.load(urllib.request.urlopen(f"{address}/api/kernels?token={token}")):
        stop = urllib.request.Request(f"{address}/api/kernels/{kernel['id']}?token={token}", method="DELETE")
        urllib.request.urlopen(stop)


@pytest.fixture
def voila(chromium, tmp_path):
    """`voila(cell, cell, ...)` serves a notebook of these cells by Voila as it comes and opens its page."""
    path = tmp_path / "served.ipynb"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", path.name, "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}",
               "--Voila.port_retries=0", "--VoilaConfiguration.extension_denylist=@jupyter-notebook/lab-extension"]
    env = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(Path(__file__).parents[2]))
    context, processes = chromium.new_context(viewport={"width": 1200, "height": 700}), []

    def open_notebook(*cells: str) -> Notebook:
        write(path, *cells)
        with open(tmp_path / "voila.log", "w") as log:
            processes.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT))
        await_answer(f"http://127.0.0.1:{port}/voila/static/none", processes[0], tmp_path / "voila.log")
        notebook = Notebook(context.new_page(), path)
        # Voila's own page asks for icons there; the test asks no other machine for anything.
        context.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))
        notebook.page.goto(f"http://127.0.0.1:{port}/", timeout=90000)
        return notebook

    yield open_notebook
    context.close()
    for process in processes:
        process.terminate()     # it shuts its kernels down
        process.wait(20)
