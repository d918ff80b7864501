"""What a network costs at inference."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from kdgan import nets
from kdgan.data import Batch
from kdgan.ship import cost

DATA = Batch(torch.randn(20, 6), torch.arange(20) % 3)
WITH_ANSWER = Batch(DATA.inputs, DATA.targets, nn.functional.one_hot(DATA.targets, 3).float())


@pytest.mark.parametrize("hidden", [[], [5], [7, 11]])
def test_costs_of_a_known_network(hidden: list[int]) -> None:
    widths = [6, *hidden, 3]
    pairs = list(pairwise(widths))
    net = nets.mlp(6, hidden, 3)
    measured = cost(net.train(), DATA)
    assert measured.parameters == sum(a * b + b for a, b in pairs)
    assert measured.bytes == 4 * measured.parameters
    assert measured.flops == sum(2 * a * b for a, b in pairs)  # of one example
    assert 0 < measured.milliseconds < 1000
    assert net.training


def test_costs_count_buffers_and_convolutions_and_privileged_information() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(256, 3)
    )
    before = copy.deepcopy(net.state_dict())
    measured = cost(net, Batch(torch.zeros(5, 1, 8, 8), torch.zeros(5).long()))
    assert measured.parameters == 36 + 8 + 256 * 3 + 3
    assert measured.bytes == 4 * measured.parameters + 4 * 8 + 8  # running statistics and their count
    assert measured.flops == 2 * (9 * 4 * 64) + 2 * 256 * 3
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    seeing_all = nets.WithPrivileged(nn.Identity(), nets.mlp(9, [16], 3))
    teacher = cost(seeing_all, WITH_ANSWER, role="teacher")
    assert teacher.flops == 2 * (9 * 16 + 16 * 3)
