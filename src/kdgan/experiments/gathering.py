"""Folders of finished runs to runs side by side: which belong together, what each is called, and their networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from kdgan.errors import wrong
from kdgan.experiments.gathered import OF_CONTROL, TEACHER, Gathered, Group, Player
from kdgan.experiments.statistics import ordered
from kdgan.methods import CONTROL
from kdgan.references import is_reference
from kdgan.ship.forms import bare
from kdgan.tasks.base import Task
from kdgan.tasks.evaluate import open_run
from kdgan.tasks.finished import Finished, control_of, runs_in, teacher_of
from kdgan.training.config import digest
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution


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
