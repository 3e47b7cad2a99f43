"""Training runs: one folder each, resumable to the bit."""

from .record import write_record
from .run import Diverged, Run, folder_for

__all__ = ["Diverged", "Run", "folder_for", "write_record"]
