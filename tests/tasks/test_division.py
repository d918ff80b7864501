"""A value in memory that processes have together: it comes out as it went in, and nothing of it is left."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from commands import PATIENCE
from kdgan.data.batch import Batch
from kdgan.tasks.division import ALIGNED, Block


@dataclass(frozen=True)
class Value:
    numbers: dict[str, Any]
    twice: list[Any]
    text: str


def made() -> Value:
    tensors = {
        "float": torch.randn(5, 3),
        "double": torch.randn(7, dtype=torch.float64),
        "bool": torch.tensor([True, False, True]),
        "bytes": torch.arange(250, dtype=torch.uint8).view(2, 125),
        "none": torch.empty(0, 4),
        "one": torch.tensor(3),
        "turned": torch.randn(4, 6).t(),
        "view": torch.randn(10, 4)[2:5],
    }
    arrays = {
        "array": np.arange(12, dtype=np.int64).reshape(3, 4),
        "mask": np.array([[True], [False]]),
        "half": np.arange(5, dtype=np.float16),
        "text": np.array(["a", "bc"]),
        "objects": np.array(["a", None], dtype=object),
        "empty": np.empty((0, 3), np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    fixed = np.arange(4.0)
    fixed.setflags(write=False)
    return Value({**tensors, **arrays, "fixed": fixed}, [tensors["float"], tensors["float"]], "words")


def block_of(value: Any) -> Block:
    block = Block.of(value)
    assert block is not None
    return block


def test_a_value_comes_back_bit_for_bit() -> None:
    value = made()
    found = block_of(value).value()
    assert found.text == "words"
    assert found.numbers.keys() == value.numbers.keys()
    for name, one in value.numbers.items():
        other = found.numbers[name]
        assert type(one) is type(other), name
        assert (one.shape, one.dtype) == (other.shape, other.dtype), name
        if isinstance(one, Tensor):
            assert torch.equal(one, other), name
            assert one.stride() == other.stride(), name
        else:
            assert np.array_equal(one, other), name
    assert found.twice[0] is found.twice[1] is found.numbers["float"]


def test_numbers_lie_in_the_block_once_and_aligned() -> None:
    block = block_of(made())
    found = block.value()
    start = min(
        found.numbers[name].data_ptr() for name in ("float", "double", "bool", "bytes", "one", "view")
    )
    for name in ("float", "double", "bool", "bytes", "one", "view"):
        at = found.numbers[name].data_ptr()
        assert 0 <= at - start < block.identity[2], name
        assert at % ALIGNED == 0, name
    assert 0 <= found.numbers["array"].ctypes.data - start < block.identity[2]
    large = torch.zeros(100_000)
    assert block_of([large, large, {"again": large}]).identity[2] == 400_000


def test_two_that_open_it_see_the_same_memory() -> None:
    block = block_of(torch.zeros(5))
    block.value()[2] = 7  # nobody may, but so it is seen
    assert block.value().tolist() == [0, 0, 7, 0, 0]


def test_a_copy_that_is_read_only_will_do() -> None:
    value = made()
    block = block_of(value)
    copy = np.frombuffer(Path(block.path).read_bytes(), np.uint8)
    with pytest.warns(UserWarning, match="not writable"):
        memory = torch.from_numpy(copy)
    block.release()
    found = block.value_in(memory)
    assert torch.equal(found.numbers["float"], value.numbers["float"])
    assert np.array_equal(found.numbers["array"], value.numbers["array"])
    with pytest.raises(OSError, match="fd"):
        block.value()


def test_memory_that_is_gone_or_another_is_not_taken_for_it() -> None:
    block = block_of(torch.ones(100))
    copy = ForkingPickler.loads(ForkingPickler.dumps(block))
    assert torch.equal(copy.value(), torch.ones(100))
    del block
    with pytest.raises(OSError, match="fd"):
        copy.value()
    other = block_of(torch.zeros(100))  # under the number that has become free
    assert other.path == copy.path
    with pytest.raises(OSError, match="fd"):
        copy.value()


def test_a_batch_keeps_what_its_parts_are() -> None:
    batch = Batch(torch.randn(4, 2), torch.tensor([0, 1, -1, 0]), teacher_logits=torch.randn(4, 2))
    found = block_of(batch).value()
    assert found.teacher_saw is found.inputs
    assert torch.equal(found.labelled, batch.labelled)
    assert torch.equal(found.tensor, batch.tensor)


def test_where_there_is_no_room_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    there = len([*Path("/proc/self/fd").iterdir()])

    def full(number: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert Block.of(torch.zeros(1000)) is None
    assert len([*Path("/proc/self/fd").iterdir()]) == there
    monkeypatch.delattr(os, "memfd_create")
    assert Block.of(torch.zeros(10)) is None


def test_what_is_sent_does_not_grow_with_the_numbers() -> None:
    block = block_of(torch.zeros(10**6))
    assert len(ForkingPickler.dumps(block)) < 2000


KILLED = """
import sys, time
import torch
import multiprocessing
from kdgan.tasks.division import Block


def look(block):
    print(block.value().sum().item(), flush=True)
    time.sleep(60)


if __name__ == "__main__":
    block = Block.of(torch.ones(10**6))
    process = multiprocessing.get_context("spawn").Process(target=look, args=(block,), daemon=True)
    process.start()
    process.join()
"""


def test_a_process_ends_with_the_one_that_made_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(KILLED, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "1000000.0"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    # What has no name cannot be left.
    assert not Path(f"/proc/{process.pid}/fd").exists()
