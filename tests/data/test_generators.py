"""Random generators that objects of a caller's own hold."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from kdgan.data.batch import Batch
from kdgan.data.feed import TensorFeed
from kdgan.data.generators import Generator, generators_in, seed_generator, state_of
from kdgan.data.stream import LoaderFeed, Stream

CPU = torch.device("cpu")
MAKE: dict[str, Callable[[], Generator]] = {
    "torch": lambda: torch.Generator().manual_seed(1),
    "numpy": lambda: np.random.default_rng(1),
    "numpy, another": lambda: np.random.Generator(np.random.Philox(1)),
    "numpy, of old": lambda: np.random.RandomState(1),
    "random": lambda: random.Random(1),
}
X, Y = torch.arange(12.0).unsqueeze(1), torch.arange(12) % 3
IN_MODULE = np.random.default_rng(5)


def drawn(generator: Any) -> float:
    if isinstance(generator, torch.Generator):
        return torch.rand((), generator=generator).item()
    return float(generator.random())


class Views(Dataset[Any]):
    """Other views each time they are asked for, from whatever they are given."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.transforms = [{"noise": draw}]

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return X[index] + self.transforms[0]["noise"](), int(Y[index])


class Noise(nn.Module):
    """A view as people make it with modules."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, inputs: Tensor, _: torch.Generator) -> Tensor:
        return inputs + drawn(self.generator)


@pytest.mark.parametrize("kind", MAKE)
def test_a_generator_is_seeded_and_put_back(kind: str) -> None:
    one, other = MAKE[kind](), MAKE[kind]()
    drawn(other)
    for each in (one, other):
        seed_generator(each, 7)
    put_back = state_of(one)
    first = [drawn(one) for _ in range(3)]
    assert first == [drawn(other) for _ in range(3)]
    put_back()
    assert first == [drawn(one) for _ in range(3)]
    assert len(set(first)) == 3


def test_generators_are_found_wherever_they_lie() -> None:
    made = [MAKE[kind]() for kind in MAKE]
    module = Noise(made[4])

    def within(x: float, rng: Any = made[0]) -> float:
        return x + drawn(rng)

    def around(x: float) -> float:
        return x + drawn(made[1])

    holders = [within, around, Views(partial(drawn, made[2])), made[3].random_sample, module]  # type: ignore[union-attr]
    for holder, expected in zip(holders, (made[0], made[1], made[2], made[3], made[4]), strict=True):
        assert any(found is expected for found in generators_in(holder))
    assert [found is IN_MODULE for found in generators_in(lambda: drawn(IN_MODULE))] == [True]


def test_global_generators_and_examples_are_not_looked_at() -> None:
    assert generators_in(random.random, np.random.rand, torch.default_generator, X, "text", 3) == []
    assert generators_in(random.SystemRandom().random) == []
    assert generators_in([object() for _ in range(10**5)]) == []


def test_what_holds_itself_is_no_circle() -> None:
    data = Views(lambda: 0.0)
    data.transforms.append({"itself": data})  # type: ignore[dict-item]
    assert generators_in(data) == []


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("wrapped", ["data set", "subset", "loader", "workers"])
def test_batches_of_own_generators_depend_on_seed_and_step_alone(kind: str, wrapped: str) -> None:
    generator = MAKE[kind]()
    data: Any = Views(partial(drawn, generator))
    if wrapped == "subset":
        data = Subset(data, range(12))
    if wrapped in ("loader", "workers"):
        data = DataLoader(data, batch_size=4, shuffle=True, num_workers=wrapped == "workers")
    stream = Stream(data)
    expected = drawn(MAKE[kind]())
    feed = LoaderFeed(stream, 4, seed=3, device=CPU)
    first = [feed(step).inputs for step in range(7)]
    # As if a run was stopped and goes on, in another place of the generator.
    seed_generator(generator, 99)
    again = LoaderFeed(stream, 4, seed=3, device=CPU)
    assert all(torch.equal(again(step).inputs, first[step]) for step in (4, 5, 6))
    other = LoaderFeed(stream, 4, seed=4, device=CPU)
    assert not torch.equal(other(0).inputs, first[0])
    assert not torch.equal(first[0].sort(0).values, first[3].sort(0).values)
    # The caller's generator is where it was.
    state = MAKE[kind]()
    seed_generator(state, 99)
    assert drawn(generator) == drawn(state) != expected


@pytest.mark.parametrize("kind", MAKE)
def test_views_of_own_generators_depend_on_seed_and_step_alone(kind: str) -> None:
    generator = MAKE[kind]()
    batch = Batch(X, Y)
    feed = TensorFeed(batch, 4, seed=3, augment=Noise(generator))
    first = [feed(step).inputs for step in range(5)]
    drawn(generator)
    again = TensorFeed(batch, 4, seed=3, augment=Noise(generator))
    assert all(torch.equal(again(step).inputs, first[step]) for step in (3, 0, 4))
    plain = TensorFeed(batch, 4, seed=3)
    noise = {round((first[step] - plain(step).inputs).mean().item(), 6) for step in range(5)}  # type: ignore[operator]
    assert len(noise) == 5
