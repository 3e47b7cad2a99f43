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
from .verdicts import claims

__all__ = ["PROFILES", "TIME_LIMITS", "Failure", "UsageError", "checked", "claims", "defaults", "find", "folder",
           "parsed", "profile_file", "profile_values", "provenance", "read", "read_yaml", "results", "run",
           "source_hash"]
