"""The earnings of a comparison in words, against numbers that were worked out by hand.

Of three values with deviation s the half-width of the 95 % interval is 4.3027 s / √3 = 2.4841 s, of two 8.9846 s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kdgan.experiments.earned import alternative_text, earned, ladder_of
from kdgan.experiments.records import Record
from kdgan.experiments.statistics import Row, rows_of
from made_records import runs

ALONE, ITSELF = [80.0, 82.0, 84.0], [79.0, 82.0, 88.0]  # the second is -1, 0 and 4 above: 1.00 ± 2.4841 √7
DISTN, MIMIC = [84.0, 87.0, 90.0], [82.0, 85.0, 88.0]  # 4, 5 and 6 above, and 2, 3 and 4
CORRECTED = " Intervals are corrected for how many are compared with the control, 2 (Holm)."
BOTH = {"labels": 100, "unlabelled": 1194}


def rows(values: Mapping[str, Sequence[float]], **changes: Any) -> list[Row]:
    return rows_of(runs(values, **changes), "digits")


def of_metric(metric: str, values: Mapping[str, Sequence[float]]) -> list[Row]:
    """Rows whose runs have this metric alone, of the student and, ten times as much, of the teacher."""

    def changed(run: Record) -> Record:
        value = run.metrics["accuracy"]
        own = {} if run.teacher_parameters is None else {f"teacher/{metric}": 10 * value}
        return replace(run, metrics={metric: value, **own})

    return rows_of(map(changed, runs(values)), "digits")


def test_what_the_unlabelled_data_the_teacher_and_the_best_method_earned() -> None:
    found = rows({"supervised": ALONE, "selftrain": ITSELF, "distn": DISTN, "mimic": MIMIC}, **BOTH)
    assert earned(found, "accuracy", self_trained=["distn", "mimic"]) == (
        "From 100 labelled examples alone the student reaches 82.00 % (mean accuracy on test data, 3 seeds); "
        "teaching itself on 1,194 examples without labels it reaches 83.00 % (+1.00 ± 9.48 points, which may be "
        "chance); with the teacher, which first learned from them and reaches 95.50 %, it reaches 87.00 % "
        # Holm: 7.649 / √3 for the surest of three, then 6.205 / √3 for the next, which is not above 3, and the last.
        "(+5.00 ± 4.42 points) by distn, the best of 2 such methods. "
        "Intervals are corrected for how many are compared with the control, 3 (Holm)."
    )
    # A teacher that learned from the labels alone is not said to have learned from more.
    other = earned(found, "accuracy", self_trained=["mimic"])
    assert "; with the teacher, which reaches 95.50 %, it reaches 87.00 % " in other


def test_a_teacher_without_unlabelled_data() -> None:
    assert earned(rows({"supervised": ALONE, "distn": DISTN}), "accuracy") == (
        "From 50 labelled examples alone the student reaches 82.00 % (mean accuracy on test data, 3 seeds); "
        "with the teacher, which reaches 95.50 %, it reaches 87.00 % (+5.00 ± 2.48 points) by distn."
    )


def test_unlabelled_data_without_selftrain_are_counted_with_the_teacher() -> None:
    text = earned(rows({"supervised": ALONE, "distn": DISTN}, **BOTH), "accuracy", self_trained=["distn"])
    assert "which first learned from 1,194 examples without labels and reaches 95.50 %, it" in text
    assert "teaching itself" not in text


def test_without_a_teacher_the_sentence_is_about_the_unlabelled_data() -> None:
    assert earned(rows({"supervised": ALONE, "selftrain": ITSELF}, **BOTH), "accuracy") == (
        "From 100 labelled examples alone the student reaches 82.00 % (mean accuracy on test data, 3 seeds); "
        "teaching itself on 1,194 examples without labels it reaches 83.00 % (+1.00 ± 6.57 points, which may be "
        "chance)."
    )


def test_a_method_without_a_teacher_is_named_where_it_is_ahead() -> None:
    ahead = earned(rows({"supervised": ALONE, "mimic": MIMIC, "nagan": DISTN}), "accuracy")
    assert ahead.endswith(
        " it reaches 85.00 % (+3.00 ± 2.48 points) by mimic; without a teacher, nagan reaches 87.00 % "
        f"(+5.00 ± 3.58 points).{CORRECTED}"
    )
    behind = earned(rows({"supervised": ALONE, "mimic": DISTN, "nagan": MIMIC}), "accuracy")
    assert "nagan" not in behind
    only = earned(rows({"supervised": ALONE, "nagan": DISTN}), "accuracy")
    assert only.endswith("3 seeds); without a teacher, nagan reaches 87.00 % (+5.00 ± 2.48 points).")


def test_harm_is_said_and_equal_values_are_no_chance() -> None:
    worse = earned(rows({"supervised": DISTN, "mimic": ALONE}), "accuracy")
    assert "it reaches 82.00 % (−5.00 ± 2.48 points, worse) by mimic." in worse
    same = earned(rows({"supervised": ALONE, "mimic": ALONE}), "accuracy")
    assert "it reaches 82.00 % (0.00 ± 0.00 points) by mimic." in same
    # Differences that are all equal tell of a small test part, not of certainty.
    steady = earned(rows({"supervised": ALONE, "mimic": [81.0, 83.0, 85.0]}), "accuracy")
    assert "(+1.00 ± 0.00 points, which may be chance) by mimic." in steady


@pytest.mark.parametrize(
    ("seeds", "counted", "gain", "end"),
    [
        (1, "accuracy on test data, 1 seed", "+4.00 points", "One seed gives no interval"),
        # 4 and 5 above: 4.5, deviation √½.
        (2, "mean accuracy on test data, 2 seeds", "+4.50 ± 6.35 points", "2 seeds are too few to conclude from"),
    ],
)  # fmt: skip
def test_few_seeds_conclude_nothing(seeds: int, counted: str, gain: str, end: str) -> None:
    text = earned(rows({"supervised": ALONE[:seeds], "distn": DISTN[:seeds]}), "accuracy")
    assert f"({counted}); " in text
    assert text.endswith(f" ({gain}) by distn. {end}, so any of these differences may be chance.")


def test_a_variant_with_fewer_seeds_than_others_may_be_chance() -> None:
    text = earned(rows({"supervised": ALONE, "selftrain": ITSELF[:1], "distn": DISTN}, **BOTH), "accuracy")
    assert "it reaches 79.00 % (−1.00 points, which may be chance); " in text
    assert "1 to 3 seeds" in text
    assert text.endswith(f"(+5.00 ± 3.58 points) by distn.{CORRECTED}")
    apart = runs({"supervised": ALONE, "selftrain": ITSELF, "distn": DISTN})
    apart = [replace(row, seed=row.seed + 9) if row.method == "distn" else row for row in apart]
    assert "it reaches 87.00 % (on no seed of the control) by distn." in earned(
        rows_of(apart, "d"), "accuracy"
    )


def test_less_may_be_better() -> None:
    values = {"supervised": [0.5, 0.6, 0.7], "distn": [0.4, 0.4, 0.4], "mimic": [0.9, 0.9, 0.9]}
    text = earned(of_metric("log_loss", values), "log_loss")
    assert text == (  # 0.1, 0.2 and 0.3 below
        "From 50 labelled examples alone the student reaches 0.6000 nats (mean log_loss on test data, 3 seeds; less "
        "is better); with the teacher, which reaches 4.0000 nats, it reaches 0.4000 nats (−0.2000 ± 0.3583 nats, "
        f"which may be chance) by distn, the best of 2 such methods.{CORRECTED}"
    )
    own = {"supervised": [1.0, 2.0, 3.0], "mimic": [5.0, 7.0, 9.0]}
    text = earned(of_metric("-mine:error", own), "-mine:error")
    assert "reaches 2.00 (mean mine:error on test data, 3 seeds; less is better)" in text
    assert "it reaches 7.00 (+5.00 ± 2.48, worse) by mimic." in text


def test_tags_have_baselines_without_a_network() -> None:
    found = of_metric(
        "MAP", {"knn": [9.0, 9.0, 9.0], "supervised": [1.0, 2.0, 3.0], "distn": [5.0, 7.0, 9.0]}
    )
    knn = replace(found[0], runs=tuple(replace(run, teacher_parameters=None) for run in found[0].runs))
    text = earned([knn, *found[1:]], "MAP")
    assert "reaches 2.00 % (mean MAP on test data, 3 seeds)" in text
    assert (
        "it reaches 7.00 % (+5.00 ± 2.48 points) by distn; without a teacher, knn reaches 9.00 % (+7" in text
    )


def test_counts_that_are_not_known_or_differ() -> None:
    found = rows({"supervised": ALONE, "selftrain": ITSELF}, labels=0)
    assert earned(found, "accuracy").startswith("From the labelled examples alone the student reaches ")
    assert "teaching itself on examples without labels it" in earned(found, "accuracy")
    made = runs({"supervised": ALONE, "distn": DISTN})
    made = [replace(run, labels=98 + run.seed, metrics={"accuracy": run.metrics["accuracy"]}) for run in made]
    text = earned(rows_of(made, "d"), "accuracy")
    assert text.startswith("From 98 to 100 labelled examples alone")
    assert "; with the teacher it reaches 87.00 %" in text


@pytest.mark.parametrize("values", [{"distn": DISTN, "selftrain": ITSELF}, {"supervised": ALONE}])
def test_nothing_is_earned_without_a_control_or_beside_it_alone(
    values: Mapping[str, Sequence[float]],
) -> None:
    assert earned(rows(values), "accuracy") == ""
    assert earned(rows(values), "another") == ""


def test_a_ladder_goes_from_the_control_to_the_teacher() -> None:
    values = {"distn": DISTN, "nagan": MIMIC, "selftrain": ITSELF, "mimic": MIMIC, "supervised": ALONE}
    ladder = ladder_of(rows(values), "accuracy")
    assert [row.name for row in ladder.rows] == ["supervised", "selftrain", "nagan", "distn", "mimic"]
    assert ladder.teacher is not None
    assert ladder.teacher.name == "distn"
    assert "supervised" not in ladder.gains
    assert ladder.gains["distn"].mean == 5.0
    text = alternative_text(ladder)
    assert text.startswith(
        "accuracy on test data in %, in brackets the difference to the control: supervised 82.00 ± 4.97; "
    )
    assert "; distn 87.00 ± 7.45 (+5.00 ± 5.12); " in text  # 8.860 / √3, of four
    assert text.endswith("; teacher of distn 95.50 ± 0.00.")
    alone = alternative_text(ladder_of(rows({"nagan": ALONE}), "accuracy"))
    assert alone == "accuracy on test data in %: nagan 82.00 ± 4.97."
