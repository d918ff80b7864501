"""FixMatch against its formula, written down entry by entry."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from by_hand import LEARNING, F, K, Peculiar, gradients, player, sigmoid, softmax, weights_of
from kdgan.data import Batch
from kdgan.data.augment import Noise
from kdgan.data.feed import Views
from kdgan.losses import Bernoulli, Categorical, Family
from kdgan.methods import FixMatch
from kdgan.training.config import Training
from support import refused

COUNT = 12
UNKNOWN = [1, 4, 5, 6, 7, 8, 9, 11]


def batch(*, bits: bool = False, seed: int = 0) -> Batch:
    """Examples of which two thirds have no label."""
    g = torch.Generator().manual_seed(seed)
    inputs = 3 * torch.randn(COUNT, F, generator=g, dtype=torch.float64)
    if bits:
        targets = (torch.rand(COUNT, K, generator=g) < 0.5).double()
        targets[UNKNOWN] = float("nan")
    else:
        targets = torch.randint(K, (COUNT,), generator=g)
        targets[UNKNOWN] = -1
    return Batch(inputs, targets)


def moved(batch: Batch, step: int) -> Batch:
    """Another view, which tells the number of the update."""
    return batch.with_inputs(batch.tensor + 0.1 * (step + 1))


def made(module: nn.Module | None = None, **options: Any) -> FixMatch:
    torch.manual_seed(0)
    return FixMatch(module or player("teacher"), optimization=LEARNING, **options)


def naive(module: nn.Module, data: Batch, threshold: float, *, step: int = 0) -> tuple[float, float]:
    """Both terms for one class."""
    with torch.no_grad():
        said, now = softmax(module(data.inputs)), softmax(module(moved(data, step).inputs))
    known = [row for row in range(COUNT) if row not in UNKNOWN]
    label = sum(-float(now[row, data.targets[row]].log()) for row in known) / len(known)
    own = 0.0
    for row in UNKNOWN:
        best = max(range(K), key=lambda k: float(said[row, k]))
        if said[row, best] >= threshold:
            own -= float(now[row, best].log())
    return label, own / len(UNKNOWN)


def naive_bits(module: nn.Module, data: Batch, threshold: float) -> tuple[float, Tensor]:
    """The term of labels, and what its own teaches: the slope of the term with respect to the logits."""
    with torch.no_grad():
        said, now = sigmoid(module(data.inputs)), sigmoid(module(moved(data, 0).inputs))
    known = [row for row in range(COUNT) if row not in UNKNOWN]
    label = 0.0
    for row in known:
        for k in range(K):
            p = float(now[row, k] if data.targets[row, k] == 1 else 1 - now[row, k])
            label -= torch.tensor(p).log().item() / K / len(known)
    slope = torch.zeros(COUNT, K, dtype=torch.float64)
    for row in UNKNOWN:
        for k in range(K):
            if said[row, k] >= threshold or said[row, k] <= 1 - threshold:
                slope[row, k] = (now[row, k] - float(said[row, k] > 0.5)) / K / len(UNKNOWN)
    return label, slope


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.42, 1.0])
def test_one_class_by_hand(threshold: float) -> None:
    method, data = made(views=moved, threshold=threshold), batch()
    label, own = naive(method.players["teacher"].module, data, threshold)
    losses = method.update(data, 0.5)
    assert losses.keys() == {"label", "own"}
    assert losses["label"].item() == pytest.approx(label, rel=1e-9)
    assert losses["own"].item() == pytest.approx(own, rel=1e-9, abs=1e-12)
    assert (own == 0) == (threshold == 1)


def test_thresholds_between_choose_some() -> None:
    said = softmax(made().players["teacher"].module(batch().inputs))[UNKNOWN].max(1).values
    for threshold in (0.35, 0.42):
        assert 0 < (said >= threshold).sum() < len(UNKNOWN)


@pytest.mark.parametrize("threshold", [0.5, 0.6, 1.0])
def test_labels_by_hand(threshold: float) -> None:
    method, data = made(views=moved, threshold=threshold, family=Bernoulli()), batch(bits=True)
    module = method.players["teacher"].module
    label, slope = naive_bits(module, data, threshold)
    terms = method.loss_of("teacher", data, 0.5)
    assert terms["label"][1].mean().item() == pytest.approx(label, rel=1e-6)
    terms["own"][1].mean().backward()
    taught = gradients(module)
    module.zero_grad()
    (module(moved(data, 0).inputs) * slope).sum().backward()
    torch.testing.assert_close(taught, gradients(module), rtol=1e-9, atol=1e-12)
    assert bool(taught.any()) == (threshold < 1)


def test_guesses_receive_no_gradient() -> None:
    """The slope of the term is that of a loss whose labels are fixed."""
    method, data = made(views=moved, threshold=0.5), batch()
    module = method.players["teacher"].module
    method.loss_of("teacher", data, 0.5)["own"][1].mean().backward()
    taught = gradients(module)
    module.zero_grad()
    said = softmax(module(data.inputs).detach())
    logits = module(moved(data, 0).inputs)
    rows = [row for row in UNKNOWN if said[row].max() >= 0.5]
    loss = sum(-softmax(logits)[row, said[row].argmax()].log() for row in rows) / len(UNKNOWN)
    loss.backward()  # type: ignore[union-attr]
    torch.testing.assert_close(taught, gradients(module), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", [Categorical(), Bernoulli()])
def test_where_all_have_a_label_it_is_plain_training(family: Family) -> None:
    bits = family.name == "labels"
    targets = torch.eye(K, dtype=torch.float64)[:3] if bits else torch.arange(3)
    method = made(family=family)
    assert method.update(Batch(batch().tensor[:3], targets), 0.5).keys() == {"label"}


@pytest.mark.parametrize("bits", [False, True], ids=["classes", "labels"])
def test_where_none_has_a_label_it_learns_from_its_own(bits: bool) -> None:
    method, data = made(threshold=0.5, family=Bernoulli() if bits else Categorical()), batch(bits=bits)
    rows = torch.tensor(UNKNOWN)
    losses = method.update(data[rows], 0.5)
    assert losses["label"] == 0
    assert losses["own"] > 0


def test_settings_of_the_labels_are_not_those_of_its_own() -> None:
    weighted = Categorical(
        class_weights=torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64), smoothing=0.2
    )
    plain, other = (made(threshold=0.5, family=family) for family in (Categorical(), weighted))
    one, two = (method.update(batch(), 0.5) for method in (plain, other))
    assert one["own"] == two["own"]
    assert one["label"] != two["label"]


def test_a_loss_of_ones_own_sees_labels_alone() -> None:
    seen: list[Tensor] = []

    def own(logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return nn.functional.cross_entropy(logits, targets, reduction="none")

    made(threshold=0.5, family=Categorical(loss=own)).update(batch(), 0.5)
    assert [len(targets) for targets in seen] == [COUNT - len(UNKNOWN)]


def test_guesses_leave_no_trace_in_layers_that_remember() -> None:
    method = made(Peculiar(), threshold=1.0)
    module = method.players["teacher"].module
    method.update(batch(), 0.5)
    assert weights_of(module)["layers.1.num_batches_tracked"] == 1
    assert module.training


def test_a_view_is_that_of_its_update_and_the_same_after_a_stop() -> None:
    seen: list[tuple[int, Tensor]] = []

    def method() -> FixMatch:
        view = Views(Noise(0.5), torch.device("cpu"), 7)

        def views(batch: Batch, step: int) -> Batch:
            seen.append((step, (other := view(batch, step)).tensor))
            return other

        torch.manual_seed(0)
        return made(player("teacher"), views=views, threshold=0.5)

    whole = method()
    for step in range(4):
        whole.update(batch(seed=step), step / 4)
    undisturbed, inputs = weights_of(whole.players["teacher"].module), seen.copy()
    assert [step for step, _ in inputs] == [0, 1, 2, 3]
    assert not torch.equal(inputs[0][1] - batch(seed=0).tensor, inputs[1][1] - batch(seed=1).tensor)

    first = method()
    seen.clear()
    for step in range(2):
        first.update(batch(seed=step), step / 4)
    second = method()
    second.load_state_dict(first.state_dict())
    for step in range(2, 4):
        second.update(batch(seed=step), step / 4)
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(seen, inputs, strict=True))
    resumed = weights_of(second.players["teacher"].module)
    assert all(torch.equal(undisturbed[name], resumed[name]) for name in undisturbed)


def test_another_seed_gives_other_views() -> None:
    one, other = (Views(Noise(0.5), torch.device("cpu"), seed)(batch(), 3).tensor for seed in (1, 2))
    assert not torch.equal(one, other)
    assert torch.equal(Views(None, torch.device("cpu"), 1)(batch(), 3).tensor, batch().tensor)


def test_halves_of_the_precision_train_all_weights() -> None:
    """The guess comes first, without gradient: casts of weights that it leaves must not be used to learn."""
    module = player("teacher").float()
    before = weights_of(module)
    method = FixMatch(module, optimization=Training().optimization("student"), threshold=0.0)
    data = batch()
    with torch.autocast("cpu", torch.bfloat16):
        method.update(data.with_inputs(data.tensor.float()), 0.5)
    assert all(not torch.equal(before[name], value) for name, value in weights_of(module).items())


def test_a_teacher_sees_what_is_privileged_and_a_student_does_not() -> None:
    known = torch.randn(COUNT, 3, dtype=torch.float64)
    data = Batch(batch().inputs, batch().targets, known)
    made(player("teacher", privileged=True), threshold=0.5).update(data, 0.5)
    made(player("student"), role="student", threshold=0.5).update(data, 0.5)


def test_what_is_wrong_is_refused() -> None:
    for threshold in (-0.1, 1.1, float("nan")):
        with refused("threshold must be in [0, 1]"):
            made(threshold=threshold)
