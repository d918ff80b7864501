"""What quantisation costs, with its interval."""

import math

import numpy as np
import pytest

from kdgan.ship.quantize import price
from support import refused


def test_of_right_and_wrong() -> None:
    before = np.array([1] * 90 + [0] * 10)
    after = np.array([1] * 85 + [0] * 5 + [1] * 2 + [0] * 8)
    found = price("accuracy", before, after)
    assert (found.before, found.after, found.examples) == (90.0, 87.0, 100)
    # Agresti and Min: half an example more in each cell, n + 2 in all.
    b, c, n = 5.5, 2.5, 102
    mean = (c - b) / n
    error = math.sqrt(b + c - (c - b) ** 2 / n) / n
    assert found.low == pytest.approx(100 * (mean - 1.959964 * error), abs=1e-4)
    assert found.high == pytest.approx(100 * (mean + 1.959964 * error), abs=1e-4)
    assert str(found).startswith("accuracy 90.00 % becomes 87.00 %: −3.00 points (95 % interval −")
    assert "paired over 100 test examples" in str(found)


def test_where_all_agree_the_interval_is_still_one() -> None:
    found = price("accuracy", np.ones(500), np.ones(500))
    assert found.low < 0 < found.high


def test_the_interval_holds_what_is_true_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        before = draw.random(400) < 0.9
        flips = draw.random(400)
        after = np.where(before, flips >= 0.05, flips < 0.05)  # true change: -0.9 * 5 % + 0.1 * 5 %
        found = price("accuracy", before, after)
        held += found.low <= -4.0 <= found.high
    assert 0.92 <= held / 400 <= 0.985


def test_of_other_values() -> None:
    draw = np.random.default_rng(1)
    before = draw.random(50)
    after = before + 0.1 * draw.standard_normal(50)
    found = price("MAP", before, after)
    change = after - before
    half = 1.959964 * change.std(ddof=1) / math.sqrt(50)
    assert (found.low + found.high) / 2 == pytest.approx(100 * change.mean())
    assert found.high - found.low == pytest.approx(200 * half, rel=1e-5)
    for one, other in ((before, after[:-1]), (before[:1], after[:1])):
        with refused("expected as many"):
            price("MAP", one, other)
