"""Image sets: one way in for whatever names images, and one reader for each data set in its official layout."""

import importlib

__all__ = ["READERS", "Audit", "ImageSet", "audit", "folder", "load", "open"]

WHERE = {"READERS": "source", "Audit": "audits", "ImageSet": "imageset", "audit": "audits", "folder": "source",
         "load": "source", "open": "source"}


def __getattr__(name: str):
    """Import a part when it is first named: what only writes, reads or locks a file starts without torch."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{WHERE[name]}", __name__), name)
