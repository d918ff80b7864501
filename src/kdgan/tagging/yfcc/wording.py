"""Tags and the text of a photo in the form in which a data set holds them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from kdgan.tagging.words import LETTER, folded, plain
from kdgan.tagging.yfcc.metadata import Photo

_CAMERA_NAME = re.compile(r"[a-z]{0,4}[ _-]?\d+([ _-]\d+)*(\.\w{3,4})?", re.IGNORECASE)  # "IMG_0520.JPG"
_MARKUP = re.compile(r"<[^<>]*>|https?://\S+")
_NO_CHARACTER = re.compile(
    r"&#\d{8,};?"
)  # Unicode has no such numbers, and Python reads none of 5,000 digits


def normal(tag: str) -> str:
    """A tag in the form in which tags are compared: `kdgan.tagging.words.folded`, with single blanks."""
    return " ".join(folded(tag).split())


def removal(tags: Iterable[str]) -> re.Pattern[str]:
    """Matches `normal` tags as whole words of a folded text, with or without the blanks within them."""
    # The longest first, so that nothing of "new york" is left where "york" is a tag as well.
    names = sorted(tags, key=len, reverse=True)
    joined = "|".join(rf"[^{LETTER}]*".join(map(re.escape, name.split())) for name in names)
    return re.compile(rf"(?<![{LETTER}])(?:{joined})(?![{LETTER}])")


def text_of(photo: Photo, tags: Iterable[str], chosen: re.Pattern[str]) -> str:
    """Title, description and `tags` as one line without HTML, addresses and what `chosen` matches.

    Empty if no word remains; a title that is the camera's name for the file ("IMG_0520") is none.
    """
    title, description = _readable(photo.title), _readable(photo.description)
    if _CAMERA_NAME.fullmatch(title.strip()):
        title = ""
    text = " ".join(_without(plain(" ".join([title, description, *tags])), chosen).split())
    return text if any(character.isalpha() for character in text) else ""


def _readable(text: str) -> str:
    return plain(html.unescape(_NO_CHARACTER.sub(" ", _MARKUP.sub(" ", text))))


def _without(text: str, chosen: re.Pattern[str]) -> str:
    """The plain `text` with a blank for each match in its folded form."""
    low = folded(text)
    if not len(low) == len(text) == len(text.casefold()):
        text = low  # some letter has no single one as its lower case ("ß" is "ss"): places would not agree
    kept, start = [], 0
    for match in chosen.finditer(low):
        kept.append(text[start : match.start()])
        start = match.end()
    return " ".join([*kept, text[start:]])
