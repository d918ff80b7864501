"""Players out of modules of the caller's own: whether a teacher is trained, and those that a method adds."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from kdgan.data.batch import Batch
from kdgan.losses import cross_entropy
from kdgan.methods import Method
from kdgan.training.evaluate import logits_of


def build_players(
    method: type[Method],
    student: nn.Module,
    teacher: nn.Module,
    discriminator: nn.Module | None,
    *,
    keep_teacher: bool,
    device: torch.device,
) -> dict[str, nn.Module]:
    """The players by role: the caller's student and teacher, the second a copy unless it is kept as it is, and others.

    Others have the teacher's form, freshly initialised.
    """
    players = {"student": student, "teacher": teacher if keep_teacher else copy.deepcopy(teacher)}
    for role in method.roles:
        if role == "discriminator":
            players[role] = (discriminator or fresh(teacher)).to(device)
        elif role not in players:
            players[role] = fresh(teacher).to(device)
    return players


def is_trained(teacher: nn.Module, validation: Batch) -> bool:
    """Whether a teacher knows more of the validation labels than how frequent each is.

    It does if its mean log-loss is clearly below the entropy of the labels, or, for a teacher that is too sure
    of itself, if it is right far more often than the most frequent label.
    """
    logits, targets = logits_of(teacher, validation, role="teacher"), validation.targets
    is_soft = targets.ndim == 2
    weights = targets.float() if is_soft else nn.functional.one_hot(targets, logits.shape[1]).float()
    share = weights.mean(0)
    entropy = -(share * share.clamp_min(1e-12).log()).sum().item()
    loss = cross_entropy(logits, targets).mean().item()
    likeliest = targets.argmax(-1) if is_soft else targets
    right = (logits.argmax(-1) == likeliest).double().mean().item()
    most = nn.functional.one_hot(likeliest, logits.shape[1]).double().mean(0).max().item()
    return loss < 0.9 * entropy or right > most + (1 - most) / 2


def fresh(module: nn.Module) -> nn.Module:
    """A copy with new initial weights: by each layer's `reset_parameters`, and as a linear layer's elsewhere."""
    made = copy.deepcopy(module)
    before = {name: parameter.detach().clone() for name, parameter in made.named_parameters()}
    for layer in made.modules():
        for reset in ("reset_parameters", "_reset_parameters"):
            if callable(getattr(layer, reset, None)):
                getattr(layer, reset)()
                break
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(True)
        # With weight norm a layer resets what it computes, and keeps what it learned.
        if parameter.ndim > 1 and torch.equal(parameter, before[name]):
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5))
    return made.train()


@contextmanager
def on_device(device: torch.device, *modules: nn.Module) -> Iterator[None]:
    """The modules on the device while the block lasts, and back where they were after it."""
    homes = [next((p.device for p in module.parameters()), device) for module in modules]
    for module in modules:
        module.to(device)
    try:
        yield
    finally:
        for module, home in zip(modules, homes, strict=True):
            module.to(home)
