"""`uslab weights`: a download from a server on this machine, found without a variable, and what is refused."""

import dataclasses
import hashlib

import pytest
from test_data_commands import server  # noqa: F401, a fixture

from uslab import notebooks
from uslab.cli.main import main
from uslab.data.weights import WEIGHTS, need, place

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def offered(server, tmp_path, monkeypatch):  # noqa: F811
    """A server that has another file in the place of Inception's, published with its checksum."""
    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    source = WEIGHTS["inception"]
    server.files[source.files[0].name] = CONTENT
    file = dataclasses.replace(source.files[0], digest=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
                               url=f"http://127.0.0.1:{server.server_port}/{source.files[0].name}")
    monkeypatch.setitem(WEIGHTS, "inception", dataclasses.replace(source, files=(file,)))
    return server


def test_weights_are_fetched_go_on_where_they_stopped_and_are_found(offered, tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="96 MB.*run `uslab weights get inception`"):
        need("inception")
    offered.limit = 5000
    assert main(["weights", "get", "inception"]) == 2 and "what has arrived is kept" in capsys.readouterr().err
    offered.limit = None
    assert main(["weights", "get", "inception"]) == 0 and offered.asked == [None, "bytes=5000-"]
    path = tmp_path / "weights" / WEIGHTS["inception"].files[0].name
    assert need("inception") == place("inception") == path and path.read_bytes() == CONTENT
    assert f"{path} is complete" in capsys.readouterr().out
    assert main(["weights", "get", "inception"]) == 0 and len(offered.asked) == 2     # it is there


def test_another_file_is_refused_wherever_it_comes_from(offered, capsys):
    offered.files[place("inception").name] = CONTENT[:-1] + b"x"
    assert main(["weights", "get", "inception"]) == 2 and "published is" in capsys.readouterr().err
    assert not place("inception").exists()
    offered.files[place("inception").name] = CONTENT
    assert main(["weights", "get", "inception"]) == main(["weights", "check"]) == 0
    said = capsys.readouterr().out
    assert f"{place('inception')} is right" in said and said.count("not here") == 2
    place("inception").write_bytes(CONTENT[1:])
    with pytest.raises(ValueError, match="was left alone; delete"):
        need("inception")
    assert main(["weights", "check"]) == 2 and "published is" in capsys.readouterr().err


def test_the_list_says_what_each_is_and_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("USLAB_DATA", str(tmp_path))
    assert main(["weights", "list"]) == 0
    said = capsys.readouterr().out
    for name, source in WEIGHTS.items():
        assert name in said and source.licence in said and f"{source.size}; not yet in {place(name)}" in said
        file, = source.files
        kind, digest = file.digest.split(":")
        assert kind == "sha256" and digest[:8] in file.name     # a published name states the beginning of its checksum
    assert main(["weights", "get", "resnet"]) == 2 and "no weights 'resnet'" in capsys.readouterr().err


@pytest.mark.notebook
@pytest.mark.parametrize("stem, options, missing", [
    ("02_stylegan2_breast", (), "efficientnet-b2"), ("03_cyclegan_ct_to_eus", (), "vgg16"),
    ("04_stackgan_liver", (), "efficientnet-b2"), ("04_stackgan_liver", ("-p", "classifier", "lite2"), "inception"),
])
def test_a_paper_profile_refuses_in_its_first_cells_and_says_what_to_fetch(stem, options, missing, tmp_path, capsys,
                                                                           monkeypatch):
    monkeypatch.setenv("USLAB_DATA", str(tmp_path / "none"))
    assert main(["run", stem, "--profile", "paper", *options, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert f"run `uslab weights get {missing}`" in said.out + said.err
    ran = [cell for cell in notebooks.read(tmp_path / "out" / f"{stem}.ipynb").cells if cell.get("execution_count")]
    assert len(ran) <= 4    # what installs, the parameters of the notebook and of the profile, and the set-up
