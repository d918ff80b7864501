"""Teachers of any kind in `distill`, where labels are yes or no, and where examples have none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from torch import Tensor, nn
from torch.utils.data import Dataset

from kdgan import Result, distill, nets, teach
from kdgan.data import kept
from kdgan.training.answers import of_probabilities
from support import refused
from tiny import weights

X = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
MORE = torch.randn(40, 6, generator=torch.Generator().manual_seed(7))
TARGETS = {
    "binary": (X[:, 0] > 0).long(),
    "multilabel": (X[:, :3] > 0).float(),
    "classes": X[:, :3].argmax(1),
}
OUTPUTS = {"binary": 1, "multilabel": 3, "classes": 3}


class Items(Dataset[Any]):
    """Examples that are read anew."""

    def __init__(self, inputs: Tensor, targets: Tensor | None) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> Any:
        return self.inputs[row] if self.targets is None else (self.inputs[row], self.targets[row])


def net(kind: str, width: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(6, [width], OUTPUTS[kind]).eval()


def run(teacher: Any, kind: str, *, loaded: bool = False, **options: Any) -> Result:
    y = TARGETS[kind]
    train: Any = Items(X[:80], y[:80]) if loaded else (X[:80], y[:80])
    given: dict[str, Any] = {"steps": 6, "batch": 16, "progress": False, "method": "distn", "lr": 0.01}
    given |= {"control": False, "task": kind}
    return distill(net(kind, 4, 0), teacher, train, (X[80:], y[80:]), **{**given, **options})


def kinds_of(teacher: nn.Module, x: Tensor) -> dict[str, Any]:
    with torch.no_grad():
        logits, p = teacher(x), teacher(x).sigmoid()
    return {
        "function": (lambda x: teacher(x), {}),
        "logits": (logits, {}),
        "array": (logits.numpy(), {}),
        "several": ([logits, lambda x: teacher(x)], {}),
        "probabilities": (p, {"teacher_gives": "probabilities"}),
    }


def close(one: Result, other: Result, tolerance: float) -> None:
    torch.testing.assert_close(weights(one.student), weights(other.student), rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", ["distn", "mimic", "noisy"])
@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_what_is_recorded_teaches_what_the_module_does(kind: str, method: str) -> None:
    teacher = net(kind, 16, 1)
    module = run(teacher, kind, method=method, teacher_trained=True)
    for name, (other, options) in kinds_of(teacher, X[:80]).items():
        found = run(other, kind, method=method, **options)
        # Probabilities lose what SMOOTHING takes.
        close(found, module, {"probabilities": 2e-3, "several": 1e-5}.get(name, 0))
        assert ("teacher" in found.report.metrics) == (name == "function")
    assert not torch.equal(weights(module.student), weights(net(kind, 4, 0)))


@pytest.mark.parametrize("gives", ["logits", "probabilities"])
@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_a_file_of_teach_holds_the_answers(kind: str, gives: Any, tmp_path: Path) -> None:
    teacher = net(kind, 16, 1)

    def ask(x: Tensor) -> Tensor:
        return teacher(x) if gives == "logits" else teacher(x).sigmoid()

    path = teach(ask, (X[:80], TARGETS[kind][:80]), tmp_path / "t", teacher_gives=gives, progress=False)
    close(run(path, kind), run(ask, kind, teacher_gives=gives), 0)


def test_estimators_of_yes_and_no() -> None:
    one = LogisticRegression().fit(X[:80].numpy(), TARGETS["binary"][:80].numpy())
    p = torch.tensor(one.predict_proba(X[:80].numpy())[:, 1:])
    close(run(one, "binary"), run(p, "binary", teacher_gives="probabilities"), 1e-6)
    several = OneVsRestClassifier(LogisticRegression()).fit(
        X[:80].numpy(), TARGETS["multilabel"][:80].numpy()
    )
    p = torch.tensor(np.asarray(several.predict_proba(X[:80].numpy())))
    close(run(several, "multilabel"), run(of_probabilities(p, "multilabel"), "multilabel"), 1e-6)


def test_a_teacher_of_two_classes_for_a_student_of_one_logit(tmp_path: Path) -> None:
    """Its log-odds, z1 - z0, however it is given."""
    teacher = net("classes", 16, 1)  # of three classes
    with torch.no_grad():
        logits = teacher(X[:80])
    odds = (logits[:, 1:2].double() - logits[:, [0, 2]].double().logsumexp(1, keepdim=True)).float()
    expected = run(odds, "binary")
    path = teach(teacher, (X[:80], TARGETS["binary"][:80]), tmp_path / "t", progress=False)
    for given in ({1: 0}, [None, 0, None], [0, 1, 0]):
        for other in (teacher, [teacher], lambda x: teacher(x), logits, logits.numpy(), path):
            trained = True if other is teacher else None
            close(run(other, "binary", teacher_classes=given, teacher_trained=trained), expected, 1e-5)
    result = run(teacher, "binary", teacher_classes=[0, 1, 0], teacher_trained=True)
    right = ((teacher(X[80:]).softmax(1)[:, 1] > 0.5) == TARGETS["binary"][80:]).double().mean().item()
    assert result.report.metrics["teacher"]["accuracy"] == pytest.approx(100 * right)
    for other in (teacher, [teacher], lambda x: teacher(x), logits):
        with refused("teacher_classes"):
            run(other, "binary")
    with refused("teacher_classes names class 2 of the student, which says yes or no"):
        run(teacher, "binary", teacher_classes=[0, 1, 2])


def test_two_columns_are_no_single_logit() -> None:
    with refused("the teacher's logits are of 2 classes, but the student scores 1"):
        run(torch.zeros(80, 2), "binary")
    with refused("the teacher's probabilities of example 3 lie in", "not in 0..1"):
        run(torch.eye(80)[:, 3:4] * 2, "binary", teacher_gives="probabilities")


@pytest.mark.parametrize("loaded", [False, True], ids=["tensors", "read anew"])
@pytest.mark.parametrize("kind", ["classes", "binary", "multilabel"])
def test_rows_of_examples_without_labels_follow(
    monkeypatch: pytest.MonkeyPatch, kind: str, loaded: bool, tmp_path: Path
) -> None:
    if loaded:
        monkeypatch.setattr(kept, "MOST_BYTES", 1)
    teacher = net(kind, 16, 1)
    with torch.no_grad():
        rows = teacher(torch.cat([X[:80], MORE]))
    more: Any = Items(MORE, None) if loaded else MORE
    options: dict[str, Any] = {"unlabelled": more, "loaded": loaded}
    train: Any = (X[:80], TARGETS[kind][:80])
    path = teach(teacher, train, tmp_path / "t", unlabelled=MORE, progress=False)
    module = run(teacher, kind, teacher_trained=True, **options)
    for other in (lambda x: teacher(x), rows, rows.numpy(), path):
        close(run(other, kind, **options), module, 1e-6)
    unheard = run(rows[:80], kind, loaded=loaded)
    assert not torch.equal(weights(unheard.student), weights(module.student))
    with refused("the teacher's logits are of 90 examples, but train and unlabelled have 120"):
        run(rows[:90], kind, **options)
    with refused("the teacher's logits are of 80 examples, but train and unlabelled have 120"):
        run(rows[:80], kind, **options)
    with refused("the teacher's logits are of 70 examples, but train has 80"):
        run(rows[:70], kind, **options)


def test_features_are_of_networks() -> None:
    for teacher in (torch.zeros(80, 3), lambda x: x, [net("classes", 16, 1)]):
        with refused("features are of networks", "give a module"):
            run(teacher, "classes", features={"1": "1"})
