"""Which examples are labelled, which validate, and the scale they are brought to."""

import math
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgan.data import Batch, Source, load, split
from kdgan.data.join import without_labels
from kdgan.data.semi import Semi, make_feed
from kdgan.data.split import VALIDATION_MOST, Scale, scaled
from support import refused

AS_IT_IS = Scale(torch.zeros(1), torch.ones(1))
COUNTS = st.lists(st.integers(1, 12), min_size=2, max_size=5)


def source(counts: list[int], *, tests: int = 5, seed: int = 0) -> Source:
    """Vectors whose single feature is the example's own number, training from 0, test from 10,000."""
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    targets = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))]
    train = Batch(numbered(0, len(targets)), targets)
    test = Batch(numbered(10_000, tests), torch.arange(tests) % len(counts))
    return Source("numbers", "vector", train, test, tuple("abcde"[: len(counts)]))


def numbered(start: int, count: int) -> Tensor:
    return torch.arange(start, start + count, dtype=torch.float32).unsqueeze(1)


def numbers(part: Batch, scale: Scale) -> list[int]:
    """Which examples are in a standardised part."""
    return (part.inputs * scale.std + scale.mean).round().flatten().int().tolist()


@settings(max_examples=60)
@given(COUNTS, st.data(), st.integers(0, 2**40))
def test_any_number_of_labels_is_as_even_as_the_classes_allow(
    counts: list[int], draw: st.DataObject, seed: int
) -> None:
    labels = draw.draw(st.integers(len(counts), sum(counts)))
    data = split(source(counts), labels=labels, seed=seed)
    got = data.train.targets.bincount(minlength=len(counts)).tolist()
    assert sum(got) == labels
    for mine, there in zip(got, counts, strict=True):
        # Of each class a part is set aside for validation.
        assert mine >= there - math.ceil(0.1 * there) - 1 or mine >= max(got) - 1
        assert mine >= 1


@settings(max_examples=40)
@given(COUNTS, st.data(), st.integers(0, 1000))
def test_fewer_labels_are_the_first_of_more(counts: list[int], draw: st.DataObject, seed: int) -> None:
    more = draw.draw(st.integers(len(counts), sum(counts)))
    fewer = draw.draw(st.integers(len(counts), more))
    big = split(source(counts), labels=more, seed=seed)
    small = split(source(counts), labels=fewer, seed=seed)
    assert numbers(big.train, big.scale)[:fewer] == numbers(small.train, small.scale)
    assert torch.equal(big.train.targets[:fewer], small.train.targets)


@settings(max_examples=60)
@given(COUNTS, st.data(), st.integers(0, 1000))
def test_no_example_is_in_two_parts_and_each_keeps_its_label(
    counts: list[int], draw: st.DataObject, seed: int
) -> None:
    total = sum(counts)
    labels = draw.draw(st.one_of(st.none(), st.integers(len(counts), total)))
    tenth = int(total * 0.1)
    if labels is None and total - tenth < len(counts):
        return
    given_source = source(counts)
    data = split(given_source, labels=labels, seed=seed)
    train, validation = numbers(data.train, data.scale), numbers(data.validation, data.scale)
    assert len({*train, *validation}) == len(train) + len(validation)
    assert min(numbers(data.test, data.scale)) >= 10_000
    assert len(train) == (total - tenth if labels is None else labels)
    assert len(validation) == min(tenth, total - len(train))
    for part, which in ((data.train, train), (data.validation, validation)):
        assert part.targets.tolist() == given_source.train.targets[which].tolist()


@pytest.mark.parametrize("labels", [None, 100, 3500])
def test_validation_is_a_sample_of_the_data(labels: int | None) -> None:
    data = split(source([3000, 850, 150]), labels=labels, seed=0)
    assert data.validation.targets.bincount().tolist() == [300, 85, 15]
    assert split(source([3, 1, 36]), labels=None, seed=0).validation.targets.bincount().tolist() == [0, 0, 4]
    rare = split(source([1, 1, 1, 17]), labels=None, seed=0)
    assert rare.train.targets.bincount().tolist() == [1, 1, 1, 15]


def test_validation_has_an_upper_limit() -> None:
    data = split(source([30_000, 30_000]), labels=None, seed=0)
    assert len(data.validation) == VALIDATION_MOST == 5000
    assert len(data.train) == 55_000


def test_all_examples_labelled_leave_nothing_to_validate() -> None:
    data = split(source([8, 12]), labels=20, seed=0)
    assert (len(data.train), len(data.validation)) == (20, 0)
    assert len(split(source([8, 12]), labels=None, seed=0).train) == 18


def test_a_seed_decides_the_split() -> None:
    digits = load("digits")
    one, same, other = (split(digits, labels=50, seed=seed) for seed in (3, 3, 4))
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(one, part).inputs, getattr(same, part).inputs)
        assert torch.equal(getattr(one, part).targets, getattr(same, part).targets)
    assert not torch.equal(one.train.inputs * one.scale.std, other.train.inputs * other.scale.std)
    assert one.train.targets.tolist() != other.train.targets.tolist()
    held_out = [numbers(split(source([40, 40]), labels=10, seed=s).validation, AS_IT_IS) for s in (0, 1)]
    assert held_out[0] != held_out[1]


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    split(source([40, 40]), labels=10, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_impossible_numbers_of_labels() -> None:
    with refused("21 labels", "numbers", "20 training examples"):
        split(source([8, 12]), labels=21, seed=0)
    for labels in (1, 0, -4):
        with refused(f"{labels} labels", "2 classes", "numbers"):
            split(source([8, 12]), labels=labels, seed=0)
    assert len(split(source([8, 12]), labels=2, seed=0).train) == 2


def test_the_scale_is_that_of_the_labelled_examples_alone() -> None:
    plain = source([30, 30])
    data = split(plain, labels=12, seed=5)
    chosen = set(numbers(data.train, data.scale))
    inputs = plain.train.inputs.clone()
    inputs[[n for n in range(60) if n not in chosen]] *= -1000
    changed = Source(
        plain.name,
        plain.kind,
        Batch(inputs, plain.train.targets),
        Batch(plain.test.inputs * 77, plain.test.targets),
        plain.classes,
    )
    again = split(changed, labels=12, seed=5)
    assert torch.equal(again.scale.mean, data.scale.mean)
    assert torch.equal(again.scale.std, data.scale.std)
    assert torch.equal(again.train.inputs, data.train.inputs)
    assert not torch.equal(again.validation.inputs, data.validation.inputs)


def test_images_are_standardised_by_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (90, 3, 5, 4), generator=generator).to(torch.uint8)
    images[:, 1] //= 8
    train, test = (Batch(part, torch.arange(len(part)) % 3) for part in (images[:60], images[60:]))
    data = split(Source("images", "image", train, test, ("a", "b", "c")), labels=30, seed=0)
    assert data.shape == (3, 5, 4)
    assert data.train.inputs.dtype == torch.float32
    assert data.scale.mean.shape == data.background.shape == (3, 1, 1)
    torch.testing.assert_close(data.train.inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        data.train.inputs.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0
    )
    expected = (images[60:].double() / 255 - data.scale.mean) / data.scale.std
    torch.testing.assert_close(data.test.inputs.double(), expected, atol=1e-5, rtol=1e-5)


def test_the_background_is_a_black_pixel_in_standard_units() -> None:
    data = split(load("digits"), labels=100, seed=0)
    black = scaled(Batch(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1).long()), data.scale)
    torch.testing.assert_close(black.inputs, data.background.expand(1, 1, 8, 8), atol=1e-6, rtol=1e-6)
    assert data.background.item() < -0.1


def test_features_and_privileged_information_are_standardised_each() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(40, 3, generator=generator) * torch.tensor([1.0, 50.0, 0.01]) + torch.tensor(
        [0.0, 9.0, -2]
    )
    known = torch.randn(40, 2, generator=generator) * 30 + 100
    y = torch.arange(40) % 2
    whole = Batch(x, y, known)
    data = split(Source("table", "vector", whole, whole, ("a", "b")), labels=20, seed=2)
    assert (data.shape, data.privileged) == ((3,), 2)
    for part in (data.train.inputs, data.train.privileged):
        assert part is not None
        torch.testing.assert_close(part.mean(0), torch.zeros(part.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(part.std(0, correction=0), torch.ones(part.shape[1]), atol=1e-4, rtol=0)
    assert data.test.privileged is not None
    assert data.test.privileged.abs().max() < 10
    assert scaled(whole, data.scale).privileged is None


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e6, 1 / 3])
@pytest.mark.parametrize("count", [1, 7, 100, 1013])
def test_a_constant_feature_keeps_its_unit(value: float, count: int) -> None:
    scale = Scale.of(torch.full((count, 1), value))
    assert scale.std.item() == 1
    # An example that differs must not come out millions of times as large.
    other = torch.tensor([[value + 1.0]])
    torch.testing.assert_close(scale(other), torch.ones(1, 1), atol=1e-5 * max(1, abs(value)), rtol=0)
    assert scale(torch.full((2, 1), value)).abs().max() < 1e-5


@pytest.mark.parametrize("own", [0, 7])
@pytest.mark.parametrize("labels", [5, 30, None])
def test_the_rest_is_learned_from_without_labels(labels: int | None, own: int) -> None:
    given_source = source([20, 20])
    if own:
        given_source = replace(
            given_source, unlabelled=without_labels(Batch(numbered(500, own), torch.zeros(own)))
        )
    plain = split(given_source, labels=labels, seed=3)
    assert plain.unlabelled is None
    if labels is None and not own:
        with refused("no training example of numbers is left without a label: ask for fewer labels"):
            split(given_source, labels=labels, seed=3, unlabelled="rest")
        return
    data = split(given_source, labels=labels, seed=3, unlabelled="rest")
    assert data.unlabelled is not None
    assert data.unlabelled.targets.tolist() == [-1] * len(data.unlabelled)
    # What is labelled, validates or tests is the same, but for the scale, which is that of all that is learned from.
    for part in ("train", "validation", "test"):
        one, other = getattr(plain, part), getattr(data, part)
        assert numbers(one, plain.scale) == numbers(other, data.scale)
        assert torch.equal(one.targets, other.targets)
    known, held_out = numbers(data.train, data.scale), numbers(data.validation, data.scale)
    others = numbers(data.unlabelled, data.scale)
    assert sorted(others) == sorted({*range(40), *range(500, 500 + own)} - {*known, *held_out})
    learned = torch.cat([data.train.tensor, data.unlabelled.tensor])
    torch.testing.assert_close(learned.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(learned.std(correction=0), torch.tensor(1.0))


def test_a_file_of_ones_own_leaves_hidden_labels_alone() -> None:
    more = without_labels(Batch(numbered(500, 3), torch.zeros(3)))
    data = split(replace(source([20, 20]), unlabelled=more), labels=5, seed=0, unlabelled="own")
    assert data.unlabelled is not None
    assert numbers(data.unlabelled, data.scale) == [500, 501, 502]
    with refused("no training example of numbers is left without a label"):
        split(source([20, 20]), labels=5, seed=0, unlabelled="own")


def test_images_without_labels_stay_bytes_where_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = split(load("digits"), labels=50, seed=0, unlabelled="rest")
    monkeypatch.setattr(sys.modules[Scale.__module__], "MOST_NUMBERS", 10)
    bytes_ = split(load("digits"), labels=50, seed=0, unlabelled="rest")
    assert real.unlabelled is not None
    assert bytes_.unlabelled is not None
    assert bytes_.unlabelled.tensor.dtype == torch.uint8
    assert torch.equal(bytes_.unlabelled.standardised().tensor, real.unlabelled.tensor)
    device = torch.device("cpu")
    one, other = (
        make_feed(Semi(each.train, each.unlabelled), 16, seed=1, device=device)(3)
        for each in (real, bytes_)
        if each.unlabelled is not None
    )
    assert torch.equal(one.tensor, other.tensor)
    assert one.labelled is not None
    assert one.labelled.tolist() == [True] * 4 + [False] * 12


def test_a_scale_is_of_all_parts() -> None:
    parts = [torch.randint(0, 256, (count, 2, 3, 3), dtype=torch.uint8) for count in (300, 5)]
    for given_parts in (parts, [part.double().flatten(1) for part in parts]):
        one, whole = Scale.of(*given_parts), Scale.of(torch.cat(given_parts))
        assert torch.equal(one.mean, whole.mean)
        assert torch.equal(one.std, whole.std)
