"""Which of the held-out examples a student is looked at on its way, chosen by, and reported on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kdgan.data.own import HeldOut
from kdgan.data.parts import rows_of, shuffled_evenly
from kdgan.errors import UsageError, wrong
from kdgan.tasks.own import OwnTask
from kdgan.training.config import Training, plain_number

SHARE = 0.02
"""Of the cost of training, what all evaluations on the way may cost, counted in examples."""
FORWARD = 1 / 3
"""Cost of a forward pass, beside that of forward and backward pass together."""
LEAST = 256
"""Examples that are looked at on the way, if there are so many, however short training is."""
LEAST_TO_CHOOSE = 10
"""Evaluations that a student is chosen among, whatever they cost, unless their number is given."""


@dataclass(slots=True)
class Judge:
    """Held-out examples by what they are for, and what was found on them.

    Attributes:
        task: how players are judged.
        way: examples that a student is looked at on its way: in all evaluations but the last or, where one is chosen,
            in all.
        last: those of the evaluation after the last update; None for those of the way.
        report: those of the report.
        name: what the report says that they are.
        evaluations: how many there are.
        rows: where the report is of a part of validation: which, bool `(N,)`.
        seconds: time that was spent here, without that of the evaluations that loops count themselves.
    """

    task: OwnTask
    way: HeldOut
    last: HeldOut | None
    report: HeldOut
    name: str
    evaluations: int
    rows: Tensor | None = None
    seconds: float = 0.0
    _found: dict[str, dict[str, float]] = field(default_factory=dict, init=False)

    @classmethod
    def of(
        cls,
        task: OwnTask,
        training: Training,
        *,
        seed: int,
        chooses: bool,
        given: bool,
        test: HeldOut | None,
    ) -> Judge:
        """Says what each of the held-out examples is for.

        Evaluations on the way cost about 2 % of training, by counts alone: where validation is large they look at a
        part of it, the same each time, and the last looks at all. A student that is chosen is chosen by all that may
        choose, in fewer evaluations where many would cost more, but in 10 at least.

        Args:
            task: validation, and its kind.
            training: updates, batch and evaluations.
            seed: of what is drawn.
            chooses: whether validation chooses the student, or the end of its training.
            given: whether the caller gave the number of evaluations.
            test: what the report is of; None for validation or, where that chooses, a half of it.

        Raises:
            UsageError: if validation has too few examples to be split.
        """
        whole, targets = task.validation, task.validation.targets
        # In examples, and of the student's updates alone: what other players learn makes it only cheaper.
        most = SHARE / FORWARD * training.steps * training.batch
        if not chooses:
            count = max(LEAST, int(most / training.evaluations))
            way = whole
            if count < len(targets):
                way = rows_of(whole, _first(shuffled_evenly(targets, seed), count))
            report, name = (whole, "validation data") if test is None else (test, "test data")
            return cls(task, way, whole, report, name, training.evaluations)
        choosing, rows, name = whole, None, "test data"
        if test is not None:
            report = test
        else:
            if len(targets) < 2:
                raise UsageError(
                    "validation has one example, which cannot choose a student and report on it too: give test="
                )
            rows = ~_first(shuffled_evenly(targets, seed), len(targets) // 2)
            choosing, report = rows_of(whole, ~rows), rows_of(whole, rows)
            name = "the half of validation data that chose nothing"
        fit = max(LEAST_TO_CHOOSE, int(most / len(choosing)))
        evaluations = training.evaluations if given else min(training.evaluations, fit)
        return cls(task, choosing, None, report, name, evaluations, rows)

    def on_the_way(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics of an evaluation."""
        return self.task.measure(role, module, self.way)

    def at_last(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics of the evaluation after the last update."""
        if self.last is None:
            return self.on_the_way(role, module)
        found = self.task.measure(role, module, self.last)
        if self.last is self.report:
            self._found[role] = found
        return found

    def measured(self, role: str, module: nn.Module) -> dict[str, float] | None:
        """Metrics for the report, each computed once; None for a player who needs more than these examples have.

        `teacher before` is a teacher that nothing was changed of since it was first looked at.
        """
        player = role.removesuffix(" before")
        if not self.task.judges(player, self.report):
            return None
        began = time.perf_counter()
        if role not in self._found:
            logits = self.task.first.get(player) if role.endswith(" before") else None
            if logits is not None and self.rows is not None:
                logits = logits[self.rows.to(logits.device)]
            if logits is None or len(logits) != len(self.report) or self.name == "test data":
                logits = self.task.logits(module, self.report, player)
            self._found[role] = self.task.metrics_of(logits, self.report.targets)
        self.seconds += time.perf_counter() - began
        return self._found[role]


def check_choice(keep: object, patience: object) -> int | None:
    """The patience as a number of evaluations.

    Raises:
        UsageError: for what is none, or another way to keep a student.
    """
    if keep not in ("last", "best"):
        raise wrong(f"keep must be 'last' or 'best', not {keep!r:.60}")
    count = plain_number(patience)
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise wrong(
            f"patience must be a whole number of evaluations, at least 1, or None, not {patience!r:.60}"
        )
    return count


def _first(order: Tensor, count: int) -> Tensor:
    rows = torch.zeros(len(order), dtype=torch.bool)
    rows[order[:count]] = True
    return rows
