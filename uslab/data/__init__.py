"""Image sets: one way in for whatever names images, and one reader for each data set in its official layout."""

from .audits import Audit, audit
from .imageset import ImageSet
from .source import READERS, folder, load, open

__all__ = ["READERS", "Audit", "ImageSet", "audit", "folder", "load", "open"]
