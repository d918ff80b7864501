"""What tells a caller's own things from others of the same form."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdgan.data import AffineElastic, Batch
from kdgan.training.identity import of_data, of_object, of_tensors

X, Y = torch.arange(12.0).view(4, 3), torch.tensor([0, 1, 2, 0])


def test_data_are_what_is_in_them() -> None:
    found = of_data(Batch(X, Y))
    assert isinstance(found, str)
    assert of_data(Batch(X.clone(), Y.int())) == found
    assert of_data(Batch(X.T.contiguous().T, Y)) == found  # however it lies in memory
    others = [Batch(X + 1, Y), Batch(X, Y.flip(0)), Batch(X, Y, X), Batch(X.double(), Y)]
    assert len({found, *map(of_data, others)}) == 5
    # Logits that a teacher gave ahead are no data.
    assert of_data(Batch(X, Y, teacher_logits=X)) == found


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3.0),
        torch.tensor([True, False]),
        torch.randn(3).bfloat16(),
        torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        nn.Parameter(torch.randn(2)),
    ],
)
def test_tensors_of_any_kind(tensor: Tensor) -> None:
    other = tensor.detach().clone().flatten()
    other[0] = ~other[0] if other.dtype == torch.bool else other[0] + 1
    assert of_tensors([tensor]) == of_tensors([tensor.detach().clone()])
    assert of_tensors([tensor]) != of_tensors([other])
    assert len(of_tensors([])) == 16


def test_functions_by_their_names_and_values_as_they_are() -> None:
    assert of_object(of_data).split()[0] == "of_data"
    assert of_object(AffineElastic(torch.zeros(1))).split()[0] == "AffineElastic"
    assert of_object(AffineElastic(torch.zeros(1))) == of_object(AffineElastic(torch.zeros(1)))
    assert of_object(AffineElastic(torch.zeros(1))) != of_object(AffineElastic(torch.ones(1)))
    assert of_object(nn.Linear).split()[0] == "Linear"

    def one(power: int) -> Callable[[int], int]:
        return lambda x: x**power

    assert of_object(one(2)) == of_object(one(2)) != of_object(one(3))
    for value in (None, 0.5, "kl", 3, True):
        assert of_object(value) == value
