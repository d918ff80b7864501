"""What a network costs at inference."""

import copy
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

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


class Last(nn.Module):
    """A class from the last step of a recurrent layer."""

    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(size, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


def recurrent(gates: int, sizes: list[tuple[int, int]], steps: int) -> int:
    """By hand: of each layer and direction, inputs to gates and states to gates, in every step."""
    return 2 * steps * sum(gates * size * (inputs + size) for inputs, size in sizes)


@pytest.mark.parametrize(
    ("layer", "width", "expected"),
    [
        (nn.LSTM(8, 16, batch_first=True), 16, recurrent(4, [(8, 16)], 10)),
        (nn.RNN(8, 16, batch_first=True), 16, recurrent(1, [(8, 16)], 10)),
        (
            nn.GRU(8, 16, 2, batch_first=True, bidirectional=True),
            32,
            recurrent(3, [(8, 16), (8, 16), (32, 16), (32, 16)], 10),
        ),
    ],
    ids=["LSTM", "RNN", "GRU"],
)
def test_recurrent_layers_by_hand(layer: nn.Module, width: int, expected: int) -> None:
    data = Batch(torch.randn(3, 10, 8), torch.zeros(3).long())
    assert cost(Last(layer, width), data).flops == expected + 2 * width * 2


def test_attention_by_hand() -> None:
    length, width, inner = 10, 8, 16
    layer = 2 * length * (4 * width * width + 2 * width * inner) + 2 * 2 * length * length * width
    net = nn.Sequential(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 2, inner, batch_first=True), 3),
        nn.Flatten(),
        nn.Linear(length * width, 2),
    )
    for mode in (net.train(), net.eval()):
        measured = cost(mode, Batch(torch.randn(3, length, width), torch.zeros(3).long()))
        assert measured.flops == 3 * layer + 2 * length * width * 2
    assert torch.backends.mha.get_fastpath_enabled()


class Doing(nn.Module):
    """A linear layer, and some more work."""

    def __init__(self, work: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.head, self.work = nn.Linear(6, 3), work

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x) + 0 * self.work(x, self.head.weight).sum()


@torch.library.custom_op("kdgan_tests::product", mutates_args=())
def own_product(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.T


@pytest.mark.parametrize(
    ("work", "flops"),
    [
        (lambda x, w: x.relu().softmax(1).sum(), 0),
        (lambda x, w: nn.functional.layer_norm(x, (6,), w[0], w[1]).sort(1).values, 0),
        (lambda x, w: torch.einsum("bi,ki->bk", x, w), 36),
        (lambda x, w: w @ x[0], 36),
        (own_product, None),
        (lambda x, w: torch.fft.rfft(x).real, None),
        (lambda x, w: torch.cdist(x, w), None),
        (lambda x, w: nn.functional.bilinear(x, x, w.unsqueeze(1).expand(3, 6, 6)), None),
        (lambda x, w: torch.sparse.mm(w.to_sparse(), x.T), None),
        (lambda x, w: torch.linalg.inv(w @ w.T), None),
    ],
)
def test_work_without_a_formula_is_not_counted(
    work: Callable[[Tensor, Tensor], Tensor], flops: int | None
) -> None:
    found = cost(Doing(work), DATA).flops
    assert found == (None if flops is None else 36 + flops)


def test_a_compiled_network_costs_what_it_is_made_of() -> None:
    net = torch.compile(nets.mlp(6, [5], 3), backend="eager")
    assert cost(net, DATA).flops == 2 * (6 * 5 + 5 * 3)
