"""The page says what the runs show, holds every method and figure, is well-formed, safe and the same each time."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest

from kdgan.errors import UsageError
from kdgan.experiments import figures
from kdgan.experiments.report import METHODS, write_report
from kdgan.experiments.statistics import METHOD_ORDER, RunRecord, summarise
from kdgan.experiments.tables import caveats, outcome

RECORD = RunRecord("digits", 50, "kdgan", 0, 91.25, 95.5, 92.0, 1000, 3.5, 1.25, 90.0, 5000, 80000)
FACTS = {"command": "kdgan compare --seeds 3", "student": "mlp"}


def runs(accuracies: Mapping[str, Sequence[float]]) -> list[RunRecord]:
    rows = []
    for method, values in accuracies.items():
        teacher = None if method in ("supervised", "nagan") else 95.5
        for seed, accuracy in enumerate(values):
            rows.append(
                replace(RECORD, method=method, seed=seed, student_accuracy=accuracy, teacher_accuracy=teacher)
            )
    return rows


ALL = runs({method: [80 + index, 81 + index, 83 + index] for index, method in enumerate(METHOD_ORDER)})
CURVES = {
    (method, seed): [(step, 50 + index + seed + step / 100) for step in (100, 500, 1000)]
    for index, method in enumerate(METHOD_ORDER)
    for seed in range(3)
}
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags are closed in order; collects tags, attributes and the text outside of styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def page_of(path: Path, records=ALL, curves=CURVES, facts=FACTS) -> tuple[str, Page]:
    write_report(path, records, curves, facts)
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[str, Page]:
    return page_of(tmp_path_factory.mktemp("report") / "new" / "report.html")


def test_report_holds_everything(whole) -> None:
    _, page = whole
    assert page.tags["svg"] == 3
    assert page.tags["details"] == 1
    assert page.tags["script"] == 0
    for part in ("How to read this", "All 24 runs", "kdgan compare --seeds 3", "Figure 3."):
        assert part in page.text
    for method in METHOD_ORDER:
        assert METHODS[method] in page.text
        assert page.text.count(method) >= 3


def test_report_needs_nothing_else(whole) -> None:
    source, page = whole
    loads = [
        value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "data")
    ]
    assert loads
    assert all(value.startswith("#") for value in loads)
    assert "@import" not in source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", source))


def test_figures_on_one_page_share_no_ids(whole) -> None:
    source, page = whole
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert max(ids.values()) == 1
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', source)
    assert {a or b for a, b in used} <= ids.keys()


def test_report_is_the_same_each_time(tmp_path) -> None:
    one, _ = page_of(tmp_path / "a.html")
    other, _ = page_of(tmp_path / "b.html", ALL[::-1], dict(reversed(CURVES.items())))
    assert one == other
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_report_leaves_matplotlib_as_it_was(tmp_path) -> None:
    before = dict(mpl.rcParams)
    page_of(tmp_path / "a.html")
    assert dict(mpl.rcParams) == before


def test_report_escapes_names(tmp_path) -> None:
    bad = '<script>alert("&")</script>'
    rows = [replace(row, data=bad, method=bad if row.method == "codis" else row.method) for row in ALL]
    source, page = page_of(tmp_path / "a.html", rows, {(bad, 0): [(1, 2.0), (2, 3.0)]}, {bad: bad})
    assert page.tags["script"] == 0
    assert "<script" not in source
    assert page.text.count(bad) >= 5


@pytest.mark.parametrize(
    ("rows", "curves", "facts"),
    [
        ([RECORD], {}, {}),
        (runs({"nagan": [88.0], "supervised": [80.0]}), {("nagan", 0): [(10, 88.0)]}, FACTS),
        (runs({"kdgan": [90.0, 90.0], "codis": [90.0, 90.0]}), {("kdgan", 0): [], ("codis", 0): [(5, 9.0)]}, {}),
        (runs({f"m{i}_$^x": [80.0 + i, 81.0] for i in range(9)}), {(f"m{i}_$^x", 0): [(5, 9.0)] for i in range(9)}, {}),
        (runs({"$a$": [80.0], "$b": [70.0]}), {("_hidden", 0): [(0, 1.0), (4, 2.0)]}, FACTS),
    ],
)  # fmt: skip
def test_report_of_other_shapes(tmp_path, rows, curves, facts) -> None:
    _, page = page_of(tmp_path / "a.html", rows, curves, facts)
    assert page.tags["svg"] == 2 + any(curves.values())
    assert all(row.method in page.text for row in rows)


def test_report_is_about_one_setting(tmp_path) -> None:
    with pytest.raises(UsageError, match="no runs"):
        write_report(tmp_path / "a.html", [], {}, {})
    with pytest.raises(UsageError, match="digits with 50 labels, digits with 99 labels"):
        write_report(tmp_path / "a.html", [RECORD, replace(RECORD, labels=99)], {}, {})
    assert list(tmp_path.iterdir()) == []


BASE = {"supervised": [80.0, 81.0, 79.0, 80.5, 80.2], "codis": [90.0, 91.0, 89.0, 90.5, 90.2]}


def said(kdgan: list[float]) -> str:
    return " ".join(outcome(summarise(runs({**BASE, "kdgan": kdgan}))))


def test_outcome_ahead() -> None:
    text = said([92.0, 93.1, 91.0, 92.4, 92.2])
    assert "On digits with 50 labels and 5 seeds, kdgan has the highest mean test accuracy: 92.14 %" in text
    assert (
        "kdgan is 2.00 points above the best baseline, codis; the paired 95 % interval, +1.91 to +2.09"
        in text
    )
    assert "excludes zero, so it is ahead." in text
    assert "kdgan is 12.00 points above the control" in text
    assert "so distilling was worth it" in text


def test_outcome_tie() -> None:
    text = said([90.4, 90.8, 89.3, 90.3, 90.5])
    assert "kdgan has the highest mean" in text
    assert "kdgan is 0.12 points above the best baseline, codis" in text
    assert "includes zero, so these runs do not tell the two apart." in text
    assert "it is ahead" not in text


def test_outcome_behind() -> None:
    text = said([88.0, 89.1, 87.0, 88.4, 88.2])
    assert "codis has the highest mean test accuracy" in text
    assert "kdgan is 2.00 points below the best baseline, codis" in text
    assert "excludes zero, so it is behind." in text
    assert "codis is 10.00 points above the control" in text


def test_outcome_harm_and_open_and_unknown() -> None:
    control = {"supervised": [90.0, 91.0, 92.0]}
    harm = outcome(summarise(runs({**control, "distn": [80.0, 81.1, 82.0]})))
    assert "distn is 9.97 points below the control" in harm[-1]
    assert "so distilling did harm" in harm[-1]
    stays = outcome(summarise(runs({**control, "distn": [89.0, 91.1, 93.0]})))
    assert "so whether distilling was worth it stays open" in stays[-1]
    unknown = outcome(summarise(runs({"distn": [80.0, 81.0], "codis": [80.0, 82.0]})))
    assert unknown[-1] == "Without the no-teacher control, whether distilling was worth it cannot be told."
    one_seed = outcome(summarise(runs({"supervised": [80.0], "kdgan": [99.0]})))
    assert all("a single seed gives no interval" in sentence for sentence in one_seed[1:])
    assert not any("so it is ahead" in sentence for sentence in one_seed)
    alone = outcome(summarise([RECORD]))
    assert len(alone) == 1
    assert "nothing to compare it with" in alone[0]


def test_nagan_is_not_called_distilling() -> None:
    text = " ".join(outcome(summarise(runs({"supervised": [80.0, 81.0], "nagan": [90.0, 91.0]}))))
    assert "distilling" not in text
    assert "nagan is 10.00 points above the next best baseline, supervised" in text


def test_caveats() -> None:
    assert caveats(summarise(runs(BASE))) == []
    found = " ".join(caveats(summarise([*runs(BASE), replace(RECORD, student_updates=5000)])))
    assert "Few seeds (the fewest: 1)" in found
    assert "same seeds" in found
    assert "1,000 to 5,000" in found


def test_colours_are_distinct_and_fixed() -> None:
    colours = figures.method_colours([*METHOD_ORDER, "another", "more"])
    assert len(set(colours.values())) == 10
    assert figures.method_colours(["kdgan"]) == {"kdgan": colours["kdgan"]}


def test_curves_average_over_the_range_that_seeds_share() -> None:
    curves = {
        ("a", 0): [(0, 10.0), (10, 20.0)],
        ("a", 1): [(5, 25.0), (20, 40.0)],
        ("b", 0): [(1, 3.0)],
        ("b", 1): [(2, 3.0)],
    }
    (axes,) = figures.curves_figure(curves, figures.method_colours(["a", "b"])).axes
    line = axes.lines[0]
    assert list(line.get_xdata()) == [5, 10]
    assert list(line.get_ydata()) == [20.0, 25.0]
    assert [item.get_label() for item in axes.lines[1:]] == ["a"]
