"""Words of tags and texts."""

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.tagging.yfcc.metadata import Photo
from kdgan.tagging.yfcc.wording import normal, removal, text_of


def photo(title: str = "", description: str = "") -> Photo:
    fields = [""] * 25
    fields[8], fields[9] = quote_plus(title), quote_plus(description)
    return Photo([field.encode() for field in fields])


def test_tags_are_compared_without_case_and_width():
    assert normal("  New   York ") == "new york"
    assert normal("ＮＩＫＯＮ") == "nikon"
    assert normal("ÉTÉ") == normal("E\u0301TE\u0301") == "été"
    assert normal("STRASSE") == normal("Straße")
    assert normal("a\nb\x1b") == "a b"


@pytest.mark.parametrize(
    ("title", "description", "tags", "expected"),
    [
        ("Sea and sky", "", [], "and sky"),
        ("Overseas", "by the SEA.", [], "Overseas by the ."),
        ("New York", "newyork in New-York", ["old york"], "in old york"),
        ("IMG_0520.JPG", "", ["pier"], "pier"),
        ("DSC 1234", "", [], ""),
        ("Route 66", "", [], "Route 66"),
        ("2010", "3 + 4", ["sea"], ""),
        ("", 'See <a href="http://x.org/sea">this</a> &amp; http://y.org/z', [], "See this &"),
        ("Sea", "\n", [], ""),
        ("cafe&#769; &shy;&zwj;&nbsp;pier", "&#" + "9" * 5000 + ";", [], "café pier"),
        ("ＩＭＧ＿0520", "", ["pier"], "pier"),
        ("\x1b[31mRed", "", [], "[31mRed"),
    ],
)
def test_text_is_what_is_left_beside_the_chosen_tags(title, description, tags, expected):
    assert text_of(photo(title, description), tags, removal(["sea", "new york"])) == expected


@given(st.text(), st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_any_text_becomes_one_line_without_chosen_tags(title, description, tags):
    chosen = removal(["sea", "a b"])
    text = text_of(photo(title, description), tags, chosen)
    assert text == " ".join(text.split())
    assert not chosen.search(text)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("कल और कला", "और कला"),
        ("Die Straße, STRASSE, Strassen", "die , , strassen"),
        ("Ο ΉΛΙΟΣ και ο Ήλιος", "Ο και ο"),
        ("Cafe\u0301s im CAFÉ", "Cafés im"),
        ("ने\u200dपाल Nepal", "Nepal"),
    ],
)
def test_chosen_tags_are_whole_words_of_any_script(title, expected):
    chosen = removal(map(normal, ["कल", "Straße", "ΉΛΙΟΣ", "café", "नेपाल"]))
    assert text_of(photo(title), [], chosen) == expected
