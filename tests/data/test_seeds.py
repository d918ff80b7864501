"""Independent random streams out of one seed."""

import itertools

from kdgan.data.seeds import mixed


def test_seeds_are_the_same_on_every_machine() -> None:
    """Results that are published depend on them."""
    assert (mixed(0), mixed(0, "labels"), mixed(7, "pass", 3)) == (872845860, 816271860, 2282397010)


def test_seeds_fit_and_differ() -> None:
    seeds = [
        mixed(seed, name, number)
        for seed, name, number in itertools.product((0, 1, 2**32, 2**40), ("view", "pass"), range(20))
    ]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert len(set(seeds)) == len(seeds)
