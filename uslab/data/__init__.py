"""Image sets, one reader for each data set in its official layout."""

from .imageset import ImageSet

__all__ = ["ImageSet"]
