"""What the widgets share: Still, something to read without a browser, and Live, a line to JavaScript of their own."""

import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
from IPython.display import display

STATIC = Path(__file__).parent / "static"
VIEW = "application/vnd.jupyter.widget-view+json"


def source(*names: str) -> str:
    """The text of files in static/, joined: live.js holds the functions that every module uses."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


class Still:
    """A widget that leaves something to read in the saved notebook.

    Two outputs are displayed. The first is the live view. The second is `still()`, which needs no browser code: it is
    what papermill's HTML, a page on GitHub and a notebook opened tomorrow show. A live view hides the still beneath it
    (live.css). One output with both formats would not do: whoever finds the widget's format in it shows that one, and
    without a kernel it is an error message or nothing.
    """

    displayed = False       # as an output of its own, not inside another widget

    def still(self) -> tuple[dict, dict]:
        """MIME bundle of what can be read without a browser, and its metadata."""
        text = repr(self)
        return {"text/html": f'<pre class="uslab-still">{escape(text)}</pre>', "text/plain": text}, {}

    def view(self) -> dict:
        """MIME bundle of the live view."""
        return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.model_id}, "text/plain": repr(self)}

    def _ipython_display_(self) -> None:
        display(self.view(), raw=True, display_id=f"{self.model_id}-live")
        data, metadata = self.still()
        display(data, metadata=metadata, raw=True, display_id=f"{self.model_id}-still")
        self.displayed = True

    def refresh(self, live: dict | None = None) -> None:
        """Replace the still, and the live view's bundle if one is given, wherever the widget is displayed."""
        if self.displayed:
            if live:
                display(live, raw=True, update=True, display_id=f"{self.model_id}-live")
            data, metadata = self.still()
            display(data, metadata=metadata, raw=True, update=True, display_id=f"{self.model_id}-still")


class Latest:
    """Work that a thread does for the latest of what is asked; what came before it, and is not begun, is forgotten."""

    def __init__(
        self,
        work: Callable[[Any], None],    # called with what was asked
        after: Callable[[], None],      # called once nothing more was asked
        patience: float = 0.0,          # for so many seconds
    ):
        self._work, self._after, self._patience = work, after, patience
        self._news = threading.Condition()
        self._asked: list = []          # the latest that has not been begun
        self.running = False            # the thread works, or waits for more

    @property
    def waits(self) -> bool:
        """Whether something is asked that has not been begun."""
        return bool(self._asked)

    def ask(self, what: Any = None) -> None:
        with self._news:
            self._asked = [what]
            self._news.notify()
            if not self.running:
                self.running = True
                threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._asked, self._patience)
                if not self._asked:
                    self.running = False
                    break
                what = self._asked.pop()
            self._work(what)
        self._after()


class Live(Still, anywidget.AnyWidget):
    """A widget whose content travels only as custom messages, so neither a trait nor a saved notebook holds it.

    A page that opens or reloads says `ready` and `resend` answers with the whole state. The page's messages arrive in
    another thread while a cell runs (ipykernel 7), hence the lock.
    """

    def __init__(self):
        self._lock = threading.RLock()
        self.answered = False       # a page has asked for the state, so somebody sees the live view
        super().__init__()
        self._free_reply()
        self.on_msg(self._on_message)

    def resend(self) -> None:
        """Send the whole state; called with the lock held."""
        raise NotImplementedError

    def receive(self, message: dict) -> None:
        """Handle a message of the page other than `ready`; called with the lock held."""

    def tell(self, message: dict, *arrays: np.ndarray) -> None:
        """Send one message, with arrays as raw buffers, to every page that shows the widget."""
        with self._lock:
            self.send(message, buffers=[array.tobytes() for array in arrays])
            self._free_reply()

    def _free_reply(self) -> None:
        """Let the page's next message be handled at once, though a cell runs.

        ipykernel 7.4 hands it to the thread that last wrote to the comm, which is the busy one. Without that note (it
        has no public name) the message goes where the page sent it: to a thread of its own. Other kernels have no note.
        """
        if self.comm is not None:
            vars(self.comm).pop("_reply_subshell_id", None)

    def _on_message(self, _, message: dict, buffers: list) -> None:
        with self._lock:
            if message.get("type") == "ready":
                self.answered = True
                self.resend()
            else:
                self.receive(message)
