"""Find images that show the same frame, or frames of the same sweep, whatever their size, crop and brightness."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SAME_FRAME = 0.8    # scores from here on: one frame saved twice; few neighbouring frames of one sweep reach 0.8
SAME_SWEEP = 0.35   # from here on: neighbouring frames of one sweep, so surely one patient
SIDE = 224          # pixels on the longer side at which frames are compared
THUMB = 20          # pixels on a side of the thumbnails that choose which pairs to compare
# Parts of an image of which thumbnails are made: top, bottom, left, right. A copy may show only a part.
CROPS = ((0, 1, 0, 1), (0.1, 0.9, 0.1, 0.9), (0, 0.8, 0, 1), (0, 1, 0, 0.75), (0, 1, 0.25, 1), (0, 0.75, 0.12, 0.88))


def find(
    images: Sequence[np.ndarray],     # (H, W) uint8 each, of any sizes; black outside the scan region
    least: float = SAME_SWEEP,        # the lowest score that is returned
) -> pd.DataFrame:
    """Pairs of images that agree in their speckle: columns a, b (row numbers, a < b) and score, best first.

    Frames of similar look share anatomy but no speckle. So pairs whose thumbnails resemble each other are registered
    (ORB key points, an affine map by RANSAC, refined by maximal correlation), and the score is the correlation, -1 to
    1, of their fine structure where they overlap, after removing local brightness and contrast. Callipers and text
    disturb few key points and little of the overlap.
    """
    if len(images) < 2:
        return pd.DataFrame({"a": [], "b": [], "score": []}).astype({"a": int, "b": int, "score": float})
    points = [Points(image) for image in images]
    rows = [(a, b, score) for a, b in candidates(points) if (score := compare(points[a], points[b])) >= least]
    table = pd.DataFrame(rows, columns=["a", "b", "score"])
    return table.sort_values("score", ascending=False, ignore_index=True)


class Points:
    """One image at the common size, with its key points and its thumbnails."""

    def __init__(self, image: np.ndarray):
        content = cv2.boundingRect((image > 8).astype(np.uint8))  # the padding of a square must not count
        x, y, w, h = content if content[2] and content[3] else (0, 0, image.shape[1], image.shape[0])
        image = image[y:y + h, x:x + w]
        scale = SIDE / max(image.shape)
        size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
        self.image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        orb = cv2.ORB_create(400, scaleFactor=1.2, nlevels=6, fastThreshold=5, edgeThreshold=15, patchSize=25)
        points, self.descriptors = orb.detectAndCompute(cv2.GaussianBlur(self.image, (0, 0), 0.8), None)
        self.xy = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
        h, w = image.shape
        self.thumbs = np.stack([thumbnail(image[round(top * h):round(bottom * h), round(left * w):round(right * w)])
                                for top, bottom, left, right in CROPS])


def thumbnail(image: np.ndarray) -> np.ndarray:
    """A (THUMB * THUMB,) vector of mean 0 and length 1; the square root weighs dark regions as much as bright ones."""
    thumb = np.sqrt(cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)).ravel()
    thumb -= thumb.mean()
    return thumb / max(1e-6, float(np.linalg.norm(thumb)))


def candidates(points: list[Points]) -> list[tuple[int, int]]:
    """Pairs worth comparing: each image with its 3 most similar ones, and with up to 12 that are very similar."""
    thumbs = np.stack([point.thumbs for point in points])  # (N, crops, THUMB * THUMB)
    whole = thumbs[:, 0]
    similar = np.max([whole @ thumbs[:, i].T for i in range(len(CROPS))], axis=0)
    pairs = set()
    for a, row in enumerate(np.maximum(similar, similar.T)):
        row[a] = -2
        order = np.argsort(-row)[:12]
        for rank, b in enumerate(order):
            if row[b] > (0.45 if rank < 3 else 0.9):
                pairs.add((min(a, int(b)), max(a, int(b))))
    return sorted(pairs)


def compare(a: Points, b: Points) -> float:
    """Correlation of the fine structure of two registered images; 0 if they cannot be registered."""
    if len(a.xy) < 15 or len(b.xy) < 15:
        return 0.0
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(a.descriptors, b.descriptors)
    matches = np.array([(match.queryIdx, match.trainIdx) for match in matches if match.distance < 48])
    if len(matches) < 15:
        return 0.0
    cv2.setRNGSeed(0)  # RANSAC draws at random
    to_b, inliers = cv2.estimateAffinePartial2D(a.xy[matches[:, 0]], b.xy[matches[:, 1]], method=cv2.RANSAC,
                                                ransacReprojThreshold=3, maxIters=300, confidence=0.99)
    if to_b is None or inliers.sum() < 12 or not 0.5 < np.hypot(*to_b[:, 0]) < 2:
        return 0.0
    try:
        _, to_b = cv2.findTransformECC(a.image, b.image, to_b.astype(np.float32), cv2.MOTION_AFFINE, (3, 15, 1e-3),
                                       None, 3)
    except cv2.error:  # it did not converge: these are different frames
        return 0.0
    size, sampled = a.image.shape[::-1], cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(b.image, to_b, size, flags=cv2.INTER_LINEAR | sampled)
    overlap = cv2.warpAffine(np.ones_like(b.image), to_b, size, flags=cv2.INTER_NEAREST | sampled) > 0
    overlap &= (a.image > 8) | (moved > 8)
    if overlap.sum() < 0.25 * a.image.size:
        return 0.0
    return float(np.corrcoef(fine(a.image)[overlap], fine(moved)[overlap])[0, 1])


def fine(image: np.ndarray) -> np.ndarray:
    """Fine structure: what differs from the mean of the surroundings, over their standard deviation."""
    image = image.astype(np.float32)
    smooth, surroundings = cv2.GaussianBlur(image, (0, 0), 1), cv2.GaussianBlur(image, (0, 0), 6)
    detail = smooth - surroundings
    return detail / np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 6) + 4)


def groups_of(
    pairs: pd.DataFrame,      # from find()
    files: list[str],         # one name an image
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Groups that hold every image that is linked by pairs: (N,) int64 and names, that of each group's first file."""
    n = len(files)
    links = coo_array((np.ones(len(pairs)), (pairs.a, pairs.b)), shape=(n, n))
    _, groups = connected_components(links, directed=False)
    _, first, groups = np.unique(groups, return_index=True, return_inverse=True)
    return torch.from_numpy(groups.astype(np.int64)), tuple(files[i] for i in first)
