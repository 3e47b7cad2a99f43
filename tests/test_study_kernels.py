"""Kernels that are killed while a reader answers: real ones, with the test in the place of the page."""

import json
import os
import random
import signal
import sys
import time
from collections import deque
from contextlib import ExitStack
from queue import Empty

import numpy as np
import pytest
from jupyter_client import KernelManager

from uslab.notebooks.kernels import private_sockets
from uslab.study import Study

pytestmark = pytest.mark.notebook

KILLS, AHEAD = 40, 3        # kernels that are started before their turn, as starting one takes longer than its life


class Page:
    """A reader's page in a kernel of its own. It answers what it is shown, and sends again what was not confirmed."""

    def __init__(self):
        self.stack = ExitStack()
        self.kernel = KernelManager(config=self.stack.enter_context(private_sockets()))
        self.kernel.start_kernel(env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        self.line = self.kernel.blocking_client()
        self.line.start_channels()
        self.line.execute("from uslab.reader.page import Reading")      # waits there until the kernel is up

    def open(self, folder, code: str) -> None:
        """Show the page that the reader's link shows, and go on from its welcome to the image."""
        self.line.wait_for_ready(60)
        asked = self.line.execute(f"reading = Reading({str(folder)!r}, {code!r})", reply=True, timeout=300)
        assert asked["content"]["status"] == "ok", asked["content"]
        self.comm = next(message["content"]["comm_id"] for message in self.told(60)
                         if message["msg_type"] == "comm_open" and "_esm" in message["content"]["data"]["state"])
        self.send({"type": "ready"})

    def send(self, message: dict) -> None:
        content = {"comm_id": self.comm, "data": {"method": "custom", "content": message}}
        self.line.shell_channel.send(self.line.session.msg("comm_msg", content))

    def told(self, seconds: float):
        """Messages of the kernel, until none comes for so long."""
        try:
            while True:
                yield self.line.get_iopub_msg(timeout=seconds)
        except Empty:
            return

    def heard(self, seconds: float):
        """What the widget told the page."""
        for message in self.told(seconds):
            if message["msg_type"] == "comm_msg" and message["content"]["data"]["method"] == "custom":
                yield message["content"]["data"]["content"]

    def answer(self, trial: str, nonce: str) -> None:
        self.send({"type": "answer", "id": trial, "reply": {"choice": 1}, "rt_ms": 1000, "nonce": nonce, "facts": {}})

    def kill(self) -> None:
        os.kill(self.kernel.provisioner.pid, signal.SIGKILL)

    def end(self) -> None:
        self.line.stop_channels()
        self.kernel.shutdown_kernel(now=True)
        self.stack.close()


def kept(study: Study) -> list[tuple[str, str]]:
    """Trial and nonce of each answer on the disk."""
    return study.store.rows("select trial, nonce from log where kind = 'answer'")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_forty_killed_kernels_lose_and_double_nothing(tmp_path):
    rng, dice = np.random.default_rng(0), random.Random(0)
    real, made = (rng.integers(20, 110, (200, 1, 16, 16), np.uint8) for _ in range(2))
    study = Study.build(real, {"gan": made}, "yesno", out=tmp_path / "study", n_per_method=150, practice=0, attention=0,
                        repeats=0, readers=1)
    code = study.invite("Dr A")
    study.session(code).consent(study.consent_sha256)
    sent, acked = {}, set()         # trial -> nonce; (trial, nonce)
    took = [0.0]                    # seconds from sending an answer to its confirmation, so that kills fall within
    unconfirmed = unwritten = 0     # kills before the confirmation, and of these before the answer was kept
    pages = deque()
    try:
        for turn in range(KILLS):
            while len(pages) < min(1 + AHEAD, KILLS - turn):
                pages.append(Page())
            page, left = pages[0], dice.randint(0, 5)       # answers before the one that is not waited for
            page.open(study.folder, code)
            since = time.perf_counter()
            for trial in sent.keys() - {trial for trial, _ in acked}:
                page.answer(trial, sent[trial])
            for message in page.heard(60):
                if message["type"] == "ack":
                    acked.add(next(pair for pair in sent.items() if pair[1] == message["nonce"]))
                    took.append(time.perf_counter() - since)
                elif message["type"] == "page":
                    assert message["name"] in ("welcome", "break"), message
                    page.send({"type": "go"})
                elif message["id"] not in sent:
                    sent[message["id"]] = f"{dice.getrandbits(64):016x}"
                    since = time.perf_counter()
                    page.answer(message["id"], sent[message["id"]])
                    if not left:
                        break
                    left -= 1
            time.sleep(dice.uniform(0, 1.5 * np.median(took)))
            page.kill()
            acked |= {next(pair for pair in sent.items() if pair[1] == message["nonce"])
                      for message in page.heard(0.2) if message["type"] == "ack"}
            unconfirmed += len(acked) < len(sent)
            unwritten += len(kept(study)) < len(sent)
            pages.popleft().end()
    finally:
        for page in pages:
            page.end()
    print(f"\n{len(sent)} answers; of {KILLS} kills {unwritten} came before the last one was kept, "
          f"{unconfirmed - unwritten} before it was confirmed")
    assert len(acked) > KILLS and unconfirmed and acked <= set(kept(study)) <= set(sent.items())
    # No trial twice, and the last one may lack its confirmation.
    assert len({trial for trial, _ in kept(study)}) == len(kept(study)) <= len(acked) + 1
    count, head = study.store.verify()
    study.store._catch_up()
    lines = [json.loads(line) for line in study.store.mirror.read_text().splitlines()]
    assert len(lines) == count and lines[-1]["hash"] == head
