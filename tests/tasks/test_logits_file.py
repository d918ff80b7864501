"""The file of what a teacher said: what it is of, and that nothing damaged is taken for one."""

import contextlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from kdgan.data.batch import Batch
from kdgan.data.forms import Pieces
from kdgan.errors import UsageError
from kdgan.tasks.logits_file import LogitsFile, Note, Part, create, numbers, numbers_of, same
from support import refused

NOTE = Note(teacher="one", parts=[Part(gives="logits", names=None, width=3)])


def made(path: Path, count: int = 5, note: Note = NOTE) -> LogitsFile:
    create(path, count, note)
    return LogitsFile(path)


def filled(path: Path) -> LogitsFile:
    file = made(path)
    file.put(0, np.arange(15, dtype=np.float32).reshape(5, 3), np.arange(1, 11).reshape(5, 2))
    return LogitsFile(path)


def test_any_library_reads_it(tmp_path: Path) -> None:
    filled(tmp_path / "f")
    found = load_file(tmp_path / "f")
    assert found["logits"].tolist() == np.arange(15).reshape(5, 3).tolist()
    assert found["examples"].tolist() == np.arange(1, 11).reshape(5, 2).tolist()


def test_rows_are_copies(tmp_path: Path) -> None:
    file = filled(tmp_path / "f")
    assert file[1].tolist() == [3, 4, 5]
    assert file[1:3].tolist() == [[3, 4, 5], [6, 7, 8]]
    assert file[np.array([4, 0])].tolist() == [[12, 13, 14], [0, 1, 2]]
    file[1:3][:] = 0
    assert file[1].tolist() == [3, 4, 5]


@pytest.mark.parametrize("places", [slice(1, 4), np.array([4, 0, 2])])
def test_examples_are_known_by_their_places(tmp_path: Path, places: Any) -> None:
    x, y = torch.arange(15.0).view(5, 3), torch.zeros(5, dtype=torch.long)
    file = made(tmp_path / "f")
    file.put(0, x.numpy(), numbers(Batch(x, y)))
    some = torch.arange(5)[places]
    file.check(places, Batch(x, y)[some])
    for other in (some.flip(0), torch.tensor([1, 2, 2])):
        with refused("holds the logits of other training data, or of these in another order"):
            file.check(places, Batch(x, y)[other])


def test_workers_open_it_themselves(tmp_path: Path) -> None:
    file = filled(tmp_path / "f")
    content = pickle.dumps(file)
    assert len(content) < 500
    np.testing.assert_array_equal(pickle.loads(content)[:], file[:])  # noqa: S301


def test_done_is_what_is_there_from_the_first(tmp_path: Path) -> None:
    file = made(tmp_path / "f")
    assert file.done == 0
    file.put(0, np.ones((2, 3), np.float32), np.ones((2, 2), np.int64))
    file.put(4, np.ones((1, 3), np.float32), np.ones((1, 2), np.int64))
    assert LogitsFile(tmp_path / "f").done == 2


def test_numbers_begin_where_words_do(tmp_path: Path) -> None:
    for names in (None, list(range(7)), ["cat"]):
        path = tmp_path / str(names)
        create(path, 3, Note(teacher="x", parts=[Part(gives="probabilities", names=names, width=7)]))  # type: ignore[typeddict-item]
        start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        assert start % 64 == 0
        assert path.stat().st_size == start + 3 * (16 + 4 * 7)


@settings(max_examples=60)
@given(st.data())
def test_what_is_damaged_is_told(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.mktemp("f") / "f"
    filled(path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    with refused(str(path)[:20]):
        LogitsFile(path)
    place, value = data.draw(st.integers(0, start - 1)), data.draw(st.integers(0, 255))
    path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
    with contextlib.suppress(UsageError):
        assert LogitsFile(path).logits.shape == (5, 3)


def test_other_files_are_none(tmp_path: Path) -> None:
    with refused("there is no file"):
        LogitsFile(tmp_path / "nothing")
    for name, tensors, notes in (
        ("a", {"logits": np.ones((2, 3), np.float32)}, {}),
        ("b", {"logits": np.ones((2, 3), np.float32), "examples": np.ones((2, 2), np.int64)}, {}),
        (
            "c",
            {"logits": np.ones((2, 4), np.float32), "examples": np.ones((2, 2), np.int64)},
            {"kdgan.teach": json.dumps(NOTE)},
        ),
        (
            "d",
            {"logits": np.ones((2, 3)), "examples": np.ones((2, 2), np.int64)},
            {"kdgan.teach": json.dumps(NOTE)},
        ),
        (
            "e",
            {"logits": np.ones(3, np.float32), "examples": np.ones((2, 2), np.int64)},
            {"kdgan.teach": json.dumps(NOTE)},
        ),
    ):
        save_file(tensors, tmp_path / name, notes or None)
        with refused("holds no logits that kdgan.teach wrote, or is damaged"):
            LogitsFile(tmp_path / name)
    save_file(
        {"logits": np.ones((2, 3), np.float32), "examples": np.ones((2, 2), np.int64)},
        tmp_path / "g",
        {"kdgan.teach": json.dumps({"teacher": 3})},
    )
    with refused("is damaged, or was written by something else"):
        LogitsFile(tmp_path / "g")


# --- which example it is -----------------------------------------------------------------------------------------


def test_a_number_is_of_all_that_is_in_an_example() -> None:
    x = torch.arange(12.0).view(4, 3)
    plain = numbers_of(x, 4)
    assert len({*plain.tolist()}) == 4
    assert (plain > 0).all()
    assert (numbers_of(x[:2], 2) == plain[:2]).all()
    assert (numbers_of(x.T.contiguous().T, 4) == plain).all()
    others = [x.double(), x.view(4, 1, 3), x + 1, x.int(), (x, x), {"x": x}, {"y": x}]
    for other in others:
        assert not {*numbers_of(other, 4).tolist()} & {*plain.tolist()}
    assert (numbers_of({"x": x}, 4) != numbers_of({"y": x}, 4)).all()


def test_pieces_are_numbered_as_what_is_in_them() -> None:
    one, other = torch.randn(2, 3), torch.randn(3, 5)
    expected = [*numbers_of(one, 2), *numbers_of(other, 3)]
    assert numbers_of(Pieces([one, other]), 5).tolist() == expected


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float64, torch.int64])
def test_numbers_of_every_type(dtype: torch.dtype) -> None:
    x = torch.tensor([[0, 1], [1, 1], [0, 1]]).to(dtype)
    first, second, third = numbers_of(x, 3)
    assert first == third != second


def test_what_is_privileged_counts_where_both_have_it() -> None:
    x, y, known = torch.randn(3, 2), torch.arange(3), torch.randn(3, 4)
    without, with_it = (numbers(Batch(x, y, each)) for each in (None, known))
    other = numbers(Batch(x, y, known + 1))
    assert same(with_it, without).all()
    assert same(without, with_it).all()
    assert same(with_it, with_it).all()
    assert not same(with_it, other).any()
    assert not same(with_it, numbers(Batch(x + 1, y, known))).any()
