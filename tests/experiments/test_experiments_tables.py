"""Tables as text, Markdown and data: what a column says of a row, and that nothing is cut."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from kdgan.experiments import tables
from kdgan.experiments.records import Record
from kdgan.experiments.statistics import Interval, Row, mean_interval, rows_of
from kdgan.experiments.tables import Column, Table
from kdgan.ship.forms import PERCENT, form_of
from made_records import record, runs

ACCURACY = ["accuracy"]


def terminal(records: Sequence[Record], metrics: Sequence[str] = ACCURACY, cell: str | None = None) -> str:
    rows = rows_of(records, cell)
    made = tables.table(rows, tables.of_comparison(metrics), tables.note_of_comparison(rows, metrics))
    file = StringIO()
    Console(width=100, file=file, color_system=None).print(made.terminal(rows[0].cell if rows else "nothing"))
    return file.getvalue()


def lines_of(shown: str) -> dict[str, str]:
    """Lines of a table by their first word, blanks once."""
    return {line.split()[0]: " ".join(line.split()) for line in shown.splitlines() if line.strip()}


def row_of(records: Sequence[Record], name: str) -> Row:
    return next(row for row in rows_of(records, "cell") if row.name == name)


def test_terminal_table() -> None:
    shown = terminal(runs({"supervised": [85, 86, 87], "kdgan": [91, 92, 94], "codis": [93, 93, 93]}))
    assert "digits, 50 labels" in shown
    lines = lines_of(shown)
    assert lines["method"] == "method accuracy to control to best baseline seconds parameters"
    assert lines["supervised"] == "supervised 86.00 ± 2.48 – −7.00 ± 3.58 codis 3.5 + 1.2 5,000"
    assert lines["kdgan"] == "kdgan 92.33 ± 3.79 +6.33 ± 2.07 −0.67 ± 3.79 codis 3.5 + 1.2 5,000"
    assert "3 seeds" in shown
    assert "own + shared pretraining" in " ".join(shown.split())


def test_terminal_table_fits_and_cuts_nothing() -> None:
    made = runs({"supervised": [85, 86], "kdgan": [91, 93]}, student_parameters=12345678, seconds=12345.6)
    named = [
        replace(each, data="cifar10", labels=50000, method=each.method.replace("kd", "[b]")) for each in made
    ]
    shown = terminal(named)
    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    for part in ("cifar10, 50,000 ", "[b]gan ", "12,345,678", "12,346 + 1.2"):
        assert part in shown


def test_a_terminal_has_room_for_the_metrics_of_tags() -> None:
    ranking = ["MAP", "P@3", "P@5", "F@3", "F@5", "MRR"]
    values = dict.fromkeys(ranking, 12.345)
    names = ("knn", "supervised", "noisy", "kdgan")
    made = [
        record(name, seed, 0, metrics={**values, "MAP": 20.0 + 9 * seed})
        for name in names
        for seed in range(2)
    ]
    shown = terminal(made, ranking, "popular")
    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    lines = lines_of(shown)
    for name in names:  # no word is broken in two
        assert lines[name].split()[1:4] == ["24.50", "±", "57.18"]
        assert lines[name].split()[4:9] == ["12.35"] * 5 or lines[name].split()[4:9] == ["12.34"] * 5
    assert lines["method"].startswith("method MAP P@3 P@5 F@3 F@5 MRR to control")
    assert "MAP on test data in %" in shown


def test_markdown_table() -> None:
    rows = rows_of(runs({"supervised": [85], "a|b": [90]}))
    made = tables.table(rows, tables.of_comparison(ACCURACY), tables.note_of_comparison(rows, ACCURACY))
    lines = made.markdown().splitlines()
    assert lines[:4] == [
        "| method | accuracy | to control | to best baseline | seconds | parameters |",
        "| :--- | ---: | ---: | :--- | ---: | ---: |",
        "| supervised | 85.00 | – | −5.00 a\\|b | 3.5 + 1.2 | 5,000 |",
        "| a\\|b | 90.00 | +5.00 | +5.00 supervised | 3.5 + 1.2 | 5,000 |",
    ]
    assert lines[4] == ""
    assert "1 seed;" in lines[5]


def test_markdown_keeps_a_cell_on_its_line() -> None:
    made = tables.markdown(["a", "b"], [["x\ny\\", "|"]], words=["a"])
    assert made == "| a | b |\n| :--- | ---: |\n| x y\\\\ | \\| |\n"


def test_tables_of_nothing() -> None:
    nothing = tables.table([], tables.of_report(ACCURACY), tables.note_of_comparison([], ACCURACY))
    assert "no seeds" in nothing.markdown()
    assert nothing.cells == []
    assert "no seeds" in terminal([])


@pytest.mark.parametrize(
    ("value", "shown"), [(1.2, "+1.20"), (-0.354, "−0.35"), (0.004, "0.00"), (-0.004, "0.00"), (0.0, "0.00")]
)
def test_signed(value: float, shown: str) -> None:
    assert PERCENT.signed(value) == shown


def test_numbers_as_text() -> None:
    interval = mean_interval([1.0, 2.0, 3.0])
    assert tables.plus_minus(interval) == "2.00 ± 2.48"
    assert tables.plus_minus(interval, difference=True) == "+2.00 ± 2.48"
    assert tables.plus_minus(mean_interval([1.0])) == "1.00"
    assert tables.plus_minus(None) == tables.NOTHING
    assert tables.between(interval, " ({} to {})") == " (0.00 to 4.48)"  # no share is below 0
    assert tables.between(interval, " ({} to {})", difference=True) == " (−0.48 to +4.48)"
    assert tables.between(interval, " ({} to {})", form_of("mine")) == " (−0.48 to 4.48)"
    assert tables.between(mean_interval([1.0]), " ({} to {})") == ""
    assert [tables.seconds_text(each) for each in (12.34, 99.94, 99.96, 4210.4)] == [
        *("12.3", "99.9", "100", "4,210"),
    ]


def test_how_many_seeds() -> None:
    for accuracies, text in (
        ({"a": [1.0], "b": [1.0]}, "1 seed"),
        ({"a": [1.0, 2.0]}, "2 seeds"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "1 to 2 seeds"),
    ):
        assert tables.seeds_text(rows_of(runs(accuracies))) == text
    assert tables.seeds_text([]) == "no seeds"


def test_columns_say_what_their_names_promise() -> None:
    made = runs({"supervised": [80.0, 82.0], "mimic": [85.0, 86.0], "kdgan": [88.0, 91.0]})
    kdgan, mimic, control = (row_of(made, name) for name in ("kdgan", "mimic", "supervised"))
    assert tables.name().text(kdgan) == "kdgan"
    assert tables.cell().text(kdgan) == "cell"
    assert tables.seeds().text(kdgan) == "2"
    assert tables.mean("accuracy", interval=False).text(kdgan) == "89.50"
    assert tables.mean("accuracy", "it").header == "it"
    assert tables.mean("MAP").text(kdgan) == tables.NOTHING
    assert tables.minus("mimic", "accuracy", "-").text(kdgan).startswith("+4.00 ± ")
    assert tables.less_than("kdgan", "accuracy", "-").text(mimic).startswith("+4.00 ± ")
    assert tables.less_than("kdgan", "accuracy", "-").text(kdgan) == tables.NOTHING
    assert tables.to_best_other("accuracy").text(kdgan).endswith(" mimic")
    assert tables.best_epoch("accuracy").text(mimic) == "+6.50"  # 92 is made up for all runs
    assert tables.mean("teacher/accuracy", "teacher").text(control) == tables.NOTHING
    assert tables.seconds().text(kdgan) == "3.5 + 1.2"
    unknown = [replace(each, seconds=None) for each in made]
    assert tables.seconds().text(row_of(unknown, "kdgan")) == "– + 1.2"
    assert tables.parameters().text(kdgan) == "5,000"
    alone = [replace(each, student_parameters=None) for each in runs({"knn": [1.0]})]
    assert tables.parameters().text(row_of(alone, "knn")) == tables.NOTHING
    words = [each for each in (tables.name(), tables.cell(), tables.to_best_other("accuracy")) if each.words]
    assert len(words) == 3


def test_a_metric_beside_its_corrected_difference() -> None:
    made = runs({"kdgan": [90.0, 91.0, 92.0], "mimic": [88.0, 90.0, 89.0], "codis": [90.0, 91.0, 92.5]})
    column = tables.against("kdgan", "accuracy")
    assert column.header == "accuracy"
    assert column.text(row_of(made, "kdgan")) == "91.00"
    found = row_of(made, "mimic").minus_corrected("kdgan", "accuracy")
    assert found is not None
    assert column.text(row_of(made, "mimic")) == f"89.00 (−2.00 ± {found.half_width:.2f})"
    assert tables.against("kdgan", "MAP").text(row_of(made, "mimic")) == "–"


def test_an_interval_the_other_way_round_keeps_its_ends() -> None:
    made = runs({"mimic": [80.0, 81.0, 85.0], "kdgan": [90.0, 90.0, 90.0]})
    mimic, kdgan = (row_of(made, name) for name in ("mimic", "kdgan"))
    found = kdgan.minus("mimic", "accuracy")
    assert isinstance(found, Interval)
    expected = tables.plus_minus(found, difference=True)
    assert tables.less_than("kdgan", "accuracy", "-").text(mimic) == expected


def test_the_page_shows_more_than_the_terminal() -> None:
    for metrics in (["accuracy"], ["MAP", "P@3", "P@5", "MRR"]):
        shown = [column.header for column in tables.of_comparison(metrics)]
        on_page = [column.header for column in tables.of_report(metrics)]
        assert set(shown) < set(on_page)
        assert {"seeds", "best epoch", "teacher", "seconds", "parameters"} <= set(on_page)
        assert [header for header in on_page if header in metrics] == list(metrics)


def test_a_table_is_data() -> None:
    table = Table([Column("a", str, words=True), Column("b", str)], [["x", "1"]], "Note.")
    assert table.headers == ["a", "b"]
    assert table.markdown() == "| a | b |\n| :--- | ---: |\n| x | 1 |\n\nNote.\n"
