"""Notebooks: their parameters, the papermill engine, a folder of executed ones, its front page, HTML."""

from .committed import provenance, results
from .parameters import (
    PROFILES,
    TIME_LIMITS,
    Failure,
    UsageError,
    checked,
    defaults,
    find,
    folder,
    parsed,
    profile_file,
    profile_values,
    read,
    read_yaml,
    run,
    source_hash,
)

__all__ = ["PROFILES", "TIME_LIMITS", "Failure", "UsageError", "checked", "claims", "defaults", "find", "folder",
           "parsed", "profile_file", "profile_values", "provenance", "read", "read_yaml", "results", "run",
           "source_hash"]


def __getattr__(name: str):
    """Import what needs pandas when it is first named, so that the command line starts without."""
    if name != "claims":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .verdicts import claims

    return claims
