"""SELFTRAIN against its formula, written down entry by entry."""

import pytest
import torch

from by_hand import LEARNING, F, K, player, softmax
from kdgan.data import Batch
from kdgan.methods import create

COUNT = 12
UNKNOWN = [1, 4, 5, 6, 7, 8, 9, 11]


def batch() -> Batch:
    """Examples of which two thirds have no label."""
    generator = torch.Generator().manual_seed(0)
    inputs = 3 * torch.randn(COUNT, F, generator=generator, dtype=torch.float64)
    targets = torch.randint(K, (COUNT,), generator=generator)
    targets[UNKNOWN] = -1
    return Batch(inputs, targets)


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.6, 1.0])
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.2, 0.7])
def test_its_own_labels_count_where_it_is_sure_and_rise_at_first(threshold: float, progress: float) -> None:
    module, data = player("student"), batch()
    method = create(
        "selftrain",
        {"student": module},
        {"threshold": threshold, "weight": 0.7, "ramp": 0.2},
        optimization=LEARNING,
    )
    logits = module(data.inputs)
    terms = method.student_loss(logits, data, {}, progress)
    said = softmax(logits.detach())
    own = 0.0
    for row in UNKNOWN:
        best = max(range(K), key=lambda k: float(said[row, k]))
        if said[row, best] >= threshold:
            own -= float(said[row, best].log()) / len(UNKNOWN)
    weight, values = terms["own"]
    assert weight == pytest.approx(0.7 * min(progress / 0.2, 1))
    assert float(values.detach().mean()) == pytest.approx(own)
    label = -sum(float(said[row, data.targets[row]].log()) for row in range(COUNT) if row not in UNKNOWN)
    assert float(terms["label"][1].detach().mean()) == pytest.approx(label / (COUNT - len(UNKNOWN)))
