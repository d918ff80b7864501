"""A method, a loss and a metric of one's own go wherever those of kdgan go."""

import inspect
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from commands import Command, json_in, refuses, rows, written_at
from extending_example import Own, cosine, worst
from html_pages import Page
from kdgan import Batch, distill, nets
from kdgan.experiments.comparison import Compared, compare
from kdgan.experiments.description import describe
from kdgan.experiments.variants import Comparison, Variant
from kdgan.methods import Method, described, hyperparameters, name_of
from kdgan.tasks.config import Config
from kdgan.training.execution import Execution
from support import refused
from tiny import DIGITS, changed

OWN = "extending_example:Own"
SHORT = changed(DIGITS, steps=6, teacher_steps=6, method="supervised")


def compared(out: Path, variants: dict[str, Variant], base: Config = SHORT) -> Compared:
    found = compare(Comparison(base, variants, range(1)), Execution(), out, console=Console(file=StringIO()))
    assert found.failures == []
    return found


def test_a_method_takes_few_lines() -> None:
    assert len(inspect.getsource(Own).rstrip().splitlines()) <= 25
    assert (name_of(Own), hyperparameters(Own)) == (OWN, {"weight": 0.5})
    assert described(Own) == describe(Variant(OWN)) == describe(Variant(Own)) == inspect.getdoc(Own)


@pytest.fixture
def data() -> tuple[Batch, Batch]:
    torch.manual_seed(0)
    x = torch.randn(400, 6)
    y = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()
    return Batch(x[:300], y[:300]), Batch(x[300:], y[300:])


def test_distill_takes_a_method_a_loss_and_a_metric(data: tuple[Batch, Batch]) -> None:
    torch.manual_seed(0)
    players = nets.mlp(6, [16], 3), nets.mlp(6, [64], 3)
    rest: dict[str, Any] = {"steps": 150, "batch": 32, "control": False, "progress": False}
    result = distill(*players, *data, method=Own, hyper={"weight": 0.25}, metrics={"worst": worst}, **rest)
    assert result.report.method == OWN
    assert list(result.report.metrics["student"]) == [
        "worst",
        "accuracy",
        "balanced_accuracy",
        "log_loss",
        "ece",
    ]
    assert result.report.metrics["student"]["accuracy"] > 50
    assert set(result.history[-1]["losses"]) == {"label", "distillation"}
    assert {"accuracy", "worst"} <= set(result.history[-1])
    again = distill(*players, *data, method=OWN, metrics=["extending_example:worst"], **rest)
    assert again.report.metrics["student"].keys() == result.report.metrics["student"].keys()
    for loss in (cosine, "extending_example:cosine"):
        found = distill(*players, *data, method="kdgan", hyper={"distillation": loss, "beta": 3.0}, **rest)
        assert 0 <= found.history[-1]["losses"]["distillation"] <= 2


@pytest.mark.usefixtures("typed")
def test_a_comparison_takes_the_class_or_where_it_is(tmp_path: Path) -> None:
    variants = {
        "supervised": Variant("supervised"),
        "class": Variant(Own, {"weight": 0.25}),
        "reference": Variant(OWN, {"weight": 0.25}),
        "usual": Variant(Own),
        "slow": Variant(Own, {}, {"lr": 1e-4}),
    }
    found = compared(tmp_path, variants)
    metrics = {record.method: record.metrics for record in found.records}
    assert set(metrics) == set(variants)
    # One run serves both ways to say the same.
    assert metrics["class"] == metrics["reference"]
    assert len(written_at(tmp_path)) == 4
    assert all("teacher/accuracy" in metrics[name] for name in ("class", "usual", "slow"))
    assert {path.name.partition("-")[0] for path in tmp_path.glob("runs/*")} == {"supervised", "Own"}
    (config,) = {json_in(path)["method"] for path in tmp_path.glob("runs/Own-*/config.json")}
    assert config == OWN
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert str(inspect.getdoc(Own)) in page.text
    assert all(name in page.text for name in variants)


@pytest.mark.usefixtures("typed")
def test_a_loss_may_be_a_function_or_where_it_is(tmp_path: Path) -> None:
    variants = {
        "l2": Variant("kdgan"),
        "function": Variant("kdgan", {"distillation": cosine}),
        "reference": Variant("kdgan", {"distillation": "extending_example:cosine"}),
    }
    metrics = {record.method: dict(record.metrics) for record in compared(tmp_path, variants).records}
    assert metrics["function"] == metrics["reference"]
    assert len(written_at(tmp_path)) == 2


@pytest.mark.usefixtures("typed")
def test_the_search_takes_a_method_with_its_search_space(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from kdgan.experiments.tuning import space, tune

    assert space(Own, SHORT) == Own.search_space
    console = Console(file=StringIO())
    file = tune(SHORT, {"Own": Own}, Execution(), tmp_path / "t", trials=3, seeds=1, console=console)
    assert set(json_in(file)["methods"]["Own"]["settings"]) == {"lr", "weight"}
    trials = [json.loads(row["settings"]) for row in rows(tmp_path / "t" / "trials.csv")]
    assert trials[0] == {"lr": 0.002, "weight": 0.5}
    assert all(0.1 <= trial["weight"] <= 1 and 1e-3 <= trial["lr"] <= 1e-2 for trial in trials)
    # By reference it is the same search.
    with_reference = tune(
        SHORT, {"Own": OWN}, Execution(), tmp_path / "r", trials=1, seeds=1, console=console
    )
    assert json_in(with_reference)["methods"]["Own"]["settings"] == trials[0]


COMPARE = ["--data", "digits", "--labels", 40, "--student", "mlp-8", "--teacher", "mlp-8", "--steps", 6]


def test_commands_take_all_three(typed: Command, tmp_path: Path) -> None:
    command = [
        "compare",
        *COMPARE,
        "--methods",
        f"supervised,mimic,{OWN},kdgan",
        "--seeds",
        1,
        "--workers",
        1,
    ]
    command += ["--set", "Own.weight=0.25", "kdgan.distillation=extending_example:cosine"]
    command += ["--metrics", "extending_example:worst,tiny:count", "--out", tmp_path / "o"]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert "\n Own " in printed
    assert " worst " in printed
    found = {row["method"]: row for row in rows(tmp_path / "o" / "results.csv")}
    assert set(found) == {"supervised", "mimic", "Own", "kdgan"}
    for row in found.values():
        assert 0 <= float(row["worst"]) <= float(row["accuracy"])
        assert float(row["count"]) == 360
        assert (row["teacher/worst"] == "") == (row["method"] == "supervised")
    page = Page((tmp_path / "o" / "report.html").read_text(encoding="utf-8"))
    for part in (str(inspect.getdoc(Own)), "worst", "extending_example:cosine"):
        assert part in page.text
    (own,) = (tmp_path / "o").glob("runs/Own-seed0-*")
    config = json_in(own / "config.json")
    assert (config["method"], config["hyper"]) == (OWN, {"weight": 0.25})
    assert config["metrics"] == ["extending_example:worst", "tiny:count"]
    assert set(json_in(own / "result.json")["curves"]) == {
        "accuracy",
        "worst",
        "count",
        "log_loss",
        "ece",
        "validation/worst",
    }
    # Whoever measures a run of someone else's imports nothing that it names, unless told to.
    shown = {name: f"{name} {float(found['Own'][name]):.2f}" for name in ("worst", "count", "accuracy")}
    shown["accuracy"] += " %"
    for trust, metrics in (([], shown["accuracy"]), (["--trust"], ", ".join(shown.values()))):
        code, printed, errors = typed("evaluate", own, *trust)
        assert (code, errors) == (0, "")
        assert printed.startswith(f"{metrics}, log_loss ")
        assert printed.endswith(f"digits, {OWN})\n")


def test_train_and_tune_take_a_method(typed: Command, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    code, printed, errors = typed(
        "train", *COMPARE, "--method", OWN, "--set", "weight=1", "--out", tmp_path / "run"
    )
    assert (code, errors) == (0, "")
    assert printed.startswith(f"{OWN}: student ")
    tune = ["tune", *COMPARE, "--methods", f"mimic,{OWN}", "--trials", 1, "--seeds", 1, "--workers", 1]
    assert typed(*tune, "--out", tmp_path / "t")[::2] == (0, "")
    found = json_in(tmp_path / "t" / "tuned.json")["methods"]
    assert list(found) == ["mimic", "Own"]
    compare = ["compare", *COMPARE, "--methods", OWN, "--seeds", 1, "--workers", 1]
    settings = ["--settings", tmp_path / "t" / "tuned.json"]
    assert typed(*compare, *settings, "--out", tmp_path / "c")[::2] == (0, "")
    (config,) = (tmp_path / "c").glob("runs/Own-*/config.json")
    assert json_in(config)["hyper"] == {"weight": found["Own"]["settings"]["weight"]}


def test_tags_are_learned_with_them_too(typed: Command, tmp_path: Path) -> None:
    command = ["tags", "compare", "--methods", OWN, "--baselines", "knn", "--seeds", 1, "--steps", 3]
    command += ["--student", "normed-4", "--teacher", "mlp-4", "--text-encoder", "bag", "--workers", 1]
    command += ["--metrics", "tiny:count", "--out", tmp_path / "o"]
    assert typed(*command)[::2] == (0, "")
    found = {row["method"]: row for row in rows(tmp_path / "o" / "results.csv")}
    assert found["knn"]["count"] == found["Own"]["count"]


def test_what_no_worker_would_find_is_refused(typed: Command, tmp_path: Path) -> None:
    class Local(Own):
        """Made in a function."""

    def loss(logits: torch.Tensor, target_logits: torch.Tensor) -> torch.Tensor:
        return cosine(logits, target_logits)

    for variant in (Variant(Local), Variant("kdgan", {"distillation": loss})):
        with refused("not at the top of a module", "define it there"):
            compared(tmp_path / "o", {"own": variant})
    command = ["compare", *COMPARE, "--seeds", 1, "--out", tmp_path / "o", "--methods"]
    for method, part in (
        ("extending_example:cosine", "no method"),
        ("extending_example:None", "extending_example:None"),
        ("nowhere:Own", "nowhere"),
        (f"{OWN} --set Own.height=1", "no hyperparameter 'height': it has weight"),
        (f"{OWN} --set Own.weight=much", "weight of method extending_example:Own must be a number"),
    ):
        assert refuses(typed, *command, *method.split(), parts=(part,))
    assert not (tmp_path / "o").exists()


def test_two_methods_of_one_name_are_not_taken_for_each_other(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from extending_example import Own as Base\n\n\nclass Own(Base):\n    pass\n"
    (tmp_path / "other_example.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    command = ["compare", *COMPARE, "--methods", f"{OWN},other_example:Own", "--seeds", 1]
    assert refuses(typed, *command, "--out", tmp_path / "o", parts=("Own", "other_example:Own"))
    assert not (tmp_path / "o").exists()


def test_a_method_without_a_loss_says_so() -> None:
    class Nothing(Method):
        pass

    method = Nothing(torch.nn.Linear(3, 2), torch.nn.Linear(3, 2))
    with pytest.raises(NotImplementedError, match="Nothing trains no student"):
        method.update(Batch(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)), 0.0)
