"""A module of networks of the user's own."""

import sys
import types

import pytest
import torch


def means(images: torch.Tensor) -> torch.Tensor:
    return images.mean((2, 3))


class Odd(torch.nn.Module):
    """Gives another result while training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(means(images)) * (100 if self.training else 1)


@pytest.fixture
def mine(monkeypatch) -> types.ModuleType:
    """A module of the user's own."""
    module = types.ModuleType("mine")
    module.means, module.odd, module.number = means, Odd(), 3
    module.maps = lambda images: images
    module.pooled = lambda images: images.mean((2, 3), keepdim=True)
    module.array = lambda images: means(images).double().numpy()
    module.broken = lambda images: images @ images.new_zeros(1, 1, 1)
    module.bad = lambda images: means(images) / 0
    module.deep = types.SimpleNamespace(means=means)
    monkeypatch.setitem(sys.modules, "mine", module)
    return module
