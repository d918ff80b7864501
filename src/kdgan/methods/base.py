"""What all methods share: players in, one batch at a time, losses out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    """

    roles: ClassVar[tuple[str, ...]]
    """The players it needs, in the order of its constructor's arguments."""
    trains: ClassVar[tuple[str, ...]]
    """Those of them that `update` changes; the others are kept as they are."""
    pretrained: ClassVar[tuple[str, ...]] = ()
    """The players that are trained on the labels before the first update: see `pretraining`."""

    def __init__(self, modules: Mapping[str, nn.Module], optimization: Learning, seed: int) -> None:
        self.players = {
            role: Player(role, module, _for_role(optimization, role) if role in self.trains else None)
            for role, module in modules.items()
        }
        device = next(p.device for module in modules.values() for p in module.parameters())
        self.generator = torch.Generator(device).manual_seed(seed)

    @abstractmethod
    def update(self, batch: Batch, progress: float) -> Losses:
        """One step of every player that learns.

        Args:
            batch: on the device of the players.
            progress: share of training that is done, in [0, 1): schedules follow it.

        Returns:
            The mean of each loss term over the batch, detached, on the device: reading it makes the device
            wait, so that is left to the caller.
        """

    @property
    def student(self) -> Player:
        """C, the only player that is kept for inference."""
        return self.players["student"]

    def state_dict(self) -> dict[str, Any]:
        """Every player with its optimizer, and the random generator."""
        return {
            "players": {role: player.state_dict() for role, player in self.players.items()},
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave; training then goes on as if it had never stopped."""
        for role, player in self.players.items():
            player.load_state_dict(state["players"][role])
        self.generator.set_state(state["generator"].cpu())


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
