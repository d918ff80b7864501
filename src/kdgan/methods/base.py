"""What all methods share: players in, one batch at a time, losses out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.losses import annealed, check_estimator
from kdgan.methods.player import Optimization, Player

Losses = dict[str, Tensor]
Learning = Optimization | Mapping[str, Optimization]


class Method(ABC):
    """A way to train a student. It owns its players and says how one batch changes them, and nothing else.

    `players` maps each role in `roles` to its `Player`. `update` is called once per step, in anyone's loop.
    Everything a method remembers between steps is in `state_dict`.

    Attributes:
        reach: how far the inputs of an instance may be moved before a step, to where the student has more to learn:
            the largest root mean square of the change, in units of the inputs; 0, the default, moves nothing. See
            `moved`.
        interval: players other than C learn in the first of so many updates, C in each, on views of its own: most of
            the time of an update goes to what larger players learn. 1, the default, lets all learn in every update.
    """

    roles: ClassVar[tuple[str, ...]]
    """The players it needs, in the order of its constructor's arguments."""
    trains: ClassVar[tuple[str, ...]]
    """Those of them that `update` changes; the others are kept as they are."""
    pretrained: ClassVar[tuple[str, ...]] = ()
    """The players that are trained on the labels before the first update: see `pretraining`."""
    student_pretraining: ClassVar[float] = 0.0
    """Where C is among them: the share of all its updates that this takes, unless said otherwise."""

    def __init__(self, modules: Mapping[str, nn.Module], optimization: Learning, seed: int) -> None:
        self.players = {
            role: Player(role, module, _for_role(optimization, role) if role in self.trains else None)
            for role, module in modules.items()
        }
        device = next(p.device for module in modules.values() for p in module.parameters())
        self.generator = torch.Generator(device).manual_seed(seed)
        self.reach, self.interval, self._updates = 0.0, 1, 0

    def update(self, batch: Batch, progress: float) -> Losses:
        """One step of every player that learns, on the batch with its inputs moved by at most `reach`.

        Args:
            batch: on the device of the players.
            progress: share of training that is done, in [0, 1): schedules follow it.

        Returns:
            The mean of each loss term over the batch, detached, on the device: reading it makes the device
            wait, so that is left to the caller.
        """
        losses = self.step(self.moved(batch) if self.reach else batch, progress)
        self._updates += 1
        return losses

    @property
    def all_learn(self) -> bool:
        """Whether this is an update in which the other players learn, too; see `interval`."""
        return self._updates % self.interval == 0

    @abstractmethod
    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of every player that learns, on the batch as it is; see `update`."""

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """What C minimises on a batch: its loss `(B,)` as a function of its logits `(B, K)`.

        The other players' part in it is computed here, at the inputs of the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} trains no student")

    def moved(self, batch: Batch) -> Batch:
        """The batch with each instance's inputs moved up the gradient of C's own loss, by a random part of `reach`.

        C so meets more of the places where it has something to learn, which endless random views rarely hit.
        As in adversarial and virtual adversarial training (Goodfellow et al., 2015; Miyato et al., 2018), with
        the loss of the method at hand; the other players judge or teach at the place that results.
        """
        with torch.no_grad():
            loss = self.lesson(batch)
        inputs = batch.inputs.detach().clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(self.student(replace(batch, inputs=inputs))).sum(), inputs)
        each = (-1, *[1] * (inputs.ndim - 1))
        size = slope.flatten(1).square().mean(1).sqrt().clamp_min(1e-12).view(each)
        part = torch.rand(len(inputs), generator=self.generator, device=inputs.device).view(each)
        # Logits that T gave ahead are those of the inputs as they were.
        return replace(batch, inputs=inputs.detach() + self.reach * part * slope / size, teacher_logits=None)

    c_steps: int = 1
    """Steps of C in each update."""

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
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave; training then goes on as if it had never stopped."""
        for role, player in self.players.items():
            player.load_state_dict(state["players"][role])
        self.generator.set_state(state["generator"].cpu())
        self._updates = int(state.get("updates", 0))  # before, only KDGAN had them


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Raises a UsageError unless `value` lies in [low, high]."""
    if not low <= value <= high:
        raise UsageError(
            f"{name} must be {f'in [{low:g}, {high:g}]' if high < float('inf') else f'at least {low:g}'}, not {value}"
        )


def check_game(estimator: str, tau_start: float, tau_end: float, **steps: int) -> None:
    """Raises a UsageError unless these settings of an adversarial game make sense."""
    check_estimator(estimator)
    annealed(0.0, start=tau_start, end=tau_end)
    for name, value in steps.items():
        check_range(name, value, 1)


def report(**terms: Tensor) -> Losses:
    """The means of loss terms `(B,)`, detached."""
    return {name: term.detach().mean() for name, term in terms.items()}


def _for_role(optimization: Learning, role: str) -> Optimization:
    if isinstance(optimization, Optimization):
        return optimization
    if role not in optimization:
        raise UsageError(
            f"no optimization for the {role}: there is one for {', '.join(optimization) or 'nobody'}"
        )
    return optimization[role]
