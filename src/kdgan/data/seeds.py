"""Seeds of independent random streams out of one seed, and the state of all global generators."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdgan.data.generators import Generator, seed_generator, state_of


def mixed(*parts: int | str) -> int:
    """A 32-bit seed from any parts, the same on every machine; other parts give an unrelated stream.

    torch's CPU generator keeps only 32 bits of a seed, so parts must be hashed rather than packed.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def seed_everything(seed: int, own: Iterable[Generator] = ()) -> None:
    """Seeds Python's, numpy's and torch's global generators, from any of which code of one's own may draw.

    Args:
        seed: of at most 32 bits, as from `mixed`.
        own: other generators, seeded likewise.
    """
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed writes down who called it wherever there is no GPU at work, which takes as long as a small step.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    for number, generator in enumerate(own):
        seed_generator(generator, mixed(seed, number))


@dataclass(frozen=True, slots=True)
class RandomState:
    """The state of Python's, numpy's and torch's global generators, that of a GPU among them, and of some others."""

    python: tuple[Any, ...]
    numpy: Any
    cpu: Tensor
    cuda: tuple[torch.device, Tensor] | None
    own: tuple[Callable[[], None], ...]

    @classmethod
    def now(cls, device: torch.device, own: Iterable[Generator] = ()) -> RandomState:
        """The state at present; `device` says whether that of a GPU belongs to it."""
        cuda = (device, torch.cuda.get_rng_state(device)) if device.type == "cuda" else None
        others = tuple(map(state_of, own))
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda, others)

    def restore(self) -> None:
        """Puts it back."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda[1], self.cuda[0])
        for put_back in self.own:
            put_back()


@contextmanager
def seeded(seed: int, device: torch.device, own: Sequence[Generator] = ()) -> Iterator[None]:
    """Everything seeded for the block, other generators too; afterwards all is as it was."""
    before = RandomState.now(device, own)
    seed_everything(seed, own)
    try:
        yield
    finally:
        before.restore()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the global generators that training on `device` draws from, as tensors: a checkpoint holds it."""
    now = RandomState.now(device)
    _, words, gauss = now.python
    _, keys, *rest = now.numpy
    states = {
        "cpu": now.cpu,
        # Words of 32 bits are whole numbers of float64, too.
        "python": torch.tensor([*words, float("nan") if gauss is None else gauss], dtype=torch.float64),
        "numpy": torch.tensor([*keys.tolist(), *rest], dtype=torch.float64),
    }
    if now.cuda is not None:
        states["cuda"] = now.cuda[1]
    return states


def restore_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Puts back what `random_state` gave."""
    *words, gauss = states["python"].tolist()
    *keys, position, has_gauss, cached = states["numpy"].tolist()
    RandomState(
        python=(3, tuple(map(int, words)), None if gauss != gauss else gauss),
        numpy=("MT19937", np.array(keys, dtype=np.uint32), int(position), int(has_gauss), cached),
        cpu=states["cpu"],
        cuda=(device, states["cuda"]) if device.type == "cuda" and "cuda" in states else None,
        own=(),
    ).restore()
