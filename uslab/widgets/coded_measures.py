"""What the notebooks ask to be written beside a training: a split, a slice of a volume, a distance, an interval."""

from statistics import NormalDist

import numpy as np

from .coding import asked

Z = NormalDist()


def parted(mine, groups: np.ndarray, share: float, seed: int) -> str:
    """What is wrong with a split by patient, if anything."""
    held, patients = np.asarray(mine(groups.copy(), share, seed)), len(np.unique(groups))
    if held.shape != groups.shape or held.dtype != bool:
        return f"A bool array of {groups.shape} is wanted, one value a frame, not {held.dtype} of {held.shape}."
    if set(groups[held]) & set(groups[~held]):
        return "Frames of one patient lie on both sides: that is the leak. Draw patients, not frames."
    if (n := len(np.unique(groups[held]))) != round(share * patients):
        return f"It holds out {n} of {patients} patients for a share of {share}."
    if not np.array_equal(held, mine(groups.copy(), share, seed)):
        return "The same seed gives another split when it is called again: nobody could repeat your study."
    if all(np.array_equal(held, mine(groups.copy(), share, seed + more)) for more in range(1, 9)):
        return "Every seed gives the same split: the patients have to be drawn."
    return ""


@asked("01_dcgan_fetal_head", lambda rng: (
    rng.permutation(np.repeat(rng.choice(900, 10, replace=False), rng.integers(1, 8, 10))),
    float(rng.choice([0.2, 0.3, 0.5])), int(rng.integers(1000))), [
    "Draw patients, then take all of their frames.",
    "np.unique(groups) lists the patients; np.random.default_rng(seed).choice(..., replace=False) draws from them.",
    "np.isin(groups, drawn) is the answer, with round(share * len(patients)) patients drawn."], judge=parted)
def hold_out_patients(groups, share, seed):
    """Which frames are held out: a bool array (n,), all frames of round(share * patients) patients.

    groups: int array (n,), the patient of each frame. The seed alone decides which patients.
    """
    patients = np.unique(groups)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(patients, round(share * len(patients)), replace=False)
    return np.isin(groups, drawn)


def kernel(x, y, d=None):
    return (x @ y.T / (d or x.shape[1]) + 1) ** 3


def off(k):
    """Mean without the diagonal."""
    return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))


@asked("02_stylegan2_breast", lambda rng: (
    rng.normal(size=(rng.integers(6, 12), 4)), rng.normal(1, 1.5, size=(rng.integers(6, 12), 4))), [
    "Three means of kernels: within x, within y, between x and y.",
    "Within a set the diagonal is a vector with itself; leave it out, and divide by n (n - 1).",
    "k = (x @ x.T / d + 1) ** 3; (k.sum() - k.trace()) / (n * (n - 1)); plus that of y; minus twice the mean between."],
    {"The diagonals are in it: a vector beside itself is very alike, so small sets look further apart. "
     "That is the biased estimate.":
         lambda x, y: kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean(),
     "The diagonals are out of the sums, but the sums are still divided by n squared.":
         lambda x, y: sum((kernel(a, a).sum() - kernel(a, a).trace()) / len(a) ** 2 for a in (x, y))
         - 2 * kernel(x, y).mean(),
     "The mean between the sets counts twice, since it stands on both sides.":
         lambda x, y: off(kernel(x, x)) + off(kernel(y, y)) - kernel(x, y).mean(),
     "The products are not divided by d, the number of features.":
         lambda x, y: off(kernel(x, x, 1)) + off(kernel(y, y, 1)) - 2 * kernel(x, y, 1).mean(),
     "That is its square root; the estimate may be below 0, so nobody takes a root of it.":
         lambda x, y: np.sqrt(np.maximum(off(kernel(x, x)) + off(kernel(y, y)) - 2 * kernel(x, y).mean(), 0))})
def kernel_distance(x, y):
    """Unbiased squared distance of two sets with the kernel k(a, b) = (a.b / d + 1)^3, a number.

    x, y: float arrays (n, d) and (m, d), features of real and of synthetic images.
    """
    def k(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a):
        n, pairs = len(a), k(a, a)
        return (pairs.sum() - pairs.trace()) / (n * (n - 1))

    return within(x) + within(y) - 2 * k(x, y).mean()


@asked("03_cyclegan_ct_to_eus", lambda rng: (rng.normal(size=(4, 5, 6)), rng.uniform(0, [2.9, 3.9, 4.9], (20, 3))), [
    "Each point lies in a little cube of eight voxels: np.floor(points) is its lowest corner.",
    "A corner's weight is a product of three shares: the part beyond the floor, or one minus that part.",
    "Loop over np.ndindex(2, 2, 2): weight = np.where(corner, part, 1 - part).prod(1); "
    "value = volume[tuple((low + corner).T)]."],
    {"That is the nearest voxel: steps where there is a slope. Eight voxels have a say.":
         lambda v, p: v[tuple(np.round(p).astype(int).T)],
     "That is the lowest corner of the cube, half a voxel off on average. Eight voxels have a say.":
         lambda v, p: v[tuple(np.floor(p).astype(int).T)],
     "The mean of the eight voxels: the nearer ones should weigh more.":
         lambda v, p: blend(v, p, lambda part, corner: np.full(part.shape, 0.5)),
     "The weights are the wrong way round: the corner that a point lies on gets nothing.":
         lambda v, p: blend(v, p, lambda part, corner: np.where(corner, 1 - part, part))})
def trilinear(volume, points):
    """The values (n,) of a volume at points between its voxels, from the eight around each.

    volume: float array (D, H, W).
    points: float array (n, 3), voxel coordinates in the volume's order, inside of its borders.
    """
    low = np.floor(points).astype(int)
    part, total = points - low, 0
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1 - part).prod(1)
        total = total + weight * volume[tuple((low + corner).T)]
    return total


def blend(volume, points, weigh):
    """trilinear with other weights."""
    low = np.floor(points).astype(int)
    return sum(weigh(points - low, corner).prod(1) * volume[tuple((low + corner).T)] for corner in np.ndindex(2, 2, 2))


def interval(of=lambda h, f: Z.inv_cdf(h) - Z.inv_cdf(f), variance=None, width=1.96):
    """dprime_interval, or a mistaken one."""
    def part(p, n):
        return p * (1 - p) / (n * Z.pdf(Z.inv_cdf(p)) ** 2)

    def answer(hits, n_synthetic, alarms, n_real):
        h, f = hits / n_synthetic, alarms / n_real
        spread = (variance or (lambda *_: part(h, n_synthetic) + part(f, n_real)))(h, n_synthetic, f, n_real)
        return of(h, f), of(h, f) - width * spread ** 0.5, of(h, f) + width * spread ** 0.5
    return answer


@asked("04_stackgan_liver", lambda rng: (int(rng.integers(25, 38)), 40, int(rng.integers(3, 24)), 30), [
    "d' is a difference of two z values; its variance is the sum of two variances.",
    "Z.inv_cdf(p) is z(p), Z.pdf(z) is the height of the bell at z.",
    "For each share p of n: p (1 - p) / (n phi(z(p))^2). Add the two; 1.96 roots of it to each side."],
    {"The two z values are in each other's place, so d' has the wrong sign.":
         interval(lambda h, f: Z.inv_cdf(f) - Z.inv_cdf(h)),
     "The z values are added: that is twice the criterion, with its sign turned, not d'.":
         interval(lambda h, f: Z.inv_cdf(h) + Z.inv_cdf(f)),
     "That is the difference of the shares themselves, without z.": interval(lambda h, f: h - f),
     "The interval has one standard error on each side; 95 % takes 1.96.": interval(width=1.0),
     "The variance of a share is not that of its z: divide by the bell's height at z, squared.":
         interval(variance=lambda h, n, f, m: h * (1 - h) / n + f * (1 - f) / m)})
def dprime_interval(hits, n_synthetic, alarms, n_real):
    """d' = z(hits / n_synthetic) - z(alarms / n_real), and its 95 % interval: (d', low, high).

    hits, alarms: synthetic and real images that were called synthetic; neither none nor all.
    """
    d, variance = 0.0, 0.0
    for sign, called, n in ((1, hits, n_synthetic), (-1, alarms, n_real)):
        z = Z.inv_cdf(called / n)
        d += sign * z
        variance += called / n * (1 - called / n) / (n * Z.pdf(z) ** 2)
    return d, d - 1.96 * variance ** 0.5, d + 1.96 * variance ** 0.5
