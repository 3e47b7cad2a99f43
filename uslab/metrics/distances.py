"""Distances between two sets of features: Frechet (FID) and kernel (KID)."""

import numpy as np
import torch
from torch import Tensor

from ..score import Score
from .features import Space, features, resolve
from .intervals import half_sample_interval
from .sets import Images, both, groups

Array = np.ndarray | Tensor


def frechet_distance(a: Array, b: Array) -> float:
    """Squared Frechet distance of the Gaussians with the means and covariances of two sets (Heusel 2017, eq. 6).

    |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2), with the last trace computed as the nuclear norm of
    X Y', where X'X = C_a and Y'Y = C_b: exact, free of complex numbers, and for n below d a matter of an n x m matrix
    instead of a d x d one. With n below about d the value is biased upwards: compare only at equal n.

    Raises ValueError for fewer than 2 rows, unequal d, and values that are not finite.

    Args:
        a: Features (n, d), n at least 2.
        b: Features (m, d).
    """
    a, b = checked(a, b)
    gap = a.mean(0) - b.mean(0)
    x, y = (rows - rows.mean(0) for rows in (a, b))
    traces = sum(torch.dot(z.flatten(), z.flatten()) / (len(z) - 1) for z in (x, y))
    cross = nuclear_norm(x, y) / ((len(x) - 1) * (len(y) - 1)) ** 0.5
    # Rounding can take the distance of a set to itself below zero.
    return max(0.0, float(gap @ gap + traces - 2 * cross))


def nuclear_norm(x: Tensor, y: Tensor) -> float:
    """Sum of the singular values of x y', of matrices (n, d) and (m, d)."""
    d = x.shape[1]
    if min(len(x), len(y)) > d > 1000 and (norm := by_squares(x, y)) is not None:
        return norm
    # With more rows than columns a triangle (d, d) with the same product stands for each matrix.
    x, y = (torch.linalg.qr(z, mode="r").R if len(z) > d else z for z in (x, y))
    return float(torch.linalg.svdvals(x @ y.T).sum())


def by_squares(x: Tensor, y: Tensor) -> float | None:
    """The same for n and m above d, from the eigenvalues of the squares: a tenth of the time; None where inexact.

    With x'x = L L' the singular values of x y' are those of y L. BLAS knows products with triangular and symmetric
    results, which take half the operations. Squaring drowns small values: an error of e in a square is one of e / 2s in
    the value s. Their sum decides whether the eigenvalues will do.
    """
    from scipy.linalg import blas, eigvalsh, lapack

    square = blas.dsyrk(1.0, x.numpy().T, lower=1)
    lower, failed = lapack.dpotrf(square, lower=1, clean=1, overwrite_a=1)
    if failed:   # a singular covariance: some feature is constant, or the sum of others
        return None
    turned = blas.dtrmm(1.0, lower, y.numpy().T, lower=1, trans_a=1)   # (y L)'
    squares = eigvalsh(blas.dsyrk(1.0, turned, lower=1), overwrite_a=True, check_finite=False, driver="evd").clip(min=0)
    values = np.sqrt(squares)
    with np.errstate(divide="ignore"):
        lost = np.finfo(float).eps * squares[-1] * (1 / values).sum()
    return float(values.sum()) if lost < 1e-9 * values.sum() else None


def kernel_distance(a: Array, b: Array) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski 2018), whole sets.

    Unbiased means that it scatters round 0 for two sets of one distribution: small negative values are right.
    Raises ValueError like frechet_distance.

    Args:
        a: Features (n, d), n at least 2.
        b: Features (m, d).
    """
    a, b = checked(a, b)
    return within(a) + within(b) - 2 * kernel_sum(a, b) / (len(a) * len(b))


def within(a: Tensor) -> float:
    """Mean kernel of the pairs of different rows."""
    own = (a.square().sum(1) / a.shape[1] + 1).pow(3).sum()
    return float((kernel_sum(a, a) - own) / (len(a) * (len(a) - 1)))


def kernel_sum(a: Tensor, b: Tensor) -> float:
    """Sum of the kernel over all pairs of rows, in blocks so that 50 000 rows fit in memory."""
    return float(sum((block @ b.T / a.shape[1] + 1).pow(3).sum() for block in a.split(2048)))


def checked(a: Array, b: Array) -> tuple[Tensor, Tensor]:
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (a, b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be (n, d) and (m, d) with one d, not {tuple(a.shape)} and {tuple(b.shape)}")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a distance needs at least 2 images in each set, not {len(a)} and {len(b)}")
    for x in (a, b):
        if torch.isfinite(x.sum()):   # nan and infinity reach the sum, which takes a tenth of the time
            continue
        if bad := int((~torch.isfinite(x)).any(1).sum()):
            raise ValueError(f"{bad} of {len(x)} feature rows hold nan or infinite values: look at those images")
    return a, b


def fid(real: Images, synthetic: Images, space: str | Space | None = None, draws: int = 20, seed: int = 0,
        device: str = "auto") -> Score:
    """Frechet distance of two image sets: 'FID' in Inception space, 'FD-lite0' and the like in any other.

    Args:
        real: Held-out real images (N, 1, H, W) uint8 or an ImageSet, the same for all sets that are compared.
        synthetic: Synthetic images, as many for each set that is compared.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        draws: Half-samples for the interval.
        seed: Of the random draws.
        device: Where the features are computed: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    return feature_score("FID", "FD", frechet_distance, real, synthetic, space, draws, seed, device, lowest=0.0)


def kid(real: Images, synthetic: Images, space: str | Space | None = None, draws: int = 20, seed: int = 0,
        device: str = "auto") -> Score:
    """Kernel distance of two image sets: 'KID' in Inception space, 'KD-lite0' and the like in any other.

    Args:
        real: Held-out real images (N, 1, H, W) uint8 or an ImageSet, the same for all sets that are compared.
        synthetic: Synthetic images, as many for each set that is compared.
        space: 'lite0', 'inception' or a Space; None: inception where its weights are, else lite0.
        draws: Half-samples for the interval; fewer are faster.
        seed: Of the random draws.
        device: Where the features are computed: 'auto', 'cpu', 'cuda' or 'mps', see features.
    """
    return feature_score("KID", "KD", kernel_distance, real, synthetic, space, draws, seed, device)


def fid_infinity(
    real: Images,
    synthetic: Images,
    space: str | Space | None = None,
    draws: int = 20,
    seed: int = 0,
    device: str = "auto",
) -> Score:
    """Frechet distance extrapolated to infinitely many images, after Chong and Forsyth 2020.

    The bias falls about as 1 / n, so twice the distance minus its mean over halves of the sets is nearly free of it.
    Where n is below the dimension of the space the bias falls more slowly and part of it stays.
    """
    def extrapolated(a: np.ndarray, b: np.ndarray) -> float:
        rng = np.random.default_rng(seed)
        halves = []
        for _ in range(3):
            rows = [np.array_split(rng.permutation(len(x)), 2) for x in (a, b)]
            halves += [frechet_distance(a[i], b[j]) for i, j in zip(*rows)]
        return 2 * frechet_distance(a, b) - float(np.mean(halves))

    return feature_score("FID infinity", "FD infinity", extrapolated, real, synthetic, space, draws, seed, device)


def feature_score(name, general_name, distance, real, synthetic, space, draws, seed, device, lowest=-np.inf) -> Score:
    both(real, synthetic)
    space = resolve(space)
    a, b = features(real, space, device), features(synthetic, space, device)
    value = distance(a, b)
    low, high, how = half_sample_interval(lambda i, j: distance(a[i], b[j]), value, groups(real), groups(synthetic),
                                          draws, seed, lowest)
    note = [f"{len(a)} real", space.about, how]
    if name == "KID":
        note.append(f"x 100 = {100 * value:.4g}, as Liang 2020 gives it")
    elif min(len(a), len(b)) <= a.shape[1]:
        note.append(f"biased upwards: n is below the {a.shape[1]} dimensions")
    named = name if space.name == "inception" else general_name.replace("D", f"D-{space.name}", 1)
    return Score(named, value, low, high, len(b), "; ".join(note))
