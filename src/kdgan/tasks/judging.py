"""Which of the held-out examples a student is looked at on its way, chosen by, and reported on."""

from __future__ import annotations

import operator
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from kdgan.data.parts import rows_of, shuffled_evenly
from kdgan.errors import UsageError, wrong
from kdgan.tasks.choice import check
from kdgan.tasks.metrics import less_is_better
from kdgan.tasks.own import OwnTask
from kdgan.training.choice import Choice
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
        whole: judges by all of validation.
        way: judges by those that a student is looked at on its way: in all evaluations but the last or, where one is
            chosen, in all.
        last: by those of the evaluation after the last update; None for those of the way.
        report: by those of the report.
        name: what the report says that they are.
        evaluations: how many there are.
        rows: where the report is of a part of validation: which, bool `(N,)`.
        seconds: time that was spent here, without that of the evaluations that loops count themselves.
    """

    whole: OwnTask
    way: OwnTask
    last: OwnTask | None
    report: OwnTask
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
        test: OwnTask | None,
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
        targets = task.validation.targets
        # In examples, and of the student's updates alone: what other players learn makes it only cheaper.
        most = SHARE / FORWARD * training.steps * training.batch
        if not chooses:
            count = max(LEAST, int(most / training.evaluations))
            way = task
            if count < len(targets):
                # Where a metric needs more than there is in a part, all are looked at.
                with suppress(UsageError):
                    way = _part(task, _first(shuffled_evenly(targets, seed), count))
            report, name = (task, "validation data") if test is None else (test, "test data")
            return cls(task, way, task, report, name, training.evaluations)
        choosing, rows, name = task, None, "test data"
        if test is not None:
            report = test
        else:
            if len(targets) < 2:
                raise UsageError(
                    "validation has one example, which cannot choose a student and report on it too: give test="
                )
            rows = ~_first(shuffled_evenly(targets, seed), len(targets) // 2)
            choosing, report = _part(task, ~rows), _part(task, rows)
            name = "the half of validation data that chose nothing"
        fit = max(LEAST_TO_CHOOSE, int(most / len(choosing.validation)))
        evaluations = training.evaluations if given else min(training.evaluations, fit)
        return cls(task, choosing, None, report, name, evaluations, rows)

    def choice(self, *, keep: bool, patience: int | None) -> Choice:
        """The choice of a student by the first metric."""
        first = next(iter(self.whole.metrics))
        better = operator.lt if less_is_better(first) else operator.gt
        return Choice(first, better, keep, patience)

    def on_the_way(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics of an evaluation."""
        return self.way.measure(role, module)

    def at_last(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics of the evaluation after the last update."""
        if self.last is None:
            return self.on_the_way(role, module)
        found = self.last.measure(role, module)
        if self.last is self.report:
            self._found[role] = found
        return found

    def measured(self, role: str, module: nn.Module) -> dict[str, float] | None:
        """Metrics for the report, each computed once; None for a player who needs more than these examples have.

        `teacher before` is a teacher that nothing was changed of since it was first looked at.
        """
        player = role.removesuffix(" before")
        if not self.report.judges(player, module):
            return None
        began = time.perf_counter()
        if role not in self._found:
            logits = self._first_logits(player) if role.endswith(" before") else None
            if logits is None:
                logits = self.report.logits(player, module)
            self._found[role] = self.report.metrics_of(logits)
        self.seconds += time.perf_counter() - began
        return self._found[role]

    def _first_logits(self, role: str) -> Tensor | None:
        """Logits of a player on the examples of the report, if it was asked for them before anything was trained."""
        logits = self.whole.first.get(role)
        if logits is None or self.report is self.whole:
            return logits
        return None if self.rows is None else logits[self.rows.to(logits.device)]


def _part(task: OwnTask, rows: Tensor) -> OwnTask:
    """The task that judges by some of its examples.

    Raises:
        UsageError: for a metric that is not defined for so few.
    """
    part = rows_of(task.validation, rows)
    check(task.metrics, task.classes, part.targets)
    return replace(task, validation=part, first={})


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
