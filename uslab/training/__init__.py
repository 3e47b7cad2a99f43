"""Training runs: one folder each, resumable to the bit."""

from .record import write_record
from .run import Diverged, Run

__all__ = ["Diverged", "Run", "write_record"]
