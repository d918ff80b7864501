"""What a network says of data it was not trained on."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.forms import Pieces
from kdgan.errors import Diverged
from kdgan.nets import build
from kdgan.training.evaluate import logits_of


class Summing(nn.Module):
    """Remembers how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, bool, bool]] = []
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs: Tensor, privileged: Tensor | None = None) -> Tensor:
        self.calls.append((len(inputs), self.training, torch.is_grad_enabled()))
        logits: Tensor = self.linear(inputs)
        return logits if privileged is None else logits + privileged


DATA = Batch(torch.randn(10, 4), torch.arange(10) % 3, torch.full((10, 1), 100.0))


@pytest.mark.parametrize("size", [1, 3, 10, 1000])
@pytest.mark.parametrize("training", [True, False])
def test_logits_come_in_pieces_of_any_size_without_gradient(size: int, training: bool) -> None:
    module = Summing().train(training)
    logits = logits_of(module, DATA, size=size)
    torch.testing.assert_close(logits, module.linear(DATA.inputs).detach())
    assert not logits.requires_grad
    counts = [count for count, *_ in module.calls]
    assert sum(counts) == {1: 10, 3: 12, 10: 10, 1000: 10}[size]  # the last of three is filled up
    assert max(counts) == min(size, 10)
    assert {(mode, gradient) for _, mode, gradient in module.calls} == {(False, False)}
    assert module.training == module.linear.training == training


def test_privileged_information_goes_to_all_but_the_student() -> None:
    module = Summing()
    student = logits_of(module, DATA)
    for role in ("teacher", "discriminator", "peer"):
        torch.testing.assert_close(logits_of(module, DATA, role=role), student + 100)


@pytest.mark.parametrize("size", [3, None])
def test_logits_that_are_no_numbers_are_told_with_whose_they_are(size: int | None) -> None:
    spoilt = DATA.inputs.clone()
    spoilt[-1, 0] = torch.nan
    with pytest.raises(Diverged, match=r"^the teacher gives logits that are no numbers \(NaN\)$"):
        logits_of(Summing(), replace(DATA, inputs=spoilt), role="teacher", size=size)
    endless = torch.full((2, 3), torch.inf)
    assert torch.equal(
        logits_of(nn.Identity(), Batch(endless, torch.zeros(2).long())), endless
    )  # metrics know it


def test_looking_changes_nothing() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
    module[1].eval()  # each part has a mode of its own
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    assert torch.equal(logits_of(module, DATA), logits_of(module, DATA))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert [part.training for part in module] == [True, False, True, True]


class Named(nn.Module):
    """Says of each example its number, whatever the length."""

    def forward(self, x: Tensor) -> object:
        return SimpleNamespace(logits=x.amax(1, keepdim=True).expand(-1, 2))


@pytest.mark.parametrize("size", [1, 2, 4, None])
def test_batches_and_pieces_of_other_lengths_in_their_order(size: int | None) -> None:
    x = torch.arange(9.0).unsqueeze(1)
    parts = Pieces(({"x": x[:3]}, {"x": x[3:4].expand(1, 5)}, {"x": x[4:].expand(5, 2)}))
    whole = Batch(parts, torch.arange(9))
    for data in (whole, [whole], [whole[:2], whole[2:5], whole[5:]]):
        assert torch.equal(logits_of(Named(), data, size=size)[:, 0], x.flatten())


@pytest.mark.parametrize("network", ["mlp-32", "mlp-800-800", "lenet-20-50-500", "resnet-8"])
def test_an_example_has_the_same_logits_in_whatever_company(network: str) -> None:
    """Bit for bit: what predicts a single photo says what the test part of its run did."""
    torch.manual_seed(0)
    shape = (1, 12, 12)
    module = build(network, shape, 5)
    inputs = torch.randn(150, *shape)
    whole = logits_of(module, Batch(inputs, None))
    order = torch.randperm(150)
    assert torch.equal(logits_of(module, Batch(inputs[order], None)), whole[order])
    for count in (1, 2, 3, 5, 7, 8, 9, 31):
        for start in (0, 17, 110):
            rows = slice(start, start + count)
            assert torch.equal(logits_of(module, Batch(inputs[rows], None)), whole[rows]), (count, start)


class Writes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.data.mul_(2)
        return x


def test_a_network_that_writes_into_its_inputs_leaves_the_callers_alone() -> None:
    before = DATA.inputs.clone()
    assert torch.equal(logits_of(Writes(), DATA), 2 * before)
    assert torch.equal(DATA.inputs, before)
