"""The page that checks a reader's machine before a study: it needs no code and no kernel, and shows no stimulus."""

import json

from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketHandler

from uslab.pages import environment
from uslab.pages.messages import messages
from uslab.study import Study
from uslab.widgets.live import source

ASKED = "check"         # the argument that asks for the page, and the path of its line
LONGEST = 100           # characters of a message that is said back
TURNS, OPEN_S = 10, 20  # so many messages, and so many seconds, until a line is closed


def page(study: Study) -> str:
    """The page as HTML; of the study it knows its language and how much room its images take."""
    protocol, (h, w) = study.protocol, study.pack.shape[-2:]
    words = messages(protocol.language)["check"]
    room = {"w": w, "h": h, "n": 1 + protocol.pair, "more": protocol.comment or protocol.mark or protocol.window}
    told = json.dumps([words, room]).replace("<", "\\u003c")        # it may not end the script that it stands in
    script = f"const [WORDS, ROOM] = {told};\n{source('live.js', 'words.js', 'check.js')}"
    return environment().get_template("check.html.j2").render(language=protocol.language, words=words, script=script)


class Echo(WebSocketHandler):
    """Says back a few short messages, which shows that websockets come through; it reaches nothing else."""

    def open(self):
        self._left = TURNS
        IOLoop.current().call_later(OPEN_S, self.close)

    def on_message(self, message):
        self._left -= 1
        if self._left < 0 or len(message) > LONGEST:
            return self.close(1008, "enough")
        self.write_message(message, isinstance(message, bytes))
