"""How numbers of metrics read."""

import pytest

from kdgan.ship.forms import FORMS, SCALED, Form, bare, form_of
from kdgan.tasks.metrics import METRICS
from kdgan.tasks.tags import Tags


def test_every_metric_of_kdgan_has_a_form() -> None:
    scaled = {f"{name}{SCALED}" for name in ("log_loss", "brier", "ece")}
    assert FORMS.keys() == {*METRICS, *Tags.metrics, *scaled}
    for name in scaled:
        assert form_of(name) == form_of(name.removesuffix(SCALED))
    for name, found in METRICS.items():
        form = form_of(name)
        assert (found.unit, found.digits, found.less_is_better) == (
            form.unit,
            form.digits,
            form.less_is_better,
        )


def test_a_metric_keeps_its_form_whoever_was_measured() -> None:
    assert form_of("teacher/log_loss") == form_of("best_epoch/log_loss") == form_of("log_loss")
    assert form_of("mine") == Form("", 2, less_is_better=False)
    assert form_of("-mine") == form_of("teacher/-mine") == Form("", 2, less_is_better=True)
    assert (bare("-mine"), bare("mine"), bare("-tiny:count")) == ("mine", "mine", "tiny:count")


@pytest.mark.parametrize(
    ("name", "value", "text", "signed"),
    [
        ("accuracy", 91.234, "91.23 %", "+91.23"),
        ("log_loss", 0.00004, "0.0000 nats", "0.0000"),
        ("log_loss", -0.12345, "−0.1235 nats", "−0.1235"),
        ("brier", 0.5, "0.5000", "+0.5000"),
        ("mine", -0.001, "0.00", "0.00"),
        ("mine", float("inf"), "inf", "+inf"),
    ],
)
def test_values_and_differences(name: str, value: float, text: str, signed: str) -> None:
    form = form_of(name)
    assert form.with_unit(value) == text
    assert form.signed(value) == signed


@pytest.mark.parametrize(
    ("name", "ends", "cut"),
    [
        ("accuracy", (-20.3, 120.0), (0.0, 100.0)),
        ("teacher/ece", (1.0, 2.0), (1.0, 2.0)),
        ("log_loss", (-0.5, 7.0), (0.0, 7.0)),
        ("brier", (-0.5, 7.0), (0.0, 2.0)),
        ("mine", (-5.0, 700.0), (-5.0, 700.0)),
    ],
)
def test_intervals_end_where_the_metric_does(
    name: str, ends: tuple[float, float], cut: tuple[float, float]
) -> None:
    assert form_of(name).cut(*ends) == cut


def test_units() -> None:
    assert [form_of(name).points for name in ("ece", "log_loss", "brier")] == ["points", "nats", ""]
    assert [form_of(name).in_unit for name in ("ece", "log_loss", "brier")] == [" in %", " in nats", ""]
