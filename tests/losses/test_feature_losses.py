"""Feature losses against plain Python in float64, their properties, and what they refuse."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from kdgan.errors import RunError
from kdgan.losses import attention, feature_loss, hint, relational
from kdgan.losses.features import embedding
from support import refused

Loss = Callable[[Tensor, Tensor], Tensor]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
IMAGES, TOKENS, VECTORS = (5, 3, 4, 6), (5, 7, 3), (5, 4)
CASES = [
    (hint, IMAGES, IMAGES),
    (hint, TOKENS, TOKENS),
    (hint, VECTORS, VECTORS),
    (attention, IMAGES, IMAGES),
    (attention, IMAGES, (5, 2, 4, 6)),
    (attention, IMAGES, (5, 2, 8, 12)),
    (attention, IMAGES, (5, 2, 2, 3)),
    (attention, (5, 3, 2, 3, 4), (5, 2, 4, 6, 8)),
    (attention, TOKENS, (5, 7, 2)),
    (attention, IMAGES, (5, 24, 2)),
    (relational, VECTORS, (5, 9)),
    (relational, IMAGES, (5, 2, 8, 8)),
    (relational, TOKENS, (5, 3, 8)),
    (partial(relational, angle=0.0), VECTORS, VECTORS),
    (partial(relational, distance=0.0), VECTORS, VECTORS),
    (partial(relational, distance=25.0, angle=50.0), VECTORS, VECTORS),
]


def draw(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 0, scale: float = 1.0
) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values * scale).to(dtype)


def name_of(loss: Loss) -> str:
    return str(getattr(loss, "func", loss).__name__)


# By hand, in lists of floats.


def naive_hint(mine: Tensor, theirs: Tensor) -> list[float]:
    rows = zip(mine.flatten(1).tolist(), theirs.flatten(1).tolist(), strict=True)
    return [sum((a - b) ** 2 for a, b in zip(*row, strict=True)) / len(row[0]) for row in rows]


def naive_map(features: Tensor, size: tuple[int, ...]) -> list[float]:
    """Of one example, at each place of a picture of that size, which divides its own or is divided by it."""
    if features.ndim == 2:
        return [sum(value**2 for value in token) for token in features.tolist()]
    own = features.shape[1:]
    attended = torch.zeros(size, dtype=torch.float64)
    for place in itertools.product(*map(range, size)):
        areas = [
            range(at * there // here, max((at + 1) * there // here, at * there // here + 1))
            for at, here, there in zip(place, size, own, strict=True)
        ]
        values = [
            sum(features[(channel, *inside)].item() ** 2 for channel in range(len(features)))
            for inside in itertools.product(*areas)
        ]
        attended[place] = sum(values) / len(values)
    found: list[float] = attended.flatten().tolist()
    return found


def naive_attention(mine: Tensor, theirs: Tensor) -> list[float]:
    found = []
    for one, other in zip(mine, theirs, strict=True):
        size = tuple(one.shape[1:])
        p, q = naive_map(one, size), naive_map(other, size)
        p, q = ([value / math.hypot(*values) for value in values] for values in (p, q))
        found.append(sum((a - b) ** 2 for a, b in zip(p, q, strict=True)))
    return found


def huber(a: float, b: float) -> float:
    return 0.5 * (a - b) ** 2 if abs(a - b) <= 1 else abs(a - b) - 0.5


def naive_embeddings(features: Tensor) -> list[list[float]]:
    found = []
    for example in features:
        if example.ndim == 1:
            found.append(example.tolist())
        elif example.ndim == 2:
            found.append([sum(column) / len(column) for column in zip(*example.tolist(), strict=True)])
        else:
            found.append([channel.flatten().tolist() for channel in example])
            found[-1] = [sum(places) / len(places) for places in found[-1]]
    return found


def relations(features: Tensor) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int, int], float]]:
    """Distances of pairs in units of their mean, and cosines of the angles at the second of three."""
    points = naive_embeddings(features)
    pairs = {
        (i, j): math.dist(points[i], points[j]) for i, j in itertools.permutations(range(len(points)), 2)
    }
    mean = sum(pairs.values()) / len(pairs)
    cosines = {}
    for i, j, k in itertools.permutations(range(len(points)), 3):
        one = [(a - b) / pairs[i, j] for a, b in zip(points[i], points[j], strict=True)]
        other = [(a - b) / pairs[k, j] for a, b in zip(points[k], points[j], strict=True)]
        cosines[i, j, k] = sum(a * b for a, b in zip(one, other, strict=True))
    return {pair: distance / mean for pair, distance in pairs.items()}, cosines


def naive_relational(mine: Tensor, theirs: Tensor, distance: float = 1.0, angle: float = 2.0) -> list[float]:
    (ours, our_angles), (others, other_angles) = relations(mine), relations(theirs)
    found = []
    for example in range(len(mine)):
        pairs = [huber(ours[pair], others[pair]) for pair in ours if pair[0] == example]
        three = [huber(our_angles[each], other_angles[each]) for each in our_angles if each[1] == example]
        found.append(distance * sum(pairs) / len(pairs) + angle * sum(three) / len(three))
    return found


def naive(loss: Loss, mine: Tensor, theirs: Tensor) -> Tensor:
    by_hand = {"hint": naive_hint, "attention": naive_attention, "relational": naive_relational}
    values = by_hand[name_of(loss)](
        mine.detach().double(), theirs.detach().double(), **getattr(loss, "keywords", {})
    )
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "one", "other"), CASES)
def test_losses_match_plain_loops(
    loss: Loss, one: tuple[int, ...], other: tuple[int, ...], dtype: torch.dtype
) -> None:
    mine, theirs = draw(one, dtype, 1), draw(other, dtype, 2)
    values = loss(mine, theirs)
    assert values.shape == (5,)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(values.double(), naive(loss, mine, theirs), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("loss", "one", "other"), CASES)
def test_gradient_is_right_and_goes_to_the_student_alone(
    loss: Loss, one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    mine, theirs = draw(one, seed=1).requires_grad_(), draw(other, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda features: loss(features, theirs), mine)
    loss(mine, theirs).sum().backward()
    assert mine.grad is not None
    assert mine.grad.abs().max() > 0
    assert theirs.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("loss", "one", "other"), CASES)
def test_half_precision_neither_overflows_nor_is_lowered_by_autocast(
    loss: Loss, one: tuple[int, ...], other: tuple[int, ...], dtype: torch.dtype
) -> None:
    mine, theirs = draw(one, dtype, 1, scale=1e3).requires_grad_(), draw(other, dtype, 2, scale=1e3)
    with torch.autocast("cpu", torch.bfloat16):
        values = loss(mine, theirs)
    torch.testing.assert_close(values, loss(mine.float(), theirs.float()))
    assert values.isfinite().all()
    values.mean().backward()
    assert mine.grad is not None
    assert mine.grad.dtype == dtype


@pytest.mark.parametrize(("loss", "one", "other"), CASES)
def test_the_same_features_are_at_distance_0(
    loss: Loss, one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    mine = draw(one).requires_grad_()
    values = loss(mine, mine.detach().clone())
    torch.testing.assert_close(values, torch.zeros(5, dtype=torch.float64), atol=1e-13, rtol=0)
    values.sum().backward()
    assert mine.grad is not None
    assert mine.grad.isfinite().all()


@pytest.mark.parametrize("loss", [attention, relational])
def test_scale_is_no_matter(loss: Loss) -> None:
    mine, theirs = draw(IMAGES, seed=1), draw(IMAGES, seed=2)
    torch.testing.assert_close(loss(1e-6 * mine, 1e6 * theirs), loss(mine, theirs))


def test_relations_are_those_of_points_that_are_moved_and_turned() -> None:
    points = draw((6, 3), seed=1)
    turned, _ = torch.linalg.qr(draw((3, 3), seed=2))
    values = relational(points @ turned + 100, points)
    torch.testing.assert_close(values, torch.zeros(6, dtype=torch.float64), atol=1e-12, rtol=0)


def test_the_mean_over_the_batch_is_the_loss_over_all_pairs_and_triples() -> None:
    mine, theirs = draw((6, 3), seed=1), draw((6, 4), seed=2)
    (ours, our_angles), (others, other_angles) = relations(mine), relations(theirs)
    pairs = [huber(ours[pair], others[pair]) for pair in ours]
    three = [huber(our_angles[each], other_angles[each]) for each in our_angles]
    expected = sum(pairs) / len(pairs) + 2 * sum(three) / len(three)
    assert relational(mine, theirs).mean().item() == pytest.approx(expected, rel=1e-12)


def test_examples_of_tokens_and_pictures_are_the_mean_over_places() -> None:
    torch.testing.assert_close(embedding(draw(IMAGES)), draw(IMAGES).flatten(2).mean(2))
    torch.testing.assert_close(embedding(draw(TOKENS)), draw(TOKENS).transpose(1, 2).mean(2))
    assert embedding(draw(VECTORS)).equal(draw(VECTORS))


@pytest.mark.parametrize("count", [1, 2])
def test_relations_of_few_examples(count: int) -> None:
    mine = draw((count, 3), seed=1).requires_grad_()
    values = relational(mine, draw((count, 3), seed=2))
    values.sum().backward()
    assert values.tolist() == [0.0] * count  # two have one distance, which is its own mean
    assert mine.grad is not None
    assert mine.grad.abs().max() < 1e-12


def test_examples_at_one_place_have_a_gradient() -> None:
    mine = draw((5, 3), torch.float32).clone()
    mine[1] = mine[0]
    for features in (mine, torch.ones_like(mine), torch.zeros_like(mine)):
        features.requires_grad_()
        values = relational(features, draw((5, 4), torch.float32, 3))
        values.sum().backward()
        assert values.isfinite().all()
        assert features.grad is not None
        assert features.grad.isfinite().all()


def test_a_layer_that_gives_nothing_has_no_attention() -> None:
    dead = torch.zeros(2, 3, 4, 4, requires_grad=True)
    values = attention(dead, draw((2, 3, 4, 4), torch.float32))
    torch.testing.assert_close(values, torch.ones(2))
    values.sum().backward()
    assert dead.grad is not None
    assert dead.grad.isfinite().all()
    assert attention(dead, torch.zeros(2, 1, 4, 4)).tolist() == [0.0, 0.0]


def test_attention_is_at_most_2() -> None:
    mine, theirs = draw((50, 2, 3, 3), seed=1, scale=5), draw((50, 2, 3, 3), seed=2)
    assert 0 < attention(mine, theirs).min() < attention(mine, theirs).max() < 2
    left, right = torch.tensor([[[9.0], [0.0]]]), torch.tensor([[[0.0], [1e-3]]])
    assert attention(left, right).item() == 2


def test_what_does_not_fit_is_refused() -> None:
    with refused("features of shape (5, 4) and (5, 3) have no differences", "same size"):
        hint(draw((5, 4)), draw((5, 3)))
    with refused("features of shape (5, 4) have no places", "images (B, C, H, W)"):
        attention(draw((5, 4)), draw((5, 4)))
    with refused("7 places of the student do not fit 6 of the teacher"):
        attention(draw(TOKENS), draw((5, 6, 3)))
    with refused("24 places of the student do not fit 25 of the teacher"):
        attention(draw(IMAGES), draw((5, 25, 3)))
    with refused("features of 5 and of 4 examples"):
        relational(draw((5, 4)), draw((4, 4)))
    with refused("features must be real numbers of at least two axes", "(5,)"):
        relational(draw((5,)), draw((5,)))
    with refused("features must be real numbers", "torch.int64"):
        attention(torch.ones(5, 4, 3, dtype=torch.int64), draw((5, 4, 3)))


def l1(mine: Tensor, theirs: Tensor) -> Tensor:
    return (mine - theirs).abs().mean(1)


def test_a_loss_by_name_or_of_ones_own() -> None:
    mine, theirs = draw(VECTORS, seed=1).requires_grad_(), draw(VECTORS, seed=2).requires_grad_()
    assert [feature_loss(name) for name in ("hint", "attention", "relational")] == [
        hint,
        attention,
        relational,
    ]
    values = feature_loss(l1)(mine, theirs)
    torch.testing.assert_close(values, l1(mine, theirs))
    values.sum().backward()
    assert mine.grad is not None
    assert theirs.grad is None
    with refused("unknown feature loss 'hints': choose one of hint, attention, relational"):
        feature_loss("hints")  # type: ignore[arg-type]
    with refused("unknown feature loss 3"):
        feature_loss(3)  # type: ignore[arg-type]
    with refused("a feature loss must give one value per example, (5,), not ()"):
        feature_loss(lambda mine, theirs: l1(mine, theirs).mean())(mine, theirs)
    with pytest.raises(RunError, match=r"feature loss .*broken fails with ZeroDivisionError"):
        feature_loss(broken)(mine, theirs)


def broken(mine: Tensor, theirs: Tensor) -> Tensor:
    return mine / (1 // 0)
