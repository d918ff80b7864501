"""Numbers as people write them in text files: decimal commas, signs of currency and per cent, marks of thousands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from kdgan.data.source import brief
from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

Sign: TypeAlias = Literal["", "%", "€", "$", "£", "¥"]
SIGNS: tuple[Sign, ...] = ("%", "€", "$", "£", "¥")
BLANKS = " '’\u00a0\u202f"
"""What may stand between thousands, beside commas and points."""
_GROUPED = rf"^[+-]?\d{{1,3}}([{BLANKS}]\d{{3}})*([.,]\d+)?$"
_COMMAS = r"^([+-]?[1-9]\d{0,2}(,\d{3})+|[+-]?\d+)(\.\d+)?$"
_DECIMAL = r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)?(,\d*)?([eE][+-]?\d+)?$"


@dataclass(frozen=True, slots=True)
class Numerals:
    """How the numbers of a column are written, found from all of them, as one alone may be ambiguous (1,234).

    Attributes:
        sign: that stands at every number, before or after it; empty for none.
        blanks: whether blanks or apostrophes stand between thousands.
        commas: what commas are, if there are any. Where they are decimal, points stand between thousands.
    """

    sign: Sign = ""
    blanks: bool = False
    commas: Literal["", "thousands", "decimal"] = ""

    @property
    def note(self) -> str:
        """How they are written, for people, where it is not as a computer does."""
        thousands = "blanks between thousands" if self.blanks else ""
        said = f"numbers with {self.sign}" if self.sign else thousands
        if self.commas == "thousands":
            return said or "commas between thousands"
        return "; ".join(filter(None, (said, "decimal commas" if self.commas else "")))

    @property
    def example(self) -> str:
        """A number so written, for messages."""
        number = {"": "1234.5", "thousands": "1,234.5", "decimal": "1234,5"}[self.commas]
        if self.blanks:
            number = number.replace("1234", "1 234")
        return f"{number} {self.sign}".strip()

    def plain(self, text: pl.Series) -> pl.Series:
        """The numbers as a computer writes them, null where a text is certainly not written so.

        What is left may still be no number.

        Args:
            text: stripped of spaces, null where there is no value.
        """
        if self.sign:
            text = _only(text, text.str.contains(self.sign, literal=True))
            text = text.str.strip_chars(f"{self.sign}{BLANKS}")
        text = text.str.replace_all("\u2212", "-", literal=True)
        if self.blanks:
            text = _only(text, text.str.contains(_GROUPED) | ~text.str.contains(f"[{BLANKS}]"))
            text = text.str.replace_all(f"[{BLANKS}]", "")
        if self.commas == "thousands":
            text = _only(text, text.str.contains(_COMMAS) | ~text.str.contains(",", literal=True))
            return text.str.replace_all(",", "", literal=True)
        if self.commas == "decimal":
            text = _only(text, text.str.contains(_DECIMAL)).str.replace_all(".", "", literal=True)
            return text.str.replace(",", ".", literal=True)
        return text

    def numbers(self, text: pl.Series) -> pl.Series:
        """The numbers in double precision, null where a text is none that is written so.

        Example:
            >>> import polars as pl
            >>> Numerals("€", commas="decimal").numbers(pl.Series(["1.234,5 €", "3 €", "3", "1,234.5 €"])).to_list()
            [1234.5, 3.0, None, None]
        """
        import polars as pl

        return self.plain(text).cast(pl.Float64, strict=False)


PLAIN = Numerals()
"""Numbers as a computer writes them."""


def numerals_of(there: pl.Series) -> Numerals:
    """How the numbers of a column are written, if it is one of numbers.

    Args:
        there: all its values, stripped of spaces, none of them missing.

    Raises:
        UsageError: if nobody can know what its commas are.
    """
    sign: Sign = next((sign for sign in SIGNS if _all_have(sign, there)), "")
    bare = Numerals(sign).plain(there)
    blanks = bool(bare.str.contains(rf"\d[{BLANKS}]\d{{3}}").any() and bare.str.contains(_GROUPED).all())
    bare = Numerals(sign, blanks).plain(there)
    with_comma = bare.filter(bare.str.contains(",", literal=True))
    if with_comma.is_empty():
        return Numerals(sign, blanks)
    if bare.str.contains(_COMMAS).all():
        # 1,234 may be a thousand or one and a bit: only another number of the column can tell.
        if bare.str.contains(r"\.|,\d{3},").any():
            return Numerals(sign, blanks, "thousands")
        raise wrong(
            f"column {there.name!r} holds {brief(with_comma[0])}, where the comma may stand between thousands or "
            "before decimals: write plain numbers"
        )
    return Numerals(sign, blanks, "decimal" if bare.str.contains(_DECIMAL).all() else "")


def look_like_numbers(there: pl.Series) -> bool:
    """Whether all the texts are digits, marks and signs, understood or not."""
    return bool(there.str.contains(rf"^[+-]?[€$£¥]?\s?\d[\d.,{BLANKS}]*\s?[%€$£¥]?$").all())


def _all_have(sign: str, there: pl.Series) -> bool:
    bare = there.str.strip_chars(f"{sign}{BLANKS}")
    return bool(there.str.contains(sign, literal=True).all() and bare.str.contains(r"^[+-]?[\d.,]").all())


def _only(text: pl.Series, fits: pl.Series) -> pl.Series:
    return text.set(~fits.fill_null(value=False), None)
