"""The one trainer behind `distill`, `kdgan train` and every comparison: pretraining, then the method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.feed import Feed, Views, later
from kdgan.data.mixup import Mixup
from kdgan.data.seeds import mixed, seed_everything, seeded
from kdgan.data.semi import Examples, Semi, labelled_part, make_feed
from kdgan.data.stream import Stream
from kdgan.files import locked
from kdgan.losses import Categorical, Family
from kdgan.methods import FixMatch, Method, Optimization, create, find, name_of, pretraining
from kdgan.methods.optimizers import OptimizerFactory, SchedulerFactory
from kdgan.methods.sharing import devices, is_first
from kdgan.training.callbacks import Callback, Evaluation
from kdgan.training.choice import Choice
from kdgan.training.config import Training
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution
from kdgan.training.loop import Loop
from kdgan.training.self_training import (
    ROUND,
    TEACHERS,
    going_on,
    pseudo_labelled,
    put_weights,
    takes_propagation,
    weights_of,
    with_own_labels,
)

Probe = Callable[[Method, Feed, int], dict[str, float]]
"""Looks at a method while it trains, changing nothing: given fresh batches and a seed it returns numbers by name."""


def no_folder(what: str) -> Path | None:
    """Where nothing is kept."""
    return None


@dataclass(frozen=True, slots=True)
class Trained:
    """The work of a trainer.

    Attributes:
        history: a record for each evaluation of the student: `step`, its updates so far, `seconds`, the mean of each
            loss since the last, and the metrics.
        seconds: of training, by what was trained: `teacher`, ..., and the name of the method.
        updates: of the student.
        evaluation_seconds: of all evaluations.
        best: updates of the student after which it was best, where it was chosen; None where it is that of the last.
    """

    history: list[dict[str, Any]]
    seconds: Mapping[str, float]
    updates: int
    evaluation_seconds: float = 0.0
    best: int | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """Parts of training that are the caller's own code.

    Attributes:
        optimizers: functions that make the optimizers, by role; the default for others.
        schedulers: functions that make the schedulers, by role.
        on_evaluation: is told of each evaluation of the student.
        shown: is told too, and shows it.
    """

    optimizers: Mapping[str, OptimizerFactory] = field(default_factory=dict)
    schedulers: Mapping[str, SchedulerFactory] = field(default_factory=dict)
    on_evaluation: Callback | None = None
    shown: Callback | None = None

    def of(self, role: str, given: Optimization) -> Optimization:
        """The optimization of a role, with what is the caller's own."""
        return replace(given, optimizer=self.optimizers.get(role), scheduler=self.schedulers.get(role))


class Trainer:
    """Trains the players of one method: those that it wants trained on the labels, then all as it says.

    What a player sees and how it starts depends on the seed and its role alone, so that methods of one seed have the
    same teacher, and the same examples in the same views at the same update of the student.

    Args:
        method: its name, reference or class.
        modules: the players by role, on the device; trained in place. More than the method needs do no harm.
        train: the examples, on the device; or what is read anew in every pass; those without labels beside them.
        training: the settings.
        seed: of order, views and samples.
        hyper: hyperparameters of the method that differ from its defaults.
        execution: where and how.
        augment: other views of the inputs, or None.
        family: what logits are logits of, see `kdgan.losses.Family`.
        measure: gives the student's metrics by name; asked at every evaluation.
        probe: what else to measure then, once the method is at work.
        trained: roles that are not trained on the labels first, since they are trained.
        frozen: roles that are kept as they are.
        measure_last: gives the metrics after the last update, where they are of more; as before by default.
        choice: of the student among the evaluations of the method itself; None keeps that of the last update.
        own: optimizers, schedulers and callbacks of the caller's own.
        called: what the student is called in records of its evaluations: `student` or `control`.

    Attributes:
        method: the method, made at once, so that what is wrong is found before anything is written.

    Raises:
        UsageError: if the method does not take these hyperparameters or lacks a player.
    """

    def __init__(
        self,
        method: str | type[Method],
        modules: Mapping[str, nn.Module],
        train: Examples,
        training: Training,
        *,
        seed: int,
        hyper: Mapping[str, Any] | None = None,
        execution: Execution | None = None,
        augment: Augmentation | None = None,
        family: Family | None = None,
        measure: Callable[[], dict[str, float]] | None = None,
        probe: Probe | None = None,
        trained: Iterable[str] = (),
        frozen: Iterable[str] = (),
        measure_last: Callable[[], dict[str, float]] | None = None,
        choice: Choice | None = None,
        own: Own | None = None,
        called: str = "student",
    ) -> None:
        self.kind, self.name = find(method), name_of(method)
        self.modules, self.training, self.seed = modules, training, seed
        self.data: Examples = train
        self.execution, self.augment = execution or Execution(), augment
        self.family = family or Categorical()
        self.measure, self.measure_last, self.probe = measure, measure_last, probe
        self.choice, self.own, self.called = choice, own or Own(), called
        learning = {
            role: None if role in frozen else self.own.of(role, training.optimization(role))
            for role in modules
        }
        self.method = create(
            self.kind,
            modules,
            hyper,
            optimization=learning,
            seed=mixed(seed, self.name),
            family=self.family,
            epsilon=training.epsilon,
            teacher_every=training.teacher_every,
        )
        self.pretrained = tuple(role for role in training.pretrained(self.kind) if role not in trained)
        if not self.kind.uses_unlabelled:
            self.data = labelled_part(self.data)

    def train(self, folder_of: Callable[[str], Path | None] = no_folder) -> Trained:
        """All that is missing, in the folders where what is trained is kept (None keeps nothing).

        Args:
            folder_of: for a role that is trained on the labels, or the method's name, its folder.

        Raises:
            RunError: if a loss diverges.
            Interrupted: if `execution.stop` said so.
        """
        # Of several processes one writes.
        place = folder_of if is_first() else no_folder
        loops = {role: self.pretrain(role, place(role)) for role in self.pretrained}
        first = loops.get("student")
        loops[self.name] = last = self.play(place(self.name), first)
        history = [*(first.history if first else []), *self._later(last.history, first)]
        seconds = {what: loop.seconds for what, loop in loops.items()}
        best = None
        if self.choice is not None and self.choice.keep:
            best = self._updates(last.history[self.choice.best(last.history)]["step"], first)
        looking = sum(loop.evaluation_seconds for loop in loops.values())
        return Trained(history, seconds, self._updates(last.done, first), looking, best)

    @property
    def planned(self) -> int:
        """Updates of the student, if none is left out."""
        early = self.training.pretraining_steps("student", self.kind) if "student" in self.pretrained else 0
        return early + (self.training.steps - early) * self.method.c_steps

    def _updates(self, step: int, first: Loop | None) -> int:
        """Updates that the student has had after a step of the method itself."""
        return (first.steps if first else 0) + step * self.method.c_steps

    def _later(self, records: list[dict[str, Any]], first: Loop | None) -> list[dict[str, Any]]:
        """Records of the method itself, counted from the beginning of the student's pretraining."""
        before = first.seconds if first else 0.0
        return [
            {
                **record,
                "step": self._updates(record["step"], first),
                "seconds": round(before + record["seconds"], 3),
            }
            for record in records
        ]

    def _teller(
        self, counted: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], *, ends: bool = False
    ) -> Callable[[list[dict[str, Any]], bool], None] | None:
        """What a loop calls after each evaluation, if anyone is to be told; `ends` if the student is done with it."""
        telling = [tell for tell in (self.own.shown, self.own.on_evaluation) if tell is not None]
        if not telling:
            return None

        def told(records: list[dict[str, Any]], last: bool) -> None:
            for tell in telling:
                tell(
                    Evaluation.of(counted(records), self.called, self.name, self.planned, last=last and ends)
                )

        return told

    def pretrain(self, role: str, folder: Path | None = None) -> Loop:
        """Trains one player on the labels alone; its folder may be shared with other methods of the seed."""
        training, is_student = self.training, role == "student"
        method = pretraining(
            role,
            self.modules[role],
            smoothing=training.smoothing
            if role in ("teacher", "peer") and not self.family.smoothing
            else 0.0,
            optimization=self.own.of(role, training.pretraining_optimization(role)),
            seed=mixed(self.seed, role, "pretraining"),
            family=self.family,
            # As in the updates that follow, and in those of every other method.
            epsilon=training.epsilon if is_student else 0.0,
        )
        # The student's pretraining is the beginning of its run; the others have their own order and views.
        mixup = training.mixup if is_student else training.first_mixup
        feed = self.feed(self._seed_of(role), labelled_part(self.data), mixup=mixup)
        steps = training.pretraining_steps(role, self.kind)
        more = training.rounds * training.round_updates if self.self_trains(role) else 0
        loop = self._loop(role, method, feed, steps, folder, total=steps + more)
        if is_student:
            loop.evaluate = self.measure
            loop.evaluations = max(1, round(training.evaluations * training.student_share(self.kind)))
            loop.evaluated = self._teller(lambda records: records)
        with nullcontext() if folder is None else locked(folder, self.execution.stop, wait=devices() is None):
            seed_everything(mixed(self.seed, role, "run"))
            loop.run()
            if self.self_trains(role):
                loop.seconds += sum(more.seconds for more in self._self_trained(role, folder, loop.steps))
        return loop

    def self_trains(self, role: str) -> bool:
        """Whether a player learns from examples without labels once it is trained on those that have one.

        Labels are propagated of one class of an example alone: of several that are each on or off, it was found to harm
        the student.
        """
        how = self.training.self_training
        if how == "none" or (how == "propagation" and self.family.name != "classes"):
            return False
        return role in TEACHERS and isinstance(self.data, Semi)

    def _self_trained(self, role: str, folder: Path | None, before: int) -> list[Loop]:
        """Trains a teacher on examples without labels, in rounds, each in a folder within that of the player.

        Args:
            role: `teacher` or `peer`.
            folder: of the player, or None.
            before: updates that it has had.
        """
        training, module, data = self.training, self.modules[role], self.data
        assert isinstance(data, Semi)
        shared: dict[str, Any] = {"family": self.family}
        optimization = self.own.of(role, training.pretraining_optimization(role))
        every = training.rounds * training.round_updates
        loops = []

        def loop_of(number: int, method: Method, feed: Feed, steps: int) -> Loop:
            own = None if folder is None else folder / ROUND.format(number)
            done = before + (number - 1) * steps
            loops.append(self._loop(role, method, feed, steps, own, before=done, total=before + every))
            return loops[-1]

        if self._propagates(role):
            for number in range(1, training.rounds + 1):
                seed = mixed(self.seed, role, "self-training", number)
                method = pretraining(role, module, optimization=optimization, seed=seed, **shared)
                # Found when the first batch is asked for, as a round that has ended needs none, but from what the
                # teacher is now: a round that goes on has another.
                now = weights_of(module)
                feed = later(partial(self._round, role, seed, now))
                loop_of(number, method, feed, training.round_updates).run()
        else:
            seed = self._seed_of_fixmatch(role)
            views = Views(self.augment, self.execution.device, seed)
            fixmatch = FixMatch(
                module, role=role, views=views, optimization=optimization, seed=seed, **shared
            )
            feed = later(lambda: self.feed(seed, data, plain=True))
            loop_of(1, fixmatch, feed, every).run()
        return loops

    def _propagates(self, role: str) -> bool:
        """Whether labels are propagated for a teacher, rather than its own confident ones taken."""
        data = self.data
        return (
            self.training.self_training == "propagation"
            and isinstance(data, Semi)
            and takes_propagation(self.modules[role], data, role)
        )

    def _round(self, role: str, seed: int, before: Sequence[Tensor]) -> Feed:
        """The batches of a round, with what the player took examples for when its weights were those."""
        data, module = self.data, self.modules[role]
        assert isinstance(data, Semi)
        now = weights_of(module)
        put_weights(module, before)
        found, _ = pseudo_labelled(module, data, seed=seed, role=role)
        put_weights(module, now)
        return self.feed(seed, Semi(data.labelled, found), mixup=self.training.first_mixup)

    def play(self, folder: Path | None = None, first: Loop | None = None) -> Loop:
        """The method itself, over players that are pretrained.

        Args:
            folder: keeps its state.
            first: the student's pretraining, if it had one.
        """
        early = first.steps if first else 0
        before = first.history if first else []
        feed = self.feed(self.seed, self._with_logits(self._going_on(self.data)))
        steps = self.training.steps - early
        loop = self._loop(self.name, self.method, lambda step: feed(step + early), steps, folder)
        loop.evaluate, loop.evaluations = self._look, self.training.evaluations
        if self.measure_last is not None:
            loop.evaluate_last = lambda: self._look(self.measure_last)
        loop.choice = self.choice
        loop.evaluated = self._teller(lambda records: [*before, *self._later(records, first)], ends=True)
        seed_everything(mixed(self.seed, "run"))
        loop.run()
        return loop

    def _going_on(self, data: Examples) -> Examples:
        """The data with the pseudo-labels from which a teacher that learned from them goes on learning."""
        role = "teacher"
        teacher = self.method.players.get(role)
        learned = role in self.pretrained and self.self_trains(role)
        if teacher is None or not teacher.learns or not learned:
            return data
        assert isinstance(data, Semi)
        if self._propagates(role):
            seed = mixed(self.seed, role, "going on")
            return going_on(teacher.module, data, seed=seed, role=role)
        return with_own_labels(teacher.module, data, role=role, family=self.family)

    def _with_logits(self, data: Examples) -> Examples:
        """The data with what a teacher says of them that stays as it is, where they come again and again."""
        teacher = self.method.players.get("teacher")
        is_new = self.augment is not None or self.training.mixup > 0
        if teacher is None or teacher.learns or is_new or self.method.features is not None:
            return data  # every view is new, or features are taken, and the teacher must look
        if isinstance(data, Semi):
            return Semi(
                self._told(data.labelled, teacher.module), self._told(data.unlabelled, teacher.module)
            )
        return self._told(data, teacher.module)

    def _told(self, data: Batch | Stream, teacher: nn.Module) -> Batch | Stream:
        if isinstance(data, Stream) or data.recorded:
            return data
        return replace(data, teacher_logits=logits_of(teacher, data, role="teacher"), teacher_saw=None)

    def _look(self, measure: Callable[[], dict[str, float]] | None = None) -> dict[str, float]:
        """The metrics and, where it was asked for, what the probe finds."""
        measure = measure or self.measure
        found = {} if measure is None else measure()
        if self.probe is not None:
            # What is measured must not change what is trained, so it gets batches of its own.
            found |= self.probe(self.method, self.feed(self.seed + 1), self.seed)
        return found

    def batches_read(self) -> dict[int, int]:
        """How many batches are asked for, by the seed of their order and views."""
        training = self.training
        others = [role for role in self.pretrained if role != "student"]
        more = training.rounds * training.round_updates
        return (
            {self.seed: training.steps}
            | {self._seed_of(role): training.pretraining_steps(role, self.kind) for role in others}
            | {self._seed_of_fixmatch(role): more for role in others if self.self_trains(role)}
        )

    def _seed_of(self, role: str) -> int:
        return self.seed if role == "student" else mixed(self.seed, role)

    def _seed_of_fixmatch(self, role: str) -> int:
        return mixed(self.seed, role, "self-training")

    def feed(
        self, seed: int, data: Examples | None = None, *, plain: bool = False, mixup: float | None = None
    ) -> Feed:
        """The batches of that seed, of all that the method learns from or of some of it.

        Args:
            seed: of their order, views and mixtures.
            data: None for all that the method learns from.
            plain: as they are: neither other views nor mixtures.
            mixup: in place of that of the method itself.
        """
        return make_feed(
            self.data if data is None else data,
            self.training.batch,
            seed=seed,
            device=self.execution.device,
            augment=None if plain else self.augment,
            share=self.training.labelled_share,
            mixup=None if plain else self._mixup(self.training.mixup if mixup is None else mixup),
        )

    def _mixup(self, alpha: float) -> Mixup | None:
        """How examples are mixed, if they are."""
        if not alpha:
            return None
        known = labelled_part(self.data)
        sample = known[:1] if isinstance(known, Batch) else known.like
        assert sample is not None
        with seeded(self.seed, self.execution.device):  # a network of one's own may draw whatever its mode
            return Mixup(alpha, logits_of(self.modules["student"], sample).shape[1])

    def _loop(
        self,
        what: str,
        method: Method,
        feed: Feed,
        steps: int,
        folder: Path | None,
        *,
        before: int = 0,
        total: int | None = None,
    ) -> Loop:
        """A loop over that method, whose progress is of so many updates in total, of which others were before."""
        execution = self.execution
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return Loop(
            method,
            feed,
            steps,
            execution.device,
            folder,
            bfloat16=self.training.precision == "bfloat16",
            checkpoint_seconds=execution.checkpoint_seconds,
            progress=lambda done: execution.progress(what, before + done, total or steps),
            stop=execution.stop,
            seed=mixed(self.seed, what),
        )
