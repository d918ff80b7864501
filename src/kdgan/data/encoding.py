"""Values of a column as inputs: means for what is missing, one number per category, as training rows say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from kdgan.data.source import Array, listing
from kdgan.errors import wrong

Missing: TypeAlias = Literal["impute", "refuse"]
MOST_CATEGORIES = 50
LEAST_ROWS = 20
"""Rows from which on a column with another value in each is taken for a name of the rows."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How values of a column become inputs.

    Attributes:
        kind: "numbers", "categories", or "left out" where the column is no input.
        mean: of numbers in training rows, which stands for those that are missing.
        marks_missing: whether a second input says where a number is missing.
        categories: those of training rows in the order of their inputs. What is none of them sets no input.
    """

    kind: Literal["numbers", "categories", "left out"]
    mean: float = 0.0
    marks_missing: bool = False
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.categories)
        if (count > 0) != (self.kind == "categories") or count > MOST_CATEGORIES:
            raise wrong(
                f"a column of {self.kind} has {count:,} categories; those of categories have 1 to {MOST_CATEGORIES}"
            )
        if len(set(self.categories)) < count:
            raise wrong("a column has a category twice")
        if not math.isfinite(self.mean):
            raise wrong(f"the mean of a column is {self.mean}")

    @property
    def width(self) -> int:
        """The number of inputs."""
        return {"numbers": 1 + self.marks_missing, "categories": len(self.categories), "left out": 0}[
            self.kind
        ]

    def names(self, column: str) -> tuple[str, ...]:
        """The names of the inputs that a column of this name becomes."""
        if self.kind == "numbers":
            return (column, f"{column} missing")[: self.width]
        return tuple(f"{column}={category}" for category in self.categories)

    def inputs(self, values: Array) -> Array:
        """The inputs as float64 `(N, F)`, of the values `(N,)` that `Reading.values` gives.

        Example:
            >>> Encoding("numbers", mean=3.0, marks_missing=True).inputs(np.array([1.0, np.nan])).tolist()
            [[1.0, 0.0], [3.0, 1.0]]
        """
        if self.kind == "categories":
            block: Array = values[:, None] == np.array(self.categories, dtype=object)
            return block.astype(np.float64)
        if self.kind == "left out":
            return np.empty((len(values), 0))
        absent = np.isnan(values)
        filled = np.where(absent, self.mean, values)
        return np.stack([filled, absent], 1) if self.marks_missing else filled[:, None]

    def unknown(self, values: Array) -> Array:
        """Where a category is none that training rows hold, `(N,)` of truth values."""
        known = set(self.categories)
        return np.array([value is not None and value not in known for value in values], bool)


def absent_in(values: Array) -> Array:
    """Where there is no value, `(N,)` of truth values."""
    if values.dtype == object:
        return np.array([value is None for value in values], bool)
    absent: Array = np.isnan(values)
    return absent


def fitted(
    name: str, values: Array, is_train: Array, *, missing: Missing, own: int | None = None, note: str = ""
) -> tuple[Encoding, str]:
    """The encoding of a column, and what is to be said of it.

    Numbers that are missing become the mean of the training rows, beside an input that says where if any training row
    lacks one; each category that occurs in training rows becomes an input. A column without a value in any training
    row is left out.

    Args:
        name: of the column.
        values: of all rows, `(N,)`.
        is_train: which rows are for training, `(N,)` of truth values.
        missing: what to do about values that are missing.
        own: how many rows, the first, are of one file, in which a column may number them; None for all.
        note: what is to be said of its reading.

    Raises:
        UsageError: for more than 50 categories, and where `missing` says so for values that are missing.
    """
    absent = absent_in(values)
    known = is_train & ~absent
    if not known.any():
        return Encoding("left out"), "has no value in any training row and is left out"
    if missing == "refuse" and absent.any():
        rows = np.flatnonzero(absent)
        raise wrong(
            f"column {name!r} has no value in {len(rows):,} rows, the first of them row {rows[0] + 1}"
        )
    if values.dtype == object:
        found = Encoding("categories", categories=_categories(name, values[known]))
        other, none = int(found.unknown(values).sum()), int(absent.sum())
        notes = [f"{none:,} missing"] if none else []
        notes += [f"{other:,} rows hold what no training row holds"] if other else []
        return found, "; ".join(notes)
    if _counts_rows(values[:own]):
        return Encoding("left out"), "numbers the rows and is left out"
    mean = math.fsum(values[known]) / int(known.sum())
    found = Encoding("numbers", mean, marks_missing=bool((absent & is_train).any()))
    if not absent.any():
        return found, note or _if_it_names_rows(values)
    said = f"{note}; " if note else ""
    if found.marks_missing:
        return found, f"{said}{absent.sum():,} missing"
    return found, (
        f"{said}{absent.sum():,} missing in rows that are not for training, as the mean of those that are"
    )


def _categories(name: str, there: Array) -> tuple[str, ...]:
    values = sorted(set(there))
    if len(values) > MOST_CATEGORIES or len(values) == len(there) >= LEAST_ROWS:
        shown = listing(values, limit=3)
        raise wrong(
            f"column {name!r} is text with {len(values)} different values in {len(there)} rows ({shown}): at most "
            f"{MOST_CATEGORIES} that repeat can be categories; --exclude leaves it out"
        )
    return tuple(values)


def _if_it_names_rows(numbers: Array) -> str:
    whole = bool((numbers == np.rint(numbers)).all())
    if len(numbers) < LEAST_ROWS or not whole or len(np.unique(numbers)) < len(numbers):
        return ""
    return "another whole number in each row: --exclude leaves it out if it only names them"


def _counts_rows(numbers: Array) -> bool:
    """Whether the numbers count the rows, up or down."""
    steps = np.diff(numbers)
    return len(numbers) >= LEAST_ROWS and bool((steps == 1).all() or (steps == -1).all())
