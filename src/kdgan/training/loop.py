"""One loop for every method: it knows steps, files and time, and nothing of what a step does."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdgan.data.feed import Feed
from kdgan.errors import Diverged, Interrupted, KdganError, UsageError, failed, wrong
from kdgan.files import replacing, sync
from kdgan.methods import Losses, Method
from kdgan.methods.sharing import at_first, devices, is_first
from kdgan.stored import as_kind
from kdgan.training import checkpoint
from kdgan.training.check import check_teacher
from kdgan.training.choice import Choice
from kdgan.training.launch import check_same_data, sharing

BOOKKEEPING = ("step", "seconds", "losses")
"""Names of what every evaluation records beside what was measured."""
CHECKPOINT = "checkpoint.safetensors"
WINDOW = 20
"""Steps between two looks at the losses: looking makes the device wait."""


@dataclass(frozen=True, slots=True)
class _Player:
    """State of a player in a checkpoint."""

    module: dict[str, Any]
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """Content of a checkpoint."""

    step: int
    steps: int
    seconds: float
    sums: dict[str, float]
    counts: dict[str, int]
    history: list[dict[str, Any]]
    method: dict[str, Any]
    random: dict[str, Tensor]
    evaluation_seconds: float
    best: dict[str, Any] | None = None


@contextlib.contextmanager
def own_code(method: Method) -> Iterator[None]:
    """What a method of one's own raises as one line; a fault of the project's own methods keeps its traceback."""
    try:
        yield
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        if type(method).__module__.startswith("kdgan."):
            raise
        raise failed(error, f"method {type(method).__qualname__}") from error


@dataclass(slots=True)
class Loop:
    """Trains with a method for a number of steps, from wherever its folder says it stopped.

    Attributes:
        method: what a step does.
        feed: the batch of each step.
        steps: how many.
        device: of the players; random state is saved for it.
        folder: holds `checkpoint.safetensors`, from which training goes on, and `metrics.jsonl`, the history for
            people; None keeps nothing.
        evaluate: gives what to measure, by name; called `evaluations` times and after the last step.
        evaluations: how often, evenly over the steps.
        bfloat16: compute forward passes in bfloat16 where that is safe (autocast).
        checkpoint_seconds: time between two checkpoints.
        progress: called with the number of finished steps about every `WINDOW` steps.
        stop: asked after every step; True saves and raises `Interrupted`.
        evaluate_last: what to measure after the last step, where that is more; None measures the same.
        choice: of the student among the evaluations; None keeps it as it is after the last step.
        evaluated: called after each evaluation with copies of the records so far, and whether training ends with it; it
            cannot change training.
        seed: of what networks draw in other processes, where several devices share each batch.
    """

    method: Method
    feed: Feed
    steps: int
    device: torch.device
    folder: Path | None = None
    evaluate: Callable[[], dict[str, float]] | None = None
    evaluations: int = 20
    bfloat16: bool = False
    checkpoint_seconds: float = 10.0
    progress: Callable[[int], None] = lambda done: None
    stop: Callable[[], bool] = lambda: False
    evaluate_last: Callable[[], dict[str, float]] | None = None
    choice: Choice | None = None
    evaluated: Callable[[list[dict[str, Any]], bool], None] | None = None
    seed: int = 0

    history: list[dict[str, Any]] = field(default_factory=list, init=False)
    """One record for each evaluation: step, seconds, the mean of each loss since the last, what was measured."""
    seconds: float = field(default=0.0, init=False)
    """Time spent training, over all attempts, evaluations left out."""
    evaluation_seconds: float = field(default=0.0, init=False)
    """Time spent in evaluations, over all attempts."""
    done: int = field(default=0, init=False)
    """Steps that were made."""
    _best: dict[str, Any] | None = field(default=None, init=False)
    _sums: dict[str, float] = field(default_factory=dict, init=False)
    _counts: dict[str, int] = field(default_factory=dict, init=False)

    def run(self) -> None:
        """Trains to the last step.

        Raises:
            Diverged: if a loss, weights or what is measured are no longer finite: the step, and which.
            Interrupted: if `stop` said so.
            UsageError: if the checkpoint in the folder is of something else.
            OSError: if the folder cannot be written.
        """
        with sharing(self.method):
            self.done = self._resume()
            if not self._ended():
                self._train(self.done)
        self._rewrite_metrics()  # another process, whose lock came late, may have written into it, too
        if self._best is not None:
            self.method.student.module.load_state_dict(self._best)

    def _ended(self) -> bool:
        return self.done == self.steps or (self.choice is not None and self.choice.ends(self.history))

    def _train(self, start: int) -> None:
        watched: list[Losses] = []
        shared = devices()
        saved = began = time.perf_counter()
        for step in range(start, self.steps):
            # Views are made in the precision of the data, whatever that of the networks.
            batch = self.feed(step)
            if shared is not None:
                shared.draws(self.seed, step)
                if step == start:
                    check_same_data(shared, batch)
            with (
                own_code(self.method),
                torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16),
            ):
                watched.append(self.method.update(batch, step / self.steps))
            self.done = done = step + 1
            stopping = self.stop() if shared is None else shared.anywhere(self.stop())
            evaluating = self.evaluate is not None and self._evaluates(done)
            if done % WINDOW == 0 or evaluating or stopping or done == self.steps:
                self._add_up(watched, done)
                watched.clear()
                self.progress(done)
                now = time.perf_counter()
                if evaluating:
                    self._check_weights(done)
                    self.seconds += now - began
                    self._record(done)
                    began = now = time.perf_counter()
                ended = evaluating and self._ended()
                if stopping or ended or done == self.steps or now - saved > self.checkpoint_seconds:
                    self.seconds += now - began
                    self._save(done)
                    saved = began = time.perf_counter()
                if ended or done == self.steps:
                    # Where locks come late, as over a network, another process may have written between these lines.
                    self._rewrite_metrics()
                if ended:
                    return
            if stopping and done < self.steps:
                raise Interrupted(
                    f"stopped after {done} of {self.steps} steps; the same command goes on from there"
                )

    def _evaluates(self, done: int) -> bool:
        # Evenly spaced, the last step always among them.
        return done * self.evaluations // self.steps > (done - 1) * self.evaluations // self.steps

    def _add_up(self, watched: list[Losses], done: int) -> None:
        """Adds the watched steps, the last of which was number `done`, to the sums; all terms must be finite.

        A step reports the terms that it had, which need not be those of every other.
        """
        terms = [
            (done - len(watched) + row, name, loss)
            for row, losses in enumerate(watched, start=1)
            for name, loss in losses.items()
        ]
        values: list[float] = torch.stack([loss.float() for *_, loss in terms]).cpu().tolist()
        for (step, name, _), value in zip(terms, values, strict=True):
            if not math.isfinite(value):
                self._check_teacher(step)
                raise Diverged(
                    f"training diverged: at step {step} the loss term {name!r} was {value}; try a lower learning rate "
                    "or a smaller weight of that term"
                )
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def _check_teacher(self, step: int) -> None:
        """Raises a UsageError if it was a teacher that is kept as it is whose logits were not finite at that step."""
        teacher = self.method.players.get("teacher")
        if teacher is not None and not teacher.learns:
            check_teacher(teacher(self.feed(step - 1)), f"the batch of step {step}")

    def _record(self, done: int) -> None:
        assert self.evaluate is not None
        losses = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        # Whatever a metric draws, training goes on as if nobody had looked.
        random = checkpoint.random_state(self.device)
        began = time.perf_counter()
        at_last = self.evaluate_last if done == self.steps else None
        shared = devices()
        try:
            if shared is None:
                measured = (at_last or self.evaluate)()
            else:
                shared.as_first([each.module for each in self.method.players.values()], buffers_alone=True)
                measured = shared.from_first((at_last or self.evaluate)())
        except Diverged as error:
            raise Diverged(f"training diverged: at step {done} {error}; try a lower learning rate") from error
        self.evaluation_seconds += time.perf_counter() - began
        taken = sorted({*BOOKKEEPING} & measured.keys())
        if taken:
            raise UsageError(
                f"{taken[0]} is the name of what every evaluation records: call the metric otherwise"
            )
        self.history.append({"step": done, "seconds": round(self.seconds, 3), "losses": losses, **measured})
        if (
            self.choice is not None
            and self.choice.keep
            and self.choice.best(self.history) == len(self.history) - 1
        ):
            self._check_weights(done)
            self._best = copy.deepcopy(dict(self.method.student.module.state_dict()))
        if self.evaluated is not None and is_first():
            self.evaluated(copy.deepcopy(self.history), self._ended())
        checkpoint.restore_random_state(random, self.device)
        if self.folder is not None:
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(_line(self.history[-1]))

    def _save(self, done: int) -> None:
        self._check_weights(done)
        if self.folder is None:
            return
        if self.history:
            sync(self.folder / "metrics.jsonl")
        state = {
            "step": done,
            "steps": self.steps,
            "seconds": self.seconds,
            "sums": self._sums,
            "counts": self._counts,
            "history": self.history,
            "method": self.method.state_dict(),
            "random": checkpoint.random_state(self.device),
            "evaluation_seconds": self.evaluation_seconds,
            "best": self._best,
        }
        file = self.folder / CHECKPOINT
        try:
            try:
                checkpoint.save(file, state)
            except FileNotFoundError:
                # Another process that is at the same, as its lock came late, took what was being written for a rest.
                checkpoint.save(file, state)
        except TypeError as error:  # of what a method of one's own remembers
            raise wrong(f"the state of the method cannot be kept: {error}") from error

    def _check_weights(self, done: int) -> None:
        """A finite loss may have a gradient that is not: such weights are neither kept nor given to anyone."""
        for role, player in self.method.players.items():
            if player.learns and not all(weight.isfinite().all() for weight in player.module.parameters()):
                raise Diverged(
                    f"training diverged: at step {done} weights of the {role} were no longer finite; try a lower "
                    "learning rate, and look for roots and logarithms of 0 in a loss of your own"
                )

    def _resume(self) -> int:
        """Takes up the last checkpoint, if there is one, and gives the number of steps that are done."""
        state, done = at_first(self._read), 0
        if state is not None:
            saved = str(self.folder / CHECKPOINT) if self.folder is not None else CHECKPOINT
            try:
                self._take_up(state, saved)
            except UsageError:
                raise
            # What a method of one's own remembers is in its own words.
            except Exception as error:
                raise wrong(
                    f"{saved} is of another run, or damaged: delete it to start anew ({error})"
                ) from error
            done = state.step
            self.progress(done)
        shared = devices()
        if shared is not None:
            shared.as_first([player.module for player in self.method.players.values()])
            # What a method draws must be the same in all processes.
            random = shared.from_first(checkpoint.random_state(self.device))
            checkpoint.restore_random_state(random, self.device)
        self._rewrite_metrics()
        return done

    def _read(self) -> _State | None:
        """What the last checkpoint holds, if there is one; before, the folder is made, and cleared of rests."""
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        # What a killed run was writing: with the second kind of name safetensors makes its own beginning.
        for pattern in (".checkpoint.*.tmp", ".tmp*", ".metrics.*.tmp"):
            for left in self.folder.glob(pattern):
                left.unlink(missing_ok=True)
        saved = self.folder / CHECKPOINT
        return checkpoint.load(saved, _State) if saved.exists() else None

    def _take_up(self, state: _State, what: str) -> None:
        evaluated = (
            0 if self.evaluate is None else state.step * min(self.evaluations, self.steps) // self.steps
        )
        mine = self.method.state_dict()
        players = as_kind(state.method.get("players", {}), dict[str, _Player], what)
        if (
            (state.steps, len(state.history)) != (self.steps, evaluated)
            or not 0 <= state.step <= self.steps
            or not 0 <= state.seconds < math.inf
            or not 0 <= state.evaluation_seconds < math.inf
            or (self.choice and any(self.choice.metric not in record for record in state.history))
            or (state.best is not None) != (self.choice is not None and self.choice.keep and bool(evaluated))
            or state.sums.keys() != state.counts.keys()
            or state.method.keys() != mine.keys()
            or players.keys() != mine.get("players", {}).keys()
        ):
            raise wrong(f"{what} is of another run: delete it to start anew")
        for role, stored in players.items():
            player = self.method.players[role]
            checkpoint.check_state(player.module, stored.module, what)
            own = player.optimization is not None and player.optimization.optimizer is not None
            checkpoint.check_moments(player.optimizer, stored.optimizer, what, own=own)
        if state.best is not None:
            checkpoint.check_state(self.method.student.module, state.best, what)
        self.method.load_state_dict(state.method)
        checkpoint.restore_random_state(state.random, self.device)
        self.history, self.seconds = state.history, state.seconds
        self.evaluation_seconds, self._best = state.evaluation_seconds, state.best
        self._sums, self._counts = state.sums, state.counts

    def _rewrite_metrics(self) -> None:
        """Makes `metrics.jsonl` what the checkpoint says: what is more was written after it, and comes again."""
        if self.folder is None:
            return
        file = self.folder / "metrics.jsonl"
        content = "".join(map(_line, self.history)).encode()
        there = b""
        if file.exists():
            with file.open("rb") as opened:
                there = opened.read(len(content) + 1)  # whatever has that name, however large it is
        if there != content:
            with replacing(file) as temporary:
                temporary.write_bytes(content)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record) + "\n"
