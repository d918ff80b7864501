"""Work of worker processes: one run, or the pretraining of one player. Imports nothing that a run does not need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from kdgan.experiments.jobs import Brought, Job, Reporter
from kdgan.methods import find, name_of
from kdgan.references import find_object
from kdgan.tasks.config import BASELINES, Config
from kdgan.tasks.division import Block
from kdgan.tasks.run import (
    Outcome,
    Planned,
    PlayersRun,
    division_of,
    outcome_in,
    pretraining_folder,
    remember,
    run_of,
)
from kdgan.training.config import digest, own_folder
from kdgan.training.execution import Execution


def run_name(name: str, seed: int) -> str:
    """Name of a run."""
    return f"{name} seed {seed}"


def run_folder(store: Path, config: Planned) -> Path:
    """Folder of the run of a configuration."""
    return store / "runs" / config.name


def jobs_for(configs: Mapping[str, Planned], execution: Execution, store: Path) -> list[Job]:
    """Every run by its name, after the pretraining that it shares with others of its seed."""
    jobs: dict[str, Job] = {}
    players: dict[str, str] = {}
    divisions = Divisions(execution)
    for name, config in configs.items():
        brings = partial(divisions.bring, config) if isinstance(config, Config) else None
        if isinstance(config.method, str) and config.method in BASELINES:
            cost = 1000 * float(find_object(BASELINES[config.method]).cost)
            jobs[name] = Job(name, carry_out, (config, execution, store), cost=cost, brings=brings)
            continue
        kind, training, needs = find(config.method), config.training, []
        for role in config.pretrained:
            # Runs that differ in what the player depends on need another one of the same role and seed.
            values = config.pretraining(role)
            needed = digest(values)
            if needed not in players:
                what = f"pretraining of {run_name(role, config.seed)}"
                again = sum(1 for other in players.values() if other.startswith(what))
                players[needed] = what + (f", no. {again + 1}" if again else "")
                # A teacher that trains itself on examples without labels has its rounds besides.
                updates = values["updates"] + values.get("rounds", 0) * values.get("round_steps", 0)
                cost = updates * (1.0 if role == "student" else 2.0)
                arguments = (config, execution, store, role)
                jobs[players[needed]] = Job(players[needed], pretrain, arguments, cost=cost, brings=brings)
            needs.append(players[needed])
        # Where others learn seldom, C still sees one of them in every update.
        alone = min(kind.cost, find("mimic").cost)
        cost = training.steps * (alone + (kind.cost - alone) / training.teacher_every)
        jobs[name] = Job(name, carry_out, (config, execution, store), tuple(needs), cost, brings)
    return list(jobs.values())


def pretrain(
    config: Planned, execution: Execution, store: Path, role: str, report: Reporter, stop: Callable[[], bool]
) -> float:
    """Trains one player on the labels; its time in seconds.

    Raises:
        Held: if another process is at it.
    """
    folder, values = pretraining_folder(config, role, store / "pretrained")
    with own_folder(folder, "config.json", values, wait=False):
        run = run_of(config, _watched(execution, report, stop))
        assert isinstance(run, PlayersRun)
        return run.pretrain(role, store / "pretrained").seconds


def carry_out(
    config: Planned, execution: Execution, store: Path, report: Reporter, stop: Callable[[], bool]
) -> Outcome:
    """Carries out one run.

    Raises:
        Held: if another process is at it.
    """
    folder = run_folder(store, config)
    with own_folder(folder, "config.json", config.identity(), wait=False):
        # Another process may have finished it in between.
        finished = outcome_in(folder, config)
        if finished is not None:
            return finished
        run = run_of(config, _watched(execution, report, stop, name_of(config.method)))
        return run.train(folder, store / "pretrained")


class Divisions:
    """What runs of a seed have of their data, for the processes that carry them out: made when the first of them
    begins, and held once on a machine, however many processes there are.

    Args:
        execution: where the data are.
    """

    MOST = 2
    """Seeds whose divisions are kept: where one seed ends and the next begins, runs of both are carried out."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._made: dict[tuple[object, int], Block | None] = {}

    def bring(self, config: Config) -> Brought | None:
        """What a process calls before such a run; None where it must read the data itself."""
        seed = config.data, config.seed
        if seed not in self._made:
            made = division_of(config, self.execution.data_dir)
            self._made = {**dict([*self._made.items()][1 - self.MOST :]), seed: made}
        found = self._made[seed]
        return None if found is None else (remember, found)


def _watched(
    execution: Execution, report: Reporter, stop: Callable[[], bool], only: str | None = None
) -> Execution:
    """The execution with its progress reported: of all that is trained, or only of the method, as players that are
    pretrained already would be done at once."""

    def progress(what: str, done: int, total: int) -> None:
        if only in (None, what):
            report(done / total)

    return replace(execution, progress=progress, stop=stop)
