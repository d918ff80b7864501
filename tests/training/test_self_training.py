"""What a teacher takes examples without labels for, before any method begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from kdgan.data import Batch
from kdgan.data.semi import Semi
from kdgan.data.stream import Stream
from kdgan.losses import Bernoulli, Categorical
from kdgan.nets import mlp
from kdgan.training import self_training
from kdgan.training.propagation import propagate
from kdgan.training.self_training import (
    going_on,
    last_stage,
    pseudo_labelled,
    put_weights,
    takes_propagation,
    weights_of,
    with_own_labels,
)

KNOWN, OTHERS = 9, 40


@pytest.fixture
def teacher() -> nn.Module:
    torch.manual_seed(0)
    return mlp(6, [16], 3)


def examples(count: int, first: int, **more: Any) -> Batch:
    """Three classes of vectors that are easily told apart; the labels are theirs."""
    g = torch.Generator().manual_seed(first)
    labels = torch.arange(count) % 3
    inputs = 3 * torch.eye(3, 6)[labels] + 0.5 * torch.randn(count, 6, generator=g)
    return Batch(inputs, labels, **more)


def data(targets: Tensor | None = None) -> Semi:
    known, others = examples(KNOWN, 0), examples(OTHERS, 1)
    none = torch.full((OTHERS,), -1)
    return Semi(known if targets is None else replace(known, targets=targets), replace(others, targets=none))


TRUE = torch.arange(OTHERS) % 3


def found_for(teacher: nn.Module, both: Semi, seed: int = 0) -> tuple[Batch, Tensor]:
    return pseudo_labelled(teacher, both, seed=seed, role="teacher")


def by_hand(teacher: nn.Sequential, both: Semi, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and confidence out of the network's hidden layer."""
    with torch.no_grad():
        hidden = [teacher[:-1](part.inputs) for part in (both.labelled, both.unlabelled)]  # type: ignore[union-attr]
    found = propagate(F.normalize(torch.cat(hidden), dim=1), targets)
    return found.labels, found.confidence / found.confidence.max()


def test_examples_of_a_class_are_taken_for_the_likeliest_as_much_as_is_sure(teacher: nn.Sequential) -> None:
    both = data()
    found, chosen = found_for(teacher, both)
    labels, confidence = by_hand(teacher, both, F.one_hot(torch.arange(KNOWN) % 3, 3))
    assert found.pseudo_labels is not None
    assert found.confidence is not None
    assert torch.equal(found.pseudo_labels, F.one_hot(labels.argmax(1), 3).float())
    torch.testing.assert_close(found.confidence, confidence)
    assert found.confidence.max() == 1
    assert torch.equal(found.pseudo_labels.argmax(1), TRUE)
    assert torch.equal(chosen, torch.arange(OTHERS))
    assert isinstance(both.unlabelled, Batch)
    assert torch.equal(found.tensor, both.unlabelled.tensor)
    assert found.labelled is not None
    assert not found.labelled.any()


def test_distributions_stay_distributions(teacher: nn.Sequential) -> None:
    g = torch.Generator().manual_seed(3)
    targets = torch.rand(KNOWN, 3, generator=g).softmax(1)
    both = data(targets)
    found, _ = found_for(teacher, both)
    labels, confidence = by_hand(teacher, both, targets)
    torch.testing.assert_close(found.pseudo_labels, labels)
    torch.testing.assert_close(found.confidence, confidence)
    assert ((labels > 0.01) & (labels < 0.99)).any()


def test_of_many_examples_some_are_drawn(teacher: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_training, "MOST", 24)
    found, chosen = found_for(teacher, data())
    assert len(found) == len(chosen) == 24 - KNOWN
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert torch.equal(found.tensor, data().unlabelled.tensor[chosen])  # type: ignore[union-attr]
    again, same = found_for(teacher, data())
    assert torch.equal(same, chosen)
    assert torch.equal(again.confidence, found.confidence)  # type: ignore[arg-type]
    assert not torch.equal(found_for(teacher, data(), seed=1)[1], chosen)


def test_labelled_ones_take_half_of_the_graph_at_most(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_training, "MOST", 10)
    counts = []

    def counted(features: Tensor, labels: Tensor) -> Any:
        counts.append((len(features), len(labels)))
        return propagate(features, labels)

    monkeypatch.setattr(self_training, "propagate", counted)
    assert len(found_for(teacher, data())[0]) == 5
    assert counts == [(10, 5)]


def test_going_on_marks_the_others_with_no_confidence(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_training, "MOST", 24)
    both = data()
    found, chosen = found_for(teacher, both, seed=5)
    whole = going_on(teacher, both, seed=5, role="teacher")
    assert whole.labelled is both.labelled
    marked = whole.unlabelled
    assert isinstance(marked, Batch)
    assert isinstance(both.unlabelled, Batch)
    assert torch.equal(marked.tensor, both.unlabelled.tensor)
    assert marked.pseudo_labels is not None
    assert marked.confidence is not None
    outside = torch.ones(OTHERS, dtype=torch.bool)
    outside[chosen] = False
    assert outside.sum() == OTHERS - (24 - KNOWN)
    assert not marked.confidence[outside].any()
    # So much higher that the mean over a batch of all is that over those in the graph.
    scale = len(marked) / len(chosen)
    torch.testing.assert_close(marked.confidence[chosen], scale * found.confidence)  # type: ignore
    assert torch.equal(marked.pseudo_labels[chosen], found.pseudo_labels)  # type: ignore[arg-type]


def steep(teacher: nn.Sequential, share: float) -> Tensor:
    """What the network says of the examples without a label, once it is as steep as to be sure of such a share."""
    inputs = data().unlabelled.tensor  # type: ignore[union-attr]
    for _ in range(60):
        said = teacher(inputs).detach()
        if (said.softmax(1).amax(1) >= 0.9).float().mean() >= share:
            return said
        with torch.no_grad():
            teacher[-1].weight *= 1.2
            teacher[-1].bias *= 1.2
    raise AssertionError("never so sure")


def test_own_labels_are_the_likeliest_where_it_is_sure(teacher: nn.Sequential) -> None:
    said = steep(teacher, 0.4)
    both = data()
    told = with_own_labels(teacher, both, role="teacher", family=Categorical())
    assert told.labelled is both.labelled
    assert isinstance(told.unlabelled, Batch)
    labels, confidence = told.unlabelled.pseudo_labels, told.unlabelled.confidence
    assert labels is not None
    assert confidence is not None
    assert torch.equal(labels, F.one_hot(said.argmax(1), 3).float())
    assert torch.equal(confidence, (said.softmax(1).amax(1) >= 0.9).float())
    assert 0 < confidence.sum() < OTHERS


def test_own_labels_that_are_each_on_or_off_are_hard_where_it_is_sure(teacher: nn.Sequential) -> None:
    said = steep(teacher, 0.4).sigmoid()
    told = with_own_labels(teacher, data(), role="teacher", family=Bernoulli())
    assert isinstance(told.unlabelled, Batch)
    labels, confidence = told.unlabelled.pseudo_labels, told.unlabelled.confidence
    assert labels is not None
    assert confidence is not None
    sure = (said >= 0.9) | (said <= 0.1)
    assert 0 < sure.sum() < sure.numel()
    assert torch.equal(labels[sure], said[sure].round())
    torch.testing.assert_close(labels[~sure], said[~sure])
    assert torch.equal(confidence, torch.ones(OTHERS))


class Halved:
    """Inputs that are kept at twice their size."""

    def __call__(self, inputs: Tensor) -> Tensor:
        return inputs.float() / 2

    def to(self, device: torch.device | str) -> "Halved":
        return self


def test_inputs_that_are_kept_as_they_were_read_are_seen_as_networks_take_them(teacher: nn.Module) -> None:
    plain = data()
    parts = [
        replace(part, inputs=part.tensor * 2, scale=Halved())  # type: ignore[union-attr]
        for part in (plain.labelled, plain.unlabelled)
    ]
    found, _ = found_for(teacher, Semi(*parts))
    expected, _ = found_for(teacher, plain)
    assert torch.equal(found.pseudo_labels, expected.pseudo_labels)  # type: ignore[arg-type]
    assert torch.equal(found.confidence, expected.confidence)  # type: ignore[arg-type]
    assert found.scale is not None  # a batch at a time is brought to that
    assert torch.equal(found.tensor, parts[1].tensor)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_device_as_on_the_processor(teacher: nn.Module) -> None:
    expected, _ = found_for(teacher, data())
    found, chosen = found_for(teacher.cuda(), data().to(torch.device("cuda")))
    assert found.device.type == chosen.device.type == "cuda"
    assert torch.equal(found.pseudo_labels.cpu(), expected.pseudo_labels)  # type: ignore[union-attr]
    torch.testing.assert_close(found.confidence.cpu(), expected.confidence, rtol=1e-2, atol=1e-2)  # type: ignore[union-attr]


class Drawing(nn.Module):
    """Draws whatever its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp(6, [16], 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs + torch.randn_like(inputs))


def test_what_a_network_draws_depends_on_the_seed_and_disturbs_nobody() -> None:
    torch.manual_seed(0)
    module, found = Drawing(), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(found_for(module, data())[0].confidence)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*found)


def test_labels_are_propagated_where_data_are_in_memory_and_there_is_a_last_layer(teacher: nn.Module) -> None:
    both = data()
    assert takes_propagation(teacher, both, "teacher")
    assert not takes_propagation(nn.Sequential(teacher, nn.Softmax(1)), both, "teacher")
    part = both.labelled
    assert isinstance(part, Batch)
    stream = Stream(DataLoader(TensorDataset(part.tensor, part.targets), batch_size=4))
    assert not takes_propagation(teacher, Semi(stream, both.unlabelled), "teacher")
    assert not takes_propagation(teacher, Semi(both.labelled, stream), "teacher")


def test_the_last_round_is_what_a_player_became(tmp_path: Path) -> None:
    assert last_stage(tmp_path) == tmp_path / "checkpoint.safetensors"
    for number in (1, 2, 9, 10):
        folder = tmp_path / f"self-training-{number}"
        folder.mkdir()
        assert last_stage(tmp_path) != folder / "checkpoint.safetensors"  # nothing is there yet
        (folder / "checkpoint.safetensors").touch()
        assert last_stage(tmp_path) == folder / "checkpoint.safetensors"
    odd = tmp_path / "self-training-x"
    odd.mkdir()
    (odd / "checkpoint.safetensors").touch()
    assert last_stage(tmp_path) == folder / "checkpoint.safetensors"


def test_weights_are_put_back_whatever_a_network_keeps_of_itself() -> None:
    class Adapter(nn.Linear):
        def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return {}

    module = Adapter(3, 2)
    before = weights_of(module)
    with torch.no_grad():
        module.weight.zero_()
    put_weights(module, before)
    assert torch.equal(module.weight, before[0])
    assert module.weight.abs().sum() > 0
