"""Players out of modules of the caller's own: whether a teacher is trained, and those that a method adds."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdgan.data.seeds import seeded
from kdgan.data.targets import Kind
from kdgan.errors import wrong
from kdgan.methods import Method
from kdgan.training.faces import networks


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
    advice = "give one that is trained, and no teacher_lr"
    players = {"student": student, "teacher": teacher if keep_teacher else copied(teacher, "teacher", advice)}
    for role in method.roles:
        if role == "discriminator" and discriminator is not None:
            players[role] = discriminator.to(device)
        elif role not in players:
            players[role] = fresh(teacher).to(device)
    return players


def copied(module: nn.Module, role: str, advice: str) -> nn.Module:
    """A copy of its own.

    Raises:
        UsageError: if it cannot be copied, with the advice what to do.
    """
    # What weight norm and pruning keep of their last call is computed again in the next, and torch copies none of it.
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(module, computed)
    except Exception as error:  # the module is somebody's own
        raise wrong(f"the {role} cannot be copied ({type(error).__name__}: {error}): {advice}") from error


def is_trained(logits: Tensor, targets: Tensor, kind: Kind = "classes") -> bool:
    """Whether a teacher knows more of the labels of examples than how frequent each is.

    It does if its mean log-loss is clearly below the entropy of the labels, or, for a teacher that is too sure
    of itself, if it is right far more often than the most frequent label.

    Args:
        logits: of the teacher, `(N, K)`.
        targets: of labelled examples, as losses take them.
        kind: of task.
    """
    logits = logits.double()
    if kind == "classes" and targets.ndim == 1:
        # The same as of weights, which would be many for many classes.
        share = torch.bincount(targets, minlength=logits.shape[1]).double().unsqueeze(0) / len(targets)
        loss = nn.functional.cross_entropy(logits.clamp_min(-1e30), targets).item()
        right, most = (logits.argmax(1) == targets).double().mean().item(), share.max().item()
    else:
        if kind == "classes":
            logits, weights = (
                logits.log_softmax(1).unsqueeze(1),
                targets.unsqueeze(1),
            )  # one decision, K outcomes
        else:  # a decision about each label, with two outcomes
            logits = torch.stack([nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)], 2)
            weights = torch.stack([targets, 1 - targets], 2)
        weights = weights.double()
        share = weights.mean(0)
        loss = -(weights * logits.clamp_min(-1e30)).sum(2).mean().item()
        # As accuracy and majority count: whatever weighs as much as any other is right.
        likeliest = (weights == weights.amax(2, keepdim=True)).double()
        right = likeliest.gather(2, logits.argmax(2, keepdim=True)).mean().item()
        most = likeliest.mean(0).amax(1).mean().item()
    entropy = -(share * share.clamp_min(1e-12).log()).sum(1).mean().item()
    return loss < 0.9 * entropy or right > most + (1 - most) / 2


def fresh(module: nn.Module) -> nn.Module:
    """A copy with new initial weights: by each layer's `reset_parameters`, and as a linear layer's elsewhere.

    A vector that no layer resets is a scale where its values lie about 1, and then begins at 1, or else an offset.
    """
    advice = "give a discriminator of your own, or another method"
    made = copied(module, "teacher", advice)
    before = {name: parameter.detach().clone() for name, parameter in made.named_parameters()}
    try:
        for layer in made.modules():
            for reset in ("reset_parameters", "_reset_parameters"):
                if callable(getattr(layer, reset, None)):
                    getattr(layer, reset)()
                    break
    except Exception as error:  # a layer of somebody's own
        raise wrong(
            f"the teacher's form cannot be drawn anew ({type(error).__name__}: {error}): {advice}"
        ) from error
    for name, parameter in made.named_parameters():
        if not parameter.is_floating_point():
            continue
        parameter.requires_grad_(True)
        # With weight norm a layer resets what it computes, and keeps what it learned.
        if torch.equal(parameter, before[name]):
            _draw(parameter)
    return made.train()


def _draw(parameter: nn.Parameter) -> None:
    """Values of their own for a parameter of which nobody says how it begins."""
    if parameter.ndim > 1:
        nn.init.kaiming_uniform_(parameter, a=math.sqrt(5))
    elif parameter.detach().mean() > 0.5:
        nn.init.ones_(parameter)
    else:
        nn.init.uniform_(parameter, -1, 1).detach().div_(math.sqrt(max(parameter.numel(), 1)))


@contextmanager
def apart(device: torch.device, seed: int, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Players on the device and everything seeded for the block, whatever the caller was at; then as it was before.

    Args:
        device: of the players.
        seed: of all global generators.
        modules: by role; the teacher's parts are put back into their modes, too.
    """
    modes = [(part, part.training) for part in modules["teacher"].modules()]
    # Loaders, random transforms and layers draw from global generators too.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        on_device(device, *(each for module in modules.values() for each in networks(module))),
        seeded(seed % 2**32, device),
    ):
        try:
            yield
        finally:
            for part, mode in modes:
                part.training = mode


def returned(module: nn.Module, like: nn.Module, device: torch.device) -> nn.Module:
    """A player as a result has it: the caller's own as it is; another in `eval()` mode where the caller's is.

    Args:
        module: the player.
        like: the caller's.
        device: where to, if the caller's has no weights.
    """
    if module is like:
        return module
    return module.eval().to(next((p.device for p in like.parameters()), device))


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
