"""The test object under its scanner: geometry, resolution, penetration, speckle and levels against hand calculation."""

import dataclasses

import numpy as np
import pytest

from uslab.phantom import scanner
from uslab.phantom.scanner import Config, echoes, patch, scan


def level(values: np.ndarray) -> float:
    """Mean power, dB."""
    return 10 * np.log10((values**2).mean())


def wire_width(config: Config, depth: float) -> float:
    """Width of the echo of the wire in the middle at half its amplitude, mm, between neighbouring lines' heights."""
    fan = scanner.view(config.depth)
    sample = int(depth / fan.sample_mm)
    profile = echoes(config)[sample - 4:sample + 5].max(0)
    x = fan.grid()[0][sample]
    peak = np.abs(x).argmin()
    half = profile[peak] / 2
    right, left = (next(i for i in range(1, 60) if profile[peak + side * i] < half) for side in (1, -1))

    def edge(side, i):
        low, high = profile[peak + side * i], profile[peak + side * (i - 1)]
        return i - (half - low) / (high - low)

    return (edge(1, right) + edge(-1, left)) * (x[peak + 1] - x[peak])


def test_a_wire_lies_where_it_should():
    for config in (Config(), Config(depth=130, frequency=3), Config(depth=60, frequency=8)):
        picture = scan(config, seed=1)
        for depth in (10, 30, 70, 110):
            if depth < config.depth:
                row, column = picture.place(0, depth)
                near = picture.pixels[int(row) - 9:int(row) + 10, int(column) - 9:int(column) + 10]
                found = np.argwhere(near == near.max()).mean(0) + (int(row) - 9, int(column) - 9)
                assert np.abs(found - (row, column)).max() <= 1.5


def test_the_picture_is_as_deep_as_asked_and_black_around_the_fan():
    picture = scan(Config(depth=70))
    row, column = picture.place(0, 0)
    assert picture.pixel_mm * (scanner.SIZE - 0.5 - row) == pytest.approx(70)
    assert not picture.pixels[:int(row) - 1, int(column)].any() and picture.pixels[int(row) + 2:, int(column)].any()
    assert not picture.pixels[100, :50].any()


@pytest.mark.parametrize("frequency", [2.5, 5.0])
def test_a_wire_in_the_focus_is_as_wide_as_the_resolution_says(frequency):
    config = Config(frequency=frequency, focus=30, depth=60)
    assert wire_width(config, 30) == pytest.approx(scanner.resolution(config)[1], rel=0.06)


def test_resolution_worsens_at_lower_frequency_and_out_of_focus():
    assert scanner.resolution(Config(frequency=5)) == pytest.approx((0.308, 0.616))    # wavelength 1.54 / 5 mm, f/2
    assert wire_width(Config(frequency=2), 30) > 2 * wire_width(Config(frequency=6), 30)
    assert wire_width(Config(focus=20), 70) > 1.5 * wire_width(Config(focus=70), 70)


def test_penetration_falls_with_frequency():
    """Two frames of the same tissue agree until the noise, which differs, takes over."""
    def agreement(config, depth):
        one, two = (np.log(patch(echoes(config, moment=moment), config, (2, 12), (depth - 5, depth + 5)))
                    for moment in (0, 1))
        return np.corrcoef(one.ravel(), two.ravel())[0, 1]

    assert scanner.penetration(Config(frequency=5)) == 120 and scanner.penetration(Config(frequency=10)) == 60
    for frequency in (6, 10):
        config = Config(frequency=frequency, depth=150)
        reach = scanner.penetration(config)
        assert agreement(config, 0.7 * reach) > 0.85 and agreement(config, 1.3 * reach) < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("density", [300.0, 15.0, 4.0])
def test_speckle_departs_from_rayleigh_as_scatterers_become_few(density):
    """Variance over squared mean of the intensity is 1 + 2 / N for N Gaussian scatterers in a resolution cell."""
    config = Config(density=density, depth=60, focus=50)
    # Beside the wires, the cysts and the stone.
    amplitudes = np.concatenate([patch(echoes(config, seed), config, (left, left + 5), (43, 48)).ravel()
                                 for seed in range(30) for left in (-6, 8)])
    power = amplitudes**2
    assert power.var() / power.mean() ** 2 == pytest.approx(1 + 2 / scanner.crowd(config), rel=0.12)
    snr = amplitudes.mean() / amplitudes.std()
    assert snr == pytest.approx(1.913, rel=0.03) if density == 300 else snr < 1.75


def test_without_compensation_the_level_falls_by_twice_the_attenuation():
    config = Config(tgc=0, attenuation=0.7, frequency=4, depth=80)
    envelope = echoes(config)
    fall = level(patch(envelope, config, (1, 10), (12, 20))) - level(patch(envelope, config, (1, 10), (52, 60)))
    assert fall == pytest.approx(2 * 0.7 * 4 * 4, abs=1)      # dB, over 4 cm
    compensated = echoes(dataclasses.replace(config, tgc=0.7))
    assert level(patch(compensated, config, (1, 10), (52, 60))) == pytest.approx(0, abs=1)


def test_a_cyst_brightens_and_a_stone_darkens_what_lies_behind():
    config = Config()
    envelope = echoes(config)
    behind_cyst, beside = (level(patch(envelope, config, (left, left + 5), (64, 74))) for left in (-22, 5))
    # Twelve millimetres of fluid spare 2 * 0.5 dB/cm/MHz * 5 MHz * 1.2 cm; a cyst's edges spare less.
    assert behind_cyst - beside == pytest.approx(5.6, abs=1.2)
    assert level(patch(envelope, config, (18.5, 20.5), (64, 74))) - beside < -15
    assert level(patch(envelope, config, (-18, -16), (50, 54))) < -25


def test_gain_and_dynamic_range_move_the_grey_levels_as_a_log_display_does():
    def grey(**values):
        pixels = scan(Config(**values)).pixels.astype(float)
        return pixels[150:170, 180:186]       # tissue without black or white

    assert (grey(gain=4) - grey()).mean() == pytest.approx(4 / 60 * 255, abs=0.6)
    assert grey(dynamic_range=90).std() == pytest.approx(grey().std() * 60 / 90, rel=0.05)


def test_the_seed_decides_and_the_scanner_leaves_the_tissue_as_it_is():
    assert (scan(Config(), 3).pixels == scan(Config(), 3).pixels).all()
    assert (scan(Config(), 3).pixels != scan(Config(), 4).pixels).mean() > 0.3
    # Other settings in between, which fill the caches, change nothing.
    before = scan(Config(density=20)).pixels
    for density in (1, 2, 3):
        scan(Config(density=density, depth=50))
    assert (scan(Config(density=20)).pixels == before).all()
    # The same scatterers under nearly the same beam give nearly the same speckle.
    one, two = (np.log(patch(echoes(Config(frequency=f)), Config(), (2, 9), (20, 40))) for f in (5.0, 5.1))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.9


def test_the_ends_of_every_knob_give_a_picture():
    with np.errstate(all="raise", under="ignore"):
        for field in dataclasses.fields(Config):
            for value in (field.metadata["low"], field.metadata["high"]):
                pixels = scan(Config(**{field.name: value})).pixels
                assert 0.02 < (pixels > 0).mean() < 1
        scan(Config(frequency=12, attenuation=1.5, tgc=1.5, depth=150, gain=30))
    with pytest.raises(ValueError, match="Config.frequency is 1.0; it must lie between 2.0 and 12.0"):
        scan(Config(frequency=1.0))
