"""Serve a study to its readers: a standalone Voila with one notebook, hardened, and a link for each reader."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from uslab.data.reading import read_json
from uslab.notebooks.kernels import private_sockets
from uslab.pages import TEMPLATES
from uslab.pages.messages import messages
from uslab.reader import classroom, door
from uslab.study.protocol import Protocol
from uslab.study.store import ORDERS
from uslab.study.study import Study

NOTEBOOK, CONFIG = "reading.ipynb", "voila.py"
SERVED = "USLAB_STUDY_SERVED"           # is 1 in the environment of the kernels started here, and nowhere else
CODE = "from uslab.reader.page import page\n\npage()"
CULL_AFTER, CULL_EVERY = 1800, 60       # seconds that a kernel outlives its page; between two looks at it
START_LIMIT = 180                       # seconds for Voila to answer
# The browser itself then refuses to ask any other machine for anything. Voila builds its page from inline scripts.
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:", "font-src 'self' data:", "worker-src 'self' blob:", "object-src 'none'",
    "form-action 'none'", "base-uri 'self'", "frame-ancestors 'none'"))
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
LOOK_EVERY, PATIENCE, RESTARTS = 15, 30, 5      # seconds between two looks at Voila, and for its answer; starts anew


def harden(config) -> None:
    """Voila's settings for a study; voila.py in the served folder calls this with Voila's config object."""
    from voila import app

    from uslab.reader import check, guard

    about = read_json(Path("study.json"))       # it is in the folder in which Voila runs
    config.HTMLExporter.language_code = Protocol.from_dict(about["protocol"]).language

    app.VoilaKernelWebsocketHandler = guard.Line        # Voila has no setting for it; wait() sees that it holds
    init_handlers = app.Voila.init_handlers
    app.Voila.init_handlers = lambda voila: [(f"{voila.server_url}{check.ASKED}", check.Echo), *init_handlers(voila)]
    voila = config.VoilaConfiguration
    voila.template = "reader"
    voila.theme = "light"
    voila.allow_template_override = voila.allow_theme_override = "NO"
    voila.file_allowlist = ["(?!)"]             # matches nothing: no file of the folder is handed out
    voila.show_tracebacks = False
    voila.strip_sources = True
    voila.preheat_kernel = False
    voila.progressive_rendering = False
    voila.extension_denylist = ["@jupyter-notebook/lab-extension"]     # it fails in Voila, with an error on the page
    voila.prelaunch_hook = door.admit
    # A reload leaves its kernel behind, so kernels end some time after their page; one that is open stays.
    config.MappingKernelManager.cull_idle_timeout = CULL_AFTER
    config.MappingKernelManager.cull_interval = CULL_EVERY
    config.MappingKernelManager.cull_connected = False
    if os.name == "posix" and os.access("/tmp", os.W_OK):   # see private_sockets; names in /tmp are short enough
        config.KernelManager.transport, config.Voila.connection_dir_root = "ipc", "/tmp"
    config.Voila.tornado_settings = {"headers": HEADERS, "websocket_max_message_size": guard.LARGEST}
    voila.multi_kernel_manager_class = guard.OnePerReader


def prepare(study: Study) -> None:
    """Write the notebook and Voila's settings into the study's public folder; both are the same for every study."""
    from nbformat import v4, write

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = v4.new_code_cell(CODE, id="page")
    notebook = v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel, "title": study.about["title"]})
    for name in (NOTEBOOK, CONFIG):
        (study.public / name).touch(mode=0o600)
    write(notebook, study.public / NOTEBOOK)
    (study.public / CONFIG).write_text(
        '"""Voila\'s settings, written by `uslab study serve`."""\n\nfrom uslab.reader.server import harden\n\n'
        "harden(c)  # noqa: F821\n", encoding="utf-8")


@contextlib.contextmanager
def serving(
    study: Study,
    host: str = "127.0.0.1",    # address to listen on; the default is reached from this machine alone
    port: int = 8866,
    base: str = "/",            # path under which a reverse proxy shows the server, beginning and ending with /
    room: classroom.Room | None = None,     # of a class
) -> Iterator[subprocess.Popen]:
    """Voila as a process of its own while the block lasts. Raises OSError if it does not start."""
    from ipykernel.kernelspec import write_kernel_spec

    with socket.socket() as free:
        if os.name == "posix":
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just stopped is no obstacle
        try:
            free.bind((host, port))
        except OSError as error:
            raise OSError(f"port {port} of {host or 'this machine'} cannot be used ({error.strerror}): choose another "
                          "with --port") from None
    prepare(study)
    with tempfile.TemporaryDirectory(prefix="uslab_study_") as private:
        template = Path(private) / "voila" / "templates" / "reader"
        template.mkdir(parents=True)
        words = messages(study.protocol.language)["reading"]
        page = Template((TEMPLATES / "reader.html.j2").read_text(encoding="utf-8")).substitute(
            script=escape(words["script"]), preparing=json.dumps(words["preparing"]))
        (template / "index.html.j2").write_text(page, encoding="utf-8")
        (template / "conf.json").write_text(json.dumps({"base_template": "lab"}))
        kernels = Path(private) / "kernels"
        write_kernel_spec(kernels / "python3")      # this very Python, whatever kernel of the name there may be
        environment = os.environ | {
            "JUPYTER_PATH": before("JUPYTER_PATH", private),
            "PYTHONPATH": before("PYTHONPATH", Path(__file__).parents[2]),      # the same uslab as here
            # No setting of this user's or machine's Jupyter may loosen what voila.py says, and without voila.py Voila
            # must not start: it would serve unhardened.
            "JUPYTER_NO_CONFIG": "1", "JUPYTER_CONFIG_DIR": private,
            "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
            SERVED: "1", "OMP_NUM_THREADS": "1", **(room.environment if room else {})}
        prove(kernels, study.public, environment)
        # -P: or Python would take voila.py in this folder for the package of that name.
        command = [sys.executable, "-P", "-m", "voila", NOTEBOOK, "--no-browser", f"--Voila.ip={host}",
                   f"--port={port}", "--Voila.port_retries=0", f"--Voila.base_url={base}"]
        log = study.folder / "serve.log"
        with open(log, "ab") as file:
            process = subprocess.Popen(command, cwd=study.public, env=environment, stdout=file, stderr=file,
                                       start_new_session=os.name == "posix")
        try:
            wait(process, local(host, port, base), log)
            yield process
        finally:
            end(process)


def prove(kernels: Path, folder: Path, environment: dict[str, str]) -> None:
    """Start a kernel as Voila does, and let it import the page. Raises OSError if it does not get there."""
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    with private_sockets() as sockets:
        specs = KernelSpecManager(kernel_dirs=[str(kernels)])
        manager = KernelManager(kernel_name="python3", kernel_spec_manager=specs, config=sockets)
        manager.start_kernel(env=environment, cwd=str(folder))
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(START_LIMIT)
            reply = client.execute_interactive("import uslab.reader.page", timeout=START_LIMIT,
                                               output_hook=lambda _: None)
            if reply["content"]["status"] != "ok":
                raise RuntimeError(f"{reply['content']['ename']}: {reply['content']['evalue']}")
        except (RuntimeError, TimeoutError) as error:
            raise OSError(f"no page can be shown, since {sys.executable} starts no kernel for it ({error})") from None
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def local(host: str, port: int, base: str) -> str:
    """The server's address on this machine."""
    return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{port}{base}"


def before(name: str, folder: str | Path) -> str:
    """The value of an environment variable that lists folders, with this one first."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get(name))))


def wait(process: subprocess.Popen, address: str, log: Path) -> None:
    """Wait until Voila refuses a visitor without a code. Raises OSError if it does not start, or lets one in."""
    for _ in range(5 * START_LIMIT):
        if process.poll() is not None:
            raise OSError(f"Voila ended at once; {log} says why")
        answer = ask(address)
        if answer == (403, POLICY) and line(address) == 400:
            return
        if answer:
            raise OSError(f"Voila runs without the settings of {CONFIG} (it answered {answer[0]}) and was stopped; "
                          f"{log} says more")
        time.sleep(0.2)
    raise OSError(f"Voila did not answer at {address} within {START_LIMIT} s; {log} says more")


def ask(address: str, patience: float = 30) -> tuple[int, str | None] | None:
    """HTTP status and Content-Security-Policy of an address; None while nobody answers there."""
    try:
        with urllib.request.urlopen(address, timeout=patience) as reply:
            return reply.status, reply.headers["Content-Security-Policy"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Security-Policy"]
    except OSError:
        return None


def line(address: str) -> int:
    """HTTP status of a websocket that names no protocol; 400 if the guard holds."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", f"{parts.path}api/kernels/{uuid.UUID(int=0)}/channels", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def watch(process: subprocess.Popen, address: str) -> str:
    """Look at Voila until it has ended or does not answer; says which. Two looks in a row must fail."""
    missed = 0
    while missed < 2:
        try:
            return f"ended with code {process.wait(LOOK_EVERY)}"
        except subprocess.TimeoutExpired:
            missed = 0 if (ask(f"{address}?health", PATIENCE) or (0,))[0] == 200 else missed + 1
    return f"did not answer within {PATIENCE} s"


def end(process: subprocess.Popen) -> None:
    """Stop Voila, which ends its kernels; readers find their place again when it is started next."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(
    folder: Path,
    host: str | None,           # None: this machine alone, or its network for a class
    port: int,
    address: str | None,        # as readers see the server, such as 'https://study.example.org/'; None: host and port
    invite: list[str],          # labels of new readers
    seats: int = 0,             # of a class, who come by one link
) -> int:
    """`uslab study serve`: print a link for each new reader and serve until Ctrl-C."""
    study = Study.open(folder)
    if study.store.closed():
        raise ValueError(f"{study.folder}: the study is closed and takes no answers any more")
    seen = host or (classroom.lan() if seats else "127.0.0.1")
    host = host or ("0.0.0.0" if seats else "127.0.0.1")
    address = (address or f"http://{seen}:{port}/").rstrip("/") + "/"
    base = urlsplit(address).path
    room, stop = classroom.Room(address, seats) if seats else None, threading.Event()
    if room:
        from uslab.reader import class_page  # pandas and matplotlib, which nobody else here needs

        page = class_page.begin(study, room)
    # A stop from a service manager must end Voila too.
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for turn in range(1 + RESTARTS):
            with serving(study, host, port, base, room) as process:
                if not turn:
                    announce(study, host, address, invite)
                if room and not turn:
                    threading.Thread(target=class_page.follow, args=(folder, room, page, stop), daemon=True).start()
                    print(classroom.announced(room, page), flush=True)
                print(f"Voila {watch(process, local(host, port, base))} at {time.ctime()}", file=sys.stderr, flush=True)
            time.sleep(turn)
        raise OSError(f"Voila failed {1 + RESTARTS} times and is not started again; {study.folder / 'serve.log'} says "
                      "more. No answer is lost")
    except KeyboardInterrupt:
        print("Stopped")
        return 0
    finally:
        stop.set()
        signal.signal(signal.SIGTERM, handler)


def announce(study: Study, host: str, address: str, invite: list[str]) -> None:
    """Print the links, and what the organiser should know."""
    for label in invite:    # not before it serves: a code that nobody saw could never be shown again
        print(f"{label}: {address}?r={study.invite(label)}", flush=True)
    if invite:
        print("These links are shown this once; only their hashes are kept.")
    print(f"Serving {study} for links {address}?r=CODE; Ctrl-C stops it, and nothing is lost. {address}?health says ok")
    print(f"On {address}?check=1 readers see whether their machines are fit; it needs no code: send it to them before")
    if warning := study.unaudited():
        print(f"Warning: {warning}")
    for name in ("SEALED", ORDERS):
        if (study.folder / name).exists():
            print(f"The key lies on this machine: move {name} to another one until the study is closed")
    if host not in ("127.0.0.1", "localhost") and not address.startswith("https://"):
        print("Others can reach this server, and what they answer travels unencrypted: put a TLS reverse proxy in "
              "front of it (docs/serving_a_reader_study.md)")
    sys.stdout.flush()
