"""Photos with tags and the text their owners wrote: one table in, what players learn from out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kdgan.data.seeds import mixed
from kdgan.errors import UsageError, one_line, wrong
from kdgan.files import sha256_of
from kdgan.stored import from_json
from kdgan.tagging.tables import is_text, listed, matrix, read_parquet, texts, told
from kdgan.tagging.words import words_of
from kdgan.tagging.yfcc.prepare import CHOICE
from kdgan.tagging.yfcc.wording import normal

Choice = Literal["popular", "random"]
PARTS = ("train", "validation", "test")
FEATURE_NETWORK = "feature_network"
"""Column that says what gave the features, the same for all photos."""


@dataclass(frozen=True, slots=True)
class Photos:
    """A table of photos, as it was read.

    Attributes:
        name: of the file.
        features: of the images, float32 `(N, F)`.
        words: of each photo's text, see `kdgan.tagging.words.words_of`; may be empty.
        tags: of each photo, `normal` and without repetition.
        parts: train, validation or test of each photo; None where the table does not say.
        choice: whether these are all tags (None), or only those that `kdgan tags prepare` chose, and how.
        network: `kdgan.tagging.images.networks.Network.identity` of what gave the features, None if unknown.
        names: what each photo is called: its path, or its row.
    """

    name: str
    features: NDArray[np.float32]
    words: list[list[str]]
    tags: list[list[str]]
    parts: NDArray[np.str_] | None
    names: list[str]
    choice: Choice | None = None
    network: Mapping[str, Any] | None = None

    def has(self, choice: Choice) -> None:
        """Checks that such tags can be chosen here.

        Raises:
            UsageError: if the table was prepared with other ones alone.
        """
        if self.choice not in (None, choice):
            raise UsageError(
                f"{self.name} was prepared with {self.choice} tags and has no other: for {choice} ones prepare another "
                f"table, with --tags {choice}"
            )


@dataclass(frozen=True, slots=True)
class TagExamples:
    """One choice of target tags, and photos that have at least one of them.

    Attributes:
        tags: the K target tags, the most frequent first.
        vocabulary: words of the training texts, by frequency; token ids are their places from 2 (0 is
            padding, 1 any other word).
        features: `(N, F)` float32.
        targets: bool `(N, K)`.
        tokens: int64 `(N, L)`, padded with 0: the words of the text and the photo's tags that are no targets.
        rows: of the photos in each part, and those of the training part whose tags are hidden: `unlabelled`.
        names: of all photos.
    """

    tags: tuple[str, ...]
    vocabulary: tuple[str, ...]
    features: NDArray[np.float32]
    targets: NDArray[np.bool_]
    tokens: NDArray[np.int64]
    rows: dict[str, NDArray[np.int64]]
    names: list[str]


@lru_cache(maxsize=2)
def read_photos(
    path: Path,
    sha256: str | None = None,
    *,
    text: str = "text",
    tags: str = "tags",
    features: str = "features",
) -> Photos:
    """Photos from a Parquet file.

    Args:
        path: of the file.
        sha256: of its content, as `kdgan.files.sha256_of` gives it; None for any.
        text: column of texts; may be missing, then a photo's other tags are all its text.
        tags: column of lists of tags.
        features: column of lists of numbers, all of one length.

    Raises:
        UsageError: if the file, a column or a value is not of this form, or the file is not the one that has this
            checksum.
    """
    table = read_parquet(path)
    for column in (tags, features):
        if column not in table.columns:
            raise wrong(f"{path} has no column {column!r}: it has {listed(table.columns)}")
    if sha256 is not None and sha256_of(path) != sha256:
        raise wrong(f"{path} has changed since this run was configured: its SHA-256 is not {sha256[:8]}…")
    if table.is_empty():
        raise wrong(f"{path} holds no photos")
    found = matrix(table[features], path, features)
    named = next((name for name in ("photo", "image") if name in table.columns), None)
    return Photos(
        name=one_line(path.stem),
        features=found,
        words=[words_of(each or "") for each in texts(table, text, path)],
        tags=_tags(table[tags], path, tags),
        parts=_parts(table, path),
        choice=_choice(table, path),
        network=_network(table, path),
        names=[str(row) for row in (table[named].to_list() if named else range(len(table)))],
    )


def choose(
    photos: Photos,
    choice: Choice,
    *,
    count: int = 200,
    seed: int = 0,
    least: int = 20,
    held_out: int | None = None,
    length: int = 32,
    vocabulary: int = 20_000,
    labels: int | None = None,
    unlabelled: bool = False,
) -> TagExamples:
    """Target tags, and the photos that have one of them and some text beside it.

    Where the table does not say which photos are for testing, `set_aside` does: the same for every seed and choice, so
    that nothing that was decided on some seed's validation photos was decided on test photos. Tags are counted on the
    others, or on training photos alone where the table says which those are.

    Args:
        photos: all.
        choice: the most `popular` tags, or `random` ones; of a table that was prepared with chosen tags, those.
        count: K.
        seed: of random tags and of the validation photos.
        least: uses that a random tag has at least, where they are drawn here.
        held_out: photos in validation, where the table does not say; None for a sixth of those with a target tag, at
            most 1,000.
        length: most tokens of a text, L.
        vocabulary: most words that are known.
        labels: training photos whose tags are known, drawn by seed: of fewer, the first of more. None for all. Which
            tags are the target ones does not change with it, nor do the photos of the other parts.
        unlabelled: whether the others are learned from, with their text; words count where they are learned from.

    Raises:
        UsageError: if there are fewer such tags than `count`, too few photos, or other tags than these in the table; or
            if more photos are to be labelled than there are for training.
    """
    photos.has(choice)
    if count < 1:
        raise UsageError(f"the number of tags must be at least 1, not {count}")
    chance = np.random.default_rng(mixed(seed, "tags", choice))
    known = np.flatnonzero(~set_aside(photos.names) if photos.parts is None else photos.parts == "train")
    uses = Counter(tag for row in known for tag in photos.tags[row])
    # Equal counts fall by name, so that the same table gives the same tags.
    by_use = sorted(uses, key=lambda tag: (-uses[tag], tag))
    if choice == "random":
        often = [tag for tag in by_use if uses[tag] >= least or photos.choice]
        drawn = chance.permutation(len(often))[:count]
        by_use = [often[index] for index in sorted(drawn)]
    chosen = by_use[:count]
    if len(chosen) < count:
        raise UsageError(f"{photos.name} has only {len(chosen)} {choice} tags: ask for fewer than {count}")
    place = {tag: index for index, tag in enumerate(chosen)}
    words = [
        [*text, *(tag for tag in tags if tag not in place)]
        for text, tags in zip(photos.words, photos.tags, strict=True)
    ]
    kept = np.array(
        [row for row, tags in enumerate(photos.tags) if words[row] and any(tag in place for tag in tags)],
        dtype=np.int64,
    )
    targets = np.zeros((len(photos.tags), count), dtype=np.bool_)
    for row in kept:
        targets[row, [place[tag] for tag in photos.tags[row] if tag in place]] = True
    rows = _split(photos, kept, min(1000, len(kept) // 6) if held_out is None else held_out, chance)
    rows |= _some_labelled(photos.name, rows["train"], labels, unlabelled, seed)
    counted = Counter(word for row in (*rows["train"], *rows["unlabelled"]) for word in words[row])
    known_words = sorted(counted, key=lambda word: (-counted[word], word))[:vocabulary]
    return TagExamples(
        tags=tuple(chosen),
        vocabulary=tuple(known_words),
        features=photos.features,
        targets=targets,
        tokens=encode(words, known_words, length),
        rows=rows,
        names=photos.names,
    )


def encode(texts: Sequence[Sequence[str]], vocabulary: Sequence[str], length: int) -> NDArray[np.int64]:
    """Token ids `(N, length)`: 0 pads, 1 is any word that is not in the vocabulary, the others count from 2."""
    ids = {word: index + 2 for index, word in enumerate(vocabulary)}
    tokens = np.zeros((len(texts), length), dtype=np.int64)
    for row, text in enumerate(texts):
        found = [ids.get(word, 1) for word in text[:length]]
        tokens[row, : len(found)] = found
    return tokens


def set_aside(names: Sequence[str]) -> NDArray[np.bool_]:
    """Mask of the photos for testing, of a table that does not say so: a sixth, at most 2,000, by a hash of names."""
    keys = np.array([mixed("test", name) for name in names])
    aside = np.zeros(len(names), dtype=np.bool_)
    aside[np.argsort(keys, kind="stable")[: min(2000, len(names) // 6)]] = True
    return aside


def _split(
    photos: Photos, kept: NDArray[np.int64], held_out: int, chance: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    if photos.parts is not None:
        rows = {part: kept[photos.parts[kept] == part] for part in PARTS}
        for part in ("train", "test"):
            if not len(rows[part]):
                raise UsageError(f"{photos.name} has no {part} photo with text and a target tag")
        return rows
    aside = set_aside(photos.names)[kept]
    others = chance.permutation(kept[~aside])
    if len(others) <= held_out or not held_out or not aside.any():
        raise UsageError(
            f"{photos.name} has {len(kept)} photos with text and a target tag, too few to train, validate and test"
        )
    return {
        "train": np.sort(others[held_out:]),
        "validation": np.sort(others[:held_out]),
        "test": kept[aside],
    }


def _some_labelled(
    name: str, rows: NDArray[np.int64], labels: int | None, unlabelled: bool, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Training photos whose tags are known, and others that are learned from; each in the order of the table."""
    if labels is not None and not 1 <= labels <= len(rows) - unlabelled:
        raise UsageError(
            f"{labels} labelled photos asked for, but {name} has {len(rows)} for training"
            f"{', of which some are to have no label' if unlabelled else ''}"
        )
    order = np.random.default_rng(mixed(seed, "labelled photos")).permutation(rows)
    known = rows if labels is None else np.sort(order[:labels])
    rest = np.sort(order[labels:]) if unlabelled and labels is not None else rows[:0]
    return {"train": known, "unlabelled": rest}


def _tags(column: pl.Series, path: Path, name: str) -> list[list[str]]:
    kind = column.dtype
    inner = kind.inner if isinstance(kind, pl.List) else None
    if inner is None or not (is_text(inner) or inner.is_integer() or inner == pl.Null):  # type: ignore[arg-type]
        raise wrong(f"column {name!r} of {path} must hold lists of tags, not {told(kind)}")
    given = ((normal(str(tag)) for tag in each or () if tag is not None) for each in column.to_list())
    return [list(dict.fromkeys(filter(None, tags))) for tags in given]


def _parts(table: pl.DataFrame, path: Path) -> NDArray[np.str_] | None:
    """The part of each photo, where the table says it."""
    if "part" not in table.columns:
        return None
    found = [str(part) for part in texts(table, "part", path)]
    if not set(found) <= set(PARTS):
        others = sorted(set(found).difference(PARTS))
        raise wrong(f"column 'part' of {path} must hold train, validation or test, not {others[:5]}")
    return np.array(found)


def _choice(table: pl.DataFrame, path: Path) -> Choice | None:
    """Choice of the tags of a table, where `kdgan tags prepare` made it."""
    if CHOICE not in table.columns:
        return None
    found = set(texts(table, CHOICE, path))
    if len(found) != 1 or not found <= set(get_args(Choice)):
        raise wrong(f"column {CHOICE!r} of {path} must hold popular or random, one for all photos")
    return cast(Choice, found.pop())


def _network(table: pl.DataFrame, path: Path) -> dict[str, Any] | None:
    """Identity of the network that gave the features, where `kdgan tags features` made the table."""
    if FEATURE_NETWORK not in table.columns:
        return None
    (found, *others) = set(texts(table, FEATURE_NETWORK, path))
    try:
        if not others:
            return from_json(found or "", dict[str, Any], "it")
        reason = "there are several"
    except UsageError as error:
        reason = str(error)
    raise wrong(
        f"column {FEATURE_NETWORK!r} of {path} must name one network, the same for all photos, as kdgan tags "
        f"features writes it: {reason}"
    )
