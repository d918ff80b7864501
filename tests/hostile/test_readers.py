"""Readers under hypothesis: whatever is written arrives as it was, and whatever the bytes are, one line or data."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdgan.data import Source, load
from kdgan.errors import UsageError
from kdgan.training import checkpoint

SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.floats(-1e9, 1e9) | st.integers(-(2**53), 2**53)
NONE = {"na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "?"}
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=6
)


def read(folder: Path, rows: list[tuple[Any, ...]], **options: Any) -> Source:
    """A table of these rows, as the csv module writes it."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([[f"c{place}" for place in range(len(rows[0]) - 1)] + ["y"], *rows])
    path = folder / "t.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    return load(path, target="y", **options)


@SLOW
@given(st.lists(NUMBERS, min_size=12, max_size=12))
def test_numbers_arrive_as_they_were(tmp_path: Path, numbers: list[float]) -> None:
    source = read(tmp_path, [(repr(value), "ab"[row % 2]) for row, value in enumerate(numbers)])
    whole = torch.cat([source.train.inputs, source.test.inputs])[:, 0].tolist()
    assert sorted(whole) == sorted(float(value) for value in numbers)


@SLOW
@given(
    st.lists(WORDS, min_size=2, max_size=4, unique_by=str.strip).filter(
        lambda words: not NONE & {word.lower() for word in words}
    )
)
def test_labels_arrive_as_they_were(tmp_path: Path, labels: list[str]) -> None:
    rows = [(row % 5, labels[row % len(labels)]) for row in range(8 * len(labels))]
    assert set(read(tmp_path, rows).classes) == set(labels)


@SLOW
@given(st.lists(st.none() | NUMBERS, min_size=20, max_size=20))
def test_missing_numbers_are_marked_where_they_are(tmp_path: Path, numbers: list[float | None]) -> None:
    rows = [
        ("" if value is None else repr(value), row % 3, "ab"[row % 2]) for row, value in enumerate(numbers)
    ]
    source = read(tmp_path, rows)
    if "c0 missing" in source.columns:
        where = source.columns.index("c0 missing")
        marked = torch.cat([source.train.inputs, source.test.inputs])[:, where].sum().item()
        assert marked == sum(value is None for value in numbers)
    else:
        assert all(value is None for value in numbers) or not source.train.inputs.isnan().any()


@SLOW
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet", "t.npz"])
@given(
    content=st.binary(max_size=200) | st.text(st.sampled_from('ab,;"\n\r\t0.\\'), max_size=80).map(str.encode)
)
def test_any_bytes_are_data_or_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found: Any = None
    try:
        found = load(path, **({} if name == "t.npz" else {"target": "a"}))
    except UsageError as error:
        found = str(error)
    assert found.isprintable() if isinstance(found, str) else found.train.inputs.isfinite().all()


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@SLOW
@given(st.dictionaries(st.text(max_size=5).filter(lambda key: not key.startswith("__")), TREES, max_size=3))
def test_trees_come_back_from_their_files(tmp_path: Path, tree: dict[str, Any]) -> None:
    checkpoint.save(tmp_path / "t", {"tree": tree, "tensor": torch.ones(2)})
    back = checkpoint.load(tmp_path / "t", dict[str, Any])["tree"]
    assert back == tree
