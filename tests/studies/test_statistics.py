"""Intervals and paired differences against scipy, their properties, results files, and who is compared with whom."""

import math
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from kdgan.errors import UsageError
from kdgan.experiments import statistics, tables
from kdgan.experiments.statistics import RunRecord, mean_interval, paired_difference, summarise

RECORD = RunRecord("digits", 50, "kdgan", 0, 91.25, 95.5, 92.0, 1000, 3.5, 1.25, 90.0, 5000, 80000)
NUMBERS = st.floats(-1000, 1000)
SAMPLES = st.lists(NUMBERS, min_size=2, max_size=20)


def runs(**accuracies: list[float]) -> list[RunRecord]:
    return [
        replace(RECORD, method=method, seed=seed, student_accuracy=accuracy)
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def test_interval_by_hand() -> None:
    # Mean 2, standard deviation 1, and 4.30265 is the 97.5 % quantile of Student's t with 2 degrees of freedom.
    interval = mean_interval([1.0, 2.0, 3.0])
    assert (interval.mean, interval.sd, interval.n) == (2.0, 1.0, 3)
    assert interval.half_width == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert interval.low == pytest.approx(2 - 4.302652729911275 / math.sqrt(3))


def test_single_value_has_no_interval() -> None:
    interval = mean_interval([90.0])
    assert interval == statistics.Interval(90.0, None, None, None, 1)
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


finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(list(" ,;\"'")))
records = st.builds(
    RunRecord, text, st.integers(), text, st.integers(), finite, finite | st.none(), finite, st.integers(),
    finite, finite, finite, st.integers(), st.integers() | st.none(),
)  # fmt: skip


@given(st.lists(records, max_size=4))
def test_results_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[RunRecord]) -> None:
    path = tmp_path_factory.getbasetemp() / "deep" / "results.csv"
    statistics.write_results(path, rows)
    assert statistics.read_results(path) == rows
    assert [file.name for file in path.parent.iterdir()] == ["results.csv"]


def test_results_take_numpy_numbers(tmp_path) -> None:
    path = tmp_path / "results.csv"
    statistics.write_results(path, [replace(RECORD, student_accuracy=np.float64(0.1), seed=np.int64(7))])
    assert statistics.read_results(path) == [replace(RECORD, student_accuracy=0.1, seed=7)]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "results.csv"
    statistics.write_results(path, [RECORD])

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        statistics.write_results(path, [])
    assert statistics.read_results(path) == [RECORD]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("91.25", "high", "row 2, column student_accuracy: expected a finite number, got 'high'"),
        ("91.25", "nan", "row 2, column student_accuracy: expected a finite number, got 'nan'"),
        ("91.25", "", "row 2, column student_accuracy: expected a finite number, got ''"),
        ("1000", "1e3", "row 2, column student_updates: expected a whole number, got '1e3'"),
        (",80000", "", "row 2: expected 13 cells, data to teacher_parameters, got 12"),
        ("digits", '"di\ngits"', "row 2, column data: expected printable text, got 'di\\ngits'"),
        ("labels,", "", "row 1: expected the columns data,labels,method"),
        ("digits", '"digits', "not a results file"),
    ],
)
def test_results_that_are_wrong(tmp_path, old: str, new: str, message: str) -> None:
    path = tmp_path / "results.csv"
    statistics.write_results(path, [RECORD])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError) as error:
        statistics.read_results(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_results_that_are_no_text_or_not_there(tmp_path) -> None:
    path = tmp_path / "results.csv"
    for content, message in ((b"", "row 1"), (b"\xff\xfe", "not a results file"), (None, "cannot read")):
        path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            statistics.read_results(path)


def test_record_refuses_what_is_not_finite() -> None:
    with pytest.raises(UsageError, match="student_accuracy of 'kdgan', seed 0: nan"):
        replace(RECORD, student_accuracy=math.nan)
    with pytest.raises(UsageError, match=r"data of 'kdgan', seed 0: .* is not printable"):
        replace(RECORD, data="a\rb")


def test_summary_compares_with_control_and_best_baseline() -> None:
    rows = runs(
        zeta=[80, 82], kdgan=[95, 96], codis=[91, 93], supervised=[85, 86], **{"kdgan-nogan": [99, 99]}
    )
    by_method = {summary.method: summary for summary in summarise(rows)}
    assert list(by_method) == ["supervised", "codis", "kdgan", "kdgan-nogan", "zeta"]
    best = {method: summary.best_baseline for method, summary in by_method.items()}
    assert best == {
        "supervised": "codis", "codis": "supervised", "kdgan": "codis", "kdgan-nogan": "codis", "zeta": "codis",
    }  # fmt: skip
    kdgan, control = by_method["kdgan"], by_method["supervised"]
    assert kdgan.to_best_baseline == mean_interval([4.0, 3.0])
    assert kdgan.to_control == mean_interval([10.0, 10.0])
    assert control.to_control is None
    assert control.to_best_baseline == mean_interval([-6.0, -7.0])


def test_summary_carries_everything() -> None:
    other = replace(
        RECORD, seed=4, teacher_accuracy=96.5, best_epoch_accuracy=93.0, student_updates=900, seconds=4.5
    )
    (summary,) = summarise([other, RECORD])
    assert summary.seeds == (0, 4)
    assert summary.teacher == mean_interval([95.5, 96.5])
    assert summary.best_epoch == mean_interval([92.0, 93.0])
    assert (summary.seconds, summary.pretraining_seconds, summary.student_updates) == (4.0, 1.25, (900, 1000))
    assert (summary.student_parameters, summary.teacher_parameters) == (5000, 80000)
    assert (summary.to_control, summary.best_baseline, summary.to_best_baseline) == (None, None, None)


def test_summary_keeps_settings_apart() -> None:
    rows = runs(kdgan=[90, 91], codis=[80, 82])
    elsewhere = [replace(row, labels=1000, student_accuracy=70.0) for row in runs(supervised=[0], kdgan=[0])]
    summaries = summarise([*elsewhere, *rows])
    assert [(s.labels, s.method) for s in summaries] == [
        (50, "codis"), (50, "kdgan"), (1000, "supervised"), (1000, "kdgan"),
    ]  # fmt: skip
    assert [s.to_control is None for s in summaries] == [True, True, True, False]


def test_summary_without_shared_seeds_has_no_difference() -> None:
    rows = [*runs(supervised=[80]), *(replace(row, seed=7) for row in runs(kdgan=[90]))]
    kdgan = summarise(rows)[1]
    assert (kdgan.best_baseline, kdgan.to_best_baseline, kdgan.to_control) == ("supervised", None, None)


def test_summary_refuses_a_run_twice() -> None:
    with pytest.raises(UsageError, match="kdgan, seed 0 on digits with 50 labels is there twice"):
        summarise([RECORD, RECORD])


def terminal(summaries: list[statistics.MethodSummary]) -> str:
    console = Console(width=100, file=StringIO(), color_system=None)
    console.print(tables.terminal_table(summaries))
    return console.file.getvalue()


def test_terminal_table() -> None:
    shown = terminal(summarise(runs(supervised=[85, 86, 87], kdgan=[91, 92, 94], codis=[93, 93, 93])))
    assert "digits, 50 labels" in shown
    lines = {line.split()[0]: " ".join(line.split()) for line in shown.splitlines() if line.strip()}
    assert lines["supervised"] == "supervised 86.00 ± 2.48 – −7.00 ± 2.48 codis 3.5 + 1.2 5,000"
    assert lines["kdgan"] == "kdgan 92.33 ± 3.79 +6.33 ± 1.43 −0.67 ± 3.79 codis 3.5 + 1.2 5,000"
    assert "3 seeds" in shown


def test_terminal_table_fits_and_cuts_nothing() -> None:
    rows = [
        replace(row, student_parameters=12345678, seconds=12345.6)
        for row in runs(supervised=[85, 86], kdgan=[91, 93])
    ]
    rows += [
        replace(row, data="cifar10", labels=50000, method=row.method.replace("kd", "[b]")) for row in rows
    ]
    shown = terminal(summarise(rows))
    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    for part in ("cifar10, 50,000 ", "digits, 50 ", "[b]gan ", "12,345,678", "12,346 + 1.2"):
        assert part in shown


def test_markdown_table() -> None:
    lines = tables.markdown_table(summarise(runs(supervised=[85], **{"a|b": [90]}))).splitlines()
    assert lines[:4] == [
        "| data | labels | method | accuracy | to control | to best baseline | seconds | parameters |",
        "| :--- | ---: | :--- | ---: | ---: | :--- | ---: | ---: |",
        "| digits | 50 | supervised | 85.00 | – | −5.00 a\\|b | 3.5 + 1.2 | 5,000 |",
        "| digits | 50 | a\\|b | 90.00 | +5.00 | +5.00 supervised | 3.5 + 1.2 | 5,000 |",
    ]
    assert lines[4] == ""
    assert "1 seed;" in lines[5]


@pytest.mark.parametrize(
    ("value", "shown"), [(1.2, "+1.20"), (-0.354, "−0.35"), (0.004, "0.00"), (-0.004, "0.00"), (0.0, "0.00")]
)
def test_signed(value: float, shown: str) -> None:
    assert tables.signed(value) == shown


def test_tables_of_nothing() -> None:
    assert "no seeds" in tables.markdown_table([])
    assert "no seeds" in terminal([])
