"""What was typed, or one line that says what is wrong with it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from commands import Command, refuses
from kdgan.cli.parsing import at_least_one, parse
from support import refused


@dataclass(frozen=True)
class Greet:
    """Say hello."""

    name: str
    """Whom."""
    times: int = 1
    """How often."""

    def __call__(self) -> None:
        """Nothing."""


def test_a_command_is_made_of_what_was_typed() -> None:
    assert parse({"greet": Greet}, ["greet", "--name", "Ada"], prog="say", description="Says.") == Greet(
        "Ada"
    )
    two = {"greet": Greet, "part": Greet}
    assert parse(two, ["part", "--name", "Ada", "--times", "3"], prog="say", description="") == Greet(
        "Ada", 3
    )


def test_what_is_wrong_is_one_line() -> None:
    for arguments, parts in (
        (["greet"], ("--name", "see say --help")),
        (["greet", "--name", "Ada", "--times", "often"], ("--times", "'often'")),
        (["greet", "--nam", "Ada"], ("--nam",)),
        (["shout"], ("choose from greet, part",)),
    ):
        with refused(*parts):
            parse({"greet": Greet, "part": Greet}, arguments, prog="say", description="")


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("train --nope 1 --out o", "unknown: --nope"),
        ("compare --labls 5", "(perhaps --labels)"),
        ("compare --seeds many", "--seeds"),
        ("train --steps 1.5 --out o", "'1.5' is no INT"),
        ("train", "--out"),
        ("compare --data-dir", "--data-dir"),
        (
            "nope",
            "choose from compare, train, evaluate, predict, report, export, shrink, serve, tune, reproduce, tags",
        ),
        ("", "compare"),
        ("tags recomend", "choose from prepare, features, compare"),
        ("compare --reach 0.1", "unknown: --reach"),
        ("compare --interval 2", "--interval"),
        ("tags compare --reader bag", "--reader"),
        ("tags compare --text-encoder words", "words"),
    ],
)
@pytest.mark.parametrize("columns", ["30", "200"])
def test_what_cannot_be_parsed(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, part: str, columns: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    assert refuses(typed, *command.split(), parts=(part,))
    assert not list(tmp_path.iterdir())


def test_an_option_of_names_that_names_none_is_no_option_left_out() -> None:
    assert at_least_one("--cells", "a,b,a") == ["a", "b"]
    for text in ("", ",", ",,"):
        with refused("--cells names none"):
            at_least_one("--cells", text)


@pytest.mark.parametrize("option", ["--cells", "--variants"])
def test_a_study_of_nothing_is_refused(typed: Command, tmp_path: Path, option: str) -> None:
    study = ["reproduce", "unlabelled", "--out", tmp_path / "o", "--results", tmp_path / "r"]
    assert refuses(typed, *study, option, ",", parts=(f"{option} names none",))
    assert not list(tmp_path.iterdir())
