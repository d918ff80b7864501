"""Features in the one call: beside every method, from whatever data, over a stop, and with nothing left behind."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from kdgan import Batch, Result, distill, nets
from kdgan.errors import RunError
from kdgan.losses import hint, relational
from kdgan.methods import METHODS
from kdgan.stored import read_json
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution
from support import refused
from tiny import weights

TAUGHT = [name for name, kind in METHODS.items() if "teacher" in kind.roles]
HIDDEN = {"2": "2"}


def problem(count: int, seed: int) -> Batch:
    """Three classes that a corner of the inputs tells."""
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return Batch(x, x[:, :3].argmax(1))


TRAIN, VALIDATION = problem(60, 0), problem(30, 1)


def net(width: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(6, [width], 3)


def small(seed: int = 0) -> nn.Sequential:
    return net(4, seed)


def big() -> nn.Sequential:
    return net(16, 1)


def run(student: nn.Module, teacher: nn.Module, train: Any = TRAIN, **options: Any) -> Result:
    given = {"steps": 20, "progress": False, "features": HIDDEN, **options}
    return distill(student, teacher, train, VALIDATION, **given)


@pytest.fixture(scope="module")
def trained() -> nn.Sequential:
    """A teacher that knows the labels."""
    teacher = big()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(TRAIN.inputs), TRAIN.targets).backward()
        optimizer.step()
    return teacher


@pytest.mark.parametrize("loss", ["hint", "relational"])
@pytest.mark.parametrize("method", TAUGHT)
def test_every_method_with_a_teacher(method: str, loss: str) -> None:
    student, teacher = small(), big()
    names, before = list(student.state_dict()), weights(teacher)
    result = run(student, teacher, method=method, feature_loss=loss)
    plain = run(small(), big(), method=method, features=None)
    assert result.student is student
    assert list(student.state_dict()) == names
    assert torch.equal(weights(teacher), before)
    assert not torch.equal(weights(student), weights(plain.student))
    assert "features" in result.history[-1]["losses"]
    assert "features" not in plain.history[-1]["losses"]
    assert result.control is not None
    assert plain.control is not None
    assert torch.equal(weights(result.control), weights(plain.control))
    for module in (student, teacher, result.teacher, result.control):
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    copy.deepcopy(student)


def features_of(module: nn.Module) -> Tensor:
    assert isinstance(module, nn.Sequential)
    with torch.no_grad():
        found: Tensor = module[:3](TRAIN.tensor)
    return found


@pytest.mark.parametrize(("loss", "by_hand", "width"), [("hint", hint, 16), ("relational", relational, 12)])
def test_a_layer_comes_to_say_what_the_teachers_says(
    trained: nn.Sequential, loss: str, by_hand: Any, width: int
) -> None:
    result = run(net(width, 2), trained, steps=300, lr=0.01, feature_loss=loss, feature_weight=10.0)
    assert result.control is not None
    like, unlike = (
        by_hand(features_of(module), features_of(trained)).mean().item()
        for module in (result.student, result.control)
    )
    assert like < 0.3 * unlike
    assert result.report.metrics["student"]["accuracy"] > 70


def test_a_kept_teacher_looks_at_every_batch(trained: nn.Sequential) -> None:
    sizes: list[int] = []
    handle = trained.register_forward_hook(lambda module, given, output: sizes.append(len(output)))
    try:
        for features, looks in ((None, 0), (HIDDEN, 20)):
            sizes.clear()
            run(small(), trained, method="distn", features=features, control=False, batch=7)
            assert sizes.count(7) == looks
    finally:
        handle.remove()


def test_views_and_loaders(trained: nn.Sequential) -> None:
    def shifted(inputs: Tensor, generator: torch.Generator) -> Tensor:
        return inputs + torch.randn(inputs.shape, generator=generator) / 10

    loader = DataLoader(TensorDataset(TRAIN.tensor, TRAIN.targets), batch_size=16, shuffle=True)
    for options in ({"augment": shifted}, {"train": loader}):
        for method in ("distn", "kdgan"):
            losses = run(small(), trained, method=method, **options).history[-1]["losses"]  # type: ignore[arg-type]
            assert losses["features"] > 0


@pytest.mark.parametrize("method", TAUGHT)
def test_a_folder_lets_the_same_call_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    folder, whole = tmp_path / "run", run(small(), big(), method=method)
    kind = METHODS[method]
    update, calls = kind.update, iter(range(10_000))

    def failing(self: Any, batch: Batch, progress: float) -> Any:
        if next(calls) == 13:
            raise KeyboardInterrupt
        return update(self, batch, progress)

    monkeypatch.setattr("kdgan.distillation.Execution", partial(Execution, checkpoint_seconds=0.0))
    with monkeypatch.context() as patch:
        patch.setattr(kind, "update", failing)
        with pytest.raises(KeyboardInterrupt):
            run(small(), big(), method=method, folder=folder)
    assert (folder / "student" / "checkpoint.safetensors").exists()
    again = run(small(seed=9), big(), method=method, folder=folder)
    assert torch.equal(weights(again.student), weights(whole.student))
    assert again.history[-1]["losses"] == whole.history[-1]["losses"]


def closeness(mine: Tensor, theirs: Tensor) -> Tensor:
    return (mine.mean(1) - theirs.mean(1)).abs()


def test_a_folder_belongs_to_its_features(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    call: dict[str, Any] = {"method": "mimic", "steps": 2, "control": False, "folder": folder}
    run(small(), big(), feature_loss=closeness, feature_weight=0.5, **call)
    stored = read_json(folder / "distill.json", dict[str, Any])["features"]
    assert (stored["layers"], stored["weight"]) == (HIDDEN, 0.5)
    assert stored["loss"].startswith("closeness ")
    run(small(), big(), feature_loss=closeness, feature_weight=0.5, **call)
    for change in (
        {"feature_weight": 1.0},
        {"feature_loss": "relational"},
        {"features": {"1": "2"}},
        {"features": None, "feature_loss": "hint", "feature_weight": 1.0},
    ):
        with refused("holds another configuration (features"):
            run(small(), big(), **{"feature_loss": closeness, "feature_weight": 0.5, **call, **change})


def test_what_is_wrong_is_found_before_anything_is_read() -> None:
    class Unread:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("the data were read")

    for options, message in (
        ({"method": "supervised"}, "method supervised has no teacher to take features from"),
        ({"method": "nagan"}, "method nagan has no teacher"),
        ({"features": {"12": "2"}}, "the student has no layer '12': there are 2, 1, ..."),
        ({"features": {"2": "layer4"}}, "the teacher has no layer 'layer4'"),
        ({"features": {"2": ""}}, "'' is the whole teacher"),
        ({"features": ["2"]}, "features must be layers of the student by name"),
        (
            {"feature_loss": "fitnet"},
            "unknown feature loss 'fitnet': choose one of hint, attention, relational",
        ),
        ({"feature_weight": -1.0}, "feature_weight must be at least 0"),
        ({"features": None, "feature_weight": 2.0}, "feature_loss and feature_weight are for features"),
        ({"features": None, "feature_loss": closeness}, "feature_loss and feature_weight are for features"),
    ):
        with refused(message):
            run(small(), big(), Unread(), **options)  # type: ignore[arg-type]


def test_what_does_not_fit_is_found_before_training() -> None:
    for options, message in (
        ({"features": {"0": "0"}}, "nothing that learns comes before layer 0 of the student"),
        (
            {"feature_loss": "attention"},
            "layer 2 of the student and 2 of the teacher: features of shape (2, 4) have no",
        ),
        (
            {"feature_loss": lambda mine, theirs: mine},
            "a feature loss must give one value per example, (2,), not (2, 4)",
        ),
    ):
        with refused(message):
            run(small(), big(), **options)
    with pytest.raises(RunError, match=r"feature loss .* fails with RuntimeError"):
        run(small(), big(), feature_loss=lambda mine, theirs: (mine - theirs).mean(1))


def test_numbers_that_are_none() -> None:
    def diverging(mine: Tensor, theirs: Tensor) -> Tensor:
        return mine.mean(1) / 0

    with pytest.raises(RunError, match="the loss term 'features' was"):
        run(small(), big(), feature_loss=diverging)


def test_the_student_is_what_it_was_asked_for(trained: nn.Sequential) -> None:
    result = run(small(), trained, steps=5)
    assert result.report.method == "distn"
    assert logits_of(result.student, VALIDATION).shape == (30, 3)
    assert result.teacher is trained
