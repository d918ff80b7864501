"""What people see of a run in the terminal."""

import io

import pytest
from rich.console import Console

from kdgan.training import display
from kdgan.training.callbacks import Evaluation
from kdgan.training.display import Lines, console, training_bars


def test_without_a_terminal_nothing_is_shown_of_what_is_quick(capfd: pytest.CaptureFixture[str]) -> None:
    with training_bars() as show:
        show("teacher", 1, 10)
        show("teacher", 10, 10)
    assert capfd.readouterr() == ("", "")
    assert console().width == 100


def test_a_bar_for_each_thing_that_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()

    def terminal(**options: object) -> Console:
        assert options == {"stderr": True}
        return Console(file=seen, force_terminal=True, width=100)

    monkeypatch.setattr(display, "Console", terminal)
    with training_bars() as show:
        for done in (3, 10):
            show("teacher", done, 10)
        show("kdgan", 16, 20)
    lines = [line for line in seen.getvalue().splitlines() if "left" in line]
    for what, count in (("teacher", "10/10"), ("kdgan", "16/20")):
        assert any(what in line and count in line for line in lines)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_about_every_ten_seconds(clock: list[float]) -> None:
    seen = io.StringIO()
    show = Lines(seen)
    for second in range(1, 31):
        clock[0] += 1
        show("kdgan", 100 * second, 4000)
    assert seen.getvalue().splitlines() == [
        "kdgan: 500 of 4,000 updates, 0:35 left",
        "kdgan: 1,500 of 4,000 updates, 0:25 left",
        "kdgan: 2,500 of 4,000 updates, 0:15 left",
    ]


def test_a_line_tells_what_the_last_evaluation_found(clock: list[float]) -> None:
    seen = io.StringIO()
    show = Lines(seen)
    show("kdgan", 20, 40_000)
    record = {"step": 40, "seconds": 1.0, "losses": {}, "accuracy": 93.1234, "f1": 0.5}
    show.evaluated(Evaluation.of([record], "student", "kdgan", 40_000, last=False))
    clock[0] += 7200
    show("kdgan", 20_020, 40_000)
    clock[0] += 10
    show("control", 40_000, 40_000)
    assert seen.getvalue().splitlines() == [
        "kdgan: 20,020 of 40,000 updates, 1:59:53 left; student after 40: accuracy 93.12, f1 0.5",
        "control: 40,000 of 40,000 updates",
    ]


def test_steps_of_a_run_that_goes_on_are_not_counted_into_its_pace(clock: list[float]) -> None:
    seen = io.StringIO()
    show = Lines(seen)
    show("teacher", 10, 10)
    clock[0] += 1
    show("kdgan", 3000, 4000)  # as the checkpoint says
    clock[0] += 10
    show("kdgan", 3100, 4000)
    assert seen.getvalue() == "kdgan: 3,100 of 4,000 updates, 1:30 left\n"


@pytest.mark.parametrize("widgets", [True, False])
def test_in_a_notebook_there_are_bars_where_it_can_show_them(
    widgets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Notebook(Console):
        def __init__(self, stderr: bool = False) -> None:
            super().__init__(file=io.StringIO(), force_jupyter=False)
            self.is_jupyter = True

    monkeypatch.setattr(display, "Console", Notebook)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if widgets else None)
    monkeypatch.setattr("rich.progress.Progress.start", lambda self: None)
    with training_bars() as show:
        assert isinstance(show, Lines) != widgets
