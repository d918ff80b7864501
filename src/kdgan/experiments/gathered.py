"""Finished runs side by side: students, their teachers and the control, their metrics and how sure those are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from kdgan.experiments.records import Record, record_of
from kdgan.experiments.statistics import mean_interval, paired_difference
from kdgan.ship.forms import form_of
from kdgan.tasks.base import Task
from kdgan.tasks.diagnosis import Value, over_examples
from kdgan.tasks.finished import Finished

TEACHER, OF_CONTROL = "teacher", "control"


@dataclass(frozen=True, slots=True)
class Player:
    """A network at the end of a run of the seed that is looked at.

    Attributes:
        name: `student`, `teacher`, `control`; where several methods are looked at, the name of the method.
        role: `student`, as which a control is called too, or `teacher`.
        module: in `eval()` mode, on the device.
        logits: on test data `(N, K)`, on the CPU.
        run: whose it is.
    """

    name: str
    role: str
    module: nn.Module
    logits: Tensor
    run: Finished

    @property
    def network(self) -> str:
        """Its name for `kdgan.nets.build`."""
        return self.run.config.network(self.role)


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one method with the same settings.

    Attributes:
        method: its name in results.
        student: what its students are called; those of the control `control`.
        teacher: what its teachers are called; None without.
        runs: by seed.
    """

    method: str
    student: str
    teacher: str | None
    runs: Mapping[int, Finished]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What runs have found.

    Attributes:
        groups: the control, if there is one, first, then the others as results list them.
        seed: which of the networks are.
        task: data of that seed.
        players: of that seed, students before their teachers, the control last.
        notes: what is not shown, and why.
    """

    groups: Sequence[Group]
    seed: int
    task: Task
    players: Mapping[str, Player]
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Of the data."""
        return self.groups[0].runs[next(iter(self.groups[0].runs))].config.data.title

    @property
    def subject(self) -> Group:
        """The group that is looked at first: KDGAN or, without it, the first that is no control."""
        known = [each for each in self.groups if each.student != OF_CONTROL] or list(self.groups)
        return next((each for each in known if each.method == "kdgan"), known[0])

    @property
    def records(self) -> list[Record]:
        """Of all runs, as comparisons have them."""
        return [
            record_of(self.title, group.method, seed, run.outcome)
            for group in self.groups
            for seed, run in sorted(group.runs.items())
        ]

    @property
    def has_seeds(self) -> bool:
        """Whether any method has runs of several seeds."""
        return any(len(group.runs) > 1 for group in self.groups)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of those that are shown, the first of which all is about."""
        return tuple(dict.fromkeys((*self.task.measured, *self.task.recorded)))

    def pairs(self) -> list[tuple[str, str]]:
        """Names of whom is compared with whom: each student with its teacher and with the control."""
        control = [group.student for group in self.groups if group.student == OF_CONTROL]
        return [
            (group.student, other)
            for group in self.groups
            if group.student != OF_CONTROL
            for other in (*([group.teacher] if group.teacher else []), *control)
        ]

    def names(self) -> list[str]:
        """Names of all whose metrics are known, students before their teachers, the control last."""
        found = [
            name
            for group in sorted(self.groups, key=lambda group: group.student == OF_CONTROL)
            for name in (group.student, group.teacher)
        ]
        return [*dict.fromkeys(filter(None, found))]

    def values(self) -> dict[tuple[str, ...], dict[str, Value]]:
        """Metrics by (name,), and their differences by pair: over seeds where there are several, else over examples."""
        if self.has_seeds:
            return {
                names: {
                    metric: value for metric in self.metrics if (value := self._over_seeds(names, metric))
                }
                for names in (*((name,) for name in self.names()), *self.pairs())
            }
        there = {name: player.logits for name, player in self.players.items()}
        pairs = [pair for pair in self.pairs() if {*pair} <= {*there}]
        found = over_examples(self.task.measured_from, there, self.task.test.targets, pairs)
        for name in self.names():
            found.setdefault(
                (name,),
                {
                    metric: Value(next(iter(values.values())))
                    for metric in self.metrics
                    if (values := self.of(name, metric))
                },
            )
        return found

    def of(self, name: str, metric: str) -> dict[int, float]:
        """The metric of whoever is called so, as runs recorded it, by seed."""
        for group in self.groups:
            if name in (group.student, group.teacher):
                key = metric if name == group.student else f"teacher/{metric}"
                known = {seed: run.outcome.metrics.get(key) for seed, run in sorted(group.runs.items())}
                return {seed: value for seed, value in known.items() if value is not None}
        return {}

    def _over_seeds(self, names: tuple[str, ...], metric: str) -> Value | None:
        found = [self.of(name, metric) for name in names]
        if len(found) == 2:
            if not found[0].keys() & found[1].keys():
                return None
            difference = paired_difference(found[0], found[1])
            return Value(difference.mean, difference.low, difference.high)
        if not found[0]:
            return None
        interval = mean_interval(found[0].values())
        if interval.low is None or interval.high is None:
            return Value(interval.mean)
        return Value(interval.mean, *form_of(metric).cut(interval.low, interval.high))
