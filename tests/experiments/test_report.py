"""The report says what the runs show, and shows every method and figure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest

from html_pages import Page
from kdgan.experiments.description import describe
from kdgan.experiments.page import Example
from kdgan.experiments.records import Record
from kdgan.experiments.report import caveats, outcome, write_report
from kdgan.experiments.statistics import rows_of
from kdgan.experiments.variants import Variant
from kdgan.methods import METHODS
from made_records import RECORD, record, runs
from support import refused

FACTS = {"Command": "kdgan compare --seeds 3", "Student": "mlp"}
DESCRIBED = {name: describe(Variant(name)) for name in METHODS}
ALL = runs({method: [80 + index, 81 + index, 83 + index] for index, method in enumerate(METHODS)})
CURVES = {
    (method, seed): {"accuracy": [(step, 50 + index + seed + step / 100) for step in (100, 500, 1000)]}
    for index, method in enumerate(METHODS)
    for seed in range(3)
}


def page_of(
    path: Path,
    records: Iterable[Record] = ALL,
    curves: Mapping[tuple[str, int], Mapping[str, Sequence[tuple[int, float]]]] = CURVES,
    **more: object,
) -> tuple[str, Page]:
    given = {"metrics": ["accuracy"], "facts": FACTS, "described": DESCRIBED, **more}
    write_report(path, records, curves, **given)  # type: ignore[arg-type]
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    return page_of(tmp_path_factory.mktemp("report") / "report.html")


def test_a_report_holds_everything(whole: tuple[str, Page]) -> None:
    _, page = whole
    assert page.tags["svg"] == 3
    assert page.tags["details"] == 1
    assert page.tags["script"] == 0
    for part in ("How to read this", f"All {len(ALL)} runs", "kdgan compare --seeds 3", "Figure 3."):
        assert part in page.text
    assert "digits, 50 labels: which method trains the best student?" in page.text
    for method in METHODS:
        assert DESCRIBED[method] in page.text
        assert page.text.count(method) >= 3


def test_a_report_needs_nothing_else(whole: tuple[str, Page]) -> None:
    source, page = whole
    names = ("src", "href", "xlink:href", "srcset", "data")
    loads = [value for name, value in page.attributes if name in names]
    assert loads
    assert all(value.startswith("#") for value in loads)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", source))


def test_a_report_is_the_same_each_time(tmp_path: Path) -> None:
    one, _ = page_of(tmp_path / "a.html")
    other, _ = page_of(tmp_path / "b.html", ALL[::-1], dict(reversed(CURVES.items())))
    assert one == other
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_report_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    page_of(tmp_path / "a.html")
    assert dict(mpl.rcParams) == before


def test_a_report_escapes_names(tmp_path: Path) -> None:
    bad = '<script>alert("&")</script>'
    rows = [replace(row, data=bad, method=bad if row.method == "codis" else row.method) for row in ALL]
    curves = {(bad, 0): {"accuracy": [(1, 2.0), (2, 3.0)]}}
    source, page = page_of(tmp_path / "a.html", rows, curves, facts={bad: bad})
    assert page.tags["script"] == 0
    assert "<script" not in source
    assert page.text.count(bad) >= 5


@pytest.mark.parametrize(
    ("rows", "curves"),
    [
        ([RECORD], {}),
        (runs({"nagan": [88.0], "supervised": [80.0]}), {("nagan", 0): [(10, 88.0)]}),
        (runs({"kdgan": [90.0, 90.0], "codis": [90.0, 90.0]}), {("kdgan", 0): [], ("codis", 0): [(5, 9.0)]}),
        (runs({f"m{i}_$^x": [80.0 + i, 81.0] for i in range(9)}), {(f"m{i}_$^x", 0): [(5, 9.0)] for i in range(9)}),
        (runs({"$a$": [80.0], "$b": [70.0]}), {("_hidden", 0): [(0, 1.0), (4, 2.0)]}),
    ],
)  # fmt: skip
def test_reports_of_other_shapes(
    tmp_path: Path, rows: list[Record], curves: dict[tuple[str, int], list[tuple[int, float]]]
) -> None:
    by_metric = {key: {"accuracy": points} for key, points in curves.items()}
    _, page = page_of(tmp_path / "a.html", rows, by_metric, described=None)
    assert page.tags["svg"] == 2 + any(curves.values())
    assert all(row.method in page.text for row in rows)
    assert "A variant of this study." in page.text


def test_without_curves_on_test_data_those_on_validation_are_drawn(tmp_path: Path) -> None:
    rows = runs({"supervised": [80.0, 81.0], "kdgan": [90.0, 91.0]}, metrics={})
    points = {"validation/accuracy": [(1, 50.0), (2, 60.0)]}
    both = {**points, "accuracy": [(1, 40.0), (2, 50.0)]}
    for curves, part in ((points, "validation"), (both, "test")):
        source, page = page_of(tmp_path / "a.html", rows, {("kdgan", 0): curves})
        assert f"Accuracy while training. On {part} data." in page.text.replace("\xa0", " ")
        assert f"accuracy on {part} data, %" in source


def test_a_report_is_about_one_data_set(tmp_path: Path) -> None:
    with refused("no runs"):
        page_of(tmp_path / "a.html", [], {})
    with refused("digits, mnist"):
        page_of(tmp_path / "a.html", [RECORD, replace(RECORD, data="mnist")], {})
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_about_any_metric(tmp_path: Path) -> None:
    metrics = ["MAP", "P@3", "MRR"]
    rows = [
        replace(each, metrics={name: 10.0 * place + each.seed for place, name in enumerate(metrics, start=1)})
        for each in runs({"supervised": [0, 0], "kdgan": [0, 0]})
    ]
    # Of a baseline no best epoch was taken, and no curve.
    rows = [*rows, *(replace(each, method="knn", student_parameters=None) for each in rows[:2])]
    curves = {("kdgan", 0): {"MAP": [(1, 2.0), (2, 3.0)], "P@3": [(1, 1.0)]}}
    examples = [Example("scene 7", ["sea"], b"\x89PNG", {"kdgan": ["sea"], "knn": ["dog"]})]
    about = "Each photo comes with the text."
    _, page = page_of(tmp_path / "a.html", rows, curves, metrics=metrics, examples=examples, about=about)
    assert page.tags["svg"] == 2  # no best epoch here
    for part in (
        "MAP on test data per method, and what it earned.",
        "MAP while training.",
        "scene 7, in truth: sea",
        "P@3",
        about,
    ):
        assert part in page.text
    assert "accuracy" not in page.text


def test_what_was_earned_is_said_first_and_drawn_once(tmp_path: Path) -> None:
    rows = runs({"supervised": [80.0, 81.0, 83.0], "distn": [90.0, 92.0, 93.0]}, unlabelled=1300)
    source, page = page_of(tmp_path / "a.html", rows, {}, self_trained=["distn"])
    text = page.text.replace("\xa0", " ")
    sentence = "From 50 labelled examples alone the student reaches 81.33 % "
    assert text.index(sentence) < text.index("distn has the highest mean accuracy")
    assert "which first learned from 1,300 examples without labels and reaches 95.50 %" in text
    described = [value for name, value in page.attributes if name == "aria-label"]
    assert sum(value.startswith("accuracy on test data in %, in brackets") for value in described) == 1
    assert "distn 91.67 ± 3.79 (+10.33 ± 1.43); teacher of distn 95.50 ± 0.00." in described[0]
    assert text.count("and what it earned.") == source.count('id="figure1-figure_1"') == 1
    assert "Open diamond: the teacher of distn" in text


def test_without_a_control_nothing_is_said_to_be_earned(tmp_path: Path) -> None:
    _, page = page_of(
        tmp_path / "a.html", runs({"mimic": [80.0, 81.0, 83.0], "distn": [90.0, 92.0, 93.0]}), {}
    )
    assert "alone the student reaches" not in page.text
    assert "earned" not in page.text
    assert "Accuracy on test data per method." in page.text


def test_runs_that_failed_are_named_first(tmp_path: Path) -> None:
    failures = [f"kdgan seed {seed}: diverged" for seed in range(7)]
    _, page = page_of(tmp_path / "a.html", failures=failures)
    assert "Runs that failed and are in no figure or mean (7): kdgan seed 0: diverged; " in page.text
    assert "kdgan seed 4: diverged" in page.text
    assert "kdgan seed 5" not in page.text


BASE = {"supervised": [80.0, 81.0, 79.0, 80.5, 80.2], "codis": [90.0, 91.0, 89.0, 90.5, 90.2]}


def said_of(accuracies: Mapping[str, Sequence[float]]) -> list[str]:
    return outcome(rows_of(runs(accuracies)), "accuracy")


def said(kdgan: Sequence[float]) -> str:
    return " ".join(said_of({**BASE, "kdgan": kdgan}))


def test_outcome_ahead() -> None:
    text = said([92.0, 93.1, 91.0, 92.4, 92.2])
    assert (
        "On digits, 50 labels, 5 seeds: kdgan has the highest mean accuracy on test data, 92.14 % (95 % interval "
        in text
    )
    assert (
        "kdgan is 2.00 points above the best baseline, codis; the paired 95 % interval (Holm, of 2), +1.91 to "
        "+2.09" in text
    )
    assert "excludes zero, so it is ahead." in text
    assert "kdgan is 12.00 points above the control" in text
    assert "so distilling was worth it" in text
    assert "With pretraining, a run of kdgan took 4.8 s, one of the control 4.8 s." in text


def test_outcome_tie() -> None:
    text = said([90.4, 90.8, 89.3, 90.3, 90.5])
    assert "kdgan has the highest mean" in text
    assert "kdgan is 0.12 points above the best baseline, codis" in text
    assert "includes zero, so these runs do not tell the two apart." in text
    assert "it is ahead" not in text


def test_outcome_behind() -> None:
    text = said([88.0, 89.1, 87.0, 88.4, 88.2])
    assert "codis has the highest mean accuracy on test data" in text
    assert "kdgan is 2.00 points below the best baseline, codis" in text
    assert "excludes zero, so it is behind." in text
    assert "codis is 10.00 points above the control" in text


def test_outcome_harm_and_open_and_unknown() -> None:
    control = {"supervised": [90.0, 91.0, 92.0]}
    harm = said_of({**control, "distn": [80.0, 81.1, 82.0]})
    assert "distn is 9.97 points below the control" in harm[-1]
    assert "so distilling did harm" in harm[-1]
    stays = said_of({**control, "distn": [89.0, 91.1, 93.0]})
    assert "so whether distilling was worth it stays open" in stays[-1]
    unknown = said_of({"distn": [80.0, 81.0], "codis": [80.0, 82.0]})
    assert unknown[-1] == "Without the no-teacher control, whether distilling was worth it cannot be told."
    one_seed = said_of({"supervised": [80.0], "kdgan": [99.0]})
    assert all("a single seed gives no interval" in sentence for sentence in one_seed[1:])
    assert not any("so it is ahead" in sentence for sentence in one_seed)
    alone = said_of({"kdgan": [91.25]})
    assert len(alone) == 1
    assert "nothing to compare it with" in alone[0]


def test_what_has_no_teacher_is_not_called_distilling() -> None:
    text = " ".join(said_of({"supervised": [80.0, 81.0], "nagan": [90.0, 91.0]}))
    assert "distilling" not in text
    assert "nagan is 10.00 points above the next best baseline, supervised" in text


def test_variants_of_kdgan_are_no_baselines_of_it() -> None:
    text = " ".join(said_of({**BASE, "kdgan": [95.0] * 5, "kdgan: no game": [99.0] * 5}))
    assert "kdgan: no game has the highest mean" in text
    assert "kdgan is 4.86 points above the best baseline, codis" in text


def test_caveats() -> None:
    assert caveats(rows_of(runs(BASE))) == []
    found = " ".join(caveats(rows_of([*runs(BASE), replace(RECORD, student_updates=5000)])))
    assert "Few seeds (the fewest: 1)" in found
    assert "same seeds" in found
    assert "1,000 to 5,000" in found
    # What has no network has no updates.
    assert (
        caveats(
            rows_of([*runs(BASE), *(record("knn", seed, 50.0, student_updates=None) for seed in range(5))])
        )
        == []
    )


def test_many_variants_make_way_for_the_best_and_the_page_says_so(tmp_path: Path) -> None:
    names = [f"m{number:03}" for number in range(198)]
    values = {name: [float(number) / 10, number / 10 + 0.5] for number, name in enumerate(names)}
    made = runs({"kdgan": [1.0, 1.5], "supervised": [2.0, 2.5], **values})
    curves = {(each.method, each.seed): {"accuracy": [(1, 1.0), (2, 2.0)]} for each in made}
    example = Example("x", ["a"], None, {name: ["a"] for name in [*names, "kdgan"]})
    source, page = page_of(
        tmp_path / "a.html", made, curves, examples=[example], facts={"Settings": "s" * 99_999}
    )
    text = page.text.replace("\xa0", " ")
    assert (
        "Of 200 variants figures and tables show 30: those with the best mean accuracy, KDGAN and the control."
        in text
    )
    there = {name for name in names if name in text}
    assert there == set(names[-28:])
    assert "the highest mean accuracy on test data" in text
    assert "the best baseline, m197" in text  # the sentences are about all
    assert "The 60 runs of these variants" in text
    assert "s" * 10_000 + " … and 89,999 characters more" in text
    assert len(source) < 2**20


def test_many_seeds_are_shown_in_short_and_the_page_says_so(tmp_path: Path) -> None:
    values = [float(80 + (37 * seed) % 1000 / 100) for seed in range(1000)]
    sizes = []
    for count in (500, 1000):
        made = runs({"kdgan": values[:count], "supervised": [each - 1 for each in values[:count]]})
        curves = {
            (each.method, each.seed): {"accuracy": [(each.seed % 7 + 1, 1.0), (9, 2.0)]} for each in made
        }
        source, page = page_of(tmp_path / "a.html", made, curves)
        sizes.append(len(source))
        text = page.text.replace("\xa0", " ")
        assert f"All {2 * count} runs, in short" in text
        assert "Where there are more than 100 seeds, as many of them are drawn" in text
        assert "updates as many are drawn" not in text
    assert "80.00 · 85.00 · 89.99" in text or "80.00 · 84.99 · 89.99" in text
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_long_curves_are_drawn_at_some_of_their_updates_and_the_page_says_so(tmp_path: Path) -> None:
    made = runs({"kdgan": [90.0], "supervised": [80.0]})
    sizes = []
    for count in (1000, 20_000):
        points = [(step, 50 + 40 * step / count) for step in range(1, count + 1)]
        curves = {(each.method, each.seed): {"accuracy": points} for each in made}
        source, page = page_of(tmp_path / "a.html", made, curves)
        assert "Of more than 200 updates as many are drawn." in page.text.replace("\xa0", " ")
        sizes.append(len(source))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_the_worth_of_the_best_is_corrected_for_how_many_are_compared() -> None:
    alone, distn, mimic = [80.0, 82.0, 84.0], [84.0, 87.0, 90.0], [82.0, 85.0, 88.0]
    # 4, 5 and 6 above the control: 5 ± 4.303 / √3 by itself, and 6.205 / √3 as the surer of two.
    one = outcome(rows_of(runs({"supervised": alone, "distn": distn}), "d"), "accuracy")[-1]
    assert "the paired 95 % interval, +2.52 to +7.48, excludes zero" in one
    two = outcome(rows_of(runs({"supervised": alone, "distn": distn, "mimic": mimic}), "d"), "accuracy")[-1]
    assert "the paired 95 % interval (Holm, of 2), +1.42 to +8.58, excludes zero" in two
