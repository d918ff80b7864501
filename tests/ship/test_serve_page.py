"""The page in a real browser: what a user does, on a phone's width, with a keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from browser import Browser
from kdgan.data.cells import Reading
from kdgan.data.encoding import Encoding
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.ship.predictor import Predictor
from kdgan.ship.student import Student
from serving import COLOURS, PNG_30000, Asking, colours, picture, serving

LABELS = "[...document.querySelectorAll('article')].map(each => each.querySelector('.name').textContent)"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as found:
        yield found


def drop(browser: Browser, folder: Path, content: bytes) -> None:
    """A file onto the page, as the mouse does."""
    file = folder / "dropped"
    file.write_bytes(content)
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=150, y=200, data=data)


def check(browser: Browser, asking: Asking) -> None:
    """Nothing went anywhere else, nothing was complained about, and nothing is wider than a phone."""
    asked = {each["request"]["url"] for each in browser.of("Network.requestWillBeSent")}
    asked = {
        url for url in asked if not url.startswith((asking.url, f"blob:{asking.url}", "data:", "about:"))
    }
    assert not asked
    assert not browser.of("Runtime.exceptionThrown")
    complaints = [each["entry"]["text"] for each in browser.of("Log.entryAdded")]
    assert not [each for each in complaints if "status of 4" not in each], complaints
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    assert browser.evaluate("innerWidth") == 390


def test_an_image_that_is_chosen_or_dropped_has_the_right_class(browser: Browser, tmp_path: Path) -> None:
    teacher = colours(20.0)
    with serving(Predictor(colours(), teacher, "a teacher with a name as long as " + "w" * 90)) as asking:
        browser.open(asking.url)
        browser.wait_for("!!document.querySelector('#image')")
        for colour, kind in (("green", "JPEG"), ("blue", "PNG")):
            file = tmp_path / f"{colour}.bin"
            file.write_bytes(picture(colour, kind=kind, size=(1200, 700)))
            browser.choose("#image", file)
            assert browser.wait_for(f"({LABELS})[0] === '{colour}' && {LABELS}") == [colour, colour]
            browser.wait_for("!document.querySelector('img').hidden")
        drop(browser, tmp_path, picture("red"))
        assert browser.wait_for(f"({LABELS})[0] === 'red' && {LABELS}") == ["red", "red"]
        bars = browser.evaluate(
            "[...document.querySelectorAll('article:first-child progress')].map(e => e.value)"
        )
        (expected,) = colours().predict(picture("red"))
        assert bars == list(expected.probabilities)
        assert "ms" in browser.evaluate("document.querySelector('.time').textContent")
        check(browser, asking)
        for content, part in (
            (b"no picture", "not an image"),
            (b"", "empty"),
            (PNG_30000, "50,000,000 pixels"),
            (b"\0" * 10_000_001, "at most 10,000,000"),
        ):
            drop(browser, tmp_path, content)
            browser.wait_for(f"document.querySelector('#error').textContent.includes('{part}')")
            assert browser.evaluate(LABELS) == []
            drop(browser, tmp_path, picture("green"))
            assert browser.wait_for(f"({LABELS}).length && {LABELS}") == ["green", "green"]
            assert browser.evaluate("document.querySelector('#error').hidden")
        check(browser, asking)


def member_of() -> Student:
    """Someone from Oslo, or of age above 40, is a member."""
    columns = (
        TableColumn("age", Reading("number"), Encoding("numbers", mean=30.0, marks_missing=True)),
        TableColumn(
            "city, where one lives",
            Reading("category"),
            Encoding("categories", categories=("Rome", "Oslo <b>")),
        ),
        TableColumn("trained", Reading("truth"), Encoding("numbers", mean=0.5)),
    )
    module = torch.nn.Linear(5, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 0, 0, 0, 0], [0.1, 0, -9, 9, 0]]))
        module.bias.copy_(torch.tensor([0.0, -4.0]))
    return Student(
        module.eval(),
        ("no", "yes"),
        None,
        (5,),
        Scale(torch.zeros(5), torch.ones(5)),
        reader=TableReader(columns),
    )


def test_a_row_is_filled_in_with_the_keyboard_alone(browser: Browser) -> None:
    def tab_and_type(text: str) -> str:
        browser.press("Tab", 9)
        for letter in text:
            browser.press(letter, ord(letter.upper()), letter)
        return str(browser.evaluate("document.activeElement.id || document.activeElement.tagName"))

    with serving(Predictor(member_of())) as asking:
        browser.open(asking.url)
        browser.wait_for("!!document.querySelector('#column2')")
        reached = [tab_and_type("50"), tab_and_type("R"), tab_and_type("t"), tab_and_type("")]
        assert reached == ["column0", "column1", "column2", "send"]
        browser.press("Enter", 13, "\r")
        assert browser.wait_for(f"({LABELS}).length && {LABELS}") == ["no"]
        browser.evaluate("column1.value = '2'")
        browser.press("Enter", 13, "\r")
        assert browser.wait_for(f"({LABELS})[0] === 'yes' && {LABELS}") == ["yes"]
        assert browser.evaluate("column1.selectedOptions[0].textContent") == "Oslo <b>"
        browser.evaluate("column0.value = 'many'")
        browser.press("Enter", 13, "\r")
        browser.wait_for("document.querySelector('#error').textContent.includes('many')")
        check(browser, asking)


def test_numbers_are_typed_where_nothing_is_known_of_them(browser: Browser) -> None:
    module = torch.nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.eye(3))
    with serving(Predictor(Student(module.eval(), tuple(COLOURS), None, (3,)))) as asking:
        browser.open(asking.url)
        browser.wait_for("!!document.querySelector('#text')")
        type_in: Any = "document.querySelector('#text').value = '{}'; document.querySelector('#send').click()"
        browser.evaluate(type_in.format("1, 2 3.5"))
        assert browser.wait_for(f"({LABELS}).length && {LABELS}") == ["blue"]
        browser.evaluate(type_in.format("1 2"))
        browser.wait_for("document.querySelector('#error').textContent.includes('2 numbers, and 3')")
        check(browser, asking)
