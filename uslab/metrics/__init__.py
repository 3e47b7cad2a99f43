"""Measures of synthetic images against real ones, on uint8 images (N, 1, H, W); each score has its n and interval."""

from .anatomy import outline_overlap
from .compare import compare, scores
from .controls import controls
from .distances import fid, fid_infinity, frechet_distance, kernel_distance, kid
from .diversity import self_similarity, twins
from .features import Space, features, resolve
from .figures import figure, neighbours_figure
from .inception import inception_score, split_scores
from .manifold import precision_recall
from .memorisation import memorisation, nearest_neighbours
from .similarity import mutual_information, psnr, random_pairs
from .structure import ms_ssim, ssim
from .texture import js_distance, lbp_distance, lbp_elements, lbp_histogram
from .watch import Distance

__all__ = ["Distance", "Space", "compare", "controls", "features", "fid", "fid_infinity", "figure", "frechet_distance",
           "inception_score", "js_distance", "kernel_distance", "kid", "lbp_distance", "lbp_elements", "lbp_histogram",
           "memorisation", "ms_ssim", "mutual_information", "nearest_neighbours", "neighbours_figure",
           "outline_overlap", "precision_recall", "psnr", "random_pairs", "resolve", "scores", "self_similarity",
           "split_scores", "ssim", "twins"]
