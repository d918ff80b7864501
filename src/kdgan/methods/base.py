"""Base of all methods: players in, one batch at a time, losses out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError, wrong
from kdgan.losses import Categorical, Family, annealed, check_estimator
from kdgan.methods.features import Features, FeatureTerm
from kdgan.methods.player import Losses, Optimization, Player, Terms, total

Signals = Mapping[str, Tensor]
"""Logits or scores `(B, K)` of the other players, by role: the student learns from them beside the labels."""
LossOf = dict[str, Tensor]
"""The loss of each player by role, a single number."""
Learning = Optimization | Mapping[str, Optimization | None]
"""Optimization of the players: one for all, or one for each role; None keeps that player as it is."""
Parameter = tuple[float, float] | tuple[str, ...]
"""A range, of whole numbers if its ends are, searched on a logarithmic scale unless it begins at 0; or choices."""
SearchSpace = Mapping[str, Parameter]

RATES: SearchSpace = MappingProxyType({"lr": (5e-4, 8e-3)})
"""Search space that every method has: the highest learning rate."""


MOST_STEPS = 10_000
"""Bound of the steps of a player within one update."""


class Shared(TypedDict, total=False):
    """Arguments that every method takes beside its hyperparameters.

    Attributes:
        optimization: how the players learn.
        seed: of all that the method draws.
        family: what logits are logits of, with the supervised loss: `kdgan.losses.Categorical`, the default, or
            `Bernoulli`.
        epsilon: ε ≥ 0, the largest root mean square by which inputs are moved before a step, in units of the
            inputs, see `Method.perturbed`. 0, the default, moves nothing.
        teacher_every: players other than C learn in the first of so many updates, C in each: most of the time of an
            update goes to what larger players learn. 1, the default, lets all learn in every update.
    """

    optimization: Learning
    seed: int
    family: Family
    epsilon: float
    teacher_every: int


class Method:
    """A way to train a student. It owns its players and says how one batch changes them, and nothing else.

    A method of one's own is a subclass with `student_loss`; where more than C learns, it has a `step` too. Everything
    that it remembers between steps is in `state_dict`.

    Args:
        modules: the players, in the order of `roles`.
        shared: see `Shared`.

    Attributes:
        players: each role's `Player`.
        family: its losses of labels.
        generator: source of all that the method draws, on the players' device.

    Raises:
        UsageError: for more or fewer players than roles, a negative ε or a `teacher_every` below 1.
    """

    name: str = ""
    """Name in options and results; of a method of one's own `module:Class`, see `kdgan.methods.name_of`."""
    description: str = ""
    """Description in a sentence; the first line of the docstring where there is none."""
    colour: str | None = None
    """In every figure; a method of one's own has one that is free."""
    cost: float = 2.0
    """Rough time of an update beside plain training of C: the time left is guessed from it, and tables are sorted."""
    search_space: SearchSpace = RATES
    """Search space of `kdgan tune`: the highest learning rates, and hyperparameters over the ranges of the paper."""
    roles: tuple[str, ...] = ("student", "teacher")
    """The players it needs, in the order of its constructor's arguments."""
    trains: tuple[str, ...] = ("student",)
    """Players that `step` changes; the others are kept as they are."""
    pretrained: tuple[str, ...] = ("teacher",)
    """The players that are trained on the labels before the first update: see `kdgan.methods.pretraining`."""
    student_pretraining: float = 0.0
    """Share of all updates of C that its pretraining takes, where C is among them and a setting says no other."""
    c_steps: int = 1
    """Steps of C in each update."""
    uses_unlabelled: bool = True
    """Whether it learns from examples without labels; one that does not is given labelled ones alone."""
    features: FeatureTerm | None = None
    """What `add_features` added."""

    def __init__(self, *modules: nn.Module, **shared: Unpack[Shared]) -> None:
        if len(modules) != len(self.roles):
            raise UsageError(
                f"{type(self).__name__} takes {', '.join(self.roles)}, not {len(modules)} players"
            )
        unknown = sorted(set(shared) - set(Shared.__annotations__))
        if unknown:
            raise UsageError(f"{type(self).__name__} has no argument {unknown[0]!r}")
        self.epsilon, self.teacher_every = shared.get("epsilon", 0.0), shared.get("teacher_every", 1)
        check_range("epsilon", self.epsilon, 0)
        check_range("teacher_every", self.teacher_every, 1)
        if not isinstance(self.teacher_every, int):
            raise UsageError(f"teacher_every must be a whole number, not {self.teacher_every}")
        learning = shared.get("optimization", Optimization())
        self.players = {
            role: self.make_player(role, module, _for_role(learning, role) if role in self.trains else None)
            for role, module in zip(self.roles, modules, strict=True)
        }
        main = "student" if "student" in self.trains else self.roles[0]
        if not self.players[main].learns:
            raise UsageError(f"the {main} must learn: it has no optimization")
        device = next((p.device for module in modules for p in module.parameters()), torch.device("cpu"))
        self.family = shared.get("family", Categorical()).to(device)
        self.generator = torch.Generator(device).manual_seed(shared.get("seed", 0))
        self._updates = 0

    def make_player(self, role: str, module: nn.Module, optimization: Optimization | None) -> Player:
        """The player of a role; a method may have players that are more than a network."""
        return Player(role, module, optimization)

    def update(self, batch: Batch, progress: float) -> Losses:
        """One step of every player that learns, on the batch with its inputs moved by at most ε.

        Args:
            batch: on the device of the players.
            progress: share of training that is done, in [0, 1): schedules follow it.

        Returns:
            The mean of each loss term over the batch, detached, on the device: reading it makes the device
            wait, so that is left to the caller.
        """
        if not isinstance(batch, Batch):
            raise wrong(f"an update is of a kdgan.Batch(inputs, targets), not of a {type(batch).__name__}")
        batch = self.perturbed(batch, progress) if self.epsilon else batch
        with self.watching(batch):
            losses = self.step(batch, progress)
        self._updates += 1
        return losses

    def add_features(self, features: Features, sample: Batch, *, seed: int = 0) -> None:
        """Adds a term to C's loss: layers of C learn from layers of T, see `kdgan.methods.Features`.

        The perturbation of inputs by ε goes on to follow the method's own terms.

        Args:
            features: which layers, and how.
            sample: some examples, on the players' device, that show how large features are.
            seed: of what is drawn for it.

        Raises:
            UsageError: if the method has no teacher, or features already, or layers do not fit.
        """
        check_teaches(type(self))
        if self.features is not None:
            raise UsageError("the method has features already: name all layers at once")
        self.features = FeatureTerm(features, self.student, self.players["teacher"], sample, seed=seed)

    def watching(self, batch: Batch) -> AbstractContextManager[None]:
        """A block in which C and T are called on the batch, and what their layers give is seen if it is needed."""
        return nullcontext() if self.features is None else self.features.watching(batch)

    @property
    def updates_teacher(self) -> bool:
        """Whether this is an update in which the other players learn, too; see `teacher_every`."""
        return self._updates % self.teacher_every == 0

    def losses(self, batch: Batch, progress: float = 0.0, *, roles: Iterable[str] | None = None) -> LossOf:
        """The losses of players without a step, for a loop that updates by itself (Lightning, Accelerate).

        Inputs are moved by at most ε, as in `update`. Each loss reaches its own player alone, so that one backward pass
        through their sum gives every player its gradient. To keep the order of Algorithm 1, ask for the loss of one
        role after the other's step.

        Args:
            batch: on the device of the players.
            progress: share of training that is done, in [0, 1).
            roles: whose; None for all that learn.

        Returns:
            By role, the mean of the loss over the batch, a single number with gradient.

        Raises:
            UsageError: for a role that does not learn here.
        """
        if not isinstance(batch, Batch):
            raise wrong(f"losses are of a kdgan.Batch(inputs, targets), not of a {type(batch).__name__}")
        if self.teacher_every > 1:
            raise UsageError(
                f"teacher_every is {self.teacher_every}, and losses() gives those of an update in which all learn: "
                "leave it 1, and ask for the student's alone when only the student shall learn"
            )
        if batch.device != self.generator.device:
            raise UsageError(
                f"the batch is on {batch.device}, and the method was made for players on {self.generator.device}: make "
                "it after they are where they learn"
            )
        wanted = [role for role, player in self.players.items() if player.learns]
        for role in () if roles is None else roles:
            if role not in wanted:
                raise UsageError(f"the {role} does not learn here: {', '.join(wanted)} do")
        chosen = wanted if roles is None else list(roles)
        batch = self.perturbed(batch, progress) if self.epsilon else batch
        with self.watching(batch):
            return {
                role: total(self.players[role].all_terms(self.loss_of(role, batch, progress))).mean()
                for role in chosen
            }

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """The terms of a player's loss, with what the others say now: here of C alone."""
        if role != "student":
            raise NotImplementedError(f"{type(self).__name__} trains no {role}")
        return self.student_loss(self.student(batch), batch, self.signals(batch), progress)

    def supervised(self, logits: Tensor, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """The supervised loss `(B,)`, of labelled examples alone: the others count 0, and these so much more that the
        mean over the batch is that over them.

        Args:
            logits: `(B, K)`; receive gradient.
            batch: the labels.
            smoothing: label smoothing in place of the family's, where it is above 0.
        """
        own = None if not smoothing or self.family.loss is not None else smoothing
        return self.family.supervised(logits, batch.targets, labelled=batch.labelled, smoothing=own)

    def pseudo_labelled(self, logits: Tensor, batch: Batch) -> Terms:
        """What a teacher that learns goes on learning of examples without labels: the cross entropy with their
        pseudo-labels, as much as each is sure.

        A teacher that was improved on them and then learned from labels alone would forget it.

        Args:
            logits: of T, `(B, K)`; receive gradient.
            batch: with pseudo-labels, or without: then there is no such term.

        Returns:
            One term, 0 for examples with a label and in the mean over the others, or none.
        """
        if batch.pseudo_labels is None or batch.confidence is None or batch.labelled is None:
            return {}
        values = type(self.family)().supervised(logits, batch.pseudo_labels, labelled=~batch.labelled)
        return {"pseudo_label": (1.0, values * batch.confidence)}

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of every player that learns, on the batch as it is: here of C alone, down `student_loss`."""
        return self.student.learn(self.loss_of("student", batch, progress), progress)

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """Loss of C.

        Args:
            logits: of C, `(B, K)`; receive gradient.
            batch: the labels.
            signals: see `signals`.
            progress: as in `update`.
        """
        raise NotImplementedError(f"{type(self).__name__} trains no student")

    def expected_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """`student_loss` as a function of inputs, up which they are moved: where that samples labels, their exact
        expectation, as nothing is learned by the direction and noise would only blur it."""
        return self.student_loss(logits, batch, signals, progress)

    def signals(self, batch: Batch) -> Signals:
        """Logits or scores `(B, K)` of the other players for a batch, by role, without gradient."""
        with torch.no_grad():
            return {role: player(batch) for role, player in self.players.items() if role != "student"}

    def perturbed(self, batch: Batch, progress: float) -> Batch:
        """The batch with the inputs of each example moved up the gradient of C's own loss, by a random part of ε.

        C so meets more of the places where it has something to learn, which endless random views rarely hit.
        As in adversarial and virtual adversarial training (Goodfellow et al., 2015; Miyato et al., 2018), with
        the loss of the method at hand; the other players judge or teach at the place that results.
        """
        given = batch.standardised().inputs
        if not isinstance(given, Tensor) or not given.is_floating_point():
            kind = given.dtype if isinstance(given, Tensor) else "several tensors"
            raise UsageError(f"epsilon moves inputs, and these are {kind}, not real numbers: leave it 0")
        signals = self.signals(batch)
        inputs = given.detach().clone().requires_grad_(True)
        logits = self.student(batch.with_inputs(inputs))
        loss = total(self.expected_loss(logits, batch, signals, progress))
        (slope,) = torch.autograd.grad(loss.sum(), inputs)
        each = (-1, *[1] * (inputs.ndim - 1))
        size = slope.flatten(1).square().mean(1).sqrt().clamp_min(1e-12).view(each)
        part = torch.rand(len(inputs), generator=self.generator, device=inputs.device).view(each)
        return batch.with_inputs(inputs.detach() + self.epsilon * part * slope / size)

    @property
    def student(self) -> Player:
        """C, the only player that is kept for inference."""
        return self.players["student"]

    def state_dict(self) -> dict[str, Any]:
        """Every player with its optimizer, the random generator, and the number of updates."""
        return {
            "players": {role: player.state_dict() for role, player in self.players.items()},
            "generator": self.generator.get_state(),
            "updates": self._updates,
            **({} if self.features is None else {"features": self.features.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave; training then goes on as if it had never stopped."""
        for role, player in self.players.items():
            player.load_state_dict(state["players"][role])
        self.generator.set_state(state["generator"].cpu())
        self._updates = int(state["updates"])
        if self.features is not None:
            self.features.load_state_dict(state["features"])


def check_teaches(kind: type[Method]) -> None:
    """Raises a UsageError unless a method has a student and a teacher, whose features it can be given to match."""
    if not {"student", "teacher"} <= {*kind.roles}:
        raise UsageError(
            f"method {kind.name or kind.__qualname__} has no teacher to take features from: choose one that has, such "
            "as distn"
        )


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Raises a UsageError unless `value` is a finite number in [low, high]."""
    if not low <= value <= high or value == float("inf"):
        raise UsageError(
            f"{name} must be {f'in [{low:g}, {high:g}]' if high < float('inf') else f'at least {low:g}'}, not {value}"
        )


def check_game(estimator: str, tau_start: float, tau_end: float, **steps: int) -> None:
    """Raises a UsageError unless these settings of an adversarial game make sense."""
    check_estimator(estimator)
    annealed(0.0, start=tau_start, end=tau_end)
    for name, value in steps.items():
        check_range(name, value, 1, MOST_STEPS)


def _for_role(learning: Learning, role: str) -> Optimization | None:
    if isinstance(learning, Optimization):
        return learning
    if role not in learning:
        raise UsageError(
            f"no optimization for the {role}: there is one for {', '.join(learning) or 'nobody'}"
        )
    return learning[role]
