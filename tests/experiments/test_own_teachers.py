"""`kdgan.compare` with teachers of any kind: each is asked once, and teaches what `distill` learns from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from experiments.test_own_comparison import TEST, TRAIN, VALIDATION, big, made, run, small, untimed
from kdgan import Batch, distill, teach
from kdgan.data.seeds import mixed
from kdgan.tasks.scores import accuracy
from kdgan.training.evaluate import logits_of
from support import refused, served

TEACHER = made(big, 1).eval()
LOGITS = logits_of(TEACHER, TRAIN)


class Counting:
    """A function that a caller pays for by the example."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return TEACHER(x)  # type: ignore[no-any-return]


def same(x: Tensor) -> Tensor:
    return TEACHER(x)  # type: ignore[no-any-return]


def estimator() -> LogisticRegression:
    return LogisticRegression().fit(TRAIN.tensor.numpy(), TRAIN.targets.numpy())


def distilled(seed: int, teacher: Any, method: str, **options: Any) -> float:
    """Accuracy on test data of what `distill` makes of the student that a seed begins with."""
    student = made(small, mixed(seed, "student", "weights"))
    given = {"steps": 20, "control": False, "progress": False, **options}
    result = distill(student, teacher, TRAIN, VALIDATION, method=method, seed=seed, **given)
    return accuracy(logits_of(result.student, TEST), TEST.targets)


@pytest.mark.parametrize("kind", ["function", "array", "numpy", "npy", "file", "estimator", "list"])
def test_every_kind_teaches_what_it_does_in_distill(kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LOGITS.numpy())
    kinds: dict[str, Callable[[], Any]] = {
        "function": lambda: same,
        "array": lambda: LOGITS,
        "numpy": LOGITS.numpy,
        "npy": lambda: tmp_path / "a.npy",
        "file": lambda: teach(same, TRAIN, tmp_path / "t.safetensors"),
        "estimator": estimator,
        "list": lambda: [same, LOGITS, estimator()],
    }
    teacher = kinds[kind]()
    verdict = run(teacher=teacher, methods=["distn", "mimic"], seeds=[3, 5])
    found = {(record.method, record.seed): record.metrics for record in verdict.records}
    assert len(found) == 6
    for (method, seed), metrics in found.items():
        assert metrics["accuracy"] == distilled(seed, teacher, method)
        judged = method != "supervised" and kind in ("function", "estimator")
        assert ("teacher/accuracy" in metrics) == judged
        if judged:
            x = TEST.tensor
            logits = same(x) if kind == "function" else torch.tensor(teacher.predict_proba(x.numpy()))
            assert metrics["teacher/accuracy"] == accuracy(logits, TEST.targets)
    assert "asked before training" in verdict.facts["Teacher"]
    assert "control" in verdict.sentences[-1]


def test_a_teacher_is_asked_once_for_all_runs() -> None:
    teacher = Counting()
    run(teacher=teacher, methods=["distn", "mimic", "noisy"], seeds=3)
    assert teacher.asked == len(TRAIN) + len(TEST)


def test_a_factory_is_told_by_its_arguments() -> None:
    verdict = run(teacher=big, seeds=[0], methods=["mimic"], teacher_sees="inputs")
    plain = run(teacher=big, seeds=[0], methods=["mimic"])
    assert [r.metrics for r in verdict.records] == [r.metrics for r in plain.records]
    assert "Sequential" in verdict.facts["Teacher"]
    with refused("what makes the teacher must give a torch.nn.Module, not Tensor"):
        run(teacher=lambda: LOGITS)
    with refused("the teacher is the class Linear: make one"):
        run(teacher=nn.Linear)


def test_the_arguments_of_teachers() -> None:
    probabilities = LOGITS.softmax(1)
    options: dict[str, Any] = {"teacher_gives": "probabilities"}
    verdict = run(teacher=probabilities, methods=None, seeds=[1], **options)
    assert [record.method for record in verdict.records] == ["supervised", "distn"]
    assert verdict.records[1].metrics["accuracy"] == distilled(1, probabilities, "distn", **options)
    wide = torch.cat([torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), LOGITS], 1)
    verdict = run(teacher=wide, seeds=[1], teacher_classes=[None, None, 0, 1, 2])
    assert verdict.records[1].metrics["accuracy"] == distilled(1, LOGITS, "distn")
    with refused("the teacher's logits are of 5 classes, but the student scores 3", "teacher_classes"):
        run(teacher=wide)


def test_a_module_sees_some_of_what_there_is_and_goes_on_learning() -> None:
    parts = [Batch(part.inputs, part.targets, part.tensor[:, :3]) for part in (TRAIN, VALIDATION, TEST)]
    teacher = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    options: dict[str, Any] = {"teacher_sees": "privileged", "teacher_lr": 1e-3, "teacher_trained": True}
    names = dict(zip(("train", "validation", "test"), parts, strict=True))
    verdict = run(teacher=teacher, methods=["codis"], seeds=[2], **names, **options)
    student = made(small, mixed(2, "student", "weights"))
    distill(
        student,
        teacher,
        *parts[:2],
        method="codis",
        seed=2,
        steps=20,
        control=False,
        progress=False,
        **options,
    )
    assert verdict.records[1].metrics["accuracy"] == accuracy(logits_of(student, TEST), TEST.targets)


def test_without_labels_and_over_several_labels() -> None:
    """Rows of examples without labels follow those of the others; the student trained by itself knows nothing of
    them."""
    labels = [(part.tensor[:, :3] > 0).float() for part in (TRAIN, VALIDATION, TEST)]
    parts = [Batch(part.inputs, y) for part, y in zip((TRAIN, VALIDATION, TEST), labels, strict=True)]
    more = torch.randn(30, 6, generator=torch.Generator().manual_seed(3))
    rows = torch.cat([LOGITS, TEACHER(more).detach()])
    names = dict(zip(("train", "validation", "test"), parts, strict=True))
    options: dict[str, Any] = {"unlabelled": more, "seeds": [0], "task": "multilabel", **names}
    known = run(teacher=rows, **options)
    asked = run(teacher=same, **options)
    module = run(teacher=TEACHER, teacher_trained=True, **options)
    assert [record.method for record in known.records] == ["supervised", "selftrain", "distn"]
    for other in (asked, module):
        for one, two in zip(known.records, other.records, strict=True):
            mine = {name: value for name, value in one.metrics.items() if "teacher" not in name}
            assert mine == {name: value for name, value in two.metrics.items() if "teacher" not in name}


class Items(Dataset[Any]):
    """Examples that are read anew."""

    def __len__(self) -> int:
        return len(TRAIN)

    def __getitem__(self, row: int) -> Any:
        return TRAIN.tensor[row], int(TRAIN.targets[row])


def test_a_function_of_any_inputs_is_a_teacher() -> None:
    expected = untimed(run(teacher=same, seeds=[0]))
    assert untimed(run(teacher=lambda *inputs: TEACHER(*inputs), seeds=[0])) == expected
    parts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    named: dict[str, Any] = {
        name: Batch({"input": part.tensor}, part.targets) for name, part in parts.items()
    }
    assert untimed(run(teacher=lambda **inputs: TEACHER(**inputs), seeds=[0], **named)) == expected


class Fresh(nn.Sequential):
    """Takes anything, and is made of nothing."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*(layers or big()))


def test_a_class_makes_a_fresh_teacher() -> None:
    assert untimed(run(teacher=Fresh, seeds=[0])) == untimed(run(teacher=big, seeds=[0]))


def test_processes_get_what_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = teach(same, TRAIN, tmp_path / "t.safetensors")
    context = served()
    loader = DataLoader(Items(), batch_size=10, shuffle=True)
    for name, train in (("tensors", TRAIN), ("loader", loader)):
        here = run(teacher=path, train=train)
        with monkeypatch.context() as patch:
            patch.setattr("kdgan.experiments.processes.multiprocessing.get_context", lambda method: context)
            there = run(teacher=path, train=train, workers=2, folder=tmp_path / name)
        assert [r.metrics for r in here.records] == [r.metrics for r in there.records]


def test_a_folder_is_of_one_teacher(tmp_path: Path) -> None:
    run(teacher=LOGITS, seeds=[0], folder=tmp_path / "f")
    run(teacher=LOGITS.numpy(), seeds=2, folder=tmp_path / "f")
    with refused(tmp_path / "f", "another configuration"):
        run(teacher=LOGITS + 1, seeds=2, folder=tmp_path / "f")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"methods": ["distn", "kdgan"]}, ("kdgan trains its teacher, and an array of logits cannot learn",)),
        ({"teacher_lr": 1e-3}, ("teacher_lr", "an array of logits does not")),
        ({"teacher_trained": False}, ("teacher_trained=False",)),
        ({"methods": ["nagan"]}, ("nagan makes a discriminator of the teacher's form", "one of your own")),
        ({"teacher": LOGITS[:5]}, ("logits are of 5 examples, but train has 60",)),
        ({"teacher": "nowhere"}, ("there is no file nowhere",)),
        ({"teacher": object()}, ("the teacher must be a module", "not object")),
        ({"teacher_gives": "cats"}, ("teacher_gives", "'cats'")),
        ({"teacher_sees": "privileged", "teacher": same}, ("teacher_sees='privileged'",)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else "-".join(value),
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refused(*parts):
        run(**{"teacher": LOGITS, **options})
