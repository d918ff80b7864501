"""Intervals and paired differences against scipy, their properties, and who is compared with whom."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdgan.errors import UsageError
from kdgan.experiments.statistics import (
    Interval,
    holm,
    mean_interval,
    ordered,
    paired_difference,
    rows_of,
    title_of,
)
from kdgan.methods import METHODS
from kdgan.tasks.config import BASELINES
from made_records import RECORD, record, runs
from support import refused

NUMBERS = st.floats(-1000, 1000)
SAMPLES = st.lists(NUMBERS, min_size=2, max_size=20)


def test_interval_by_hand() -> None:
    # Mean 2, standard deviation 1, and 4.30265 is the 97.5 % quantile of Student's t with 2 degrees of freedom.
    interval = mean_interval([1.0, 2.0, 3.0])
    assert (interval.mean, interval.sd, interval.n) == (2.0, 1.0, 3)
    assert interval.half_width == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert interval.low == pytest.approx(2 - 4.302652729911275 / math.sqrt(3))


def test_single_value_has_no_interval() -> None:
    interval = mean_interval([90.0])
    assert interval == Interval(90.0, None, None, None, 1)
    assert interval.half_width is None
    assert not interval.excludes_zero


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_interval_refuses_confidence(confidence: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], confidence)


def test_interval_refuses_nothing() -> None:
    with pytest.raises(UsageError, match="at least one"):
        mean_interval([])


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_paired_difference_is_the_paired_t_test(confidence: float) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(90, 1, 8), rng.normal(89, 1, 8)
    ours = paired_difference(dict(enumerate(a)), dict(enumerate(b)), confidence)
    expected = stats.ttest_rel(a, b).confidence_interval(confidence)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high))


def test_paired_difference_uses_shared_seeds_only() -> None:
    difference = paired_difference({3: 5.0, 1: 2.0, 9: 100.0}, {1: 1.0, 3: 2.0, 4: -50.0})
    assert (difference.mean, difference.n) == (2.0, 2)
    with pytest.raises(UsageError, match="no shared seed"):
        paired_difference({0: 1.0}, {1: 1.0})


@given(SAMPLES, NUMBERS, st.floats(0.01, 100))
def test_interval_moves_and_scales_with_the_values(values: list[float], shift: float, scale: float) -> None:
    before, after = mean_interval(values), mean_interval([scale * value + shift for value in values])
    assert after.low is not None
    assert before.low is not None
    assert after.mean == pytest.approx(scale * before.mean + shift, abs=1e-6)
    assert after.low == pytest.approx(scale * before.low + shift, rel=1e-6, abs=1e-5)


@given(SAMPLES, st.floats(0.1, 0.9))
def test_more_confidence_is_wider(values: list[float], confidence: float) -> None:
    narrow, wide = mean_interval(values, confidence), mean_interval(values, confidence + 0.05)
    assert narrow.half_width is not None
    assert wide.half_width is not None
    assert wide.half_width >= narrow.half_width


@given(SAMPLES, SAMPLES)
def test_difference_changes_sign_with_its_sides(a: list[float], b: list[float]) -> None:
    one = paired_difference(dict(enumerate(a)), dict(enumerate(b)))
    other = paired_difference(dict(enumerate(b)), dict(enumerate(a)))
    assert one.mean == -other.mean
    assert one.low is not None
    assert other.high is not None
    assert one.low == -other.high
    assert one.excludes_zero == other.excludes_zero


def test_pairing_removes_what_seeds_share() -> None:
    rng = np.random.default_rng(1)
    seeds = rng.normal(90, 3, 10)
    a, b = seeds + rng.normal(0, 0.1, 10), seeds - 1 + rng.normal(0, 0.1, 10)
    paired = paired_difference(dict(enumerate(a)), dict(enumerate(b)))
    unpaired = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert paired.half_width is not None
    assert paired.half_width < 0.1 * (unpaired.high - unpaired.low)
    assert paired.excludes_zero
    assert unpaired.low < 0 < unpaired.high


def naive_holm(samples: list[list[float]], alpha: float) -> list[bool]:
    """Holm's procedure on p-values of scipy's t test: the steps of the paper, with a list that gets shorter."""
    left = {place: float(stats.ttest_1samp(sample, 0).pvalue) for place, sample in enumerate(samples)}
    rejected = [False] * len(samples)
    while left:
        place = min(left, key=left.__getitem__)
        if left.pop(place) > alpha / (len(left) + 1):
            break
        rejected[place] = True
    return rejected


@pytest.mark.parametrize("seed", range(40))
def test_corrected_intervals_exclude_zero_where_holm_rejects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = [list(rng.normal(mean, 1, 8)) for mean in rng.choice([0.0, 0.8, 1.2, 3.0], size=seed % 7 + 1)]
    plain = [mean_interval(sample) for sample in samples]
    found = holm(plain)
    assert [each.excludes_zero for each in found] == naive_holm(samples, 0.05)
    for before, after in zip(plain, found, strict=True):
        assert (after.mean, after.sd, after.n) == (before.mean, before.sd, before.n)
        assert after.half_width is not None
        assert before.half_width is not None
        assert after.half_width >= before.half_width - 1e-12
    again = holm(plain[::-1])[::-1]
    assert again == found


def test_corrected_intervals_by_hand() -> None:
    clear, unclear, least = [9.0, 10.0, 11.0, 10.0], [-1.0, 3.0, 2.0, 0.0], [1.0, -1.0, 1.0, -1.0]
    found = holm([mean_interval(values) for values in (unclear, least, clear)])
    # Of three the clearest has 0.05 / 3. The next does not pass at 0.05 / 2, and so the last has that, too.
    for values, level, each in (
        (clear, 0.05 / 3, found[2]),
        (unclear, 0.05 / 2, found[0]),
        (least, 0.05 / 2, found[1]),
    ):
        expected = stats.t.interval(1 - level, 3, np.mean(values), stats.sem(values))
        assert (each.low, each.high) == pytest.approx(expected)
    assert holm([mean_interval(clear)]) == [mean_interval(clear)]
    assert holm([]) == []


def test_what_cannot_be_tested_is_no_difference_and_counts() -> None:
    single, equal = mean_interval([5.0]), mean_interval([2.0, 2.0, 2.0])
    clear = [9.0, 10.0, 11.0]
    found = holm([single, mean_interval(clear), equal])
    assert (found[0], found[2]) == (single, equal)
    assert found[1].high == pytest.approx(stats.t.interval(1 - 0.05 / 2, 2, 10, stats.sem(clear))[1])
    assert holm([mean_interval([0.0, 0.0])]) == [mean_interval([0.0, 0.0])]


def test_a_family_is_all_variants_of_the_cell() -> None:
    values = {
        "kdgan": [90, 91, 92],
        "mimic": [88.0, 89.5, 89.8],
        "codis": [90.2, 90.9, 92.4],
        "distn": [80, 82, 81],
    }
    rows = {row.name: row for row in rows_of(runs(values))}
    names = ["mimic", "codis", "distn"]
    expected = holm([mean_interval(np.subtract(values[name], values["kdgan"])) for name in names])
    for name, interval in zip(names, expected, strict=True):
        found = rows[name].minus_corrected("kdgan", "accuracy")
        assert found is not None
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert rows["kdgan"].minus_corrected("kdgan", "accuracy") is None
    assert rows["mimic"].minus_corrected("kdgan", "MAP") is None


def test_the_quantile_needs_no_scipy_stats() -> None:
    # It takes a second to import.
    code = (
        "import sys\nfrom kdgan.experiments.statistics import mean_interval\nmean_interval([1, 2])\n"
        "assert 'scipy.stats' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_rows_compare_with_control_and_best_other() -> None:
    records = runs(
        {
            **{"zeta": [80, 82], "kdgan": [95, 96], "codis": [91, 93], "supervised": [85, 86]},
            **{"kdgan-nogan": [99, 99]},
        }
    )
    rows = {row.name: row for row in rows_of(records)}
    assert list(rows) == ["supervised", "codis", "kdgan", "zeta", "kdgan-nogan"]
    assert {name: row.best_other("accuracy") for name, row in rows.items()} == {
        **{"supervised": "codis", "codis": "supervised", "kdgan": "codis", "kdgan-nogan": "codis"},
        **{"zeta": "codis"},
    }
    kdgan = rows["kdgan"]
    assert kdgan.minus("codis", "accuracy") == mean_interval([4.0, 3.0])
    assert kdgan.minus("supervised", "accuracy") == mean_interval([10.0, 10.0])
    assert rows["supervised"].minus("codis", "accuracy") == mean_interval([-6.0, -7.0])
    assert kdgan.minus("kdgan", "accuracy") is None
    assert kdgan.minus("nobody", "accuracy") is None
    assert kdgan.minus(None, "accuracy") is None


def test_a_row_is_about_any_metric() -> None:
    other = replace(record("kdgan", 4, 93.0, metrics={"P@3": 50.0}), student_updates=900, seconds=4.5)
    (row,) = rows_of([other, RECORD])
    assert row.seeds == (0, 4)
    assert row.mean("accuracy") == mean_interval([91.25, 93.0])
    assert row.mean("teacher/accuracy") == mean_interval([95.5, 95.5])
    assert row.mean("P@3") == mean_interval([50.0])
    assert row.mean("MRR") is None
    assert (row.average("seconds"), row.average("pretraining_seconds")) == (4.0, 1.25)
    assert row.best_other("accuracy") is None
    (row,) = rows_of([other, replace(RECORD, seconds=None)])
    assert (row.average("seconds"), row.average("pretraining_seconds")) == (None, 1.25)


def test_metrics_are_paired_where_both_have_them() -> None:
    a = [record("mimic", seed, 90.0, metrics={"F": 3.0 * seed} if seed else {}) for seed in range(3)]
    b = [record("distn", seed, 80.0, metrics={"F": 1.0}) for seed in range(2)]
    (_, mimic) = rows_of([*a, *b])
    assert mimic.name == "mimic"
    assert mimic.minus("distn", "F") == mean_interval([2.0])
    assert mimic.best_other("F") == "distn"
    assert mimic.best_other("G") is None


def test_cells_are_kept_apart() -> None:
    records = runs({"kdgan": [90, 91], "codis": [80, 82]})
    elsewhere = runs({"supervised": [70.0], "kdgan": [70.0]}, labels=1000)
    rows = rows_of([*elsewhere, *records])
    assert [(row.cell, row.name) for row in rows] == [
        ("digits, 50 labels", "codis"), ("digits, 50 labels", "kdgan"),
        ("digits, 1,000 labels", "supervised"), ("digits, 1,000 labels", "kdgan"),
    ]  # fmt: skip
    assert [row.minus("supervised", "accuracy") is None for row in rows] == [True, True, True, False]
    assert {row.cell for row in rows_of(records, "mnist-100")} == {"mnist-100"}
    # A cell of random tags has other labels with each seed.
    varied = [replace(each, labels=50 + each.seed) for each in records]
    assert [row.seeds for row in rows_of(varied, "random")] == [(0, 1), (0, 1)]


def test_a_title_says_which_data_and_how_many_labels() -> None:
    assert title_of(runs({"kdgan": [90, 91]}, labels=50_000)) == "digits, 50,000 labels"
    varied = [replace(each, labels=50 + each.seed) for each in runs({"kdgan": [90, 91, 92]})]
    assert title_of(varied) == "digits, 50 to 52 labels"
    assert title_of(runs({"kdgan": [90, 91]}, labels=0)) == "digits"  # nobody counted
    with refused("no runs"):
        title_of([])
    with refused("one data set", "digits, mnist"):
        title_of([RECORD, replace(RECORD, data="mnist")])


def test_rows_without_shared_seeds_have_no_difference() -> None:
    rows = rows_of([record("supervised", 0, 80.0), record("kdgan", 7, 90.0)])
    assert rows[1].best_other("accuracy") == "supervised"
    assert rows[1].minus("supervised", "accuracy") is None


def test_a_run_that_is_there_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="kdgan, seed 0 on digits with 50 labels is there twice"):
        rows_of([RECORD, RECORD])


def test_names_are_in_one_order_everywhere() -> None:
    assert ordered(["zeta", "kdgan", "knn", "alpha", "supervised", "zeta"]) == [
        *("knn", "supervised", "kdgan", "zeta", "alpha"),
    ]
    everything = [*BASELINES, *METHODS]
    assert ordered(reversed(everything)) == everything
    costs = [METHODS[name].cost for name in METHODS]
    assert costs == sorted(costs)
    assert next(iter(METHODS)) == "supervised"


def test_examples_without_labels_are_in_titles_and_keep_cells_apart() -> None:
    plain, beside = runs({"kdgan": [91.0]}), runs({"kdgan": [93.0]}, unlabelled=1300)
    assert [row.cell for row in rows_of([*beside, *plain])] == [
        "digits, 50 labels",
        "digits, 50 labels, 1,300 unlabelled",
    ]
    assert title_of(beside) == "digits, 50 labels, 1,300 unlabelled"
    other = runs({"distn": [93.0]}, unlabelled=900)
    assert title_of([*beside, *other]) == "digits, 50 labels, 900 to 1,300 unlabelled"


def test_two_seeds_or_equal_ones_are_no_ground_for_a_verdict() -> None:
    """As small test parts give: three seeds that differ by one example each."""
    for values in ([2.0, 2.0], [2.0, 2.1], [2.0, 2.0, 2.0]):
        assert not mean_interval(values).excludes_zero
    assert mean_interval([2.0, 2.1, 2.0]).excludes_zero


def test_the_best_other_is_the_next_where_a_row_is_the_best_itself() -> None:
    rows = {
        row.name: row
        for row in rows_of(runs({"a": [3.0], "b": [5.0], "c": [5.0], "kdgan": [9.0], "kdgan: x": [8.0]}))
    }
    found = {name: row.best_other("accuracy") for name, row in rows.items()}
    assert found == {"a": "b", "b": "c", "c": "b", "kdgan": "b", "kdgan: x": "b"}
    assert rows["a"].best_other("none") is None
    (alone,) = rows_of(runs({"kdgan": [9.0]}))
    assert alone.best_other("accuracy") is None
