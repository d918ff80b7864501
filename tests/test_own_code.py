"""Code of one's own that does what it should not: it is told in a line, or does no harm; never a wrong number."""

import random
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from commands import Command, is_one_line
from kdgan import Batch, Result, distill, nets
from kdgan.errors import RunError
from kdgan.experiments.records import Record
from kdgan.losses import cross_entropy, l2
from kdgan.methods import Method, Signals, Terms, find
from kdgan.references import fingerprint
from kdgan.tasks.choice import RESERVED, evaluated, named
from kdgan.tasks.config import code
from support import refused
from tiny import DIGITS, changed, weights

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
TRAIN, VALIDATION = Batch(X[:40], X[:40, :3].argmax(1)), Batch(X[40:], X[40:, :3].argmax(1))


def drawn(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nets.mlp(6, [8], 3), nn.Dropout(0.2))


def run(method: Any = "supervised", student: nn.Module | None = None, **options: Any) -> Result:
    given = {"steps": 30, "batch": 8, "control": False, "progress": False, **options}
    return distill(student or drawn(), drawn(1), TRAIN, VALIDATION, method=method, **given)


class Labels(Method):
    roles, pretrained = ("student",), ()

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        return {"label": (1.0, cross_entropy(logits, batch.targets))}


def losing(loss: Any) -> type[Method]:
    """A method with that as its loss."""

    class Losing(Labels):
        def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
            found: Terms = loss(logits, batch)
            return found

    return Losing


@pytest.mark.parametrize(
    ("loss", "part"),
    [
        (
            lambda logits, batch: cross_entropy(logits, batch.targets),
            "must be {name: (weight, values)}, not Tensor",
        ),
        (lambda logits, batch: {}, "must be {name: (weight, values)}"),
        (
            lambda logits, batch: {"a": cross_entropy(logits, batch.targets)},
            "a must be (weight, values), not Tensor",
        ),
        (lambda logits, batch: {"a": (1.0, 2.0)}, "a must be (weight, values)"),
        (lambda logits, batch: {"a": (1.0, logits.mean())}, "one value for each example, (B,), not ()"),
        (lambda logits, batch: {"a": (1.0, logits)}, "one value for each example, (B,), not (8, 3)"),
        (
            lambda logits, batch: {
                "a": (1.0, cross_entropy(logits, batch.targets)),
                "b": (1.0, logits.mean(1, keepdim=True)),
            },
            "loss term b must have one value for each example, (B,), not (8, 1)",
        ),
    ],
)
def test_terms_of_another_form_are_refused(loss: Any, part: str) -> None:
    with refused(part):
        run(losing(loss))


def leaves(logits: Tensor, batch: Batch) -> Terms:
    raise SystemExit("bye")


def test_what_a_method_raises_is_a_line_that_says_where() -> None:
    with pytest.raises(RunError, match=r"Losing fails with KeyError: 'techer', in test_own_code\.py line"):
        run(losing(lambda logits, batch: {"a": {}["techer"]}))
    with pytest.raises(RunError, match=r"SystemExit: bye, in test_own_code\.py"):
        run(losing(leaves))


def test_a_gradient_that_is_no_number_is_told_though_the_loss_is_one() -> None:
    with pytest.raises(RunError, match=r"diverged: at step 1 weights of the student"):
        run(
            losing(lambda logits, batch: {"root": (1.0, (logits - logits.detach()).square().sum(1).sqrt())}),
            steps=1,
        )


def draws(logits: Tensor, targets: Tensor) -> float:
    torch.manual_seed(3)
    return 1.0


def writes(logits: Tensor, targets: Tensor) -> float:
    logits.zero_()
    targets.zero_()
    return 1.0


@pytest.mark.parametrize("metric", [draws, writes])
def test_measuring_changes_nothing(metric: Any) -> None:
    before = VALIDATION.targets.clone()
    plain, measured = run(), run(metrics={"own": metric})
    assert torch.equal(weights(plain.student), weights(measured.student))
    assert [row["accuracy"] for row in plain.history] == [row["accuracy"] for row in measured.history]
    assert torch.equal(VALIDATION.targets, before)
    logits = torch.randn(4, 3)
    assert evaluated({"a": writes, "b": lambda z, y: z.std().item()}, logits, torch.arange(4) % 3)["b"] > 0


def test_metrics_have_names_of_their_own_and_are_functions() -> None:
    for name in ("step", "seconds", "losses", "seed", "data", "teacher/accuracy"):
        with refused(name, "call it otherwise"):
            named({name: draws})
    assert {field.name for field in fields(Record)} - {"metrics"} <= {*RESERVED}
    for given in ([3], draws, [lambda logits, targets: 1.0]):
        with refused("metrics must be functions by name", "not "):
            named(given)  # type: ignore[arg-type]
    with refused("metrics must be a list, also of one, ['tiny:count'], not 'tiny:count'"):
        named("tiny:count")


def test_a_method_has_a_name_of_its_own_and_roles_that_fit() -> None:
    for name in ("supervised", "kdgan"):
        with refused(name, "rename it"):
            find(type(name, (Labels,), {}))
    with refused("discriminator", "not among its roles"):
        find(type("Own", (Labels,), {"pretrained": ("discriminator",)}))
    for wrong in ({"description": ("text",)}, {"cost": "cheap"}, {"cost": 0}):
        with refused("description", "cost"):
            find(type("Own", (Labels,), wrong))


@pytest.mark.parametrize("name", ["control", "teacher", "student"])
def test_a_method_may_be_called_like_a_role(name: str, tmp_path: Path) -> None:
    kind = type(name, (losing(lambda z, batch: {"a": (1.0, l2(z, torch.zeros_like(z)))}),), {})
    result = run(kind, control=True, folder=tmp_path / "run")
    assert result.control is not None
    assert not torch.equal(weights(result.student), weights(result.control))


def test_the_teacher_is_asked_anew_about_inputs_that_a_method_made() -> None:
    batch = replace(TRAIN, teacher_logits=torch.zeros(40, 3))
    assert replace(batch, targets=batch.targets.flip(0)).teacher_logits is batch.teacher_logits
    assert replace(batch, inputs=batch.inputs.flip(0)).teacher_logits is None
    assert batch[:5].teacher_logits is not None
    assert batch.to("cpu").teacher_logits is not None


class Turned(nn.Module):
    """Weights that do not lie in memory row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 6, generator=torch.Generator().manual_seed(2)).t())

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def test_weights_in_any_order_go_on_as_if_never_stopped() -> None:
    whole, first, second = (Labels(Turned(), seed=0) for _ in range(3))
    for _ in range(3):
        whole.update(TRAIN, 0.5)
        first.update(TRAIN, 0.5)
    state = first.state_dict()
    for moments in state["players"]["student"]["optimizer"]["state"].values():
        # As a checkpoint gives them back.
        moments |= {name: value.contiguous() for name, value in moments.items()}
    second.load_state_dict(state)
    for method in (whole, second):
        for _ in range(30):
            method.update(TRAIN, 0.5)
    assert torch.equal(weights(whole.student.module), weights(second.student.module))
    (moments,) = second.student.optimizer.state.values()  # type: ignore[union-attr]
    assert moments["exp_avg"].stride() == (1, 6)


def test_the_control_begins_where_the_student_did_though_another_was_drawn(tmp_path: Path) -> None:
    first = run("distn", control=True, folder=tmp_path / "run")
    (tmp_path / "run" / "control" / "checkpoint.safetensors").unlink()
    again = run("distn", drawn(7), control=True, folder=tmp_path / "run")
    assert first.control is not None
    assert again.control is not None
    assert torch.equal(weights(first.control), weights(again.control))
    assert torch.equal(weights(first.student), weights(again.student))


def test_other_code_of_the_same_name_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "changing.py"
    file.write_text(
        "def net(shape, classes, *, privileged=0): ...\ndef metric(z, y): return 1.0\n", encoding="utf-8"
    )
    configs = [
        changed(DIGITS, student="changing:net"),
        changed(DIGITS, teacher="changing:net"),
        changed(DIGITS, metrics=("changing:metric",)),
        changed(DIGITS, probe="changing:metric"),
        changed(DIGITS, hyper={"distillation": "changing:metric"}),
    ]
    before = [config.name for config in configs]
    pretrained = configs[1].pretraining("teacher")
    assert before == [config.name for config in configs]
    assert "changing:net" in code(["changing:net", "mlp-8", None])["code"]
    file.write_text(file.read_text(encoding="utf-8").replace("1.0", "2.0"), encoding="utf-8")
    assert not {*before} & {config.name for config in configs}
    assert configs[1].pretraining("teacher") != pretrained
    assert code(["mlp-8", 0.5, None]) == {}


def test_objects_of_every_kind_have_a_fingerprint() -> None:
    same = [nn.Identity(), torch.relu, np.mean, random.Random, Labels, "text", lambda x: x]
    assert [fingerprint(each) for each in same] == [fingerprint(each) for each in same]
    assert fingerprint(lambda x: x + 1) != fingerprint(lambda x: x + 2)


class Kind(Enum):
    GENTLE = 1


class Odd(Labels):
    def __init__(
        self, *modules: nn.Module, kind: Any = Kind.GENTLE, pair: Any = (1, 2), **shared: Any
    ) -> None:
        super().__init__(*modules, **shared)


def test_hyperparameters_of_any_type_are_kept_and_found_again(tmp_path: Path) -> None:
    results = [run(Odd, folder=tmp_path / "run", hyper={"pair": (1, 3)}) for _ in range(2)]
    assert torch.equal(*(weights(result.student) for result in results))
    with refused("pair"):
        run(Odd, folder=tmp_path / "run")
    config = changed(DIGITS, method="test_own_code:Odd", hyper={})
    assert config.plain()["hyper"] == {"kind": "GENTLE", "pair": [1, 2]}
    with refused("must be a number, text"):
        changed(config, hyper={"pair": object()}).plain()


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("distn.student_pretraining=0.5", "no use for it"),
        ("supervised.teacher_lr=7", "no use for it"),
        ("supervised.teacher_every=2", "no use for it"),
        ("supervised.teacher_steps=2", "no use for it"),
        (f"supervised.lr={'9' * 5000}", "lr must be a number"),
        ("a\nb", "METHOD.NAME=VALUE"),
    ],
)
def test_settings_without_use_are_refused(typed: Command, tmp_path: Path, setting: str, part: str) -> None:
    command = ["compare", "--methods", "supervised,distn", "--set", setting, "--out", tmp_path / "c"]
    code_, _, errors = typed(*command)
    assert code_ == 2
    assert is_one_line(errors)
    assert part in errors if "\n" not in setting else "write" in errors
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("targets", "part"),
    [
        (torch.tensor([[1.0, 0.75, 0.25]] * 40), "sum to 2"),
        (torch.tensor([[1.5, -0.5, 0.0]] * 40), "no distribution"),
    ],
)
def test_targets_that_are_no_distribution_are_refused(targets: Tensor, part: str) -> None:
    with refused("targets of example 0", part):
        distill(drawn(), drawn(1), (TRAIN.inputs, targets), VALIDATION, progress=False)


def test_what_the_teacher_cannot_be_is_refused_and_what_it_was_is_kept() -> None:
    shared = drawn()
    with refused("student and teacher share"):
        distill(shared, shared, TRAIN, VALIDATION, progress=False)
    with refused("share", "weight"):
        distill(nn.Sequential(shared, nn.ReLU()), nn.Sequential(shared), TRAIN, VALIDATION, progress=False)
    with refused("gives one score"):
        distill(nets.mlp(6, [4], 1), nets.mlp(6, [4], 1), TRAIN, VALIDATION, progress=False)
    with refused("teacher_logits", "leave them out"):
        distill(
            drawn(), drawn(1), replace(TRAIN, teacher_logits=torch.zeros(40, 3)), VALIDATION, progress=False
        )
    teacher = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(6), nn.Dropout(0.5), nets.mlp(6, [8], 3))
    teacher.eval()
    teacher[1].train()
    before = weights(teacher)
    result = distill(
        drawn(), teacher, TRAIN, VALIDATION, method="mimic", steps=10, teacher_trained=True, progress=False
    )
    assert result.teacher is teacher
    assert torch.equal(weights(teacher), before)
    assert [part.training for part in teacher][:3] == [False, True, False]
