"""Tags and the text of a photo in the form in which a data set holds them."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from kdgan.tagging.yfcc.metadata import Photo

_CAMERA_NAME = re.compile(r"[a-z]{0,4}[ _-]?\d+([ _-]\d+)*(\.\w{3,4})?", re.IGNORECASE)  # "IMG_0520.JPG"
_MARKUP = re.compile(r"<[^<>]*>|https?://\S+")


def normal(tag: str) -> str:
    """A tag in the form in which tags are compared: NFKC, lower case, single blanks."""
    if not tag.isascii():
        tag = unicodedata.normalize("NFKC", tag)
    return " ".join(tag.lower().split())


def removal(tags: Iterable[str]) -> re.Pattern[str]:
    """Matches the tags as whole words, in any letter case, with or without the blanks within them."""
    # The longest first, so that nothing of "new york" is left where "york" is a tag as well.
    names = sorted(tags, key=len, reverse=True)
    joined = "|".join(r"\W*".join(map(re.escape, name.split())) for name in names)
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)


def text_of(photo: Photo, tags: Iterable[str], chosen: re.Pattern[str]) -> str:
    """Title, description and `tags` as one line without HTML, addresses and what `chosen` matches.

    Empty if no word remains; a title that is the camera's name for the file ("IMG_0520") is none.
    """
    title = photo.title.strip()
    parts = ["" if _CAMERA_NAME.fullmatch(title) else title, photo.description]
    plain = [html.unescape(_MARKUP.sub(" ", part)) for part in parts]
    text = " ".join(chosen.sub(" ", unicodedata.normalize("NFKC", " ".join([*plain, *tags]))).split())
    return text if any(character.isalpha() for character in text) else ""
