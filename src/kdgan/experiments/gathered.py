"""Finished runs side by side: students, their teachers and the control, their metrics and how sure those are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from kdgan.errors import wrong
from kdgan.experiments.records import Record, record_of
from kdgan.experiments.statistics import mean_interval, ordered, paired_difference
from kdgan.methods import CONTROL
from kdgan.references import is_reference
from kdgan.ship.forms import bare
from kdgan.tasks.base import Task
from kdgan.tasks.diagnosis import Value, over_examples
from kdgan.tasks.evaluate import open_run
from kdgan.tasks.finished import Finished, control_of, runs_in, teacher_of
from kdgan.training.config import digest
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution

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
            interval = paired_difference(found[0], found[1])
        elif not found[0]:
            return None
        else:
            interval = mean_interval(found[0].values())
        return Value(interval.mean, interval.low, interval.high)


def gather(paths: Iterable[Path], execution: Execution, *, trust: bool = False) -> Gathered:
    """The runs of folders, with the controls that lie beside them, and their networks of one seed.

    Raises:
        UsageError: for folders without finished runs of networks, for runs on several data, and for data that have
            changed or are not to be found.
    """
    runs, notes = runs_in(paths)
    runs = _with_controls(runs)
    first = runs[0].config.data
    for run in runs:
        if run.config.data != first:
            raise wrong(
                f"a report is about one data set: {run.folder} is of {run.config.data.title}, and {runs[0].folder} of "
                f"{first.title} or has other settings of the data"
            )
    groups = _grouped(runs)
    seed = _common_seed(groups)
    if not any(group.student == OF_CONTROL for group in groups) and groups[0].method != CONTROL:
        notes.append(
            "There is no control beside these runs, so what distilling was worth cannot be told: kdgan compare trains "
            "one from the same seeds."
        )
    return _opened(groups, seed, execution, notes, trust=trust)


def _with_controls(runs: Sequence[Finished]) -> list[Finished]:
    found = {run.folder.resolve(): run for run in runs}
    for run in runs:
        control = control_of(run)
        if control is not None:
            found.setdefault(control.folder.resolve(), control)
    return list(found.values())


def _grouped(runs: Sequence[Finished]) -> list[Group]:
    by_settings: dict[str, dict[int, Finished]] = {}
    methods: dict[str, str] = {}
    for run in runs:
        # A method of one's own is imported to know its defaults, which is not for a page to do.
        values = asdict(run.config) if is_reference(run.config.method) else run.config.plain()
        plain = {name: value for name, value in values.items() if name != "seed"}
        key, method = digest(plain), run.config.method.rpartition(":")[2]
        by_settings.setdefault(key, {})[run.config.seed] = run
        methods[key] = method
    several = [*methods.values()]
    # Of the same method with other settings each has a name of its own.
    named = {
        key: method if several.count(method) == 1 else f"{method} {key}" for key, method in methods.items()
    }
    order = ordered(methods.values())
    keys = sorted(by_settings, key=lambda key: order.index(methods[key]))
    distilled = [key for key in keys if methods[key] != CONTROL]
    single = len(distilled or keys) == 1
    taught = {key: _of_teacher(by_settings[key]) for key in keys}
    several_teachers = len({*taught.values()} - {()}) > 1
    groups = []
    for key in keys:
        student = "student" if single else named[key]
        if methods[key] == CONTROL and distilled:
            student = OF_CONTROL if named[key] == CONTROL else named[key]
        own = several_teachers and [*taught.values()].count(taught[key]) == 1
        teacher = f"{TEACHER} of {named[key]}" if own else TEACHER
        groups.append(Group(named[key], student, teacher if taught[key] else None, by_settings[key]))
    return groups


def _of_teacher(runs: Mapping[int, Finished]) -> tuple[object, ...]:
    """What tells the teachers of some runs from others: nothing else has the same metrics on every seed."""
    return tuple(
        (seed, name, value)
        for seed, run in sorted(runs.items())
        for name, value in run.outcome.metrics.items()
        if name.startswith("teacher/")
    )


def _common_seed(groups: Sequence[Group]) -> int:
    """The first seed that most methods have."""
    seeds = sorted({seed for group in groups for seed in group.runs})
    return max(seeds, key=lambda seed: (sum(seed in group.runs for group in groups), -seed))


def _opened(
    groups: Sequence[Group], seed: int, execution: Execution, notes: list[str], *, trust: bool
) -> Gathered:
    """The networks of a seed."""
    players: dict[str, Player] = {}
    task: Task | None = None
    for group in sorted(groups, key=lambda group: group.student == OF_CONTROL):
        run = group.runs.get(seed)
        if run is None:
            notes.append(f"{group.method} has no run of seed {seed}, so its network is not looked at.")
            continue
        opened = open_run(run.folder, execution, trust=trust)
        task = task or opened.task
        students = Player(
            group.student, "student", opened.student, logits_of(opened.student, opened.task.test), run
        )
        players[group.student] = students
        notes += _unlike(students, opened.task)
        if group.teacher is None or group.teacher in players:
            continue
        module, why = teacher_of(run, opened.task, trust=trust)
        if module is None:
            notes.append(f"{why[:1].upper()}{why[1:]}.")
            continue
        module = module.to(execution.device)
        logits = logits_of(module, opened.task.test, role="teacher")
        players[group.teacher] = Player(group.teacher, "teacher", module, logits, run)
        notes += _unlike(players[group.teacher], opened.task)
    assert task is not None
    named = {bare(name) for group in groups for run in group.runs.values() for name in run.config.metrics}
    if not trust and any(map(is_reference, named)):
        notes.append("Metrics of your own are left out: --trust imports them.")
    return Gathered(groups, seed, task, players, notes)


def _unlike(player: Player, task: Task) -> list[str]:
    """A note where what is measured now is not what the run recorded, as on another machine."""
    first = task.measured[0]
    then = player.run.outcome.metrics.get(first if player.role == "student" else f"teacher/{first}")
    now = task.measured_from(player.logits, task.test.targets)[first]
    if then is None or abs(now - then) <= 1e-3 * max(1.0, abs(then)):
        return []
    return [
        f"The {player.name} has {first} {now:.4f} here, and had {then:.4f} when the run ended: another machine or "
        "device computes other last digits, or the file was changed."
    ]
