"""The one page builder: well-formed, safe, needing nothing else, the same each time."""

import re
from collections import Counter
from pathlib import Path

import pytest

from html_pages import Page
from kdgan.experiments import figures
from kdgan.experiments.page import Example, Picture, write_page
from kdgan.experiments.tables import Column, Table

TABLE = Table(
    [Column("method", str, words=True), Column("accuracy", str)], [["kdgan", "90.00"]], "In 95 % of cases."
)
COLOURS = figures.colours_of(["kdgan", "mimic"])


def picture(heading: str = "A figure") -> Picture:
    return Picture(
        figures.ladder_figure("accuracy", {"kdgan": [90.0, 91.0]}, COLOURS), heading, "How to read it."
    )


def page_of(path: Path, **parts: object) -> tuple[str, Page]:
    write_page(path, "Which is better?", ["It is.", "By 3 %."], **parts)  # type: ignore[arg-type]
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


@pytest.fixture
def whole(tmp_path: Path) -> tuple[str, Page]:
    return page_of(
        tmp_path / "page.html",
        caveats=["Few seeds."],
        pictures=[picture("First"), picture("Second")],
        tables={"In numbers": TABLE},
        details={"All 9 runs": TABLE},
        examples=[
            Example("p1", ["sea", "sky"], b"\x89PNG", {"kdgan": ["sea", "dog"], "knn": ["cat"]}),
            Example("p2", ["car"], None, {"kdgan": ["car"]}),
        ],
        terms={"kdgan": "A game."},
        facts={"Command": "kdgan compare"},
        colours=COLOURS,
    )


def test_a_page_has_all_its_parts_in_their_order(whole: tuple[str, Page]) -> None:
    source, page = whole
    order = [
        *("<h1>Which is better?</h1>", "<p>It is.</p>", "<p>By 3&nbsp;%.</p>", "<li>Few seeds.</li>"),
        *("Figure 1. First", "Figure 2. Second", "<h2>In numbers</h2>", "In 95&nbsp;% of cases."),
        *("<summary>All 9 runs</summary>", "What is recommended", "How to read this"),
        *("<dt>kdgan</dt><dd>A game.</dd>", "<h2>The study</h2>", "kdgan compare"),
    ]
    places = [source.index(part) for part in order]
    assert places == sorted(places)
    assert (page.tags["svg"], page.tags["details"], page.tags["script"]) == (2, 1, 0)
    assert f'class="swatch" style="background:{COLOURS["kdgan"]}"' in source


def test_examples_say_what_each_variant_says(whole: tuple[str, Page]) -> None:
    source, page = whole
    assert page.tags["img"] == 1
    assert 'src="data:image/png;base64,iVBORw' in source
    assert "p1, in truth: sea, sky" in page.text
    assert "<tr><th>kdgan</th><td><strong>sea</strong>, dog</td></tr>" in source
    assert "<tr><th>knn</th><td>cat</td></tr>" in source


def test_a_page_needs_nothing_else(whole: tuple[str, Page]) -> None:
    source, page = whole
    names = ("src", "href", "xlink:href", "srcset", "data")
    loads = [value for name, value in page.attributes if name in names]
    assert loads
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in loads)
    assert "@import" not in source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", source))


def test_figures_on_one_page_share_no_ids(whole: tuple[str, Page]) -> None:
    source, page = whole
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert max(ids.values()) == 1
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', source)
    assert {a or b for a, b in used} <= ids.keys()


def test_a_page_may_be_short_and_is_the_same_each_time(tmp_path: Path) -> None:
    one, page = page_of(tmp_path / "a.html")
    assert page.tags["table"] == page.tags["svg"] == page.tags["details"] == 0
    assert "How to read this" in page.text
    assert "The study" not in page.text
    assert page_of(tmp_path / "b.html")[0] == one
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_whatever_text_is_shown_is_text(tmp_path: Path) -> None:
    bad = '<script>alert("&")</script>$title'
    table = Table([Column(bad, str)], [[bad]], bad)
    source, page = page_of(
        tmp_path / "a.html",
        caveats=[bad],
        pictures=[picture(bad)],
        tables={bad: table},
        details={bad: table},
        examples=[Example(bad, [bad], None, {bad: [bad]})],
        terms={bad: bad},
        facts={bad: bad},
        colours={},
    )
    assert page.tags["script"] == 0
    assert "<script" not in source
    assert page.text.count(bad) >= 15


def test_a_page_on_runs_has_its_own_words_and_values_of_rows(tmp_path: Path) -> None:
    rows = [Example("row 1", ["yes"], None, {"student (90 %)": ["no"]}, {"age <b>": "31", "city": "Oslo"})]
    source, page = page_of(
        tmp_path / "a.html", examples=rows, examples_heading="Where they differ", reading="run"
    )
    assert "<h2>Where they differ</h2>" in source
    assert "What is recommended" not in source
    assert "<tr><th>age &lt;b&gt;</th><td>31</td></tr>" in source
    assert "Wilson" in page.text
    assert "Wilson" not in page_of(tmp_path / "b.html")[1].text
