"""Parts of held-out examples."""

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from kdgan.data import Batch
from kdgan.data.heldout import HeldOut, held_out
from kdgan.data.parts import Part, rows_of, shuffled_evenly
from kdgan.data.stream import Stream


def share(targets: Tensor, rows: Tensor) -> Tensor:
    chosen = targets[rows]
    return chosen.bincount(minlength=int(targets.max()) + 1) / max(1, len(chosen))


@pytest.mark.parametrize("seed", range(5))
def test_every_beginning_has_about_the_share_of_each_class(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([700, 200, 90, 9, 1])
    targets = torch.arange(5).repeat_interleave(sizes)[torch.randperm(1000, generator=generator)]
    order = shuffled_evenly(targets, seed)
    assert sorted(order.tolist()) == list(range(1000))
    for count in (10, 37, 100, 256, 500, 900):
        counts = targets[order[:count]].bincount(minlength=5)
        assert (counts - count * sizes / 1000).abs().max() <= 2


def test_the_seed_and_nothing_else_says_which() -> None:
    targets = torch.arange(60) % 3
    torch.manual_seed(1)
    one = shuffled_evenly(targets, 4)
    torch.manual_seed(2)
    assert torch.equal(one, shuffled_evenly(targets, 4))
    assert not torch.equal(one, shuffled_evenly(targets, 5))


def test_targets_of_any_kind() -> None:
    labels = torch.arange(40) % 4 == 0
    for targets in (
        labels[:, None].float(),
        torch.stack([~labels, labels], 1).float(),
        torch.stack([~labels, labels], 1).float() * 0.6 + 0.2,
    ):
        order = shuffled_evenly(targets, 0)
        assert int(labels[order[:20]].sum()) == 5


@pytest.mark.parametrize("form", ["batch", "batches", "stream"])
def test_chosen_rows_are_those_of_the_whole(form: str) -> None:
    x, y = torch.arange(20.0)[:, None], torch.arange(20) % 3
    loader = DataLoader(TensorDataset(x, y), batch_size=6)
    whole = {
        "batch": lambda: held_out((x, y), "validation"),
        "batches": lambda: HeldOut([Batch(x[:7], y[:7]), Batch(x[7:], y[7:])], "validation"),
        "stream": lambda: HeldOut(Stream(loader), "validation"),
    }[form]()
    rows = torch.tensor([3, 4, 11, 19])
    mask = torch.zeros(20, dtype=torch.bool)
    mask[rows] = True
    for part in (rows_of(whole, mask), Part(whole, mask)):
        assert torch.cat([batch.tensor for batch in part]).flatten().tolist() == rows.tolist()
        assert torch.equal(part.targets, y[rows])
        assert len(part) == 4
        assert part.what == "validation"


def test_what_is_too_large_to_be_kept_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.arange(20.0)[:, None], torch.arange(20) % 3
    whole = HeldOut(Stream(DataLoader(TensorDataset(x, y), batch_size=6)), "validation")
    mask = torch.arange(20) < 10
    assert not isinstance(rows_of(whole, mask), Part)
    monkeypatch.setattr("kdgan.data.parts.MOST_BYTES", 10 * 12 - 1)  # a float32 and an int64 for each
    part = rows_of(whole, mask)
    assert isinstance(part, Part)
    assert torch.equal(part.targets, y[:10])
