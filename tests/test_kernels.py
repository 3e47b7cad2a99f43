"""How a kernel is reached: not by ports that another program may take before it begins."""

import os
import tempfile

import pytest

from uslab import notebooks
from uslab.notebooks.kernels import private_sockets

ASK = '''import json, os
from ipykernel import get_connection_info
told = json.loads(get_connection_info())
folder = os.path.dirname(told["ip"])
print(told["transport"], oct(os.stat(folder or ".").st_mode & 0o777))
print(folder)'''

posix = pytest.mark.skipif(os.name != "posix", reason="Unix sockets")


@posix
@pytest.mark.notebook
def test_a_kernel_takes_no_port_and_is_in_a_folder_that_nobody_else_enters(make_notebook, run_cells, tmp_path):
    output = tmp_path / "ran.ipynb"
    assert notebooks.run(make_notebook("toy", ASK), output, {}) is None
    for node in (notebooks.read(output), run_cells(ASK)):
        transport, folder = "".join(output.text for output in node.cells[-1].outputs).splitlines()
        assert transport == "ipc 0o700"
        assert not os.path.exists(folder), "it outlived its kernel"


@posix
def test_a_folder_whose_name_is_too_long_for_a_socket_leaves_the_ports(tmp_path, monkeypatch):
    long = tmp_path / ("a" * 100)
    long.mkdir()
    with private_sockets() as sockets:
        assert sockets.KernelManager.transport == "ipc"
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with private_sockets() as sockets:
        assert "transport" not in sockets.KernelManager
