"""What people see of a run in the terminal."""

import io

import pytest
from rich.console import Console

from kdgan.training import display
from kdgan.training.display import console, training_bars


def test_without_a_terminal_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
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
