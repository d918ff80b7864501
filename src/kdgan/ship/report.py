"""Report of a distillation: metrics of the student beside control and teacher, and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdgan.ship.cost import Cost


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics and costs of a student that was distilled.

    Attributes:
        method: its name.
        metrics: on validation data, by role and name: of `student`, `control` and `teacher`, as far as there are such,
            and of `teacher before` where a trained one went on learning. The teacher is left out where it needs
            privileged information and validation has none.
        costs: of the student and, where there is one, the teacher.
        updates: of the student, and of the control alike.
        seconds: of training each of the players.
        teacher_trained: whether the teacher was found trained, and so not trained on the labels first.
        majority: the accuracy of always naming the largest class.
        evaluation_seconds: of all evaluations, on the way and for this report.
        data: which the metrics are of.
        chosen: updates after which student and control were best on validation data and are given, by role; none where
            they are those of the last update.
        ended: updates of student and control, by role, where training ended before all of them.
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

    def __str__(self) -> str:
        """A table for people."""
        shown = list(self.metrics["student"])
        head = "".join(f"{name:>{max(10, len(name) + 2)}}" for name in shown)
        lines = [f"{'':22}{head}{'parameters':>13}{'MiB':>9}{'MFLOPs':>13}{'ms':>9}"]
        names = {"student": f"student ({self.method})", "control": "control (no teacher)"}
        unjudged = [role for role in self.costs if role not in self.metrics]
        for role in [*self.metrics, *unjudged]:
            c = self.costs["student" if role == "control" else role.removesuffix(" before")]
            found = self.metrics.get(role, {})
            values = "".join(
                f"{f'{found[name]:.2f}' if found else '-':>{max(10, len(name) + 2)}}" for name in shown
            )
            flops = "not counted" if c.flops is None else f"{c.flops / 1e6:.2f}"
            numbers = f"{c.parameters:>13,}{c.bytes / 2**20:>9.2f}{flops:>13}{c.milliseconds:>9.3f}"
            lines.append(f"{names.get(role, role):22}{values}{numbers}")
        lines += [
            f"{role}: needs privileged information, which validation does not have." for role in unjudged
        ]
        updates = "updates of student and control alike" if not self.ended else "updates of the student"
        lines.append(
            f"Accuracy in %, on {self.data}; one example at a time; {self.updates:,} {updates}, from one seed; always "
            f"naming the largest class gives {self.majority:.2f} %."
        )
        if self.chosen:
            lines.append(f"Chosen on validation data, at its best there: {_after(self.chosen)}.")
        if self.ended:
            lines.append(f"Training ended early, as nothing got better: {_after(self.ended)}.")
        if self.metrics["student"]["accuracy"] <= self.majority:
            lines.append(
                "The student is no better than naming the largest class: it has learned nothing of use."
            )
        below = self.metrics.get("control", {}).get("accuracy", 0.0) - self.metrics["student"]["accuracy"]
        if below > 0:
            lines.append(
                f"The student is {below:.2f} points below its control, so the method did not help here. A teacher that "
                "is very sure of itself (logits far apart) can do this: one trained with label smoothing teaches more."
            )
        return "\n".join(lines)


def _after(updates: Mapping[str, int]) -> str:
    return ", ".join(f"the {role} after {count:,} updates" for role, count in updates.items())
