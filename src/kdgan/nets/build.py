"""Players by name: `mlp-800-800`, `lenet-20-50-500`, `resnet-32`, as options spell them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from kdgan.errors import UsageError, wrong
from kdgan.nets.classifiers import WithPrivileged, lenet, mlp, resnet, wide_resnet
from kdgan.nets.text import normed, projected
from kdgan.references import find_callable, is_reference

_FORMS = (
    "mlp-WIDTH-WIDTH..., lenet-CHANNELS-CHANNELS-HIDDEN, resnet-DEPTH or resnet-DEPTH-WIDTH, wrn-DEPTH-WIDENING, for "
    "features normed-WIDTH-WIDTH... or projected-WIDTH-WIDTH..., or module:function of your own"
)
MOST_LAYERS, MOST_WIDTH, MOST_DEPTH, MOST_WEIGHTS = 200, 65_536, 1000, 10**9
_OF_IMAGES, _OF_FEATURES = ("lenet", "resnet", "wrn"), ("normed", "projected")


def build(
    name: str, shape: Sequence[int], classes: int, *, privileged: int = 0, dropout: float = 0.0
) -> nn.Module:
    """A fresh player, initialised from torch's global random generator.

    Args:
        name: `mlp-800-800`, `lenet-20-50-500`, `resnet-32`, `resnet-32-16`, `wrn-16-2`; the numbers are its sizes. Or
            `module:function`, of your own, called as `function(shape, classes, privileged=privileged)`.
        shape: of one input, (C, H, W) or (F,).
        classes: K.
        privileged: how many numbers of privileged information the player sees besides; 0 for none.
        dropout: of networks for features.

    Returns:
        A module called with inputs, or with inputs and privileged information.

    Raises:
        UsageError: for a name of another form, or an image network on inputs that are no images.
    """
    if is_reference(name):
        return _own(name, shape, classes, privileged)
    form, sizes = _sizes(name, tuple(_BUILDERS), _FORMS)
    if form in _OF_IMAGES and len(shape) != 3:
        raise UsageError(
            f"network {name!r} takes images, and an input here has shape {tuple(shape)}: use mlp-..."
        )
    if form in _OF_FEATURES and (len(shape) != 1 or privileged):
        more = f" and {privileged} privileged numbers" if privileged else ""
        raise UsageError(
            f"network {name!r} takes features alone, and an input here has shape {tuple(shape)}{more}"
        )
    check_size(name, lambda: _made(form, name, shape, sizes, classes, privileged, dropout))
    return _made(form, name, shape, sizes, classes, privileged, dropout)


def check_size(name: str, make: Callable[[], nn.Module]) -> None:
    """Raises a UsageError for a network that has more weights than anybody means, before they are allocated."""
    with torch.device("meta"):
        count = sum(weight.numel() for weight in make().parameters())
    if count > MOST_WEIGHTS:
        raise UsageError(
            f"network {name!r} would have {count:,} weights: at most {MOST_WEIGHTS:,} are possible"
        )


def _made(
    form: str,
    name: str,
    shape: Sequence[int],
    sizes: list[int],
    classes: int,
    privileged: int,
    dropout: float,
) -> nn.Module:
    if form in _OF_FEATURES:
        return (normed if form == "normed" else projected)(shape[0], sizes, classes, dropout)
    if not privileged:
        made: nn.Module = _BUILDERS[form](name, shape, sizes, classes)
        return made
    if form == "mlp":
        return WithPrivileged(nn.Flatten(), mlp(math.prod(shape) + privileged, sizes, classes))
    width = 128
    features = nn.Sequential(_BUILDERS[form](name, shape, sizes, width), nn.ReLU())
    return WithPrivileged(features, mlp(width + privileged, [width], classes))


def hidden_widths(name: str, *forms: str) -> list[int]:
    """The hidden widths in a name such as `mlp-800-800`.

    Args:
        name: of a network.
        forms: what it may begin with.

    Raises:
        UsageError: for a name of another form.
    """
    known = " or ".join(f"{form}-WIDTH-WIDTH, such as {form}-800-800" for form in forms)
    return _sizes(name, forms, known)[1]


def _sizes(name: str, forms: Sequence[str], known: str) -> tuple[str, list[int]]:
    """The form and the numbers in the name of a network, within bounds: a file may name any."""
    form, *numbers = name.split("-")
    if len(numbers) > MOST_LAYERS:
        raise UsageError(
            f"network {name[:40]}... has {len(numbers):,} numbers: at most {MOST_LAYERS} are possible"
        )
    if form not in forms or not all(re.fullmatch("[0-9]{1,9}", number) and int(number) for number in numbers):
        raise UsageError(f"unknown network {name[:200]!r}: write {known}")
    sizes = [int(number) for number in numbers]
    if max(sizes, default=0) > MOST_WIDTH:
        raise UsageError(f"network {name!r} is too wide: a layer has at most {MOST_WIDTH:,} units")
    return form, sizes


def _own(name: str, shape: Sequence[int], classes: int, privileged: int) -> nn.Module:
    made: Any = find_callable(name)
    try:
        made = made(tuple(shape), classes, privileged=privileged)
    except Exception as error:  # of any kind: it is the user's code
        raise wrong(
            f"network {name} cannot be made as {name.rpartition(':')[2]}(shape, classes, privileged=...): "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, nn.Module):
        raise UsageError(f"network {name} gives {type(made).__name__}, not a module of torch")
    if any(map(is_lazy, made.parameters())):
        raise UsageError(f"network {name} has layers whose size nobody knows yet, such as LazyLinear: say it")
    return made


def _mlp(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    return mlp(math.prod(shape), sizes, classes)


def _lenet(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    if len(sizes) != 3:
        raise UsageError(f"network {name!r} needs three numbers: lenet-CHANNELS-CHANNELS-HIDDEN")
    return lenet(shape, (sizes[0], sizes[1]), sizes[2], classes)


def _resnet(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    if len(sizes) not in (1, 2):
        raise UsageError(f"network {name!r} needs one or two numbers: resnet-DEPTH or resnet-DEPTH-WIDTH")
    if sizes[0] > MOST_DEPTH:
        raise UsageError(f"network {name!r} is too deep: at most {MOST_DEPTH:,} layers are possible")
    return resnet(shape, sizes[0], sizes[1] if len(sizes) == 2 else 16, classes)


def _wide_resnet(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    if len(sizes) != 2:
        raise UsageError(f"network {name!r} needs two numbers: wrn-DEPTH-WIDENING, such as wrn-16-2")
    if sizes[0] > MOST_DEPTH:
        raise UsageError(f"network {name!r} is too deep: at most {MOST_DEPTH:,} layers are possible")
    return wide_resnet(shape, sizes[0], sizes[1], classes)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "mlp": _mlp,
    "lenet": _lenet,
    "resnet": _resnet,
    "wrn": _wide_resnet,
    "normed": normed,
    "projected": projected,
}
