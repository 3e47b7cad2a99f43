"""Read JSON, tensors and arrays; whatever is wrong with a file is one line that names it and says what to do."""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def read_json(path: Path, kind: type = dict) -> Any:
    """The value of a JSON file. Raises ValueError, naming the file, for no JSON and for a value of another type."""
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}): it is damaged or was cut off; take it from a copy") from None
    if not isinstance(value, kind):
        raise ValueError(f"{path} holds a {type(value).__name__}, expected a {kind.__name__}: it is another file under "
                         "this name")
    return value


def read_tensors(path: str | Path, device: str = "cpu") -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """All tensors of a safetensors file, and the words of its header. Raises ValueError, naming it, if damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError) as error:     # an empty file and a folder are an OSError
        raise ValueError(f"{path} is damaged, was cut off or is no safetensors file ({error}): take it from a copy, "
                         "or delete it and make it anew") from None


def read_arrays(path: Path) -> dict[str, "np.ndarray"]:
    """All arrays of an .npz or HDF5 file by their names. Raises ValueError, naming the file, if it is damaged."""
    import numpy as np

    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():    # reads to every end, where the checksums are
                    raise ValueError(f"{damaged} has another checksum")
            with np.load(path) as content:
                return {name: content[name] for name in content.files}
        import h5py

        arrays = {}
        with h5py.File(path) as file:
            file.visititems(lambda name, node: arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset)
                            and node.shape else None)
        return arrays
    except ModuleNotFoundError:
        raise ValueError(f"{path} is HDF5, which h5py reads: pip install 'uslab[formats]'") from None
    except Exception as error:      # numpy, zipfile, zlib and h5py raise many kinds
        raise ValueError(f"{path} cannot be read as arrays ({' '.join(str(error).split())}): it is damaged, cut off or "
                         "holds objects; get it again or take it out") from None
