"""What a report on runs says in sentences, each derived from the numbers beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kdgan.experiments.footprint import Footprint
from kdgan.experiments.gathered import OF_CONTROL, Gathered
from kdgan.experiments.report import outcome
from kdgan.experiments.statistics import rows_of, title_of
from kdgan.ship.forms import bare, form_of
from kdgan.ship.student import NAME
from kdgan.tasks.diagnosis import Value
from kdgan.tasks.run import TEACHER

Values = Mapping[tuple[str, ...], Mapping[str, Value]]


def gains(gathered: Gathered, values: Values) -> list[str]:
    """What was gained: of several seeds as a comparison says it, of one run against teacher and control."""
    metric = gathered.metrics[0]
    if gathered.has_seeds:
        return outcome(rows_of(gathered.records, title_of(gathered.records)), metric)
    form, found = form_of(metric), []
    for name in gathered.names():
        if (name,) in values:
            value = values[(name,)][metric]
            found.append(f"{name} {form.with_unit(value.value)}{_ends(value, form.text)}")
    count = len(gathered.task.test)
    title = title_of(gathered.records)
    sentences = [f"On {title}, {bare(metric)} on {count:,} test examples: {'; '.join(found)}."]
    pairs = [pair for pair in gathered.pairs() if pair in values]
    return [*sentences, *(_against(pair, metric, values[pair][metric]) for pair in pairs)]


def _against(pair: tuple[str, str], metric: str, value: Value) -> str:
    form, (name, other) = form_of(metric), pair
    by = " ".join(filter(None, [form.text(abs(value.value)), form.points]))
    side = "above" if value.value >= 0 else "below"
    text = f"{_named(name)} is {by} {side} the {other} in {bare(metric)}"
    if value.low is None or value.high is None:
        return f"{text}."
    ends = f"95 % interval {form.signed(value.low)} to {form.signed(value.high)} over test examples of this one seed"
    if value.low <= 0 <= value.high:
        return f"{text} ({ends}): these examples do not tell the two apart."
    better = (value.value < 0) if form.less_is_better else (value.value > 0)
    if other != OF_CONTROL:
        return f"{text} ({ends})."
    return f"{text} ({ends}): {'so distilling was worth it' if better else 'so distilling did harm'} on this seed."


def _named(name: str) -> str:
    """A player at the beginning of a sentence: the student, or students of a method by its name."""
    return "The student" if name == "student" else name


def _ends(value: Value, number: Callable[[float], str]) -> str:
    if value.low is None or value.high is None:
        return ""
    return f" (95 % interval {number(value.low)} to {number(value.high)})"


def savings(gathered: Gathered, found: Mapping[str, Footprint]) -> list[str]:
    """What the student costs beside its teacher, and which of its files are larger than what they should replace."""
    subject = gathered.subject
    if subject.student not in found:
        return []
    student, sentences = found[subject.student], []
    teacher = found.get(subject.teacher or "")
    if teacher is not None:
        sentences += _smaller(subject.student, student, teacher)
        sentences += _faster(subject.student, student, teacher)
    own = student.files[NAME]
    for name, size in student.files.items():
        if name != NAME and size >= own:
            sentences.append(
                f"{name} is no smaller than {NAME}: {size:,} bytes against {own:,}. That format does not compress this "
                "student."
            )
    sentences += [
        f"How fast {name} is was not measured: {why}."
        for name, why in student.runtimes.items()
        if isinstance(why, str)
    ]
    return sentences


def _smaller(name: str, student: Footprint, teacher: Footprint) -> list[str]:
    mine, theirs = student.parameters, teacher.parameters
    if mine < theirs:
        sentences = [
            f"{_named(name)} has {mine:,} parameters, 1/{theirs / max(mine, 1):.1f} of the {theirs:,} of its teacher."
        ]
    else:
        more = "as many parameters as" if mine == theirs else "more parameters than"
        sentences = [
            f"{_named(name)} is NOT smaller than its teacher: it has {more} it, {mine:,} against {theirs:,}."
        ]
    whole = teacher.files[TEACHER]
    sentences += [
        f"{file} is NOT smaller than the teacher's weights: {size:,} bytes against {whole:,}"
        f"{', of which names and preprocessing are a part' if file == NAME else ''}."
        for file, size in student.files.items()
        if size >= whole
    ]
    return sentences


def _faster(name: str, student: Footprint, teacher: Footprint) -> list[str]:
    sentences = []
    for count, theirs in teacher.latency.items():
        times = {"PyTorch": student.latency[count]}
        times |= {
            f"ONNX Runtime ({file})": each[count]
            for file, each in student.runtimes.items()
            if not isinstance(each, str)
        }
        for where, mine in times.items():
            ms = f"{mine.median:.3f} ms against {theirs.median:.3f} ms"
            of = "1 example" if count == 1 else f"{count} examples"
            beside = "" if where == "PyTorch" else " in PyTorch"
            if mine.median < theirs.median:
                share = mine.median / theirs.median
                sentences.append(
                    f"For {of} in {where} it takes {share:.2f} of the teacher's time{beside}: {ms}."
                )
            else:
                sentences.append(
                    f"For {of} in {where} {_named(name).lower()} is NOT faster than its teacher{beside}: {ms}."
                )
    return sentences
