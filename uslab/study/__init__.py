"""Blinded reader studies: protocol, pack, plan, store, statistics, report. Nothing here needs a browser or torch."""

import importlib

__all__ = ["PROTOCOLS", "Protocol", "Session", "SimulatedReader", "Study", "Trial"]

WHERE = {"PROTOCOLS": "protocol", "Protocol": "protocol", "Session": "session", "SimulatedReader": "simulate",
         "Study": "study", "Trial": "session"}


def __getattr__(name: str):
    """Import a part when it is first named, so that the page of a reader starts in a moment."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{WHERE[name]}", __name__), name)
