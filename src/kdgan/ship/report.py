"""Report of a distillation: metrics of the student beside control and teacher, and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kdgan.files import save_json
from kdgan.ship.cost import Cost
from kdgan.ship.forms import bare, form_of


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics and costs of a student that was distilled.

    Attributes:
        method: its name.
        metrics: on validation data, by role and name: of `student`, `control` and `teacher`, as far as there are such,
            and of `teacher before` where a trained one went on learning. The teacher is left out where it needs
            privileged information and validation has none.
        costs: of the student and, where it is one or several networks, the teacher.
        updates: of the student, and of the control alike.
        seconds: of training each of the players.
        teacher_trained: whether the teacher was found trained, and so not trained on the labels first.
        majority: the accuracy of always naming the largest class.
        evaluation_seconds: of all evaluations, on the way and for this report.
        data: which the metrics are of.
        chosen: updates after which student and control were best on validation data, by role, and as which they are
            given; none where they are those of the last update.
        ended: updates of student and control, by role, where training ended before all of them.
        notes: sentences on what the table lacks.
    """

    method: str
    metrics: Mapping[str, Mapping[str, float]]
    costs: Mapping[str, Cost]
    updates: int
    seconds: Mapping[str, float]
    teacher_trained: bool
    majority: float
    evaluation_seconds: float = 0.0
    data: str = "validation data"
    chosen: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "metrics": {role: dict(found) for role, found in self.metrics.items()},
            "costs": {role: asdict(found) for role, found in self.costs.items()},
            **{name: dict(getattr(self, name)) for name in ("seconds", "chosen", "ended")},
            "notes": [*self.notes],
        }

    def save(self, path: Path | str) -> None:
        """Writes `to_dict()` as JSON, whole or not at all.

        Raises:
            UsageError: if the file cannot be written.
        """
        save_json(path, self.to_dict())

    def __str__(self) -> str:
        """A table for people."""
        forms = {name: form_of(name) for name in self.metrics["student"]}
        head = "".join(f"{name:>{max(10, len(name) + 2)}}" for name in forms)
        names = {"student": f"student ({self.method})", "control": "control (no teacher)"}
        unjudged = [role for role in self.costs if role not in self.metrics]
        width = max(22, 2 + len(names["student"]))  # a method of one's own may have a long name
        lines = [f"{'':{width}}{head}{'parameters':>13}{'MiB':>9}{'MFLOPs':>13}{'ms':>9}"]
        for role in [*self.metrics, *unjudged]:
            cost = self.costs.get("student" if role == "control" else role.removesuffix(" before"))
            found = self.metrics.get(role, {})
            values = "".join(
                f"{form.text(found[name]) if found else '-':>{max(10, len(name) + 2)}}"
                for name, form in forms.items()
            )
            lines.append(f"{names.get(role, role):{width}}{values}{_numbers(cost)}")
        lines += [
            f"{role}: needs privileged information, which validation does not have." for role in unjudged
        ]
        return "\n".join([*lines, *self.notes, *self._explained()])

    def _explained(self) -> list[str]:
        """What the numbers are, and what they say."""
        student, control = self.metrics["student"], self.metrics.get("control")
        trivial = ""
        if "accuracy" in student:
            trivial = f"; always naming the largest class gives an accuracy of {self.majority:.2f} %"
        notes = [
            f"{_units([*student])}, on {self.data}; one example at a time; {self.updates:,} updates of "
            f"{'the student' if self.ended else 'student and control alike'}, from one seed{trivial}."
        ]
        if self.chosen:
            notes.append(f"Chosen as what was best on validation data: {_after(self.chosen)}.")
        if self.ended:
            notes.append(f"Training ended early, as nothing got better: {_after(self.ended)}.")
        whole = self.evaluation_seconds + sum(self.seconds.values())
        if self.evaluation_seconds > 0:
            notes.append(f"Evaluation took {100 * self.evaluation_seconds / whole:.1f} % of the time.")
        if student.get("accuracy", math.inf) <= self.majority:
            notes.append(
                "The student is no better than naming the largest class: it has learned nothing of use."
            )
        first = next(iter(student))
        form = form_of(first)
        notes += self._about_teacher(first)
        ahead = 0.0 if control is None else student[first] - control[first]
        if (ahead > 0) if form.less_is_better else (ahead < 0):
            by = " ".join(filter(None, [form.text(abs(ahead)), form.points]))
            side = "above" if form.less_is_better else "below"
            where = "" if first == "accuracy" else f" in {bare(first)}"
            notes.append(
                f"The student is {by} {side} its control{where}, so the method did not help here. Few updates can do "
                "this, as following a teacher takes longer than learning labels; so can a teacher that is hardly "
                "better, or very sure of itself (logits far apart): one trained with label smoothing teaches more."
            )
        return notes

    def _about_teacher(self, first: str) -> list[str]:
        """A warning where a trained teacher that went on learning became worse."""
        before, after = (self.metrics.get(role, {}).get(first) for role in ("teacher before", "teacher"))
        form = form_of(first)
        if before is None or after is None or not (after > before if form.less_is_better else after < before):
            return []
        return [
            f"The teacher became worse as it went on learning: {bare(first)} from {form.with_unit(before)} to "
            f"{form.with_unit(after)}; a lower teacher_lr, or none, which keeps it as it is, may help."
        ]


def _numbers(cost: Cost | None) -> str:
    """The columns of costs; none are known of what is no network."""
    if cost is None:
        return f"{'-':>13}{'-':>9}{'-':>13}{'-':>9}"
    flops = "not counted" if cost.flops is None else f"{cost.flops / 1e6:.2f}"
    return f"{cost.parameters:>13,}{cost.bytes / 2**20:>9.2f}{flops:>13}{cost.milliseconds:>9.3f}"


def _after(updates: Mapping[str, int]) -> str:
    return ", ".join(f"the {role} after {count:,} updates" for role, count in updates.items())


def _units(metrics: Sequence[str]) -> str:
    """In a sentence, e.g. "Accuracy and ece in %, log_loss in nats; less is better for log_loss and ece"."""
    by_unit: dict[str, list[str]] = {}
    for name in metrics:
        by_unit.setdefault(form_of(name).in_unit, []).append(name)
    units = [f"{_joined(names)}{unit}" for unit, names in by_unit.items() if unit]
    less = [bare(name) for name in metrics if form_of(name).less_is_better]
    better = [f"less is better for {_joined(less)}"] if less else []
    text = "; ".join([*filter(None, [", ".join(units)]), *better]) or "Metrics"
    return text[:1].upper() + text[1:]


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
