"""What a student gained, as a table for people."""

import json
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from kdgan.ship import Cost, Report
from support import refused

SMALL, BIG = Cost(1234, 2**20, 2_500_000, 0.125), Cost(1_234_567, 5 * 2**20, 99_000_000, 12.5)


def report(**changes: object) -> Report:
    values = {
        "method": "kdgan",
        "metrics": {"student": {"accuracy": 91.234}, "control": {"accuracy": 88.0}},
        "costs": {"student": SMALL},
        "updates": 3000,
        "seconds": {"kdgan": 1.0},
        "teacher_trained": True,
        "majority": 61.5,
    }
    return Report(**{**values, **changes})  # type: ignore[arg-type]


def test_a_row_for_each_player_with_what_it_costs() -> None:
    metrics = {
        "student": {"accuracy": 91.234},
        "control": {"accuracy": 88.0},
        "teacher before": {"accuracy": 95.0},
        "teacher": {"accuracy": 96.5},
    }
    head, *rows, note = str(report(metrics=metrics, costs={"student": SMALL, "teacher": BIG})).splitlines()
    assert head.split() == ["accuracy", "parameters", "MiB", "MFLOPs", "ms"]
    names = [row[:22].strip() for row in rows]
    assert names == ["student (kdgan)", "control (no teacher)", "teacher before", "teacher"]
    assert [row[22:].split()[0] for row in rows] == ["91.23", "88.00", "95.00", "96.50"]
    small, big = ["1,234", "1.00", "2.50", "0.125"], ["1,234,567", "5.00", "99.00", "12.500"]
    assert [row[22:].split()[1:] for row in rows] == [small, small, big, big]
    assert note.startswith("Accuracy in %, on validation data;")
    assert "3,000 updates of student and control alike" in note
    assert len({len(row) for row in (head, *rows)}) == 1


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("accuracy", 83.39, 60.58, "accuracy from 83.39 % to 60.58 %"),
        ("log_loss", 0.4621, 1.9074, "log_loss from 0.4621 nats to 1.9074 nats"),
        ("accuracy", 83.39, 83.39, None),
        ("accuracy", 60.58, 83.39, None),
        ("log_loss", 1.9074, 0.4621, None),
    ],
)
def test_a_teacher_that_fell_is_warned_of(name: str, before: float, after: float, said: str | None) -> None:
    metrics = {"student": {name: 1.0}, "teacher before": {name: before}, "teacher": {name: after}}
    text = str(report(metrics=metrics, costs={"student": SMALL, "teacher": BIG}))
    warning = (
        f"The teacher became worse as it went on learning: {said}; a lower teacher_lr, or none, which keeps"
    )
    assert (warning in text) == (said is not None)
    assert ("became worse" in text) == (said is not None)


@pytest.mark.parametrize("name", ["MAP", "a metric with a long name"])
def test_a_column_for_each_metric(name: str) -> None:
    metrics = {"student": {"accuracy": 1.0, name: 2.0}, "control": {"accuracy": 3.0, name: 4.0}}
    head, student, control, _, useless, below = str(report(metrics=metrics)).splitlines()
    assert useless == "The student is no better than naming the largest class: it has learned nothing of use."
    assert below.startswith("The student is 2.00 points below its control")
    end = head.index(name) + len(name)
    assert (student[:end].split()[-1], control[:end].split()[-1]) == ("2.00", "4.00")


@pytest.mark.parametrize("method", ["mimic", "my_package.methods:WithALongName"])
def test_columns_stand_below_each_other_whatever_the_method_is_called(method: str) -> None:
    metrics = {"student": {"accuracy": 91.0}, "control": {"accuracy": 88.0}}
    head, student, control, *_ = str(report(method=method, metrics=metrics)).splitlines()
    ends = [
        line.index(value) + len(value)
        for line, value in zip((head, student, control), ("accuracy", "91.00", "88.00"), strict=True)
    ]
    assert len(set(ends)) == len({len(head), len(student), len(control)}) == 1
    assert student.startswith(f"student ({method})  ")


def test_what_cannot_be_counted_or_judged_is_said() -> None:
    costs = {"student": replace(SMALL, flops=None), "teacher": BIG}
    head, student, _, teacher, said, _ = str(report(costs=costs)).splitlines()
    assert student.split()[-3:] == ["not", "counted", "0.125"]
    assert teacher.split()[:2] == ["teacher", "-"]
    assert said == "teacher: needs privileged information, which validation does not have."
    assert len(head) == len(student) == len(teacher)


def test_the_first_metric_is_judged_in_its_unit_and_its_direction() -> None:
    student = {"log_loss": 0.51236, "brier": 0.25, "accuracy": 90.0, "mine": 7.0}
    control = {"log_loss": 0.5, "brier": 0.5, "accuracy": 80.0, "mine": 7.0}
    lines = str(report(metrics={"student": student, "control": control})).splitlines()
    assert lines[1][22:].split()[:4] == ["0.5124", "0.2500", "90.00", "7.00"]
    assert lines[3].startswith(
        "Log_loss in nats, accuracy in %; less is better for log_loss and brier, on validation"
    )
    assert lines[4].startswith(
        "The student is 0.0124 nats above its control in log_loss, so the method did not help"
    )
    assert len(str(report(metrics={"student": control, "control": student})).splitlines()) == 4


def test_nothing_is_said_of_an_accuracy_that_was_not_measured() -> None:
    lines = str(report(metrics={"student": {"auroc": 50.0}, "control": {"auroc": 40.0}})).splitlines()
    assert lines[-1].startswith("Auroc in %, on validation data;")
    assert "largest class" not in lines[-1]
    lines = str(report(metrics={"student": {"mine": 1.0}, "control": {"mine": 2.0}})).splitlines()
    assert lines[-2].startswith("Metrics, on validation data;")
    assert "The student is 1.00 below its control in mine," in lines[-1]


def test_evaluation_has_its_share_of_the_time() -> None:
    assert "Evaluation took" not in str(report())
    text = str(report(seconds={"kdgan": 20.0, "control": 19.0}, evaluation_seconds=1.0))
    assert "\nEvaluation took 2.5 % of the time." in text


def test_a_report_as_plain_values(tmp_path: Path) -> None:
    metrics = {"student": {"accuracy": 91.234, "log_loss": 0.25}}
    made = report(metrics=MappingProxyType(metrics), costs={"student": SMALL})
    made.save(tmp_path / "r.json")
    there = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert there == made.to_dict()
    assert {*there} == {field.name for field in fields(Report)}
    assert there["metrics"] == {"student": {"accuracy": 91.234, "log_loss": 0.25}}
    assert Cost(**there["costs"]["student"]) == SMALL
    assert there["updates"] == 3000
    with refused(tmp_path, "cannot be written"):
        made.save(tmp_path)


def test_what_is_no_network_has_no_costs() -> None:
    metrics = {"student": {"accuracy": 91.0}, "teacher": {"accuracy": 96.5}}
    head, student, teacher, _ = str(report(metrics=metrics, costs={"student": SMALL})).splitlines()
    assert teacher.split() == ["teacher", "96.50", "-", "-", "-", "-"]
    assert len(head) == len(student) == len(teacher)
    made = report(notes=("teacher: known by its logits of training examples alone.",))
    assert str(made).splitlines()[-2] == "teacher: known by its logits of training examples alone."
    assert made.to_dict()["notes"] == ["teacher: known by its logits of training examples alone."]
