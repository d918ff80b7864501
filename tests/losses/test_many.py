"""Losses of many classes against those of few, which plain loops check, and through the functions that choose them."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from kdgan.losses import cross_entropy, discriminator_loss, generator_loss
from kdgan.losses._many import MANY
from support import refused

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
LEADING = [(), (4,), (2, 3)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(shape: tuple[int, ...], dtype: torch.dtype, seed: int, scale: float = 3.0) -> Tensor:
    return (torch.randn(shape, generator=seeded(seed), dtype=torch.float64) * scale).to(dtype)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Decides whether two classes are many."""

    def decide(yes: bool) -> None:
        for module in ("adversarial", "distillation"):
            monkeypatch.setattr(f"kdgan.losses.{module}.MANY", 2 if yes else 10**9)

    decide(True)
    return decide


def losses(leading: tuple[int, ...], k: int, dtype: torch.dtype) -> dict[str, Callable[[Tensor], Tensor]]:
    """Every loss that has a form for many classes, of logits or scores."""
    y = torch.randint(k, leading, generator=seeded(1))
    other, fake = draw((*leading, k), dtype, 2), draw((*leading, k), dtype, 3).softmax(-1)
    labelled = torch.rand(leading, generator=seeded(4)) < 0.6
    return {
        "cross_entropy": lambda a: cross_entropy(a, y),
        "cross_entropy, some labelled": lambda a: cross_entropy(a, y, labelled=labelled),
        "cross_entropy, smoothed": lambda a: cross_entropy(a, y, smoothing=0.2),
        "discriminator_loss": lambda a: discriminator_loss(a, y, fake.to(a.dtype)),
        "discriminator_loss, some labelled": lambda a: discriminator_loss(
            a, y, fake.to(a.dtype), labelled=labelled
        ),
        "generator_loss": lambda a: generator_loss(a, other.to(a.dtype)),
    }


def value_and_gradient(loss: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    at = at.clone().requires_grad_()
    value = loss(at)
    slopes = 1 + torch.rand(value.shape, generator=seeded(5), dtype=torch.float64).to(value.dtype)
    (gradient,) = torch.autograd.grad((value * slopes).sum(), at)
    return value.detach(), gradient


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [2, 7, 300])
@pytest.mark.parametrize("leading", LEADING)
def test_many_are_as_few(
    leading: tuple[int, ...], k: int, dtype: torch.dtype, many: Callable[[bool], None]
) -> None:
    at = draw((*leading, k), dtype, 6)
    for name, loss in losses(leading, k, dtype).items():
        many(True)
        found = value_and_gradient(loss, at)
        many(False)
        expected = value_and_gradient(loss, at)
        for one, other in zip(found, expected, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype), name
            tolerance = {torch.float64: 1e-12, torch.float32: 2e-6}.get(one.dtype, 1e-2)
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, msg=name)


def test_losses_of_many_pass_gradcheck(many: Callable[[bool], None]) -> None:
    for loss in losses((3,), 4, torch.float64).values():
        at = (draw((3, 4), torch.float64, 7).requires_grad_(),)
        assert torch.autograd.gradcheck(loss, at)
        assert torch.autograd.gradgradcheck(loss, at)


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_many_at_extreme_logits(dtype: torch.dtype, many: Callable[[bool], None]) -> None:
    rows = [[1e4, -1e4, 0.0], [1e4, 1e4, -1e4], [-1e4] * 3, [0.0, 0.0, 1e4], [-1e4, 0.0, 0.1]]
    at = torch.tensor(rows, dtype=dtype)
    for name, loss in losses((5,), 3, dtype).items():
        many(True)
        found = value_and_gradient(loss, at)
        many(False)
        for one, other in zip(found, value_and_gradient(loss, at), strict=True):
            assert one.isfinite().all(), name
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_class_that_cannot_be_is_worth_no_notice_unless_it_is_the_true_one(
    many: Callable[[bool], None],
) -> None:
    logits = torch.tensor([[1.0, 0.0, -math.inf]])
    assert cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert cross_entropy(logits, torch.tensor([2])).item() == math.inf


@pytest.mark.parametrize("label", [-100, -1, MANY, 2**40])
def test_labels_that_are_none_of_many_are_never_skipped(label: int) -> None:
    logits, targets = torch.zeros(2, MANY), torch.tensor([0, label])
    for loss in (
        lambda: cross_entropy(logits, targets),
        lambda: cross_entropy(logits, targets, smoothing=0.1),
        lambda: discriminator_loss(logits, targets, torch.full((2, MANY), 1 / MANY)),
    ):
        with refused(f"a target is none of the {MANY} classes that are scored", "out of bounds"):
            loss()
    for wrong in (torch.zeros(1, dtype=torch.long), torch.zeros(2, MANY, dtype=torch.long)):
        with refused(str(tuple(wrong.shape))):
            discriminator_loss(logits, wrong, logits)


def test_many_classes_need_no_dense_labels() -> None:
    """What autograd keeps of 64 rows is one tensor of their size beside what it is given."""
    k = 20_000
    logits, y = torch.zeros(64, k, requires_grad=True), torch.zeros(64, dtype=torch.long)
    fake = torch.full((64, k), 1 / k)
    known = {logits.data_ptr(), fake.data_ptr()}
    for loss in (
        lambda: cross_entropy(logits, y),
        lambda: cross_entropy(logits, y, smoothing=0.1),
        lambda: discriminator_loss(logits, y, fake),
    ):
        kept: dict[int, int] = {}

        def keep(saved: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[saved.data_ptr()] = saved.numel()
            return saved

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            alive = loss()
        assert alive.requires_grad
        fresh = sum(size for place, size in kept.items() if place not in known)
        assert fresh <= logits.numel() + 1_000
