"""Labels that are wrong on purpose, to see what a method makes of them."""

from __future__ import annotations

import torch
from torch import Tensor

from kdgan.data.seeds import mixed


def with_wrong_labels(targets: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """The class indices of which a share is another class, drawn evenly from the others.

    Labels that are wrong at one share are wrong, in the same way, at every larger one of the seed.

    Args:
        targets: `(N,)`, which stay as they are.
        share: from 0 to 1, rounded to whole examples.
        classes: K.
        seed: of what is drawn.

    Example:
        >>> import torch
        >>> int((with_wrong_labels(torch.zeros(10, dtype=torch.long), 0.4, 3, seed=0) != 0).sum())
        4
    """
    generator = torch.Generator().manual_seed(mixed(seed, "wrong labels"))
    order = torch.randperm(len(targets), generator=generator)
    further = torch.randint(1, classes, (len(targets),), generator=generator)
    chosen = order[: round(share * len(targets))]
    found = targets.clone()
    found[chosen] = (found[chosen] + further[chosen]) % classes
    return found
