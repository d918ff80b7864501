"""Label propagation over features, against dense algebra and on clusters that are easily told apart."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.errors import Diverged
from kdgan.nets import ImageText, TextEncoder, WithPrivileged, build, mlp, normed, projected
from kdgan.training.evaluate import logits_of
from kdgan.training.propagation import features_of, last_layer, propagate
from support import refused

COUNT, KNOWN = 60, 12


def clusters(spread: float = 0.3) -> tuple[Tensor, Tensor]:
    """Features of length 1 of 60 examples in three clusters, in a random order, and the cluster of each."""
    g = torch.Generator().manual_seed(0)
    which = torch.arange(COUNT)[torch.randperm(COUNT, generator=g)] % 3
    centres = torch.eye(3, 5, dtype=torch.float64)
    noise = spread * torch.randn(COUNT, 5, generator=g, dtype=torch.float64)
    return F.normalize(centres[which] + noise, dim=1), which


def naive(features: Tensor, labels: Tensor) -> Tensor:
    """Zhou et al. (2003), entry by entry: what the last examples are taken for."""
    x, count, alpha = features.numpy(), len(features), 0.99
    w = np.zeros((count, count))
    for i in range(count):
        cosine = sorted(((float(x[i] @ x[j]), j) for j in range(count) if j != i), reverse=True)
        for value, j in cosine[:10]:
            w[i, j] = max(value, 0.0) ** 3
    w = w + w.T
    degree = w.sum(1)
    s = np.array([[w[i, j] / (degree[i] * degree[j]) ** 0.5 for j in range(count)] for i in range(count)])
    known = len(labels)
    y = np.zeros((count, labels.shape[1]))
    y[:known] = labels.numpy()
    z = np.linalg.inv(np.eye(count) - alpha * s) @ y
    return torch.from_numpy(z / z.sum(1, keepdims=True))[known:]


def entropy(p: Tensor) -> Tensor:
    return torch.stack([sum((-q * q.log() for q in row if q > 0), torch.zeros(())) for row in p])


def one_hot() -> Tensor:
    return F.one_hot(clusters()[1][:KNOWN], 3).double()


def soft() -> Tensor:
    return torch.rand(KNOWN, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)


@pytest.mark.parametrize("spread", [0.3, 1.0])
@pytest.mark.parametrize("make", [one_hot, soft], ids=["one class", "distributions"])
def test_labels_travel_as_in_dense_algebra(make: Callable[[], Tensor], spread: float) -> None:
    labels, features = make(), clusters(spread)[0]
    expected = naive(features, labels)
    found = propagate(features, labels)
    torch.testing.assert_close(found.labels, expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.labels.sum(1), torch.ones(COUNT - KNOWN, dtype=torch.float64))
    confidence = 1 - entropy(expected) / np.log(3)
    torch.testing.assert_close(found.confidence, confidence, rtol=1e-6, atol=1e-7)
    assert found.labels.shape == (COUNT - KNOWN, labels.shape[1])


def test_known_labels_reach_their_cluster() -> None:
    features, which = clusters(0.2)
    order = torch.cat([(which == k).nonzero()[:1] for k in range(3)]).flatten()  # one of each is known
    rest = torch.tensor([place for place in range(COUNT) if place not in order.tolist()])
    found = propagate(features[torch.cat([order, rest])].float(), torch.eye(3))
    assert found.labels.dtype == torch.float32
    assert torch.equal(found.labels.argmax(1), which[rest])
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert found.confidence.min() > 0.1


def test_where_no_label_reaches_nothing_is_known() -> None:
    features = clusters()[0]
    alone = torch.cat([features, torch.zeros(1, 5, dtype=torch.float64)])
    found = propagate(alone, one_hot())
    torch.testing.assert_close(found.labels[-1], torch.full((3,), 1 / 3, dtype=torch.float64))
    assert found.confidence[-1].item() == pytest.approx(0, abs=1e-12)
    others = propagate(features, one_hot())
    torch.testing.assert_close(found.labels[:-1], others.labels, rtol=1e-6, atol=1e-8)


def test_labels_without_weight_say_nothing() -> None:
    """Photos that have none of the tags are known, and yet tell no distribution."""
    found = propagate(clusters()[0], torch.zeros(KNOWN, 3))
    torch.testing.assert_close(found.labels, torch.full((COUNT - KNOWN, 3), 1 / 3, dtype=torch.float64))
    assert found.confidence.abs().max() < 1e-12


def test_a_class_that_nobody_is_known_to_have_goes_to_nobody() -> None:
    found = propagate(clusters()[0], F.pad(one_hot(), (0, 1)))
    assert not found.labels[:, 3].any()
    assert found.labels.isfinite().all()


def test_two_examples_are_enough() -> None:
    found = propagate(torch.tensor([[1.0, 0.0], [0.8, 0.6]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(found.labels, torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(found.confidence, torch.ones(1))


def test_more_examples_than_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    features = clusters()[0]
    whole = propagate(features, one_hot())
    monkeypatch.setattr("kdgan.training.propagation._AT_ONCE", 7)
    torch.testing.assert_close(propagate(features, one_hot()).labels, whole.labels)


# --- layers ------------------------------------------------------------------------------------------------------


def rows(count: int, *shape: int, privileged: int = 0) -> Batch:
    g = torch.Generator().manual_seed(0)
    known = torch.randn(count, privileged, generator=g) if privileged else None
    return Batch(torch.randn(count, *shape, generator=g), torch.arange(count) % 3, known)


NETWORKS = [
    ("mlp", (6,), 0),
    ("mlp-7", (1, 4, 4), 0),
    ("mlp-7-5", (6,), 3),
    ("lenet-2-3-5", (1, 8, 8), 0),
    ("lenet-2-3-5", (1, 8, 8), 3),
    ("resnet-8-2", (3, 8, 8), 0),
    ("resnet-8-2", (3, 8, 8), 3),
    ("normed-7", (6,), 0),
    ("projected-7", (6,), 0),
]


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("name", "shape", "privileged"), NETWORKS)
def test_the_head_of_every_bundled_network_is_found(
    name: str, shape: tuple[int, ...], privileged: int
) -> None:
    module = build(name, shape, 3, privileged=privileged)
    check_head(module, rows(10, *shape, privileged=privileged))


@pytest.mark.parametrize("kind", ["lstm", "bag"])
def test_so_is_that_of_a_network_that_reads(kind: str) -> None:
    text = TextEncoder(9, 6, kind=kind)
    tokens = torch.randint(9, (10, 4), generator=torch.Generator().manual_seed(0))
    batch = Batch(rows(10, 5).inputs, torch.arange(10) % 3, tokens)
    check_head(ImageText(5, text, [7], 3, size=6, dropout=0.3), batch)


def test_so_are_those_that_are_made_by_hand() -> None:
    check_head(WithPrivileged(nn.Linear(6, 4), mlp(4 + 2, [5], 3)), rows(10, 6, privileged=2))
    check_head(normed(6, [5], 3, 0.2), rows(10, 6))
    check_head(projected(6, [5], 3, 0.2), rows(10, 6))


def check_head(module: nn.Module, batch: Batch) -> None:
    """The layer that is found makes the logits out of the features, up to their length."""
    module.train()
    layer = last_layer(module, batch[:8])
    assert isinstance(layer, nn.Linear)
    assert layer.out_features == 3
    assert module.training
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    logits = logits_of(module, batch, role="teacher")
    hook.remove()
    torch.testing.assert_close(layer(seen[0]).detach(), logits)
    features = features_of(module, layer, batch)
    norm = seen[0].square().sum(1).sqrt()
    some = norm > 0  # of a few units none may be at work
    assert some.sum() > 5
    torch.testing.assert_close(features[some], (seen[0].T / norm).T[some])
    torch.testing.assert_close(features.norm(dim=1), some.float())
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks


class Scaled(nn.Module):
    """Logits that are not what its layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return 2 * self.layer(inputs)


class Twice(nn.Module):
    """One layer that sees two halves of the inputs, the second of which counts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        self.layer(inputs[:, :3])
        return self.layer(inputs[:, 3:])


class Prototypes(nn.Module):
    """Logits without any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(3, 6))

    def forward(self, inputs: Tensor) -> Tensor:
        return -torch.cdist(inputs, self.centres)


class Sorted(nn.Module):
    """Examples in an order of its own, as networks for texts sort them by length, and back again."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        order = inputs.sum(1).argsort()
        return self.layer(inputs[order])[order.argsort()]


class Experts(nn.Module):
    """One of two layers for each example."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 3), nn.Linear(6, 3)])

    def forward(self, inputs: Tensor) -> Tensor:
        first = inputs[:, 0] > 0
        found = inputs.new_zeros(len(inputs), 3)
        for layer, there in zip(self.layers, (first, ~first), strict=True):
            found[there] = layer(inputs[there])
        return found


class Careful(nn.Module):
    """A layer that is called by name, and whose inputs are written over afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.body(inputs)
        logits = self.head(input=hidden.clone() if self.training else hidden)
        with torch.no_grad():
            hidden.zero_()
        return logits


class Named(nn.Module):
    """Logits within a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.body(inputs))}


@pytest.mark.parametrize(
    "module",
    [
        Scaled(),
        Twice(),
        Prototypes(),
        Sorted(),
        Experts(),
        nn.Sequential(nn.Linear(6, 3), nn.LogSoftmax(1)),
        nn.Bilinear(6, 2, 3),
    ],
)
def test_other_networks_have_none(module: nn.Module) -> None:
    assert last_layer(module, rows(8, 6, privileged=2 if isinstance(module, nn.Bilinear) else 0)) is None


def test_logits_within_an_output_have_one() -> None:
    module = Named()
    assert last_layer(module, rows(8, 6)) is module.head
    check_head(module, rows(10, 6))


def test_features_are_those_that_the_layer_saw() -> None:
    module, batch = Careful(), rows(20, 6)
    layer = last_layer(module, batch[:8])
    assert layer is module.head
    expected = F.normalize(module.body(batch.tensor).detach(), dim=1)
    torch.testing.assert_close(features_of(module, module.head, batch), expected)


def test_a_layer_that_some_examples_pass_by_is_told() -> None:
    with refused("not every example", "fixmatch"):
        module = Experts()
        features_of(module, module.layers[0], rows(20, 6))


def test_a_student_does_not_see_what_is_privileged() -> None:
    module = mlp(6, [4], 3)
    assert last_layer(module, rows(8, 6, privileged=2), "student") is module[-1]


@pytest.mark.parametrize("count", [1, 3, 7, 8, 499, 500, 501, 1003])
def test_few_examples_have_the_features_that_they_have_among_many(count: int) -> None:
    module = mlp(6, [5], 3)
    layer, many = module[-1], rows(1100, 6)
    assert last_layer(module, many[:count][:8]) is layer
    features = features_of(module, layer, many[:count])
    assert features.shape == (count, 5)
    torch.testing.assert_close(features, F.normalize(module[:-1](many.inputs[:count]), dim=1).detach())


def test_features_that_are_not_finite_are_told() -> None:
    module = mlp(6, [5], 3)
    with torch.no_grad():
        module[1].bias.fill_(float("inf"))
        module[-1].weight.fill_(1.0)
    with pytest.raises(Diverged, match="the teacher has features that are not finite"):
        features_of(module, module[-1], rows(9, 6))
