"""Rows of a batch on several processes, and what they tell each other."""

from pathlib import Path

import torch

import device_jobs
from kdgan import Batch
from kdgan.methods.sharing import alone, at_first, by_rows, devices, is_first, shared_by
from processes import Together


def test_one_process_shares_nothing() -> None:
    batch = Batch(torch.ones(3, 2), None)
    with shared_by(None):
        assert devices() is None
        assert is_first()
        assert at_first(lambda: 3) == 3
        assert by_rows(lambda each: each.tensor, batch) is batch.inputs
        with alone():
            assert devices() is None


def test_collectives_of_two_processes_and_one_that_fails(tmp_path: Path) -> None:
    ended = Together(tmp_path / "processes", device_jobs.collect, tmp_path).end()
    assert [each.code for each in ended] == [0, 0], ended
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["as it should be"] * 2
    assert (tmp_path / "1-failed.txt").read_text() == "ValueError: no such photo"
    # The second ends its part without a word on the wire; the first hears of it as its process ends.
    said = (tmp_path / "0-failed.txt").read_text()
    assert said == "Lost: process 2 of 2: ValueError: no such photo"
