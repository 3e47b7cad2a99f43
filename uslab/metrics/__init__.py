"""Measures of synthetic images against real ones, on uint8 images (N, 1, H, W); each score has its n and interval."""

from .compare import compare, scores
from .distances import fid, frechet_distance, kernel_distance, kid
from .features import Space, features
from .memorisation import memorisation, nearest_neighbours
from .score import Score
from .similarity import mutual_information, psnr, random_pairs
from .texture import js_distance, lbp_distance, lbp_elements, lbp_histogram

__all__ = ["Score", "Space", "compare", "features", "fid", "frechet_distance", "js_distance", "kernel_distance", "kid",
           "lbp_distance", "lbp_elements", "lbp_histogram", "memorisation", "mutual_information", "nearest_neighbours",
           "psnr", "random_pairs", "scores"]
