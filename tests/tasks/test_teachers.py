"""Teachers of any kind in `distill`: each against the same teacher as a module."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, NuSVC
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from kdgan import Batch, Result, RunError, distill, nets, teach
from kdgan.data import kept
from kdgan.data.semi import Semi
from kdgan.stored import read_json
from kdgan.tasks.own import OwnTask
from kdgan.tasks.teachers import as_teacher
from kdgan.training.answers import of_probabilities
from kdgan.training.execution import unseen
from support import refused
from tiny import weights

CPU = torch.device("cpu")
X = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)
TRAIN, VALIDATION = (X[:80], Y[:80]), (X[80:], Y[80:])


def drawn(make: Any, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def small(inputs: int = 6, classes: int = 3) -> nn.Module:
    module: nn.Module = drawn(lambda: nets.mlp(inputs, [4], classes), 0)
    return module


def big(seed: int = 1, inputs: int = 6, classes: int = 3) -> nn.Module:
    module: nn.Module = drawn(lambda: nets.mlp(inputs, [16], classes), seed)
    return module.eval()


def told(module: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = module(*inputs)
    return found


def run(teacher: Any, train: Any = TRAIN, validation: Any = VALIDATION, **options: Any) -> Result:
    given: dict[str, Any] = {"steps": 6, "batch": 16, "progress": False, "method": "distn", "lr": 0.01}
    student = options.pop("student", None) or small()
    return distill(student, teacher, train, validation, **{**given, "control": False, **options})


def as_module(**options: Any) -> Tensor:
    return weights(run(big(), teacher_trained=True, **options).student)


KINDS: dict[str, Any] = {
    "function": lambda: lambda x: told(big(), x),
    "function to arrays": lambda: lambda x: told(big(), x).numpy(),
    "function to objects": lambda: lambda x: SimpleNamespace(logits=told(big(), x)),
    "function to mappings": lambda: lambda x: {"logits": told(big(), x)},
    "tensor": lambda: told(big(), X[:80]),
    "array": lambda: told(big(), X[:80]).numpy(),
    "array of float64": lambda: told(big(), X[:80]).double().numpy(),
    "list of one module": lambda: [big()],
    "list of one array": lambda: (told(big(), X[:80]).numpy(),),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["distn", "mimic", "noisy"])
def test_every_kind_teaches_what_the_module_does(kind: str, method: str) -> None:
    teacher = KINDS[kind]()
    result = run(teacher, method=method)
    assert torch.equal(weights(result.student), as_module(method=method))
    assert result.teacher is teacher
    assert result.report.teacher_trained
    text = str(result.report)
    assert len({len(line) for line in text.splitlines()[:2]}) == 1
    if "array" in kind.replace("to arrays", "") or kind == "tensor":
        assert "teacher" not in result.report.metrics
        assert "teacher: known by its logits of training examples alone." in text
    else:
        judged = 100 * (told(big(), X[80:]).argmax(1) == Y[80:]).double().mean().item()
        assert result.report.metrics["teacher"]["accuracy"] == judged
    assert ("teacher" in result.report.costs) == (kind == "list of one module")


def test_the_default_method_is_the_one_for_a_teacher_that_is_kept() -> None:
    assert run(told(big(), X[:80]), method=None).report.method == "distn"
    assert run(lambda x: told(big(), x), method=None, hyper={"weight": 0.5}).report.method == "distn"


def test_each_training_example_is_asked_about_once() -> None:
    asked: list[Tensor] = []

    def teacher(x: Tensor) -> Tensor:
        asked.append(x.clone())
        x.zero_()  # it may do with it what it likes
        return told(big(), asked[-1])

    run(teacher, augment=lambda x, generator: x + 1, steps=20)
    assert torch.equal(torch.cat(asked), X)  # training examples as they are, then validation


def test_logits_travel_with_examples_that_are_augmented() -> None:
    logits = told(big(), X[:80])
    one = run(logits, augment=lambda x, generator: x + 0.1)
    other = run(lambda x: told(big(), x), augment=lambda x, generator: x + 0.1)
    assert torch.equal(weights(one.student), weights(other.student))
    assert not torch.equal(weights(one.student), as_module(augment=lambda x, generator: x + 0.1))


def test_probabilities_are_logits_but_for_the_smoothing(tmp_path: Path) -> None:
    p = told(big(), X[:80]).softmax(1)
    one = weights(run(p, teacher_gives="probabilities").student)
    assert torch.equal(one, weights(run(of_probabilities(p, "classes")).student))
    assert torch.equal(
        one, weights(run(lambda x: told(big(), x).softmax(1), teacher_gives="probabilities").student)
    )
    with refused("of example 0 lie in", "teacher_gives"):
        run(told(big(), X[:80]), teacher_gives="probabilities")
    hint = (
        "the teacher's logits are all at least 0 and sum to 1 in each example",
        "teacher_gives='probabilities'",
    )
    for teacher in (p, p.numpy(), lambda x: told(big(), x).softmax(1), [p, big()]):
        with refused(*hint):
            run(teacher)
    with refused(*hint):
        teach(lambda x: told(big(), x).softmax(1), TRAIN, tmp_path / "t", progress=False)
    with refused("teacher_gives must be logits or probabilities, not 'scores'"):
        run(p, teacher_gives="scores")


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    several = [big(seed) for seed in (1, 2, 3)]
    mean = torch.stack([told(each, X[:80]).softmax(1) for each in several]).mean(0).log()
    expected = weights(run(mean).student)
    mixed = [several[0], lambda x: told(several[1], x).numpy(), told(several[2], X[:80])]
    for teacher in (several, mixed, tuple(told(each, X[:80]) for each in several)):
        torch.testing.assert_close(weights(run(teacher).student), expected, rtol=1e-4, atol=1e-5)
    report = run(several).report
    assert report.costs["teacher"].parameters == 3 * sum(p.numel() for p in several[0].parameters())
    assert "teacher" in report.metrics
    assert run(mixed).report.notes == ("teacher: known by its logits of training examples alone.",)
    assert all(p.requires_grad for each in several for p in each.parameters())


def test_arrays_are_called_with_arrays() -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    seen: set[type] = set()

    def teacher(x: Any) -> Any:
        seen.add(type(x))
        return np.asarray(x) @ matrix

    pairs = [(X[:80].numpy(), Y[:80].numpy()), (X[80:].numpy(), Y[80:].numpy())]
    one = run(teacher, *pairs)
    assert seen == {np.ndarray}
    seen.clear()
    other = run(teacher)
    assert seen == {Tensor}
    assert torch.equal(weights(one.student), weights(other.student))


def test_inputs_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small()

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            found: Tensor = self.inner(torch.cat([left, right], 1))
            return found

    def named(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"left": x[:, :2], "right": x[:, 2:], "labels": y}

    def teacher(*, left: Tensor, right: Tensor) -> Tensor:
        return told(big(), torch.cat([left, right], 1))

    result = run(teacher, named(*TRAIN), named(*VALIDATION), student=Named())
    assert torch.equal(weights(result.student), as_module())


def swapped(data: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(data.items()))


class Mappings(Dataset[Any]):
    """Examples that are read anew, each with its names in another order than the one before."""

    def __init__(self, first: int, end: int, *, labels: bool = True) -> None:
        self.rows, self.labels = range(first, end), labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        row = self.rows[place]
        found = {"left": X[row, :2], "right": X[row, 2:]} | ({"labels": Y[row]} if self.labels else {})
        return swapped(found) if (place + 1) % 2 else found


class Joined(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        found: Tensor = self.inner(torch.cat([left, right], 1))
        return found


@pytest.mark.parametrize("anew", [False, True], ids=["tensors", "read anew"])
def test_columns_of_an_estimator_are_in_the_order_of_train(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, anew: bool
) -> None:
    def named(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"left": x[:, :2], "right": x[:, 2:], "labels": y}

    estimator = RandomForestClassifier(5, random_state=0).fit(X[:80].numpy(), Y[:80].numpy())
    train: Any = named(X[:60], Y[:60])
    validation: Any = swapped(named(X[80:], Y[80:]))
    more: Any = {"right": X[60:80, 2:], "left": X[60:80, :2]}
    if anew:
        monkeypatch.setattr(kept, "MOST_BYTES", 1)
        validation, more = Mappings(80, 120), Mappings(60, 80, labels=False)
    result = run(estimator, train, validation, unlabelled=more, student=Joined(small()))
    right = (estimator.predict(X[80:].numpy()) == Y[80:].numpy()).mean()
    assert result.report.metrics["teacher"]["accuracy"] == pytest.approx(100 * right)
    path = teach(estimator, train, tmp_path / "t", unlabelled=more, batch=7, progress=False)
    np.testing.assert_allclose(load_file(path)["logits"], estimator.predict_proba(X[:80].numpy()), rtol=1e-6)
    rows = estimator.predict_proba(X[:80].numpy())
    known = run(
        rows, train, validation, unlabelled=more, student=Joined(small()), teacher_gives="probabilities"
    )
    assert torch.equal(weights(known.student), weights(result.student))
    # A file knows its examples in whatever order their names are.
    of_file = run(path, swapped(train), validation, unlabelled=more, student=Joined(small()))
    if not anew:
        assert torch.equal(weights(of_file.student), weights(result.student))


def test_examples_with_names_in_every_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    turned = torch.cat([X[:, 2:], X[:, :2]], 1).numpy()  # as the first example has them
    estimator = RandomForestClassifier(5, random_state=0).fit(turned[:80], Y[:80].numpy())
    path = teach(estimator, Mappings(0, 80), tmp_path / "t", batch=7, progress=False)
    np.testing.assert_allclose(load_file(path)["logits"], estimator.predict_proba(turned[:80]), rtol=1e-6)


# --- data that are read anew -------------------------------------------------------------------------------------


class Items(Dataset[Any]):
    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def __len__(self) -> int:
        return 80

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return X[row] + self.noise * torch.randn(6), int(Y[row])


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        yield from ((X[row], int(Y[row])) for row in range(80))


def test_a_loader_in_any_order_finds_its_logits() -> None:
    logits = told(big(), X[:80])

    def loader() -> DataLoader[Any]:
        return DataLoader(Items(), batch_size=16, shuffle=True)

    expected = weights(run(big(), loader(), teacher_trained=True).student)
    for teacher in (
        logits,
        logits.numpy(),
        lambda x: told(big(), x),
        [logits],
        [lambda x: told(big(), x), logits],
    ):
        torch.testing.assert_close(weights(run(teacher, loader()).student), expected, rtol=1e-5, atol=1e-6)


def test_random_views_are_asked_about_once() -> None:
    count = [0]

    def teacher(x: Tensor) -> Tensor:
        count[0] += len(x)
        return told(big(), x)

    run(teacher, Items(noise=0.1), steps=30)
    assert count[0] == 80 + 40


def test_without_an_order_it_is_asked_about_each_batch(tmp_path: Path) -> None:
    expected = weights(run(big(), Endless(), teacher_trained=True).student)
    asked: list[int] = []

    def teacher(x: Tensor) -> Tensor:
        asked.append(len(x))
        return told(big(), x)

    result = run(teacher, Endless(), folder=tmp_path / "run")
    assert torch.equal(weights(result.student), expected)
    assert sum(asked) == 6 * 16 + 40
    with refused("another configuration (players"):
        run(lambda x: 2 * told(big(), x), Endless(), folder=tmp_path / "run")
    with refused("train has no order of its own"):
        run(told(big(), X[:80]), Endless())


def test_rows_without_a_label_keep_their_logits() -> None:
    labels = Y[:80].clone()
    labels[::3] = -1
    face = as_teacher(told(big(), X[:80]))
    for teacher in (face, as_teacher(lambda x: told(big(), x))):
        task = recorded(teacher, (X[:80], labels))
        assert isinstance(task.train, Semi)
        for part in (task.train.labelled, task.train.unlabelled):
            assert isinstance(part, Batch)
            assert torch.equal(part.teacher_logits, told(big(), part.tensor))  # type: ignore[arg-type]
            assert part.recorded


def recorded(
    taught: Any, train: Any, validation: Any = None, classes: int = 3, asked: str = "auto"
) -> OwnTask:
    student = {"student": small(classes=classes)}
    task = OwnTask.read(
        train,
        validation or train,
        student,
        {},
        CPU,
        size=16,
        seed=0,
        augment=None,
        asked=asked,
        recorded=taught.count,
    )
    taught.settle(task)
    found: OwnTask = taught.recorded(task, CPU, unseen)
    return found


# --- estimators --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestClassifier(5, random_state=0),
        lambda: HistGradientBoostingClassifier(max_iter=3),
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    ],
)
def test_an_estimator_is_its_probabilities(make: Any) -> None:
    estimator = make().fit(X[:80].numpy(), Y[:80].numpy())
    p = estimator.predict_proba(X[:80].numpy())
    expected = weights(run(p, teacher_gives="probabilities").student)
    result = run(estimator)
    assert torch.equal(weights(result.student), expected)
    right = (estimator.predict(X[80:].numpy()) == Y[80:].numpy()).mean()
    assert result.report.metrics["teacher"]["accuracy"] == pytest.approx(100 * right)


def test_an_estimator_with_margins_alone() -> None:
    estimator = RidgeClassifier().fit(X[:80].numpy(), Y[:80].numpy())
    expected = run(estimator.decision_function(X[:80].numpy()))
    assert torch.equal(weights(run(estimator).student), weights(expected.student))
    two = (Y[:80] > 0).long()
    other = RidgeClassifier().fit(X[:80].numpy(), two.numpy())
    task = recorded(as_teacher(other), (X[:80], two), classes=2)
    assert isinstance(task.train, Batch)
    logits = task.train.teacher_logits
    assert logits is not None
    margin = torch.as_tensor(other.decision_function(X[:80].numpy())).float()
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], margin, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [SVC, NuSVC])
def test_margins_of_pairs_of_classes_are_no_logits(kind: Any, tmp_path: Path) -> None:
    x, y = X[:80].numpy(), Y[:80].numpy()
    pairs = kind(decision_function_shape="ovo")
    searched = GridSearchCV(kind(), {"decision_function_shape": ["ovo"]}, cv=2)
    for estimator in (pairs, make_pipeline(StandardScaler(), pairs), searched):
        estimator.fit(x, y)
        with refused(
            "is of pairs of classes (ovo): give it probability=True or decision_function_shape='ovr'"
        ):
            run(estimator)
        with refused("is of pairs of classes (ovo)"):
            teach(estimator, TRAIN, tmp_path / "t", progress=False)
    fine = make_pipeline(StandardScaler(), kind(decision_function_shape="ovr")).fit(x, y)
    expected = run(fine.decision_function(x))
    assert torch.equal(weights(run(fine).student), weights(expected.student))
    two = (X[:, 0] > 0).long()
    run(
        kind(decision_function_shape="ovo").fit(x, two[:80].numpy()),
        student=small(classes=2),
        train=(X[:80], two[:80]),
        validation=(X[80:], two[80:]),
    )


def test_classes_that_an_estimator_never_saw_are_refused() -> None:
    some = Y[:80] != 1
    x, y = X[:80][some].numpy(), Y[:80][some].numpy()
    for estimator in (LogisticRegression().fit(x, y), RidgeClassifier().fit(x, y)):
        with refused("knows no class 1 of the student's 0..2, which so would learn that it never occurs"):
            run(estimator)
        with refused("no class of the teacher stands for class 1 of the student, which so would learn"):
            run(estimator, teacher_classes={0: 0, 2: 2})


def test_an_estimator_of_names() -> None:
    names = np.array(["a", "b", "c"])[Y[:80]]
    estimator = LogisticRegression().fit(X[:80].numpy(), names)
    same = LogisticRegression().fit(X[:80].numpy(), Y[:80].numpy())
    given = run(estimator, teacher_classes={"a": 0, "b": 1, "c": 2})
    torch.testing.assert_close(weights(given.student), weights(run(same).student), rtol=1e-4, atol=1e-5)
    with refused("the teacher's classes are a, b, c, but the student scores 0..2", "teacher_classes"):
        run(estimator)


def test_an_estimator_sees_all_numbers_of_an_example() -> None:
    known = nn.functional.one_hot(Y, 3).float().reshape(120, 3, 1)
    data = (X[:80], Y[:80], known[:80]), (X[80:], Y[80:], known[80:])
    joined = torch.cat([X, known.flatten(1)], 1).numpy()
    both = LogisticRegression().fit(joined[:80], Y[:80].numpy())
    assert run(both, *data).report.metrics["teacher"]["accuracy"] == 100
    alone = LogisticRegression().fit(X[:80].numpy(), Y[:80].numpy())
    given = run(alone, *data, teacher_sees="inputs")
    assert torch.equal(weights(given.student), weights(run(alone).student))
    with pytest.raises(RunError, match="the teacher fails with ValueError"):
        run(alone, *data)


def test_estimators_of_several_labels() -> None:
    bits = (X[:80, :3] > 0).float()
    forest = RandomForestClassifier(5, random_state=0).fit(X[:80].numpy(), bits.numpy().astype(int))
    rest = OneVsRestClassifier(LogisticRegression()).fit(X[:80].numpy(), bits.numpy().astype(int))
    of_forest = np.stack([each[:, 1] for each in forest.predict_proba(X[:80].numpy())], axis=1)
    for estimator, p in ((forest, of_forest), (rest, rest.predict_proba(X[:80].numpy()))):
        task = recorded(as_teacher(estimator), (X[:80], bits))
        assert task.kind == "multilabel"
        assert isinstance(task.train, Batch)
        expected = of_probabilities(torch.as_tensor(p).float(), "multilabel")
        assert torch.equal(task.train.teacher_logits, expected)  # type: ignore[arg-type]


def test_an_estimator_for_one_logit() -> None:
    two = (Y[:80] > 0).long()
    estimator = LogisticRegression().fit(X[:80].numpy(), two.numpy())
    task = recorded(as_teacher(estimator), (X[:80], two), classes=1)
    assert task.kind == "binary"
    assert isinstance(task.train, Batch)
    p = torch.as_tensor(estimator.predict_proba(X[:80].numpy())[:, 1:]).float()
    torch.testing.assert_close(task.train.teacher_logits, of_probabilities(p, "binary"), rtol=1e-5, atol=1e-5)


# --- what it sees, and its classes -------------------------------------------------------------------------------

KNOWN = nn.functional.one_hot(Y, 3).float()
SPECIAL = (X[:80], Y[:80], KNOWN[:80]), (X[80:], Y[80:], KNOWN[80:])


def test_a_module_that_sees_what_is_privileged_alone() -> None:
    teacher = big(inputs=3)
    result = run(teacher, *SPECIAL, teacher_sees="privileged", teacher_trained=True)
    assert result.teacher is teacher
    logits = told(teacher, KNOWN[:80])
    assert torch.equal(weights(result.student), weights(run(logits).student))
    function = run(lambda x: told(teacher, x), *SPECIAL, teacher_sees="privileged")
    assert torch.equal(weights(function.student), weights(result.student))
    assert "teacher" in result.report.metrics
    unjudged = run(teacher, SPECIAL[0], VALIDATION, teacher_sees="privileged", teacher_trained=True).report
    assert "teacher" not in unjudged.metrics
    with refused("the teacher sees privileged information alone, and there is none"):
        run(big(), teacher_sees="privileged")
    with refused("teacher_sees='privileged', but train has no privileged information"):
        run(lambda x: x, teacher_sees="privileged")
    with refused("teacher_sees must be both or inputs or privileged, not 'all'"):
        run(big(), teacher_sees="all")


def test_a_module_that_sees_the_inputs_alone_is_judged_without_the_others() -> None:
    result = run(big(), SPECIAL[0], VALIDATION, teacher_sees="inputs", teacher_trained=True)
    assert torch.equal(weights(result.student), as_module())
    assert "teacher" in result.report.metrics


def test_what_learns_beside_it_sees_the_same() -> None:
    teacher = big(inputs=3)
    before = weights(teacher)
    result = run(teacher, *SPECIAL, teacher_sees="privileged", method="kdgan", teacher_trained=False)
    assert type(result.teacher) is type(teacher)
    assert result.teacher is not teacher
    assert weights(result.teacher).shape == before.shape
    assert torch.equal(weights(teacher), before)
    assert not torch.equal(weights(result.teacher), before)


class Masking(nn.Module):
    """Rules a class out: always, or for what it finds in x."""

    def __init__(self, always: bool, width: int = 3) -> None:
        super().__init__()
        self.inner, self.always = big(classes=width), always

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        rows = torch.ones(len(x), 1, dtype=torch.bool) if self.always else x[:, :1] == X[71, 0]
        mask = torch.nn.functional.pad(rows, (logits.shape[1] - 1, 0))
        return logits.masked_fill(mask, float("-inf"))


@pytest.mark.parametrize("method", ["distn", "mimic", "kdgan"])
def test_a_module_that_rules_classes_out_is_to_blame(method: str, tmp_path: Path) -> None:
    options = {"method": method, "teacher_trained": True}
    with refused("the teacher gives logits of train that are not finite (-inf)", "low but finite"):
        run(Masking(always=True), **options)
    if method == "distn":  # its divergence knows probabilities of 0
        assert weights(run(Masking(always=False), steps=10, **options).student).isfinite().all()
    else:
        with refused("the teacher gives logits of the batch of step", "not finite (-inf)"):
            run(Masking(always=False), steps=10, **options)
    with refused("the teacher gives logits of examples 64 to 79 that are not finite (-inf)"):
        teach(Masking(always=False), TRAIN, tmp_path / "t", batch=16, progress=False)
    # It may rule out what the student does not know.
    run(Masking(always=True, width=4), teacher_classes=[0, 1, 2, None], **options)


def test_a_teacher_of_other_classes() -> None:
    teacher = big(classes=5)
    mapping = {0: 0, 4: 0, 1: 1, 3: 2}
    p = told(teacher, X[:80]).softmax(1)
    together = torch.stack([p[:, 0] + p[:, 4], p[:, 1], p[:, 3]], 1)
    expected = weights(run((together / together.sum(1, keepdim=True)).log()).student)
    for given in (teacher, lambda x: told(teacher, x), told(teacher, X[:80]), [teacher]):
        result = run(
            given, teacher_classes=mapping, **({"teacher_trained": True} if given is teacher else {})
        )
        torch.testing.assert_close(weights(result.student), expected, rtol=1e-4, atol=1e-5)
        assert result.teacher is given
    again = run(teacher, teacher_classes=[0, 1, None, 2, 0], teacher_trained=True)
    torch.testing.assert_close(weights(again.student), expected, rtol=1e-4, atol=1e-5)
    with refused("no class of the teacher stands for class 1 of the student"):
        run(teacher, teacher_classes={0: 0, 1: 2})
    with refused("the teacher's logits are of 5 classes, but the student scores 3"):
        run(told(teacher, X[:80]))


def test_a_teacher_of_other_classes_goes_on_learning() -> None:
    teacher = big(classes=4)
    result = run(teacher, teacher_classes=[0, 1, 2, 2], method="codis", teacher_trained=True, teacher_lr=0.01)
    assert type(result.teacher) is type(teacher)
    assert not torch.equal(weights(result.teacher), weights(teacher))
    moved = (weights(result.teacher) - weights(teacher)).abs()
    assert moved.max() > 1e-4


# --- a folder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tensors", "loader"])
@pytest.mark.parametrize("kind", ["array", "function"])
def test_a_folder_knows_what_was_recorded(tmp_path: Path, kind: str, form: str) -> None:
    def teacher(factor: float) -> Any:
        if kind == "array":
            return factor * told(big(), X[:80])
        return lambda x: factor * told(big(), x)

    def data() -> Any:
        return TRAIN if form == "tensors" else DataLoader(Items(), batch_size=16, shuffle=True)

    whole = run(teacher(1.0), data())
    one, again = (run(teacher(1.0), data(), folder=tmp_path / "run") for _ in range(2))
    assert torch.equal(weights(one.student), weights(whole.student))
    assert torch.equal(weights(again.student), weights(whole.student))
    assert read_json(tmp_path / "run" / "distill.json", dict[str, Any])["data"]
    with refused("another configuration (data"):
        run(teacher(1.001), data(), folder=tmp_path / "run")


def test_a_folder_knows_an_ensemble_and_a_file(tmp_path: Path) -> None:
    path = teach(big(), TRAIN, tmp_path / "t", batch=1000, progress=False)
    for name, teacher, other in (
        ("modules", [big(1), big(2)], [big(1), big(3)]),
        ("file", path, [path, path]),
        ("all", [path, big(2), lambda x: told(big(3), x)], [path, big(3), lambda x: told(big(3), x)]),
    ):
        one, again = (run(teacher, folder=tmp_path / name) for _ in range(2))
        assert torch.equal(weights(one.student), weights(again.student))
        with refused("another configuration"):
            run(other, folder=tmp_path / name)


# --- what does not go --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["codis", "codis3", "kdgan"])
@pytest.mark.parametrize(
    ("teacher", "what"),
    [
        (told(big(), X[:80]), "an array of logits"),
        (lambda x: x, "a function"),
        ([big()], "an ensemble"),
        (LogisticRegression(), "an estimator"),
    ],
)
def test_what_is_no_module_cannot_learn(method: str, teacher: Any, what: str) -> None:
    with refused(f"{method} trains its teacher, and {what} cannot learn: distn, mimic and noisy take it"):
        run(teacher, method=method)


def test_options_of_teachers_that_learn() -> None:
    logits = told(big(), X[:80])
    with refused("teacher_lr is for a teacher that learns, and an array of logits does not"):
        run(logits, teacher_lr=0.1)
    with refused("teacher_trained=False asks to train the teacher, and a function does not learn"):
        run(lambda x: x, teacher_trained=False)
    with refused("nagan makes a discriminator of the teacher's form, and an array of logits has none"):
        run(logits, method="nagan")
    run(logits, method="nagan", discriminator=big(3))
    run(logits, method="supervised")


@pytest.mark.parametrize("method", ["supervised", "selftrain", "nagan"])
def test_some_methods_need_no_teacher(method: str, tmp_path: Path) -> None:
    def run_with(teacher: Any, **more: Any) -> Result:
        discriminator = big(3) if method == "nagan" else None
        options = {"method": method, "unlabelled": X[:40] + 1, "control": True, **more}
        return run(teacher, discriminator=discriminator, **options)

    result, other = run_with(None), run_with(big(), teacher_trained=True)
    assert torch.equal(weights(result.student), weights(other.student))
    assert result.teacher is None
    assert "teacher" not in result.report.metrics
    assert "teacher" not in result.report.costs
    assert len(str(result.report).splitlines()[0])
    one, again = (run_with(None, folder=tmp_path / "run") for _ in range(2))
    assert torch.equal(weights(one.student), weights(again.student))
    assert torch.equal(weights(one.student), weights(result.student))


def test_the_others_need_one(tmp_path: Path) -> None:
    for method in ("distn", "codis", "kdgan", None):
        with refused("learns from a teacher, and teacher is None", "supervised or selftrain"):
            run(None, method=method)
    with refused("nagan makes a discriminator of the teacher's form, and None has none"):
        run(None, method="nagan")
    with refused("teacher_lr is for a teacher that learns, and None does not"):
        run(None, method="selftrain", teacher_lr=0.1)
    with refused("the teacher must be a module, a function"):
        teach(None, TRAIN, tmp_path / "t", progress=False)


class Partial(nn.Module):
    """Says itself what it sees."""

    sees = "inputs"


@pytest.mark.parametrize(
    ("teacher", "part"),
    [
        (None, "distn learns from a teacher, and teacher is None: give one, or a method that trains without"),
        ([None], "the teacher must be a module, a function"),
        (3, "not int"),
        ([], "the teacher is an empty list"),
        ([[big()]], "a teacher in a list must be no list"),
        ([lambda x: x, Partial()], "the teachers of a list must see the same, not both and inputs"),
        ([[0.1, 0.2], [0.3, 0.4]], "a teacher in a list must be no list"),
        (nn.Linear, "the teacher is the class Linear: make one"),
        (np.zeros((80, 3), object), "must be numbers (N, K) for N training examples, not (80, 3) of object"),
        (np.zeros((80, 3, 1)), "not (80, 3, 1)"),
        (torch.zeros(80, 3, dtype=torch.complex64), "complex64"),
        (
            torch.zeros(80, 3, dtype=torch.bool),
            "must be numbers (N, K) for N training examples, not (80, 3) of torch.bool",
        ),
        (np.zeros((80, 3), bool), "not (80, 3) of bool"),
        (lambda x: x[:, :3] > 0, "not (80, 3) of torch.bool"),
        (torch.zeros(79, 3), "the teacher's logits are of 79 examples, but train has 80"),
        (torch.zeros(81, 3), "the teacher's logits are of 81 examples, but train has 80"),
        (torch.full((80, 3), float("nan")), "the teacher's logits of example 0 are not finite"),
        (
            [torch.zeros(80, 3), torch.zeros(79, 3)],
            "the teachers of a list have logits of 80 and 79 examples",
        ),
        ("nowhere.safetensors", "there is no file nowhere.safetensors"),
        ("nowhere.npy", "nowhere.npy cannot be read as an array"),
        ("several.npz", "write the one with the teacher's logits into a .npy file"),
        (SimpleNamespace(predict=len), "not SimpleNamespace that only predicts"),
        (lambda x: x[:1], "the teacher must give a row of numbers for each of 80 examples"),
        (lambda x: "cat", "the teacher must give numbers"),
    ],
)
def test_teachers_that_are_none(teacher: Any, part: str) -> None:
    with refused(part):
        run(teacher)


def test_what_a_function_raises_is_a_line() -> None:
    def teacher(x: Tensor) -> Tensor:
        raise ConnectionError("no\nanswer")

    with pytest.raises(RunError, match="the teacher fails with ConnectionError: no answer, in test_teachers"):
        run(teacher)


def test_an_array_in_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "logits.npy", told(big(), X[:80]).numpy())
    for path in (tmp_path / "logits.npy", str(tmp_path / "logits.npy")):
        assert torch.equal(weights(run(path).student), as_module())
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with refused("objects.npy cannot be read as an array"):
        run(tmp_path / "objects.npy")


def test_a_teacher_that_is_dropped_from_a_batch_of_ones_own() -> None:
    data = dataclasses.replace(Batch(*TRAIN), teacher_logits=told(big(), X[:80]))
    with refused("train holds teacher_logits"):
        run(big(), data)
