"""The smallest student that is good enough, by validation data: `kdgan shrink`."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from rich.console import Console

from kdgan.errors import RunError, UsageError, wrong
from kdgan.experiments.comparison import run_all
from kdgan.experiments.shrunk import Candidate, Shrunk
from kdgan.experiments.variants import Comparison, Key, Variant
from kdgan.experiments.work import run_folder
from kdgan.files import make_folder
from kdgan.ship.cost import cost
from kdgan.ship.forms import form_of
from kdgan.ship.student import NAME
from kdgan.tasks.config import Config
from kdgan.tasks.metrics import less_is_better
from kdgan.tasks.presets import FIRST_SEED
from kdgan.tasks.run import Outcome, count_parameters, run_of, task_of
from kdgan.tasks.sources import notes_of
from kdgan.training.config import bind_folder
from kdgan.training.execution import Execution

STEP = 1 / math.sqrt(2)
"""From a width to the next narrower."""
WITHIN = 0.5
"""Points by which a student may fall behind the widest, where nobody says how far."""
NARROWEST = 2
"""Units or channels that a layer keeps."""
KEPT, LONGER = 2, 3
"""Of so many students of a round one goes on to the next, which is so many times as long."""
ROUNDS = 3
"""Rounds of the race; the last is as long as training is to be."""
SEED = 0
"""Of the student that is returned, and measured on test data."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a student must hold.

    Attributes:
        within: by how much it may fall behind the widest, in the units of the metric; None for half a point, where the
            metric is in per cent and nothing else is bounded.
        least: value of the first metric on validation data that it must reach, in the metric's units, or None.
        parameters: numbers that it may have, or None.
        milliseconds: that one instance may take, or None.
    """

    within: float | None = None
    least: float | None = None
    parameters: int | None = None
    milliseconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("within", "parameters", "milliseconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise wrong(f"{name} must be at least 0, not {value}")
        if self.least is not None and not math.isfinite(self.least):
            raise wrong(f"least must be a finite number, not {self.least}")

    @property
    def is_bound(self) -> bool:
        """Whether size or time is bounded, so that the best student within them is looked for."""
        return self.parameters is not None or self.milliseconds is not None


Decision: TypeAlias = "tuple[Candidate | None, float | None, list[tuple[int, Mapping[str, float]]]]"
"""Who is chosen, what had to hold, and by length of runs what each student has reached."""


def has_widths(network: str) -> bool:
    """Whether the name of a network says how wide it is, which no layer is too little for a student."""
    numbers = network.split("-")[1:]
    said = ":" not in network and bool(numbers) and all(number.isdecimal() for number in numbers)
    return said and min(map(int, numbers)) >= NARROWEST


def widths_of(network: str) -> list[str]:
    """The network and narrower ones of its form, each 1/√2 as wide as the one before; the depth stays.

    Raises:
        UsageError: for a network of one's own, whose name does not say how wide it is.
    """
    if not has_widths(network):
        raise wrong(
            f"{network or repr(network)} has no widths in its name, each at least {NARROWEST}, as mlp-800-800 and "
            "lenet-20-50-500 have"
        )
    form, *numbers = network.split("-")
    depth = numbers[:1] if form in ("resnet", "wrn") else []
    widths = [int(number) for number in numbers[len(depth) :]] or [16]
    found = []
    for place in range(60):
        narrower = [round(width * STEP**place) for width in widths]
        if min(narrower) < NARROWEST:
            break
        found.append("-".join([form, *depth, *map(str, narrower)]))
    return list(dict.fromkeys(found))


def shrink(
    base: Config,
    method: Variant,
    goal: Goal,
    execution: Execution,
    out: Path,
    *,
    seeds: int,
    console: Console,
    also: str | None = None,
) -> Shrunk:
    """Finds the smallest of students of `base.student`'s form and all widths below, and trains it.

    Where an accuracy must hold, the range between the narrowest that held and the widest that did not is halved, in
    runs of full length: short ones rank wide students first, as these learn faster. What is smaller than that of
    another form is then searched likewise. Where size or time is bounded the best within is found by successive halving
    (Jamieson & Talwalkar, 2016): all that fit take part in a round of a ninth of the updates, half of them in one of a
    third, half of these in one of all. It is decided by validation data of seeds from 100; the student that is returned
    is trained from seed 0, and test data are looked at for it alone.

    Args:
        base: the configuration; its student is the widest.
        method: which trains all of them.
        goal: what must hold.
        execution: where and how.
        out: of the race: a second call goes on where the first was stopped.
        seeds: of each student in each round.
        console: where progress goes.
        also: a network of another form, whose widths below the student's size are tried, too; a convolutional student
            may need a twentieth of the numbers of one of full layers, though not of its time.

    Raises:
        UsageError: if no width fits the bounds, or the data leave nothing to validate on.
        RunError: if a run failed.
    """
    race = _Race(base, method, range(FIRST_SEED, FIRST_SEED + seeds), execution, out, console)
    if goal.within is None and goal.least is None and not goal.is_bound and form_of(race.metric).unit != "%":
        raise wrong(f"{race.metric} is not in per cent: say what must hold, by --within or --least")
    if goal.least is not None and form_of(race.metric).unit == "%" and not 0 <= goal.least <= 100:
        raise wrong(f"{race.metric} is in per cent, so least must be from 0 to 100, not {goal.least:g}")
    everyone = race.candidates([base.student, *([] if also is None else [also])])
    fit = [each for each in everyone if _fits(each, goal)]
    if not fit:
        raise wrong(
            f"no student of the form of {base.student} is within the bounds: the smallest, {everyone[-1].network}, "
            f"has {everyone[-1].parameters:,} parameters and takes {everyone[-1].milliseconds:.3f} ms"
        )
    bind_folder(out, "shrink.json", {**base.shared(), "method": method.plain(), "seeds": seeds, "also": also})
    make_folder(out)
    for note in notes_of(base, execution.data_dir):
        console.print(f"{base.data.title}: {note}", markup=False, highlight=False)
    chosen, bound, rounds = race.bounded(fit) if goal.is_bound else race.bisected(fit, goal)
    (out / NAME).unlink(missing_ok=True)  # of another goal
    test = {} if chosen is None else race.trained(chosen)
    shrunk = Shrunk(race.metric, chosen, bound, everyone, rounds, test, len(race.task.validation))
    shrunk.write(out)
    return shrunk


class _Race:
    """Runs of a race, and what decides it."""

    def __init__(
        self,
        base: Config,
        method: Variant,
        seeds: Sequence[int],
        execution: Execution,
        out: Path,
        console: Console,
    ) -> None:
        self.base, self.method, self.seeds = base, method, seeds
        self.execution, self.out, self.console = execution, out, console
        first = self._config(base.student, base.training.steps, seeds[0])
        run_of(first, execution)  # which finds what is wrong with it
        self.task = task_of(first, execution.data_dir)
        if not len(self.task.validation):
            raise UsageError("nothing is left to validate on: shrink with fewer labels")
        self.metric = self.task.measured[0]
        self.lowest = less_is_better(self.metric)

    def _variant(self, network: str, steps: int) -> Variant:
        return self.method.changed({"student": network, "steps": steps, "evaluations": 1})

    def _config(self, network: str, steps: int, seed: int) -> Config:
        (config,) = Comparison(self.base, {network: self._variant(network, steps)}, [seed]).runs().values()
        return config

    def candidates(self, networks: Sequence[str]) -> list[Candidate]:
        """Students of all widths of these forms, the largest first; of the others what is smaller than the first."""
        found: list[Candidate] = []
        for network in dict.fromkeys(name for given in networks for name in widths_of(given)):
            with torch.random.fork_rng(devices=[]):
                module = self.task.build(network, "student")
            if found and count_parameters(module) >= found[0].parameters:
                continue
            whole = cost(module, self.task.validation[:64].standardised())
            found.append(Candidate(network, whole.parameters, whole.milliseconds))
        return sorted(found, key=lambda each: -each.parameters)

    def round(self, networks: Sequence[str], steps: int) -> dict[str, float]:
        """What students of these widths reach on validation data after so many updates: means over seeds."""
        values: dict[str, list[float]] = {network: [] for network in networks}

        def keep(key: Key, outcome: Outcome) -> None:
            values[key[0]].append(outcome.metrics[f"validation/{self.metric}"])

        variants = {network: self._variant(network, steps) for network in networks}
        runs = Comparison(self.base, variants, self.seeds).runs()
        failures = run_all(runs, self.execution, self.out, console=self.console, keep=keep)
        if failures:
            raise RunError(f"a run failed, so that students cannot be compared: {failures[0]}")
        return {network: math.fsum(each) / len(each) for network, each in values.items()}

    def bisected(self, candidates: Sequence[Candidate], goal: Goal) -> Decision:
        """The smallest that holds: first of the widest's form, then of those of another that are smaller still."""
        steps, widest = self.base.training.steps, candidates[0]
        found = self.round([widest.network], steps)
        within = WITHIN if goal.within is None else goal.within
        bound = found[widest.network]
        bound = bound + within if self.lowest else bound - within
        if goal.least is not None:
            bound = goal.least

        def holds(candidate: Candidate) -> bool:
            if candidate.network not in found:
                found.update(self.round([candidate.network], steps))
            value = found[candidate.network]
            return value <= bound if self.lowest else value >= bound

        form = _form(widest.network)
        chosen = None
        if holds(widest):
            chosen = _smallest(
                widest, [each for each in candidates[1:] if _form(each.network) == form], holds
            )
        smaller = [each for each in candidates if _form(each.network) != form]
        if chosen is not None:
            smaller = [each for each in smaller if each.parameters < chosen.parameters]
        return _smallest(chosen, smaller, holds), bound, [(steps, found)]

    def bounded(self, candidates: Sequence[Candidate]) -> Decision:
        """The best."""
        running = list(candidates)
        rounds: list[tuple[int, Mapping[str, float]]] = []
        for number in reversed(range(ROUNDS)):
            steps = max(1, round(self.base.training.steps / LONGER**number))
            found = self.round([each.network for each in running], steps)
            rounds.append((steps, found))
            ranked = sorted(running, key=lambda each: found[each.network], reverse=not self.lowest)
            running = ranked[: math.ceil(len(ranked) / KEPT)]
        return running[0], None, rounds

    def trained(self, candidate: Candidate) -> dict[str, float]:
        """Metrics on test data of the student of that width, which is then in `out`."""
        outcomes: list[Outcome] = []
        variants = {candidate.network: self._variant(candidate.network, self.base.training.steps)}
        runs = Comparison(self.base, variants, [SEED]).runs()
        failures = run_all(
            runs,
            self.execution,
            self.out,
            console=self.console,
            keep=lambda key, outcome: outcomes.append(outcome),
        )
        if not outcomes:
            raise RunError(f"the student that was chosen could not be trained: {failures[0]}")
        (config,) = runs.values()
        shutil.copyfile(run_folder(self.out, config) / NAME, self.out / NAME)
        return {name: value for name, value in outcomes[0].metrics.items() if "/" not in name}


def _fits(candidate: Candidate, goal: Goal) -> bool:
    most, longest = goal.parameters, goal.milliseconds
    return (most is None or candidate.parameters <= most) and (
        longest is None or candidate.milliseconds <= longest
    )


def _form(network: str) -> str:
    return network.partition("-")[0]


def _smallest(
    chosen: Candidate | None, smaller: Sequence[Candidate], holds: Callable[[Candidate], bool]
) -> Candidate | None:
    """The last of smaller and smaller students that holds, by halving the range; the given one if none does."""
    good, bad = -1, len(smaller)
    while bad - good > 1:
        place = (good + bad) // 2
        good, bad = (place, bad) if holds(smaller[place]) else (good, place)
    return chosen if good < 0 else smaller[good]
