r"""Text as words, in any script: what reads alike is one word, however it was typed.

`\w` alone would cut a word at the vowel signs of Hindi or Tamil, and at an accent that is a character of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


def _ranges(codes: Iterable[int]) -> str:
    """Characters as ranges, for a set in a regular expression."""
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in found)


# Above are ideographs, and marks that `plain` takes away.
LETTER = r"\w" + _ranges(code for code in range(0x20000) if unicodedata.category(chr(code))[0] == "M")
"""What a word is made of, to stand in a set of a regular expression: letters, their marks, digits and "_"."""
_WORD = re.compile(rf"\w[{LETTER}]*")
_SIGMA = re.compile(rf"(?<=[{LETTER}])σ(?![{LETTER}])")
_SPACE = 0x200B  # has no width, but divides the words of scripts that are written without blanks
_INVISIBLE = frozenset(
    (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), 0xFFA0)
).union(range(0xE0100, 0xE01F0))  # fillers, and selectors of a glyph


class _Visible(dict[int, int | str | None]):
    """What becomes of a character: blanks for controls, nothing for joiners, marks of direction, soft hyphens."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        kept: int | str | None = code
        if code == _SPACE or category == "Cc":
            kept = " "
        elif category == "Cs":
            kept = "\ufffd"
        elif category in ("Cf", "Me") or code in _INVISIBLE:
            kept = None
        self[code] = kept
        return kept


_VISIBLE = _Visible()


def _normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    # KC takes a vowel of Thai and Lao apart, and nobody writes the two halves.
    return text.replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")


def plain(text: str) -> str:
    """The text without what cannot be seen, in normal form KC.

    KC, and not C, because full-width letters, ligatures and the like are ways of drawing a word, not words.
    """
    if text.isascii() and text.isprintable():
        return text
    # Once before, as what is not seen may stand between a letter and its accent.
    return _normal(_normal(text).translate(_VISIBLE))


def folded(text: str) -> str:
    """The text in the form in which words and tags are compared: `plain`, without letter case."""
    if text.isascii() and text.isprintable():
        return text.lower()
    text = _normal(plain(text).casefold())
    # Folding writes every sigma alike; one that ends a word is written as people, and files of embeddings, write it.
    return _SIGMA.sub("ς", text) if "σ" in text else text


def words_of(text: str) -> list[str]:
    """The words of a text, `folded`: letters with their marks, digits and "_" between anything else.

    Scripts that are written without blanks, such as Chinese and Thai, are not divided.
    """
    return _WORD.findall(folded(text))
