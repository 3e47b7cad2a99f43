"""A class that opens its pages at once: `python benchmarks/readers_at_once.py [--readers 30]`.

Each reader is an HTTP client that comes by the class's link, as a phone does: the server starts a kernel, runs the one
cell of the page and answers. What a phone's own processor does is not in it. For Linux: memory that kernels share is
counted once.
"""

import argparse
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path

import numpy as np
import psutil

from uslab.reader.classroom import Room
from uslab.reader.server import serving
from uslab.study import Study


def come(link: str) -> float:
    """Take a seat and open its page; seconds."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    started = time.perf_counter()
    page = browser.open(f"{link}&open=1", timeout=1800).read()
    assert b"widget-view" in page, "no page of a reader came back"
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=30)
    parser.add_argument("--port", type=int, default=8877)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Study.build("phantom:fetal_head?n=40,seed=1", {"phantoms too": "phantom:fetal_head?n=40,seed=2"},
                            "yesno_conf", out=Path(folder) / "study", n_per_method=10, readers=given.readers, size=128)
        room = Room(f"http://127.0.0.1:{given.port}/", given.readers)
        with serving(study, port=given.port, room=room) as process:
            with ThreadPoolExecutor(given.readers) as readers:
                seconds = list(readers.map(come, [room.link] * given.readers))
            server = psutil.Process(process.pid)
            kernels = [each.memory_full_info() for each in server.children(recursive=True)
                       if any("ipykernel" in word for word in each.cmdline())]
            print(f"{len(kernels)} kernels on {psutil.cpu_count()} processors: the first page after "
                  f"{min(seconds):.1f} s, half of them after {np.median(seconds):.1f} s, "
                  f"all after {max(seconds):.1f} s")
            print(f"a kernel: {np.mean([each.pss for each in kernels]) / 2**20:.0f} MB "
                  f"(its own {np.mean([each.uss for each in kernels]) / 2**20:.0f}, with all it shares "
                  f"{np.mean([each.rss for each in kernels]) / 2**20:.0f}); the server: "
                  f"{server.memory_full_info().pss / 2**20:.0f} MB")


if __name__ == "__main__":
    main()
