"""Players by name: `mlp-800-800`, `lenet-20-50-500`, `resnet-32`, as options spell them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from kdgan.errors import UsageError
from kdgan.nets.classifiers import Blind, WithPrivileged, lenet, mlp, resnet

_FORMS = "mlp-WIDTH-WIDTH..., lenet-CHANNELS-CHANNELS-HIDDEN, resnet-DEPTH or resnet-DEPTH-WIDTH"


def build(name: str, shape: Sequence[int], classes: int, *, privileged: int = 0) -> nn.Module:
    """A fresh player, initialised from torch's global random generator.

    Args:
        name: `mlp-800-800`, `lenet-20-50-500`, `resnet-32`, `resnet-32-16`; the numbers are its sizes.
        shape: of one input, (C, H, W) or (F,).
        classes: K.
        privileged: how many numbers of privileged information the player sees besides; 0 for none.

    Returns:
        A module called with inputs, or with inputs and privileged information.

    Raises:
        UsageError: for a name of another form, or an image network on inputs that are no images.
    """
    form, *numbers = name.split("-")
    if form not in _BUILDERS or not all(number.isdecimal() and int(number) for number in numbers):
        raise UsageError(f"unknown network {name!r}: write {_FORMS}")
    sizes = [int(number) for number in numbers]
    if form not in ("mlp", "blind") and len(shape) != 3:
        raise UsageError(
            f"network {name!r} takes images, and an input here has shape {tuple(shape)}: use mlp-..."
        )
    if not privileged or form == "blind":
        return _BUILDERS[form](name, shape, sizes, classes)
    if form == "mlp":
        return WithPrivileged(nn.Flatten(), mlp(math.prod(shape) + privileged, sizes, classes))
    width = 128
    features = nn.Sequential(_BUILDERS[form](name, shape, sizes, width), nn.ReLU())
    return WithPrivileged(features, mlp(width + privileged, [width], classes))


def _mlp(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    return mlp(math.prod(shape), sizes, classes)


def _lenet(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    if len(sizes) != 3:
        raise UsageError(f"network {name!r} needs three numbers: lenet-CHANNELS-CHANNELS-HIDDEN")
    return lenet(shape, (sizes[0], sizes[1]), sizes[2], classes)


def _resnet(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    if len(sizes) not in (1, 2):
        raise UsageError(f"network {name!r} needs one or two numbers: resnet-DEPTH or resnet-DEPTH-WIDTH")
    return resnet(shape, sizes[0], sizes[1] if len(sizes) == 2 else 16, classes)


def _blind(name: str, shape: Sequence[int], sizes: list[int], classes: int) -> nn.Module:
    if sizes:
        raise UsageError(f"network {name!r} sees nothing and takes no sizes: write blind")
    return Blind(classes)


_BUILDERS: dict[str, Callable[[str, Sequence[int], list[int], int], nn.Module]] = {
    "mlp": _mlp,
    "lenet": _lenet,
    "resnet": _resnet,
    "blind": _blind,
}
