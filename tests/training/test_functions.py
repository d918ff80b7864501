"""Functions as modules that a `Player` holds; estimators are tested through `distill`."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.player import Player
from kdgan.training import identity
from kdgan.training.answers import Reading
from kdgan.training.functions import Asked
from support import refused

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
BATCH = Batch(X, torch.arange(6) % 3)


def asked(factor: float) -> Asked:
    return Asked(lambda x: factor * x[:, :3], Reading("probabilities"), "both", arrays=False)


def test_what_a_function_holds_is_no_part_of_the_players_form() -> None:
    one, other = asked(1), asked(2)
    assert identity.of_form(one) == identity.of_form(other)
    other.keep_fingerprint()
    assert identity.of_form(one) != identity.of_form(other)


@pytest.mark.parametrize("arrays", [False, True])
def test_a_function_gets_memory_of_its_own(arrays: bool) -> None:
    def spoil(x: Tensor | np.ndarray) -> Tensor:  # type: ignore[type-arg]
        assert isinstance(x, np.ndarray) == arrays
        x[:] = 0
        return torch.zeros(len(x), 3)

    face = Asked(spoil, Reading(), "both", arrays=arrays)
    face.settle("classes", 3)
    before = X.clone()
    Player("teacher", face, None)(BATCH)
    assert torch.equal(X, before)


def test_numbers_as_they_are_given_are_held_to_what_they_should_be() -> None:
    face = asked(0.5).as_given()
    assert torch.equal(face(X.abs().clamp(max=1)), X.abs().clamp(max=1)[:, :3] / 2)
    with refused("of example 0 lie in", "not in 0..1"):
        face(X.abs() + 3)


class Recurrent(nn.Module):
    """Two layers, with dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LSTM(4, 3, 2, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.unsqueeze(1))[0][:, 0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.BatchNorm1d(4), "BatchNorm1d"),
        (nn.Dropout(0.5), "Dropout"),
        (nn.AlphaDropout(0.5), "AlphaDropout"),
        (Recurrent(), "LSTM"),
    ],
)
@pytest.mark.parametrize("how", ["a function", "a method"])
def test_a_function_over_a_network_in_train_mode_is_refused_before_it_changes(
    layer: nn.Module, kind: str, how: str
) -> None:
    network = nn.Sequential(layer, nn.Linear(3 if kind == "LSTM" else 4, 3)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ask = network.forward if how == "a method" else lambda x: network(x)
    face = Asked(ask, Reading(), "both", arrays=False)
    face.settle("classes", 3)
    with refused(f"calls a network in train() mode, with a layer {kind}", "call its eval() first"):
        Player("teacher", face, None)(BATCH)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    # Outside of the call nothing is refused, and in eval mode nothing ever.
    network(X)
    network.eval()
    assert torch.equal(Player("teacher", face, None)(BATCH), network(X))


def test_layers_that_are_the_same_in_both_modes_are_called_in_either() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.0), nn.LayerNorm(4), nn.Linear(4, 3)).train()
    face = Asked(network.forward, Reading(), "both", arrays=False)
    face.settle("classes", 3)
    assert torch.equal(Player("teacher", face, None)(BATCH), network(X))
    assert network.training
