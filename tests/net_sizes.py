"""How many parameters a network should have, from its sizes."""

import itertools
from collections.abc import Sequence

from torch import nn


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def mlp_size(widths: Sequence[int]) -> int:
    return sum(before * after + after for before, after in itertools.pairwise(widths))


def lenet_size(colours: int, side: int, first: int, second: int, hidden: int, classes: int) -> int:
    """Of square images with unpadded convolutions."""
    left = ((side - 4) // 2 - 4) // 2
    convolutions = first * (25 * colours + 1) + second * (25 * first + 1)
    return convolutions + mlp_size([second * left * left, hidden, classes])


def resnet_size(colours: int, depth: int, width: int, classes: int) -> int:
    """Convolutions without bias, two numbers per channel for each normalisation."""
    total, before = 9 * colours * width + 2 * width, width
    for stage in range(3):
        after = width * 2**stage
        for _ in range((depth - 2) // 6):
            total += 9 * before * after + 2 * after + 9 * after * after + 2 * after
            before = after
    return total + before * classes + classes


def wide_resnet_size(colours: int, depth: int, widening: int, classes: int) -> int:
    """Normalisation before each convolution and at the end; a 1×1 convolution where widths change."""
    total, before = 9 * colours * 16, 16
    for stage in range(3):
        after = 16 * widening * 2**stage
        for _ in range((depth - 4) // 6):
            total += 2 * before + 9 * before * after + 2 * after + 9 * after * after
            total += before * after if before != after else 0
            before = after
    return total + 2 * before + before * classes + classes
