"""The order of trials of one reader: balanced in every block, seeded by a secret, told to nobody before its time."""

import hashlib
import hmac
import math

import numpy as np

BLOCK = 16          # trials of a block, about: short enough for a pause, long enough that counting does not pay
DISTANCE = 12       # trials at least between an image and its repetition


def generator(secret: bytes, seed: int, *names) -> np.random.Generator:
    """A random generator for one purpose. Who knows the seed but not the secret knows nothing of what it draws."""
    text = "|".join(str(name) for name in ("uslab study", seed, *names))
    return np.random.default_rng(np.frombuffer(hmac.new(secret, text.encode(), hashlib.sha256).digest(), np.uint32))


def block_length(counts: np.ndarray) -> int:
    """Trials of a block: the multiple nearest to BLOCK of the least number that holds every stratum in its share."""
    total = int(counts.sum())
    period = total // math.gcd(*counts.tolist())
    if period > 2 * BLOCK:      # no block of a sensible length can be exact
        return min(BLOCK, total)
    return min(total, period * max(1, round(BLOCK / period)))


def order(
    strata: np.ndarray,             # (n,) int: the stratum (real, or a method, and its side in pairs) of each item
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A random order of n items in which every block holds the strata in their shares.

    Returns items (n,), indices into strata, and block (n,), counted from 0. The chance to meet a stratum is the same
    at every position: each stratum is spread evenly with a random start, the joined sequence is turned by a random
    number of places, which makes all positions alike, and the items of each block are shuffled. Blocks are exact where
    the counts allow it, and else off by one item or two.
    """
    n = len(strata)
    counts = np.bincount(strata)
    place = np.empty(n)
    for stratum in np.flatnonzero(counts):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    items = np.roll(np.argsort(place, kind="stable"), rng.integers(n))
    block = np.arange(n) // block_length(counts[counts > 0])
    return items[np.lexsort((rng.random(n), block))], block


def with_extras(
    items: np.ndarray,              # (n,) from order()
    block: np.ndarray,              # (n,) from order()
    strata: np.ndarray,             # stratum of each item, as for order()
    repeats: float,                 # share of the items that are shown twice, 0 to 1
    attention: int,                 # attention items to weave in
    rng: np.random.Generator,
) -> list[tuple[str, int, int]]:
    """Weave repetitions and attention items into an order: rows (phase, item, block).

    phase is 'main', 'repeat' or 'attention'; item indexes strata, or the attention items. A repetition comes at least
    DISTANCE trials (half of all, if that is fewer) after its image. Repeated are as many of each stratum as its share
    asks, if so many came early enough. Raises ValueError if there are too few trials for that distance.
    """
    n = len(items)
    rows = [(float(i), "main", int(item), int(b)) for i, (item, b) in enumerate(zip(items, block))]
    distance = min(DISTANCE, n // 2)
    early = np.arange(n - distance)
    wanted = {stratum: round(repeats * int((strata == stratum).sum())) for stratum in np.unique(strata)}
    total = sum(wanted.values())
    if total > len(early):
        raise ValueError(f"{total} images cannot be repeated {distance} trials apart within {n} trials: "
                         "show more images, or set repeats lower")
    # Each stratum in its share, as far as enough of it came early; what then lacks is taken from the others.
    early = rng.permutation(early)
    rank = np.array([(strata[items[early[:k]]] == strata[items[i]]).sum() for k, i in enumerate(early)], int)
    beyond = rank >= np.array([wanted[strata[items[i]]] for i in early], int)
    for i in early[np.argsort(beyond, kind="stable")][:total]:
        slot = rng.integers(i + distance, n)        # after the main trial of this number
        rows.append((slot + rng.random(), "repeat", int(items[i]), int(block[slot])))
    for item in range(attention):
        slot = rng.integers(0, n)
        rows.append((slot + rng.random(), "attention", item, int(block[slot])))
    return [row[1:] for row in sorted(rows)]


def sides(
    groups: np.ndarray,             # (n,) int: the method of each pair
    rng: np.random.Generator,
) -> np.ndarray:
    """(n,) bool: the real image is on the left. Half of each method's pairs; of an odd number one more or less."""
    left = np.zeros(len(groups), bool)
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        half = len(members) // 2 + (rng.integers(2) if len(members) % 2 else 0)
        left[members[:half]] = True
    return left
