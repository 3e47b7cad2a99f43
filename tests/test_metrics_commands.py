"""`uslab metrics`: what it says and writes."""

import numpy as np
import pandas as pd
import pytest
import torch
from made import save, scan
from safetensors.torch import save_file

from uslab import metrics
from uslab.cli.main import main
from uslab.data import load

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def folders(tmp_path):
    """Twelve real scans of 64 px, twelve others, and a collapsed set: one scan twelve times, with faint noise."""
    rng = np.random.default_rng(0)
    for i in range(12):
        save(tmp_path / "real" / f"{i}.png", scan(i, 64, 64))
        save(tmp_path / "fresh" / f"{i}.png", scan(100 + i, 64, 64))
        same = scan(200, 64, 64)
        save(tmp_path / "collapsed" / f"{i}.png", (same + rng.integers(0, 3, same.shape)).astype(np.uint8))
    return tmp_path


@pytest.mark.slow
def test_two_folders_give_the_table_of_compare(folders, capsys):
    out = folders / "out"
    assert main(["metrics", str(folders / "real"), str(folders / "fresh"), str(folders / "collapsed"), "--draws", "3",
                 "--train", str(folders / "fresh"), "--out", str(out)]) == 0
    table = pd.read_csv(out / "metrics.csv")
    real = load("folder", folders / "real")
    expected = metrics.fid(real, load("folder", folders / "fresh").images, "lite0", draws=3)
    row = table[(table["set"] == "fresh") & (table.name == "FD-lite0")].iloc[0]
    assert (row.value, row.low, row.high) == pytest.approx((expected.value, expected.low, expected.high))
    twins = table[table.name == "Twins-lite0"].set_index("set").value
    # The reader groups near-duplicates; within a synthetic set they must count as twins all the same.
    assert twins["collapsed"] == 1 and twins["fresh"] < 0.2
    said = capsys.readouterr().out
    assert f"fresh FD-lite0 {row.value:.4g}" in " ".join(said.split()) and f"[{row.low:.4g}, {row.high:.4g}]" in said
    assert "12 real images of 64x64" in said
    assert "fresh: 12 synthetic images of 64x64" in said
    html = (out / "metrics.html").read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 3 and "mode collapse" in html
    assert "Nearest training images of collapsed" in html
    assert main(["metrics", str(folders / "real"), str(folders / "fresh"), "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.slow
def test_sets_are_compared_at_equal_n_and_saved_sets_are_read(folders, capsys):
    fresh = load("folder", folders / "fresh")
    fresh.save(folders / "set.safetensors")
    save_file({"images": fresh.images[:10].contiguous()}, folders / "000100.safetensors")
    assert main(["metrics", str(folders / "real"), str(folders / "set.safetensors"),
                 str(folders / "000100.safetensors"), "--draws", "3", "--out", str(folders / "out")]) == 0
    assert "10 images of each synthetic set are used" in capsys.readouterr().out
    table = pd.read_csv(folders / "out" / "metrics.csv", dtype={"set": str})
    assert table["set"].unique().tolist() == ["set", "000100"]
    assert (table.n[table.name == "FD-lite0"] == 10).all()


def test_requests_that_cannot_be_carried_out(folders, capsys, monkeypatch):
    real, fresh = str(folders / "real"), str(folders / "fresh")
    save(folders / "large" / "0.png", scan(1, 96, 96))
    save_file({"weights": torch.zeros(3)}, folders / "other.safetensors")
    monkeypatch.setenv("USLAB_DATA", str(folders))
    for arguments, message in (
        ([real, str(folders / "gone")], "gone is neither a folder"), ([real, fresh, fresh], "need different names"),
        ([real, str(folders / "large")], "such as --size 64"), ([real, str(folders / "other.safetensors")], "ImageSet"),
        ([real, fresh, "--space", "inception"], "uslab weights get inception"),
    ):
        assert main(["metrics", *arguments, "--out", str(folders / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error
    assert not (folders / "out").exists()
