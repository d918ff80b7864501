"""Earnings: what the unlabelled data, the teacher and each method brought the student, beside its labels alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kdgan.experiments.statistics import LEAST_SEEDS, Interval, Row, best_name, from_to
from kdgan.experiments.tables import plus_minus, seeds_text
from kdgan.methods import CONTROL, SelfTrain
from kdgan.ship.forms import Form, bare, form_of


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs of a comparison: what each variant reached, and what that is above the control.

    Attributes:
        metric: that it is about.
        rows: that have the metric: the control, the student that teaches itself, others without a teacher, those with
            one.
        means: of the metric, by variant.
        gains: over the control, paired by seed, by variant; empty without a control.
        teacher: the best variant with a teacher whose metric is known; None without one.
    """

    metric: str
    rows: Sequence[Row]
    means: Mapping[str, Interval]
    gains: Mapping[str, Interval]
    teacher: Row | None

    @property
    def of_teacher(self) -> str:
        """Name of the metric of T in records."""
        return f"teacher/{self.metric}"


def ladder_of(rows: Sequence[Row], metric: str) -> Ladder:
    """The ladder of the rows of one comparison."""
    means = {row.name: mean for row in rows if (mean := row.mean(metric))}
    places = {CONTROL: 0, SelfTrain.name: 1}
    found = sorted(
        (row for row in rows if row.name in means),
        key=lambda row: places.get(row.name, 3 if has_teacher(row) else 2),
    )
    taught = [row for row in found if has_teacher(row) and row.mean(f"teacher/{metric}")]
    return Ladder(metric, found, means, _gains(found, metric), _best(taught, metric))


def earned(rows: Sequence[Row], metric: str, *, self_trained: Collection[str] = ()) -> str:
    """The earnings in a sentence; empty without the control, or without anything beside it.

    Args:
        rows: of one comparison.
        metric: that it is about.
        self_trained: variants whose teacher learned from examples without labels before the method began.
    """
    ladder = ladder_of(rows, metric)
    gains = ladder.gains
    if not gains:
        return ""
    control, *others = ladder.rows
    itself = next((row for row in others if row.name == SelfTrain.name), None)
    taught = _best([row for row in others if has_teacher(row)], metric)
    alone = _best([row for row in others if row is not itself and not has_teacher(row)], metric)
    # What has no teacher is worth a word only where it is ahead.
    if taught and alone and _best([taught, alone], metric) is taught:
        alone = None
    # A gain of one seed, or of two, is told from nothing by no interval: that is said once, at the end.
    few = all(gain.n < LEAST_SEEDS for gain in gains.values())
    without = _unlabelled(control)
    clauses = [_alone(control, ladder)]
    if itself:
        clauses.append(f"teaching itself on {without} it reaches {_reached(itself, ladder, few)}")
    if taught:
        source = ("them" if itself else without) if taught.name in self_trained else ""
        many = sum(map(has_teacher, others))
        best = f", the best of {many} such methods" if many > 1 else ""
        reached = f"it reaches {_reached(taught, ladder, few)}"
        clauses.append(f"{_teacher(taught, ladder, source)} {reached} by {taught.name}{best}")
    if alone:
        clauses.append(f"without a teacher, {alone.name} reaches {_reached(alone, ladder, few)}")
    sentence = f"{'; '.join(clauses)}."
    if len(gains) > 1 and not few:
        sentence += (
            f" Intervals are corrected for how many are compared with the control, {len(gains)} (Holm)."
        )
    if few:
        most = max(gain.n for gain in gains.values())
        why = "One seed gives no interval" if most == 1 else f"{most} seeds are too few to conclude from"
        sentence += f" {why}, so any of these differences may be chance."
    return sentence


def alternative_text(ladder: Ladder) -> str:
    """The ladder in words, for those who cannot see it."""
    form = form_of(ladder.metric)
    rungs = []
    for row in ladder.rows:
        gain = ladder.gains.get(row.name)
        beside = f" ({plus_minus(gain, form, difference=True)})" if gain else ""
        rungs.append(f"{row.name} {plus_minus(ladder.means[row.name], form)}{beside}")
    if ladder.teacher is not None:
        rungs.append(
            f"teacher of {ladder.teacher.name} {plus_minus(ladder.teacher.mean(ladder.of_teacher), form)}"
        )
    gained = ", in brackets the difference to the control" if ladder.gains else ""
    return f"{bare(ladder.metric)} on test data{form.in_unit}{gained}: {'; '.join(rungs)}."


def has_teacher(row: Row) -> bool:
    """Whether a variant has a teacher, be it one without parameters."""
    return row.runs[0].teacher_parameters is not None


def values_of(row: Row, metric: str) -> list[float]:
    """The metric of each seed that has it."""
    return [run.metrics[metric] for run in row.runs if metric in run.metrics]


def _gains(rows: Sequence[Row], metric: str) -> dict[str, Interval]:
    """Differences to the control, by variant, with intervals that are corrected for how many they are: the sentence
    picks the best of them."""
    return {row.name: gain for row in rows if (gain := row.minus_corrected(CONTROL, metric))}


def _best(rows: Sequence[Row], metric: str) -> Row | None:
    """The row with the best mean, of equal ones the first; None of none."""
    means = {row.name: mean.mean for row in rows if (mean := row.mean(metric))}
    return next(row for row in rows if row.name == best_name(metric, means)) if means else None


def _alone(control: Row, ladder: Ladder) -> str:
    form, count = form_of(ladder.metric), [run.labels for run in control.runs]
    labels = f"{from_to(count)} labelled examples" if any(count) else "the labelled examples"
    mean = "" if len(control.seeds) == 1 else "mean "
    less = "; less is better" if form.less_is_better else ""
    what = f"{mean}{bare(ladder.metric)} on test data, {seeds_text(ladder.rows)}{less}"
    return f"From {labels} alone the student reaches {form.with_unit(ladder.means[CONTROL].mean)} ({what})"


def _unlabelled(control: Row) -> str:
    counts = [run.unlabelled for run in control.runs]
    return f"{from_to(counts)} examples without labels" if any(counts) else "examples without labels"


def _teacher(row: Row, ladder: Ladder, source: str) -> str:
    """The teacher of a variant, from what it first learned beside labels, if it did, and what it reaches, if known."""
    own = row.mean(ladder.of_teacher)
    learned = f"first learned from {source}" if source else ""
    reaches = f"reaches {form_of(ladder.metric).with_unit(own.mean)}" if own else ""
    which = " and ".join(filter(None, [learned, reaches]))
    return f"with the teacher, which {which}," if which else "with the teacher"


def _reached(row: Row, ladder: Ladder, few: bool) -> str:
    """The mean, in brackets the gain and, where that is not above zero for sure, that it is not."""
    form = form_of(ladder.metric)
    value, gain = form.with_unit(ladder.means[row.name].mean), ladder.gains.get(row.name)
    if gain is None:
        return f"{value} (on no seed of the control)"
    by = " ".join(filter(None, [plus_minus(gain, form, difference=True), form.points]))
    return f"{value} ({by}{'' if few else _doubt(gain, form)})"


def _doubt(gain: Interval, form: Form) -> str:
    if gain.excludes_zero:
        return ", worse" if (gain.mean > 0) == form.less_is_better else ""
    return ", which may be chance" if gain.mean or gain.sd else ""
