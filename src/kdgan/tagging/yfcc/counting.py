"""Counts the uses of millions of different tags in bounded memory, and chooses those to be recommended."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from kdgan.errors import UsageError


class TagCounts:
    """Counts of the uses of each tag; exact for tags that are in use throughout.

    Lossy counting (after Manku and Motwani, 2002) with a bound on memory instead of one on the error: whenever there
    are twice as many counters as are kept, the smaller half is dropped, and the largest dropped count becomes
    `missed`, the most uses that a tag without a counter may have had. A tag's count is never too high, and too
    low by no more than what `missed` was when its counter began. So a tag that was never dropped is counted
    exactly; and as the many tags that were used once or twice fill the smaller half, `missed` stays small.

    Args:
        keep: how many counters survive a pruning; 2**18 take less than 100 MB.
    """

    def __init__(self, keep: int = 2**18) -> None:
        self._keep = keep
        self._counts: Counter[str] = Counter()
        self._missed_by: dict[str, int] = {}  # for tags that survived a pruning; for others it is `missed`
        self.missed = 0

    def add(self, tags: Iterable[str]) -> None:
        """One more use of each tag."""
        self._counts.update(tags)
        if len(self._counts) > 2 * self._keep:
            self._prune()

    def items(self) -> list[tuple[str, int]]:
        """Tags with their counts, the most used first; in alphabetical order where counts are equal."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))

    def most(self, tag: str) -> int:
        """The most uses that the tag may have had."""
        return self._counts[tag] + self._missed_by.get(tag, self.missed)

    def _prune(self) -> None:
        limit = sorted(map(self.most, self._counts), reverse=True)[self._keep]
        kept = {tag: count for tag, count in self._counts.items() if self.most(tag) > limit}
        self._missed_by = {tag: self._missed_by.get(tag, self.missed) for tag in kept}
        self._counts, self.missed = Counter(kept), limit


def choose(
    counts: TagCounts,
    stopped: Callable[[str], bool],
    *,
    how: Literal["popular", "random"],
    count: int,
    minimum: int,
    seed: int,
) -> tuple[tuple[str, ...], bool]:
    """The tags to be recommended, and whether exact counts would certainly have given the same.

    Args:
        counts: the uses.
        stopped: says of a tag that it must not be chosen.
        how: "popular" takes the most used tags; "random" draws from all with the minimum, the same for a seed.
        count: how many to choose.
        minimum: a chosen tag has at least this many uses.
        seed: of the drawing.

    Returns:
        The tags, the most used first, or in the order in which they were drawn.

    Raises:
        UsageError: if fewer than `count` tags have the minimum.
    """
    allowed = [(tag, uses) for tag, uses in counts.items() if not stopped(tag)]
    enough = [tag for tag, uses in allowed if uses >= minimum]
    if len(enough) < count:
        raise UsageError(
            f"only {len(enough)} tags have at least {minimum} uses, and {count} are to be chosen: "
            "ask for fewer, lower the minimum, or give more metadata"
        )
    if how == "random":
        chosen = sorted(enough, key=lambda tag: (hashed(seed, "tag", tag), tag))[:count]
        others, least = allowed[len(enough) :], minimum
    else:
        chosen = enough[:count]
        others, least = allowed[count:], allowed[count - 1][1]
    # Only a tag that may have been used more often than was counted can have been passed over wrongly.
    is_exact = counts.missed == 0 or (
        counts.missed < least
        and all(counts.most(tag) < least or counts.most(tag) == uses for tag, uses in others)
    )
    return tuple(chosen), is_exact


def hashed(seed: int, kind: str, value: str) -> int:
    """64 bits that any machine draws alike; another seed, kind or value gives unrelated ones."""
    digest = hashlib.blake2b(
        f"{seed}/{kind}/{value}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big")
