"""Parquet tables from anywhere."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdgan.tagging.tables import identifiers, matrix, read_parquet, write_parquet
from support import refused


def test_a_table_is_read_and_written_whatever_its_name(tmp_path: Path) -> None:
    frame = pl.DataFrame({"photo": [1, 2], "key": ["a", "b"]})
    for name in ("x[1]*.parquet", "ü\udcff.parquet", "b\n\x1b[31m"):
        write_parquet(frame, tmp_path / name)
        assert read_parquet(tmp_path / name).equals(frame)
        assert read_parquet(tmp_path / name, ("key",)).equals(frame.select("key"))
        with refused("no column 'tags': it has photo, key"):
            read_parquet(tmp_path / name, ("key", "tags"))


def test_damage_that_polars_does_not_expect_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def panics(*_: object, **__: object) -> None:
        os.write(2, b"thread panicked\n")  # as Rust does
        raise pl.exceptions.PanicException("called unwrap\non nothing")

    path = tmp_path / "t.parquet"
    write_parquet(pl.DataFrame({"a": [1]}), path)
    monkeypatch.setattr(pl, "read_parquet", panics)
    with refused("t.parquet cannot be read as Parquet: called unwrap"):
        read_parquet(path)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still there\n")
    assert capfd.readouterr().err == "still there\n"


def test_identifiers_are_text_or_whole_numbers(tmp_path: Path) -> None:
    assert identifiers(pl.DataFrame({"photo": [2**60, 3]}), "photo", tmp_path) == [str(2**60), "3"]
    for values, why in (([1.5], "not Float64"), ([["a"]], "not List"), (["a", None], "some are missing")):
        with refused("'photo'", why):
            identifiers(pl.DataFrame({"photo": values}), "photo", tmp_path)


def test_numbers_of_any_kind_become_float32(tmp_path: Path) -> None:
    for kind in (pl.Int128, pl.UInt64, pl.Float64, pl.Decimal(20, 2)):
        for column in (pl.List(kind), pl.Array(kind, 2)):
            found = matrix(pl.Series([[1, 2], [3, 4]], dtype=column), tmp_path, "features")
            assert (found.dtype, found.tolist()) == (np.float32, [[1, 2], [3, 4]])
    for values, why in (
        ([[], []], "lists of one length, not of ['0']"),
        ([[1.0, None]], "some are missing"),
        ([[1e300]], "too large"),
        ([[float("nan")]], "not finite"),
        ([[1.0], None], "one length"),
    ):
        with refused("'features'", why):
            matrix(pl.Series(values, dtype=pl.List(pl.Float64)), tmp_path, "features")
