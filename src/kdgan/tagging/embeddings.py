"""Pretrained word embeddings in the text format in which GloVe, word2vec and fastText publish theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgan.errors import wrong
from kdgan.tagging.lines import LONGEST, read_lines
from kdgan.tagging.words import folded


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The embeddings of those words of a vocabulary that a file knows.

    Attributes:
        places: of these words in the vocabulary, int64 `(W,)`, ascending.
        vectors: of the same, float32 `(W, E)`.
    """

    places: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def table(self, words: int, reserved: int = 2) -> Tensor:
        """Embeddings `(reserved + words, E)` of reserved ids and all words, for `kdgan.nets.TextEncoder`.

        Those that the file does not know are drawn from torch's global random generator, with the mean and the
        deviation, in each dimension, of those that it knows: larger or smaller ones would drown or be drowned.
        """
        known = torch.from_numpy(self.vectors)
        table = torch.randn(reserved + words, known.shape[1]) * known.std(0, correction=0) + known.mean(0)
        table[torch.from_numpy(self.places) + reserved] = known
        return table


def named(path: Path) -> dict[str, str]:
    """The fields of a configuration that stand for a file of embeddings: its path, and what is in it.

    Raises:
        UsageError: if the file cannot be read.
    """
    digest = hashlib.sha256()
    for _ in _lines(path, digest.update):
        pass
    return {"embeddings": str(path), "embeddings_sha256": digest.hexdigest()}


@lru_cache(maxsize=2)
def read_embeddings(path: Path, sha256: str, vocabulary: tuple[str, ...]) -> Embeddings:
    """The embeddings of the words of a vocabulary, from a file that is read as a stream and may be large.

    Each line holds a word and its numbers, divided by blanks; a first line with two whole numbers, those of the
    lines and of the numbers in each, is allowed and must be right. Of several lines for one word the first counts;
    lines that spell it otherwise, such as in capitals, count only where none spells it as the vocabulary does. Of other
    words only the number of numbers is looked at.

    Args:
        path: the file, as text in UTF-8 or compressed with bz2.
        sha256: of its unpacked lines, as `named` gives it.
        vocabulary: the words, see `kdgan.tagging.words.folded`.

    Raises:
        UsageError: if the file cannot be read, a line is of another form, no word is known, or the file is not the
            one that has this checksum.
    """
    wanted = {word.encode(): place for place, word in enumerate(vocabulary)}
    found: dict[int, NDArray[np.float32]] = {}
    similar: dict[int, NDArray[np.float32]] = {}
    digest = hashlib.sha256()
    count = size = None
    number = 0
    for number, line in enumerate(_lines(path, digest.update), 1):
        line = line.rstrip(b" \r")  # word2vec ends its lines with a blank
        if number == 1:
            head = line.split(b" ")
            if len(head) == 2 and all(part.isdigit() and len(part) < 18 for part in head):
                count, size = int(head[0]), int(head[1])
                continue
            size = size or len(head) - 1
        assert size is not None
        word, _, numbers = line.partition(b" ")
        if not size or not word or numbers.count(b" ") != size - 1:
            word, numbers = _with_blanks(line, size, path, number)
        place, kept = wanted.get(word), found
        if place is None and word != (same := folded(word.decode("utf-8", "replace")).encode()):
            place, kept = wanted.get(same), similar
        if place is not None and place not in kept:
            kept[place] = _vector(numbers, path, number)
    if count is not None and number - 1 != count:
        raise wrong(f"{path} says that it holds {count:,} words, and holds {number - 1:,}: download it again")
    if digest.hexdigest() != sha256:
        raise wrong(
            f"{path} has changed since the run was set up (SHA-256 {digest.hexdigest()[:8]}..., not {sha256[:8]}...): "
            "put the old file back, or begin anew in another --out"
        )
    found = {**similar, **found}
    if not found:
        raise wrong(
            f"{path} knows none of the {len(vocabulary):,} words of the texts: expected the same language"
        )
    places = sorted(found)
    return Embeddings(np.array(places, dtype=np.int64), np.stack([found[place] for place in places]))


def _lines(path: Path, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    """The lines of a file, each without its end; `seen` is called with all that was read."""

    def too_long() -> None:
        raise wrong(f"{path} has a line of more than {LONGEST >> 20} MiB: expected a word and its numbers")

    for lines in read_lines(path, lambda position: None, too_long):
        seen(lines)
        seen(b"\n")
        yield from lines.split(b"\n")


def _with_blanks(line: bytes, size: int, path: Path, number: int) -> tuple[bytes, bytes]:
    """A line whose word may hold blanks itself, as some of GloVe's do, as word and numbers."""
    word, *numbers = line.rsplit(b" ", size) if size else [line]
    surplus = word.split(b" ")[1:]
    if not size or not word or len(numbers) != size or any(_is_number(part) for part in surplus):
        found = max(len(line.split(b" ")) - 1, 0)
        raise wrong(
            f"{path}, line {number}: expected a word and {size or 'its'} numbers, found {found} after it"
        )
    return word, b" ".join(numbers)


def _vector(numbers: bytes, path: Path, number: int) -> NDArray[np.float32]:
    parts = numbers.split(b" ")
    for part in parts:
        if not _is_number(part):
            shown = part.decode("utf-8", "replace")
            raise wrong(f"{path}, line {number}: {shown!r} is not a number")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
        vector = np.array([float(part) for part in parts], dtype=np.float32)
    if not np.isfinite(vector).all():
        raise wrong(f"{path}, line {number}: expected finite numbers")
    return vector


def _is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return True
