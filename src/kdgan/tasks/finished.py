"""Runs that have finished, as their folders keep them: outcome, student, teacher, and the control beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from kdgan.errors import UsageError, wrong
from kdgan.methods import CONTROL, OWN_SETTINGS, find, hyperparameters
from kdgan.references import is_reference
from kdgan.stored import read_json
from kdgan.tasks.base import Task
from kdgan.tasks.config import BASELINES, Config, code, from_plain
from kdgan.tasks.kept import teacher_weights
from kdgan.tasks.run import TEACHER, Outcome
from kdgan.training import checkpoint

MOST_RUNS = 10_000
"""Folders that are looked at in a comparison."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has finished.

    Attributes:
        folder: of the run.
        config: of the run.
        outcome: what it found.
    """

    folder: Path
    config: Config
    outcome: Outcome


def read_run(folder: Path) -> Finished:
    """The finished run of a network in a folder.

    Raises:
        UsageError: for a run that has not finished, one that keeps no network, and any other folder.
    """
    if (folder / "distill.json").is_file() or (folder.parent / "distill.json").is_file():
        raise wrong(
            f"{folder} is of a call of kdgan.distill, which alone has its networks and data: make the same call again, "
            "which goes on from there, and print(result.report)"
        )
    if (folder / "shrunk.json").is_file():
        raise wrong(f"{folder} is of kdgan shrink: name one of its runs, in {folder / 'runs'}")
    if not (folder / "config.json").is_file():
        raise wrong(f"{folder} is no folder of a run: expected the --out of kdgan train or kdgan compare")
    values = read_json(folder / "config.json", dict[str, Any])
    if "players" in values:
        raise _of_python(folder.resolve().parent.parent)
    try:
        config = from_plain(values)
    except UsageError as error:
        raise wrong(f"{folder} is no folder of a run that the command line began: {error}") from error
    if config.method in BASELINES:
        raise wrong(f"{folder} is of {config.method}, which keeps no network: its metrics are in result.json")
    if not (folder / "result.json").is_file():
        raise wrong(f"{folder} has not finished: the command that began it goes on from there")
    return Finished(folder, config, read_json(folder / "result.json", Outcome))


def _of_python(out: Path) -> UsageError:
    """The refusal of runs whose networks and data only a program has."""
    return wrong(
        f"{out} is of a call of kdgan.compare, which alone has its networks and data: its report is "
        f"{out / 'report.html'}, and verdict.report(PATH) in Python writes it again"
    )


def runs_in(paths: Iterable[Path]) -> tuple[list[Finished], list[str]]:
    """The runs of folders, each of a run or of a whole comparison, and what is to be said of others in the latter.

    Raises:
        UsageError: as `read_run` does, for a comparison without a finished run, and for the same run given twice.
    """
    found: dict[Path, Finished] = {}
    notes = []
    for path in paths:
        if (path / "comparison.json").is_file():
            runs, said = _compared(path)
            notes += said
        else:
            runs = [read_run(path)]
        for run in runs:
            where = run.folder.resolve()
            if where in found:
                raise wrong(f"{run.folder} is given twice")
            found[where] = run
    return list(found.values()), notes


def _compared(out: Path) -> tuple[list[Finished], list[str]]:
    runs, unfinished, baselines = [], 0, set()
    folders = sorted(path.parent for path in out.glob("runs/*/config.json"))
    for folder in folders[:MOST_RUNS]:
        values = read_json(folder / "config.json", dict[str, Any])
        method = str(values.get("method"))
        if "players" in values:
            raise _of_python(out)
        if method in BASELINES:
            baselines.add(method)
        elif not (folder / "result.json").is_file():
            unfinished += 1
        else:
            runs.append(read_run(folder))
    if not runs:
        raise wrong(f"{out} is of a comparison without a finished run of a network in {out / 'runs'}")
    notes = []
    if unfinished:
        notes.append(f"{unfinished} runs of {out} have not finished and are left out.")
    if baselines:
        notes.append(
            f"Without a network, and so in report.html of the comparison alone: {', '.join(sorted(baselines))}."
        )
    return runs, notes


def control_of(run: Finished) -> Finished | None:
    """The run of the control beside a run, from the same seed and with the settings that runs of a comparison share;
    None where there is none, and for a control."""
    if run.config.method == CONTROL:
        return None
    usual = hyperparameters(CONTROL)
    beside = sorted(run.folder.resolve().parent.glob("*/config.json"))[:MOST_RUNS]
    for folder in (path.parent for path in beside):
        try:
            other = read_run(folder)
        except UsageError:
            continue  # of another version, unfinished, damaged, or no run of a network
        if other.config.method != CONTROL or _shared(other.config) != _shared(run.config):
            continue
        if other.config.plain()["hyper"] == usual:
            return other
    return None


def _shared(config: Config) -> dict[str, Any]:
    """What a run and its control have in common: all that a student depends on, and that no method has to itself."""
    own = (*OWN_SETTINGS, "pretraining_lr")
    training = {name: value for name, value in asdict(config.training).items() if name not in own}
    wanted = ("data", "seed", "student", "augment")
    return {**{name: getattr(config, name) for name in wanted}, **training}


def teacher_of(run: Finished, task: Task, *, trust: bool = False) -> tuple[nn.Module | None, str]:
    """The teacher at the end of a run, on the CPU: from the run's folder, where it went on learning, else among the
    pretrained players that runs share.

    Args:
        run: finished.
        task: its data.
        trust: import a network or method of one's own that the run names: importing runs code.

    Returns:
        The teacher, or None and why there is none to be seen; an empty reason where the method has none.

    Raises:
        UsageError: for a damaged file, and for one of another network.
    """
    config = run.config
    if run.outcome.teacher_parameters is None:
        return None, ""
    own = [name for name in (config.method, config.teacher) if is_reference(name)]
    if own and not trust:
        return (
            None,
            f"the teacher of {run.folder} is not shown, as that takes {own[0]}, which --trust imports",
        )
    then = read_json(run.folder / "config.json", dict[str, Any]).get("code") or {}
    if any(then.get(name, now) != now for name, now in code(own).get("code", {}).items()):
        return (
            None,
            f"the teacher of {run.folder} is not shown, as {own[0]} is no longer the code that it was",
        )
    if "teacher" in find(config.method).trains and not (run.folder / TEACHER).is_file():
        return None, f"{run.folder} does not keep its teacher, as runs of earlier versions did not"
    found = teacher_weights(run.folder, config)
    if found is None:
        return None, f"{run.folder} keeps no teacher, nor is it among the pretrained players any more"
    file, weights = found
    module = task.build(config.teacher, "teacher")
    checkpoint.check_state(module, weights, str(file))
    module.load_state_dict(weights)
    return module.eval(), ""
