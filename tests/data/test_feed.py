"""A batch for every step."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgan.data import AffineElastic, Batch, Noise, TensorFeed
from kdgan.data.feed import Feed, Views, later
from kdgan.data.forms import leaves
from support import refused


def numbered(count: int) -> Batch:
    """Examples whose parts all say which one they are."""
    number = torch.arange(count)
    return Batch(
        number.float().unsqueeze(1), number * 10, number.float().unsqueeze(1) * 100, number.unsqueeze(1) * 7.0
    )


def which(batch: Batch) -> list[int]:
    return batch.inputs.flatten().int().tolist()


def feed(count: int, size: int, seed: int = 0) -> TensorFeed:
    return TensorFeed(numbered(count), size, seed=seed)


@settings(max_examples=80)
@given(
    count=st.integers(1, 40), size=st.integers(1, 100), passes=st.integers(1, 4), seed=st.integers(0, 2**33)
)
def test_every_example_comes_once_in_every_pass(count: int, size: int, passes: int, seed: int) -> None:
    batches = feed(count, size, seed)
    drawn: list[int] = []
    step = 0
    while len(drawn) < passes * count:
        batch = batches(step)
        assert len(batch) == size
        drawn += which(batch)
        step += 1
    for number in range(passes):
        assert sorted(drawn[number * count : (number + 1) * count]) == list(range(count))


@settings(max_examples=40)
@given(
    count=st.integers(1, 30),
    size=st.integers(1, 70),
    steps=st.lists(st.integers(0, 20), min_size=1, max_size=8),
)
def test_any_order_of_steps_gives_what_their_sequence_gives(count: int, size: int, steps: list[int]) -> None:
    batches = feed(count, size)
    sequence = [which(batches(step)) for step in range(max(steps) + 1)]
    there = feed(count, size)
    assert [which(there(step)) for step in steps] == [sequence[step] for step in steps]


def test_a_step_is_the_same_for_every_feed_of_its_seed() -> None:
    one, other = feed(50, 16, seed=4), feed(50, 16, seed=4)
    for _ in range(7):
        other(0)
    assert which(one(3)) == which(other(3)) == which(one(3))


def test_seeds_and_passes_have_orders_of_their_own() -> None:
    orders = [which(feed(30, 30, seed)(step)) for seed in (0, 1, 2**32, 2**32 + 1) for step in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 12


@pytest.mark.parametrize(("count", "size"), [(10, 4), (3, 8), (7, 7)])
def test_all_parts_of_an_example_stay_together(count: int, size: int) -> None:
    for step in range(5):
        batch = feed(count, size)(step)
        number = batch.inputs.flatten()
        assert torch.equal(batch.targets, number.long() * 10)
        assert batch.privileged is not None
        assert torch.equal(batch.privileged.flatten(), number * 100)
        assert batch.teacher_logits is not None
        assert torch.equal(batch.teacher_logits.flatten(), number * 7)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    TensorFeed(pictures(), 8, seed=1, augment=AffineElastic(torch.zeros(1, 1, 1)))(5)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    other = which(feed(20, 5)(9))
    torch.manual_seed(5)
    assert which(feed(20, 5)(9)) == other


def pictures() -> Batch:
    generator = torch.Generator().manual_seed(0)
    number = torch.arange(12)
    return Batch(torch.randn(12, 1, 8, 8, generator=generator), number % 3, number.float().unsqueeze(1))


def test_views_are_those_of_their_step() -> None:
    change = AffineElastic(torch.zeros(1, 1, 1))
    one, other = (TensorFeed(pictures(), 5, seed=2, augment=change) for _ in range(2))
    sequence = [one(step) for step in range(8)]
    for step in (7, 2, 2, 0):
        again = other(step)
        assert torch.equal(again.inputs, sequence[step].inputs)
        assert torch.equal(again.targets, sequence[step].targets)
    assert not torch.equal(TensorFeed(pictures(), 5, seed=3, augment=change)(0).inputs, sequence[0].inputs)


def test_views_keep_what_belongs_to_them_but_not_logits_of_other_views() -> None:
    data = pictures()
    seen: list[Tensor] = []

    def brighter(images: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(images)
        return images + torch.rand(len(images), 1, 1, 1, generator=generator)

    plain = TensorFeed(data, 5, seed=0)
    with_logits = Batch(data.inputs, data.targets, data.privileged, torch.zeros(12, 3))
    for step in range(4):
        batch = TensorFeed(with_logits, 5, seed=0, augment=brighter)(step)
        assert torch.equal(seen[-1], plain(step).inputs)
        assert torch.equal(batch.targets, plain(step).targets)
        assert batch.privileged is not None
        assert torch.equal(batch.targets, batch.privileged.flatten().long() % 3)
        assert batch.teacher_logits is None
        assert ((batch.inputs - seen[-1]).flatten(1).std(1) < 1e-5).all()


def test_two_passes_apart_the_views_differ() -> None:
    batches = TensorFeed(pictures(), 12, seed=0, augment=AffineElastic(torch.zeros(1, 1, 1)))
    views = []
    for step in (0, 1):
        batch = batches(step)
        assert batch.privileged is not None
        views.append(batch.inputs[batch.privileged.flatten().argsort()])
    assert not torch.isclose(*views).flatten(1).all(1).any()


def test_the_data_are_never_changed() -> None:
    data = pictures()
    before = data.inputs.clone()
    batches = TensorFeed(data, 30, seed=0, augment=AffineElastic(torch.zeros(1, 1, 1)))
    batches(0).inputs.zero_()
    plain = TensorFeed(data, 30, seed=0)
    plain(0).inputs.zero_()
    assert torch.equal(data.inputs, before)


# --- inputs of any form ----------------------------------------------------------------------------------------------


def forms() -> dict[str, Any]:
    x = torch.arange(12.0).unsqueeze(1)
    return {"tuple": (x, x.expand(12, 3)), "mapping": {"a": x, "b": x.expand(12, 3)}, "one by name": {"a": x}}


def moved(inputs: Any, generator: torch.Generator) -> Any:
    """The same shift for all tensors of an example, given in another order of names."""
    first = leaves(inputs)[0]
    shift = 0.5 * torch.rand(len(first), 1, generator=generator) + 0.1 * torch.rand(())
    if isinstance(inputs, dict):
        return {name: inputs[name] + shift for name in reversed(inputs)}
    return [part + shift for part in inputs]


@pytest.mark.parametrize("form", forms())
def test_all_tensors_of_an_example_stay_together(form: str) -> None:
    number = torch.arange(12)
    data = Batch(forms()[form], number * 10, {"known": number * 100}, number.unsqueeze(1) * 7.0)
    for augment in (None, moved):
        one, other = (TensorFeed(data, 5, seed=1, augment=augment) for _ in range(2))
        for step in range(6):
            batch, again = one(step), other(step)
            rows = leaves(batch.inputs)[0].flatten()
            assert type(batch.inputs) is type(data.inputs)
            for name, leaf in enumerate(leaves(batch.inputs)):
                assert torch.equal(leaf, rows.unsqueeze(1).expand_as(leaf)), name
            assert torch.equal(batch.targets, rows.long() * 10)
            assert isinstance(batch.privileged, dict)
            assert torch.equal(batch.privileged["known"], rows.long() * 100)
            assert (batch.teacher_logits is None) == (augment is not None)
            assert all(
                torch.equal(a, b) for a, b in zip(leaves(batch.inputs), leaves(again.inputs), strict=True)
            )


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (lambda inputs, generator: None, "views must be a tensor, not NoneType"),
        (lambda inputs, generator: inputs["a"], "not Tensor of shape (5, 1)"),
        (lambda inputs, generator: {"b": inputs["a"]}, "not dict of b of shape (5, 1)"),
        (lambda inputs, generator: {"a": inputs["a"][1:]}, "each of 5 inputs"),
        (lambda inputs, generator: (inputs["a"],), "not tuple"),
    ],
)
def test_views_of_another_form(views: Any, said: str) -> None:
    batches = TensorFeed(Batch(forms()["one by name"], torch.arange(12)), 5, seed=0, augment=views)
    with refused(said):
        batches(0)


def test_views_that_are_for_one_tensor() -> None:
    batches = TensorFeed(Batch(forms()["tuple"], torch.arange(12)), 5, seed=0, augment=Noise())
    with refused("Noise is for inputs of one tensor", "a function of your own"):
        batches(0)


def test_a_feed_is_made_once_when_it_is_needed() -> None:
    data, made = Batch(torch.arange(8.0).view(4, 2), torch.arange(4)), []

    def make() -> Feed:
        made.append(TensorFeed(data, 2, seed=0))
        return made[0]

    feed = later(make)
    assert not made
    assert torch.equal(feed(3).tensor, TensorFeed(data, 2, seed=0)(3).tensor)
    feed(4)
    assert len(made) == 1


def test_another_view_depends_on_seed_and_step_alone() -> None:
    data = Batch(torch.zeros(3, 4), torch.arange(3))
    views = Views(Noise(0.5), torch.device("cpu"), 1)
    found = [views(data, step).tensor for step in (0, 1, 0)]
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    assert torch.equal(Views(Noise(0.5), torch.device("cpu"), 1)(data, 1).tensor, found[1])
    assert not torch.equal(Views(Noise(0.5), torch.device("cpu"), 2)(data, 1).tensor, found[1])
    assert Views(None, torch.device("cpu"), 1)(data, 0) is data
