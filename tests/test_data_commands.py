"""`uslab data`: downloads from a server on this machine, and what each command says and writes."""

import hashlib
import http.server
import json
import threading
import zipfile

import made
import pytest
from PIL import Image

from uslab.cli.main import main
from uslab.data import sources
from uslab.data.download import DownloadError, fetch
from uslab.data.sources import File, Source

pytestmark = pytest.mark.usefixtures("own_cache")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.files; knows ranges if server.ranges; breaks off after server.limit bytes of an answer."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        content = self.server.files.get(self.path.strip("/"))
        if content is None:
            self.send_error(404)
            return
        start = 0
        if self.server.ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:self.server.limit])

    def log_message(self, *values):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.ranges, running.limit, running.asked = {}, True, None, []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def offered(server, name: str, content: bytes, creates: str = "") -> File:
    server.files[name] = content
    return File(name, f"http://127.0.0.1:{server.server_port}/{name}", f"md5:{hashlib.md5(content).hexdigest()}",
                creates)


CONTENT = bytes(range(256)) * 9000  # 2.3 MB


def test_a_stopped_download_goes_on_where_it_was(server, tmp_path):
    file = offered(server, "a.bin", CONTENT)
    server.limit = 1_500_000
    with pytest.raises(DownloadError,
                       match=r"ended after 1500000 of 2304000 bytes\): try again later, what has arrived"):
        fetch(file, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin.part"]
    server.limit = None
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1500000-"]
    fetch(file, tmp_path)
    assert len(server.asked) == 2  # complete: not asked again


def test_a_server_without_ranges_sends_it_anew(server, tmp_path):
    file = offered(server, "a.bin", CONTENT)
    (tmp_path / "a.bin.part").write_bytes(b"old and wrong")
    server.ranges = False
    assert fetch(file, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_complete_is_only_checked(server, tmp_path):
    file = offered(server, "a.bin", CONTENT)
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert fetch(file, tmp_path).read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_not_kept(server, tmp_path):
    file = offered(server, "a.bin", CONTENT)
    server.files["a.bin"] = b"<html>not found</html>"
    with pytest.raises(DownloadError, match=f"a.bin has the md5 .*, published is {file.digest[4:]}.* try again"):
        fetch(file, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.bin").write_bytes(b"put here by hand")
    with pytest.raises(DownloadError, match="left alone; delete"):
        fetch(file, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"put here by hand"


def test_a_checksum_is_read_from_the_record_where_none_is_written_down(server, tmp_path):
    whole = offered(server, "a.mat", CONTENT)
    record = f"http://127.0.0.1:{server.server_port}/api/records/7"
    file = File("a.mat", whole.url, record=record)
    entries = [{"key": "b.csv", "checksum": "md5:0"}, {"key": "a.mat", "checksum": whole.digest}]
    server.files["api/records/7"] = json.dumps({"files": entries}).encode()
    assert fetch(file, tmp_path / "right").read_bytes() == CONTENT
    server.files["a.mat"] = CONTENT[:-1]
    with pytest.raises(DownloadError, match=f"a.mat has the md5 .*, published is {whole.digest[4:]}"):
        fetch(file, tmp_path / "wrong")
    server.files["api/records/7"] = b"<html>moved</html>"
    with pytest.raises(DownloadError, match="api/records/7 states no checksum of a.mat"):
        fetch(file, tmp_path / "wrong")
    assert list((tmp_path / "wrong").iterdir()) == []


def test_every_file_that_is_fetched_has_a_checksum():
    assert all(file.digest or file.record for source in sources.SOURCES.values() for file in source.files)


def test_absent_files_and_servers_are_named(server, tmp_path):
    with pytest.raises(DownloadError, match=r"b\.bin cannot be fetched \(Not Found\).*by hand to"):
        fetch(File("b.bin", f"http://127.0.0.1:{server.server_port}/b.bin"), tmp_path)


def test_an_archive_is_unpacked_whole_or_not_at_all(server, tmp_path):
    made.busi(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "source").rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path / "source"))
    file = offered(server, "a.zip", (tmp_path / "a.zip").read_bytes(), "Dataset_BUSI_with_GT")
    folder = fetch(file, tmp_path / "out")
    assert len(list(folder.rglob("*.png"))) == 13
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Dataset_BUSI_with_GT", "a.zip"]
    broken = offered(server, "b.zip", b"PK no zip", "b")
    with pytest.raises(DownloadError, match=r"b\.zip is no complete zip file"):
        fetch(broken, tmp_path / "out")
    assert not (tmp_path / "out" / "b").exists()


def test_no_space_left_keeps_what_has_arrived(server, tmp_path, monkeypatch):
    file = offered(server, "a.bin", CONTENT)

    def full(path, *arguments, **values):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(DownloadError,
                           match=r"a\.bin cannot be written \(No space left on device\): free some space"):
            fetch(file, tmp_path)
    assert fetch(file, tmp_path).read_bytes() == CONTENT


def test_get_fetches_and_says_what_next(server, tmp_path, monkeypatch, capsys):
    file = offered(server, "a.bin", CONTENT)
    monkeypatch.setitem(sources.SOURCES, "nafld", Source("liver", "CC BY 4.0", "2 MB", (file,)))
    assert main(["data", "get", "nafld", "--root", str(tmp_path / "n")]) == 0
    assert (tmp_path / "n" / "a.bin").is_file()
    said = capsys.readouterr().out
    assert "Licence: CC BY 4.0" in said and "uslab data check nafld" in said
    server.files.clear()
    assert main(["data", "get", "nafld", "--root", str(tmp_path / "other")]) == 2
    assert "cannot be fetched (Not Found)" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "words"), [("eus", ("LEPset", "never published")), ("mmotu", ("25058690",)),
                                             ("folder", ("labels.csv",))])
def test_get_says_what_to_ask_for_where(tmp_path, capsys, name, words):
    assert main(["data", "get", name, "--root", str(tmp_path / "x")]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in words) and str(tmp_path / "x") in said


def test_list_names_every_reader(capsys, tmp_path, monkeypatch):
    from uslab.data import READERS

    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    (tmp_path / "busi").mkdir()
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert set(sources.SOURCES) == set(READERS) and all(f"\n{name} " in "\n" + said for name in READERS)
    assert f"; in {tmp_path / 'busi'}" in said and f"not yet in {tmp_path / 'hc18'}" in said


@pytest.mark.slow
def test_check_show_audit_and_compare(tmp_path, capsys, monkeypatch):
    root = made.busi(tmp_path / "busi")
    monkeypatch.chdir(tmp_path)

    def call(*words):
        return main(["data", *words, "--root", str(root)])

    assert call("check", "busi") == 0
    assert "6 real images of 160x160; 3 benign, 2 malignant, 1 normal" in capsys.readouterr().out
    assert call("show", "busi") == 0 and (tmp_path / "busi_sheet.png").stat().st_size > 10_000
    assert call("show", "busi") == 2
    assert "busi_sheet.png exists: name another file" in capsys.readouterr().err
    assert call("show", "phantom:liver", "--size", "64", "--out", "liver.jpg") == 0
    assert Image.open(tmp_path / "liver.jpg").size == (6 * 166, 4 * 178)
    assert call("audit", "busi", "--out", "page.html") == 0
    assert "0  pairs that show one frame twice" in capsys.readouterr().out and (tmp_path / "page.html").is_file()
    assert call("compare", "busi", "--phantom", "fetal_head", "--size", "64") == 0
    assert "grey levels, JS distance" in capsys.readouterr().out and (tmp_path / "busi_compare.png").is_file()


@pytest.mark.parametrize(("words", "message"), [
    (["get", "busy"], "no data set 'busy': there are hc18, busi"),
    (["check", "busy"], "busy is neither a folder of images or of a run, nor"),
    (["show", "ct"], "ct holds volumes"),
    (["show", "phantom:lung"], "unknown phantom 'lung': choose one of breast"),
    (["show", "phantom:liver", "--out", "liver.tif"], "liver.tif: the sheet is a .png or a .jpg"),
    (["check", "busi", "--root", "absent"], "absent is not a folder; data_cards/busi.md says how to get busi"),
])
def test_a_wrong_request_is_one_line(capsys, words, message):
    assert main(["data", *words]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_nearness_of_a_set_to_itself_and_to_a_blurred_copy():
    import cv2
    import numpy as np
    import torch

    from uslab.metrics.nearness import nearness, speckle

    images = np.stack([made.scan(i, 112, 112) for i in range(8)])
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in images])
    real, smooth = torch.from_numpy(images)[:, None], torch.from_numpy(blurred)[:, None]
    same, other = nearness(real, real).distance, nearness(real, smooth).distance
    assert same["grey levels, JS distance"] == 0 and same["radial spectrum, largest gap, dB"] == 0
    assert other["speckle along depth, pixels"] > 1 and other["radial spectrum, largest gap, dB"] > 10
    depth, across = speckle(real)
    assert 1.5 < across / depth < 2.1  # made with sigmas of 1.6 and 0.9 pixels
