"""Words of any script."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.tagging.words import LETTER, folded, plain, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी भाषा में लिखा", ["हिन्दी", "भाषा", "में", "लिखा"]),
        ("தமிழ் மொழி!", ["தமிழ்", "மொழி"]),
        ("Cafe\u0301 d'E\u0301te\u0301", ["café", "d", "été"]),
        ("שָׁלוֹם, مُحَمَّد", ["שָׁלוֹם", "مُحَمَّد"]),
        ("ＮＥＷ ﬁlm_1", ["new", "film_1"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("ΉΛΙΟΣ ήλιος, ΣΑΣ", ["ήλιος", "ήλιος", "σας"]),
        ("می\u200cخواهم Donau\u00addampf \ufeffsea", ["میخواهم", "donaudampf", "sea"]),
        ("แม่\u200bน\u0e49\u0e33", ["แม่", "น\u0e49\u0e33"]),
        ("❤\ufe0f 1\ufe0f\u20e3 \u0301 \u200d", ["1"]),
        ("don't\x00stop\x1b[31mred", ["don", "t", "stop", "31mred"]),
    ],
)
def test_words_are_whole_in_any_script(text: str, words: list[str]) -> None:
    words = [plain(word) for word in words]
    for form in ("NFC", "NFD"):
        assert words_of(unicodedata.normalize(form, text)) == words


@given(st.text())
def test_text_is_compared_without_what_does_not_change_a_word(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    assert folded(unicodedata.normalize("NFD", text)) == once
    assert folded(plain(text)) == once
    assert all(re.fullmatch(rf"\w[{LETTER}]*", word) for word in words_of(text))


@given(st.text(st.characters(codec="ascii")))
def test_words_of_plain_english_are_what_they_always_were(text: str) -> None:
    assert words_of(text) == re.findall(r"\w+", text.lower())
