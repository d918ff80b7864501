"""A search for a smaller student: who is chosen, from what was found on validation data alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import kdgan
from commands import Command, refuses
from kdgan.experiments import shrinking
from kdgan.experiments.shrinking import Goal, widths_of
from support import refused

DIGITS = ["shrink", "--data", "digits", "--student", "mlp-16", "--seeds", 1, "--steps", 9, "--workers", 1]
ONE_FORM = [*DIGITS, "--also", "none"]


def test_widths_fall_by_a_constant_ratio_and_depth_stays() -> None:
    assert widths_of("mlp-16-8") == ["mlp-16-8", "mlp-11-6", "mlp-8-4", "mlp-6-3", "mlp-4-2"]
    assert widths_of("resnet-8-4") == ["resnet-8-4", "resnet-8-3", "resnet-8-2"]
    assert widths_of("resnet-8")[0] == "resnet-8-16"
    assert widths_of("wrn-10-4") == ["wrn-10-4", "wrn-10-3", "wrn-10-2"]
    assert widths_of("lenet-4-6-9")[-1] == "lenet-2-3-4"
    for name in ("lenet-0", "mlp-16-1", "module:function", "mlp", "mlp-x"):
        with refused(name, "no widths in its name"):
            widths_of(name)


@pytest.mark.parametrize(
    ("options", "curve", "chosen"),
    [
        # What each width would reach: the smallest within half a point, and within ten.
        ({}, {16: 90.0, 11: 89.8, 8: 89.6, 6: 89.4, 4: 80.0, 3: 70.0, 2: 60.0}, 8),
        ({"within": 10}, {16: 90.0, 11: 89.8, 8: 89.6, 6: 89.4, 4: 80.0, 3: 70.0, 2: 60.0}, 4),
        ({"within": 0}, {16: 90.0, 11: 90.0, 8: 89.0, 6: 88.0, 4: 80.0, 3: 70.0, 2: 60.0}, 11),
        ({"least": 75}, {16: 90.0, 11: 89.8, 8: 89.6, 6: 89.4, 4: 80.0, 3: 70.0, 2: 60.0}, 4),
        ({"least": 95}, {16: 90.0, 11: 89.8, 8: 89.6, 6: 89.4, 4: 80.0, 3: 70.0, 2: 60.0}, None),
        ({"parameters": 400}, {4: 80.0, 3: 85.0, 2: 60.0}, 3),
    ],
    ids=["within half a point", "within ten points", "not behind", "at least", "nobody", "bounded"],
)
def test_the_smallest_that_holds(
    typed: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, float],
    curve: Mapping[int, float],
    chosen: int | None,
) -> None:
    asked: list[str] = []

    def reached(self: Any, networks: Sequence[str], steps: int) -> dict[str, float]:
        asked.extend(networks)
        return {network: curve[int(network.removeprefix("mlp-"))] for network in networks}

    monkeypatch.setattr(shrinking._Race, "round", reached)
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    code, printed, errors = typed(*ONE_FORM, *given, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "shrunk.json").read_text(encoding="utf-8"))
    if chosen is None:
        assert code == 2
        assert "no student" in errors
        assert found["chosen"] is None
        assert found["test"] == {}
        return
    assert code == 0
    assert f"mlp-{chosen}: " in printed
    assert found["chosen"]["network"] == f"mlp-{chosen}"
    assert kdgan.load(tmp_path / "out").network == f"mlp-{chosen}"
    assert (tmp_path / "out" / "frontier.png").stat().st_size > 1000
    if "parameters" not in options:
        assert len(asked) == len({*asked}) <= 5


@pytest.mark.parametrize(
    ("least", "chosen"), [(90, "lenet-4-8-32"), (97, "lenet-6-11-45"), (60, "lenet-2-4-16"), (99.5, None)]
)
def test_what_is_smaller_still_in_the_form_of_the_teacher(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float, chosen: str | None
) -> None:
    asked: list[str] = []
    curve = {
        "lenet-8-16-64": 99.0,
        "lenet-6-11-45": 98.0,
        "lenet-4-8-32": 96.0,
        "lenet-3-6-23": 80.0,
        "lenet-2-4-16": 70.0,
    }

    def reached(self: Any, networks: Sequence[str], steps: int) -> dict[str, float]:
        asked.extend(networks)
        return {
            network: curve.get(network, 95.0 if network == "mlp-400-400" else 50.0) for network in networks
        }

    monkeypatch.setattr(shrinking._Race, "round", reached)
    others = ["--student", "mlp-400-400", "--also", "lenet-8-16-64", "--least", least]
    code, _, _ = typed(*DIGITS, *others, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "shrunk.json").read_text(encoding="utf-8"))
    assert code == (2 if chosen is None else 0)
    assert (found["chosen"] or {"network": None})["network"] == chosen
    assert found["examples"] > 0
    sizes = [each["parameters"] for each in found["candidates"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(asked) == len({*asked})


def test_it_goes_on_where_it_was_stopped_and_is_the_same(typed: Command, tmp_path: Path) -> None:
    command = [*ONE_FORM, "--within", 30, "--out", tmp_path / "out"]
    code, printed, _ = typed(*command)
    assert code == 0
    runs = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").glob("*/result.json")}
    student = (tmp_path / "out" / "student.safetensors").read_bytes()
    assert typed(*command)[1].splitlines()[-1] == printed.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in runs} == runs
    assert (tmp_path / "out" / "student.safetensors").read_bytes() == student
    seeds = {json.loads((path.parent / "config.json").read_text())["seed"] for path in runs}
    assert seeds == {0, 100}


def test_the_widest_may_be_that_of_a_run(typed: Command, tmp_path: Path) -> None:
    train = [
        "train",
        *DIGITS[1:5],
        "--steps",
        9,
        "--method",
        "distn",
        "--set",
        "temperature=2",
        "--out",
        tmp_path / "run",
    ]
    assert typed(*train)[0] == 0
    shrink = [
        "shrink",
        "--run",
        tmp_path / "run",
        "--seeds",
        1,
        "--workers",
        1,
        "--within",
        90,
        "--also",
        "none",
    ]
    code, printed, _ = typed(*shrink, "--out", tmp_path / "out")
    assert code == 0
    assert "mlp-2: " in printed
    for more in (["--method", "kdgan"], ["--steps", 3], ["--data", "mnist"], ["--student", "mlp-4"]):
        assert refuses(typed, *shrink, *more, parts=("--run", "leave"))
    assert refuses(typed, "shrink", "--run", tmp_path / "none", parts=("none is no folder of a run",))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--within", 1, "--least", 3], ("--within and --least",)),
        (["--least", 1, "--parameters", 3], ("--least and --parameters",)),
        (["--parameters", 3], ("within the bounds", "mlp-2")),
        (["--within", -1], ("within", "-1")),
        (["--seeds", 0], ("--seeds",)),
        (["--also", "resnet"], ("resnet", "no widths")),
        (["--also", "transformer-4"], ("transformer-4",)),
        (["--student", "nowhere:made"], ("nowhere",)),
        (["--method", "nosuch"], ("nosuch",)),
        (["--labels", 1437], ("validate",)),
        (["--metrics", "log_loss"], ("log_loss is not in per cent", "--within")),
    ],
)
def test_wrong_calls(typed: Command, tmp_path: Path, options: list[Any], parts: tuple[str, ...]) -> None:
    assert refuses(typed, *ONE_FORM, *options, "--out", tmp_path / "out", parts=parts)


def test_goals() -> None:
    with refused("milliseconds must be at least 0"):
        Goal(milliseconds=-1.0)
    with refused("parameters must be at least 0"):
        Goal(parameters=-1)


@pytest.mark.parametrize("least", ["nan", "inf", "-inf", "101", "-1"])
def test_what_no_student_could_hold_is_refused_before_the_race(
    typed: Command, tmp_path: Path, least: str
) -> None:
    out = tmp_path / "out"
    assert refuses(typed, *ONE_FORM, f"--least={least}", "--out", out, parts=("least", least))
    assert not out.exists()
    assert refuses(typed, *DIGITS, "--also=", "--out", out, parts=("''", "no widths in its name"))
