"""Report of a distillation: metrics of the student beside control and teacher, and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdgan.ship.cost import Cost


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
        notes: sentences on what the table lacks.
    """

    method: str
    metrics: Mapping[str, Mapping[str, float]]
    costs: Mapping[str, Cost]
    updates: int
    seconds: Mapping[str, float]
    teacher_trained: bool
    majority: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A table for people."""
        shown = list(self.metrics["student"])
        head = "".join(f"{name:>{max(10, len(name) + 2)}}" for name in shown)
        lines = [f"{'':22}{head}{'parameters':>13}{'MiB':>9}{'MFLOPs':>13}{'ms':>9}"]
        names = {"student": f"student ({self.method})", "control": "control (no teacher)"}
        unjudged = [role for role in self.costs if role not in self.metrics]
        for role in [*self.metrics, *unjudged]:
            cost = self.costs.get("student" if role == "control" else role.removesuffix(" before"))
            found = self.metrics.get(role, {})
            values = "".join(
                f"{f'{found[name]:.2f}' if found else '-':>{max(10, len(name) + 2)}}" for name in shown
            )
            lines.append(f"{names.get(role, role):22}{values}{_numbers(cost)}")
        lines += [
            f"{role}: needs privileged information, which validation does not have." for role in unjudged
        ]
        lines += self.notes
        lines.append(
            f"Accuracy in %, on validation data; one example at a time; {self.updates:,} updates of student and "
            f"control alike, from one seed; always naming the largest class gives {self.majority:.2f} %."
        )
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


def _numbers(cost: Cost | None) -> str:
    """The columns of costs; none are known of what is no network."""
    if cost is None:
        return f"{'-':>13}{'-':>9}{'-':>13}{'-':>9}"
    flops = "not counted" if cost.flops is None else f"{cost.flops / 1e6:.2f}"
    return f"{cost.parameters:>13,}{cost.bytes / 2**20:>9.2f}{flops:>13}{cost.milliseconds:>9.3f}"
