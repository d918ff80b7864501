"""The players of the paper, any size by arguments; each maps inputs `(B, ...)` to logits `(B, K)`.

Convolutional networks keep their weights channels-last: measured at MNIST sizes, a step takes two thirds of
the time on a CPU, and it is the layout that tensor cores want.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.errors import UsageError


def mlp(features: int, hidden: Sequence[int] = (800, 800), classes: int = 10) -> nn.Sequential:
    """A multilayer perceptron with ReLU; the paper's student on MNIST is 784–800–800–10.

    Args:
        features: numbers per example; inputs of any shape `(B, ...)` are flattened to it.
        hidden: width of each hidden layer; none makes it a linear classifier.
        classes: K.
    """
    widths = [features, *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


class Halve(nn.Module):
    """Max-pooling 2×2, which leaves out an odd last row or column.

    Where no gradient is asked for, as with a frozen teacher, the largest of four shifted images is found without noting
    where it was: measured at MNIST sizes in bfloat16, a LeNet then takes 0.7 of the time on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C, H // 2, W // 2)`."""
        if x.requires_grad:
            return F.max_pool2d(x, 2)
        x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
        rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        return torch.maximum(rows[:, :, :, ::2], rows[:, :, :, 1::2])


def lenet(
    shape: Sequence[int] = (1, 28, 28),
    channels: tuple[int, int] = (20, 50),
    hidden: int = 500,
    classes: int = 10,
) -> nn.Sequential:
    """LeNet: two of (convolution 5×5, max-pool 2, ReLU), a hidden layer, the labels.

    The paper's teacher on MNIST has channels 20, 50 and 500 hidden units, its student on CIFAR-10 64, 128 and
    1,024. Convolutions are unpadded where the image is large enough (at least 16×16), padded otherwise.

    Args:
        shape: (C, H, W) of the images, at least 4×4.
        channels: of both convolutions.
        hidden: units of the hidden layer.
        classes: K.

    Raises:
        UsageError: if the images are smaller than 4×4.
    """
    colours, *size = shape
    if min(size) < 4:
        raise UsageError(f"LeNet needs images of at least 4x4, not {size[0]}x{size[1]}")
    padding = 0 if min(size) >= 16 else 2
    for _ in channels:
        size = [(side + 2 * padding - 4) // 2 for side in size]
    net = nn.Sequential(
        # ReLU and max-pool commute; pooling first leaves ReLU a quarter of the work.
        nn.Conv2d(colours, channels[0], 5, padding=padding),
        Halve(),
        nn.ReLU(),
        nn.Conv2d(channels[0], channels[1], 5, padding=padding),
        Halve(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(channels[1] * math.prod(size), hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation beside a parameter-free shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.convolution2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.stride, self.widening = stride, after - before

    def forward(self, x: Tensor) -> Tensor:
        """`(B, before, H, W)` to `(B, after, H / stride, W / stride)`."""
        y = F.relu(self.norm1(self.convolution1(x)))
        y = self.norm2(self.convolution2(y))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.widening:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.widening))
        return F.relu(y + shortcut)


def resnet(
    shape: Sequence[int] = (3, 32, 32), depth: int = 32, width: int = 16, classes: int = 10
) -> nn.Sequential:
    """A residual network for small images; depth 32 is the paper's teacher on CIFAR-10.

    One 3×3 convolution, three stages of (depth − 2) / 6 blocks with widths w, 2w, 4w, global average, labels.

    Args:
        shape: (C, H, W) of the images.
        depth: layers, 6·n + 2: 8, 14, 20, 26, 32, 44, 56, 110.
        width: w, channels of the first stage.
        classes: K.

    Raises:
        UsageError: if depth is not 6·n + 2 with n of at least 1.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UsageError(f"a residual network has depth 6n + 2 (8, 14, 20, 26, 32, ...), not {depth}")
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    before = width
    for stage in range(3):
        after = width * 2**stage
        for block in range(blocks):
            layers.append(ResidualBlock(before, after, stride=2 if stage and not block else 1))
            before = after
    return _residual([*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)])


class WideBlock(nn.Module):
    """Two 3×3 convolutions, each after batch normalisation and ReLU, beside a shortcut (Zagoruyko and Komodakis 2016).

    Where the size changes the shortcut is a 1×1 convolution of what the first convolution sees.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.convolution1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.convolution2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        changes = before != after or stride > 1
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """`(B, before, H, W)` to `(B, after, H / stride, W / stride)`."""
        active = F.relu(self.norm1(x))
        y: Tensor = self.convolution2(F.relu(self.norm2(self.convolution1(active))))
        return y + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(
    shape: Sequence[int] = (3, 32, 32), depth: int = 16, widening: int = 2, classes: int = 10
) -> nn.Sequential:
    """A wide residual network for small images, WRN-depth-widening: of few images better than a deep one.

    One 3×3 convolution, three stages of (depth − 4) / 6 blocks with widths 16k, 32k, 64k, global average, labels.

    Args:
        shape: (C, H, W) of the images.
        depth: layers, 6·n + 4: 10, 16, 22, 28, 40.
        widening: k.
        classes: K.

    Raises:
        UsageError: if depth is not 6·n + 4 with n of at least 1, or widening below 1.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise UsageError(f"a wide residual network has depth 6n + 4 (10, 16, 22, 28, ...), not {depth}")
    if widening < 1:
        raise UsageError(f"a residual network is widened by at least 1, not {widening}")
    layers: list[nn.Module] = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)]
    before = 16
    for stage in range(3):
        after = 16 * widening * 2**stage
        for block in range(blocks):
            layers.append(WideBlock(before, after, stride=2 if stage and not block else 1))
            before = after
    layers += [
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(before, classes),
    ]
    return _residual(layers)


def _residual(layers: Sequence[nn.Module]) -> nn.Sequential:
    """The network of these layers, its convolutions initialised for ReLU (He et al. 2015)."""
    net = nn.Sequential(*layers)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class WithPrivileged(nn.Module):
    """A player that sees privileged information beside its inputs: features of x joined with ϱ, then a head.

    Args:
        features: x `(B, ...)` to features `(B, F)` (flattened where they have more axes).
        head: joined `(B, F + P)` to logits `(B, K)`.
    """

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, inputs: Tensor, privileged: Tensor) -> Tensor:
        """Logits `(B, K)` from x `(B, ...)` and ϱ `(B, ...)`."""
        joined = torch.cat([self.features(inputs).flatten(1), privileged.flatten(1)], 1)
        logits: Tensor = self.head(joined)
        return logits
