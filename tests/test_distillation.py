"""The one call, what it tells of costs, and its parts in a loop of one's own."""

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kdgan
from kdgan import Batch, Method, Result, Training, distill, nets
from kdgan.data import AffineElastic
from kdgan.errors import RunError
from kdgan.losses import l2
from kdgan.methods import METHODS, Codis, Losses, Signals, Terms, hyperparameters
from kdgan.stored import read_json
from kdgan.tasks.scores import accuracy
from kdgan.training.evaluate import logits_of
from support import refused
from tiny import count, thrice, weights


def problem(count: int = 60, seed: int = 0) -> Batch:
    """Three classes, privileged information that names them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator)
    y = x[:, :3].argmax(1)
    return Batch(x, y)


def with_answer(data: Batch) -> Batch:
    return Batch(data.inputs, data.targets, nn.functional.one_hot(data.targets, 3).float())


TRAIN, VALIDATION = problem(), problem(30, seed=1)


def small(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(6, [4], 3)


def big(seed: int = 1) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.mlp(6, [16], 3)


def seeing_all(seed: int = 1) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.WithPrivileged(nn.Identity(), nets.mlp(9, [16], 3))


def run(
    student: nn.Module, teacher: nn.Module, train: Any = TRAIN, validation: Any = VALIDATION, **options: Any
) -> Result:
    return distill(student, teacher, train, validation, **{"steps": 20, "progress": False, **options})


def accuracy_of(module: nn.Module, data: Batch = VALIDATION) -> float:
    return accuracy(logits_of(module, data), data.targets)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A teacher that knows the labels."""
    teacher = big()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(TRAIN.inputs), TRAIN.targets).backward()
        optimizer.step()
    assert accuracy_of(teacher) > 75
    return teacher


def test_it_works_with_nothing_but_players_and_data(capfd: pytest.CaptureFixture[str]) -> None:
    student, teacher = small(), big()
    before = weights(student), weights(teacher)
    result = distill(student, teacher, (TRAIN.inputs, TRAIN.targets), (VALIDATION.inputs, VALIDATION.targets))
    assert result.student is student
    assert not student.training
    assert not torch.equal(weights(student), before[0])
    assert torch.equal(weights(teacher), before[1])
    assert result.report.updates == 3000
    assert list(result.report.metrics["student"]) == ["accuracy", "log_loss", "ece"]
    assert result.report.metrics["student"]["accuracy"] == accuracy_of(student)
    assert accuracy_of(student) > 60
    assert list(result.report.metrics) == ["student", "control", "teacher"]
    assert result.history[-1]["step"] == 3000
    assert result.history[-1]["accuracy"] == accuracy_of(student)
    told = r"\w+: [\d,]+ of 3,000 updates(, \d+:\d\d left)?(; student after [\d,]+: accuracy .+)?"
    assert all(re.fullmatch(told, line) for line in capfd.readouterr().err.splitlines())


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method: str) -> None:
    student, teacher = small(), big()
    before = weights(student), weights(teacher)
    result = run(student, teacher, method=method, lr=0.01)
    assert not torch.equal(weights(student), before[0])
    assert torch.equal(weights(teacher), before[1])
    report = result.report
    assert (report.method, report.updates, report.teacher_trained) == (method, 20, False)
    kind = METHODS[method]
    needs_teacher = "teacher" in kind.roles
    assert ("teacher" in report.metrics) == ("teacher" in report.costs) == needs_teacher
    assert ("control" in report.metrics) == (result.control is not None) == (method != "supervised")
    assert "teacher before" not in report.metrics
    steps = [record["step"] for record in result.history]
    assert steps == sorted(set(steps))
    assert steps[-1] == 20
    if needs_teacher:
        assert not torch.equal(weights(result.teacher), before[1])  # a copy learnt
        assert report.seconds["teacher pretraining"] > 0
    pretraining = {f"{role} pretraining" for role in kind.pretrained} - {"student pretraining"}
    early = {"student pretraining"} if method == "nagan" else set()
    control = {"control"} - {"control" if method == "supervised" else ""}
    assert set(report.seconds) == {method, *pretraining, *early, *control}
    assert min(report.seconds.values()) > 0


def test_the_teacher_may_learn_less_often() -> None:
    def taught(every: int) -> Tensor:
        result = run(
            small(), big(), method="codis", steps=6, batch=8, teacher_every=every, teacher_lr=2e-3,
            teacher_trained=True, control=False,
        )  # fmt: skip
        return weights(result.teacher)

    start = weights(big())
    often, rarely = ((taught(every) - start).norm() for every in (1, 6))
    assert 0 < rarely < 0.5 * often
    with refused("teacher_every must be a whole number of at least 1, not 0"):
        taught(0)


def test_settings_are_those_of_training(tmp_path: Path) -> None:
    def settings(name: str, **options: Any) -> dict[str, Any]:
        folder = tmp_path / name
        run(small(), big(), folder=folder, control=False, device="cpu", **{"steps": 2, **options})
        found: dict[str, Any] = read_json(folder / "distill.json", dict[str, Any])["training"]
        return found

    assert settings("default") == dataclasses.asdict(Training(steps=2))
    given = {"batch": 7, "lr": 0.5, "teacher_lr": 0.25, "teacher_every": 3}
    assert settings("given", **given) == dataclasses.asdict(Training(steps=2, **given))
    training = Training(steps=9, batch=5, smoothing=0.2, epsilon=0.1, evaluations=3, teacher_steps=4)
    assert settings("whole", training=training, steps=None) == dataclasses.asdict(training)
    both = settings("both", training=training, batch=6, steps=3)
    assert both == dataclasses.asdict(dataclasses.replace(training, batch=6, steps=3))


def test_all_settings_at_once_are_the_same_as_each() -> None:
    given = {"steps": 12, "batch": 7, "lr": 0.01, "teacher_lr": 0.005, "teacher_every": 2}
    one = run(small(), big(), **given)
    other = run(small(), big(), training=Training(**given), steps=None)
    assert torch.equal(weights(one.student), weights(other.student))
    assert other.report.updates == 12
    assert len(run(small(), big(), training=Training(steps=12, evaluations=3), steps=None).history) == 3


def test_other_hyperparameters_are_another_run(tmp_path: Path) -> None:
    given = {"method": "distn", "steps": 2, "control": False, "progress": False, "teacher_trained": True}
    distill(small(), big(), TRAIN, VALIDATION, **given, folder=tmp_path / "f")
    with refused("hyper.weight 0.9 there and 0.5 now"):
        distill(small(), big(), TRAIN, VALIDATION, **given, folder=tmp_path / "f", hyper={"weight": 0.5})


def test_the_control_is_the_same_student_without_a_teacher() -> None:
    result = run(small(3), big(), method="mimic", lr=0.01)
    alone = run(small(3), big(), method="supervised", lr=0.01)
    assert result.control is not None
    assert torch.equal(weights(result.control), weights(alone.student))
    assert result.report.metrics["control"] == alone.report.metrics["student"]
    assert not result.control.training
    assert run(small(3), big(), control=False).control is None


def test_the_seed_decides_everything() -> None:
    torch.manual_seed(1)
    one = run(small(), big())
    torch.manual_seed(2)
    same, other = run(small(), big()), run(small(), big(), seed=1)
    assert torch.equal(weights(one.student), weights(same.student))
    assert not torch.equal(weights(one.student), weights(other.student))


@pytest.mark.parametrize("method", [name for name, kind in METHODS.items() if "teacher" in kind.roles])
@pytest.mark.parametrize("given", [{}, {"training": Training(steps=20, teacher_lr=0.1)}])
def test_a_trained_teacher_is_kept_as_it_is(trained: nn.Module, method: str, given: dict[str, Any]) -> None:
    """In every method: no default of kdgan may spoil it."""
    before = weights(trained)
    result = run(small(), trained, method=method, **given)
    assert result.report.teacher_trained
    assert result.teacher is trained
    assert torch.equal(weights(trained), before)
    assert "teacher pretraining" not in result.report.seconds
    assert result.report.metrics["teacher"]["accuracy"] == accuracy_of(trained)
    assert "teacher before" not in result.report.metrics
    assert all(parameter.requires_grad for parameter in trained.parameters())


@pytest.mark.parametrize("method", ["codis", "codis3", "kdgan"])
def test_a_trained_teacher_is_where_a_game_starts_if_it_has_a_rate(trained: nn.Module, method: str) -> None:
    before = weights(trained)
    result = run(small(), trained, method=method, teacher_lr=2e-3)
    assert result.report.teacher_trained
    assert result.teacher is not trained
    assert torch.equal(weights(trained), before)
    assert 0 < (weights(result.teacher) - before).abs().max() < 0.2
    assert "teacher pretraining" not in result.report.seconds
    metrics = result.report.metrics
    assert list(metrics) == ["student", "control", "teacher before", "teacher"]
    assert metrics["teacher before"]["accuracy"] == accuracy_of(trained)
    assert metrics["teacher"]["accuracy"] == accuracy_of(result.teacher)
    assert "teacher before" in str(result.report)


@pytest.mark.parametrize("method", ["distn", "mimic", "noisy"])
def test_a_rate_is_nothing_to_methods_whose_teacher_does_not_learn(trained: nn.Module, method: str) -> None:
    result = run(small(), trained, method=method, teacher_lr=0.1)
    assert result.teacher is trained
    assert "teacher before" not in result.report.metrics


def test_a_teacher_that_goes_on_learns_at_its_rate(trained: nn.Module) -> None:
    slow, fast = (run(small(), trained, method="codis", teacher_lr=lr, control=False) for lr in (1e-4, 1e-2))
    moved = [(weights(result.teacher) - weights(trained)).norm() for result in (slow, fast)]
    assert moved[1] > 10 * moved[0] > 0


def test_one_may_say_whether_the_teacher_is_trained(trained: nn.Module) -> None:
    assert not run(small(), trained, method="mimic", teacher_trained=False).report.teacher_trained
    untrained = big()
    result = run(small(), untrained, method="mimic", teacher_trained=True)
    assert result.report.teacher_trained
    assert result.teacher is untrained


def test_a_discriminator_may_be_of_ones_own() -> None:
    judge = nets.mlp(6, [5], 3)
    before = weights(judge)
    run(small(), big(), method="kdgan", discriminator=judge)
    assert not torch.equal(weights(judge), before)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"method": "mimic", "discriminator": nets.mlp(6, [5], 3)}, "discriminator"),
        ({"method": "distn", "discriminator": "nonsense"}, "discriminator"),
        ({"method": "distn", "teacher_every": 4}, "teacher_every"),
        ({"teacher_trained": True, "teacher_every": 4}, "teacher_every"),
        ({"method": "supervised", "labelled_share": 0.5, "unlabelled": TRAIN.inputs}, "labelled_share"),
        ({"method": "supervised", "hyper": {"teacher_lr": 0.1}}, "teacher_lr"),
    ],
)
def test_options_that_the_method_has_no_use_for_are_refused(options: dict[str, Any], what: str) -> None:
    name = options.get("method", "distn")
    with refused(f"method {name} has no use for {what}"):
        run(small(), big(), **options)


def test_a_share_of_labelled_examples_is_for_data_of_which_some_have_no_label() -> None:
    with refused("labelled_share", "some have no label"):
        run(small(), big(), method="mimic", labelled_share=0.5)
    some = dataclasses.replace(TRAIN, targets=TRAIN.targets.where(TRAIN.targets > 0, -1))
    few, many = (
        weights(run(small(), big(), some, method="mimic", labelled_share=share, control=False).student)
        for share in (0.1, 0.9)
    )
    assert not torch.equal(few, many)


def test_a_rate_among_the_hyperparameters_is_of_the_method_alone(trained: nn.Module) -> None:
    plain = run(small(), trained, method="distn")
    own = run(small(), trained, method="distn", hyper={"lr": 0.05, "temperature": 2})
    both = run(small(), trained, method="distn", lr=0.05, hyper={"temperature": 2})
    assert torch.equal(weights(own.student), weights(both.student))
    assert own.control is not None
    assert plain.control is not None
    assert torch.equal(weights(own.control), weights(plain.control))
    goes_on = run(small(), trained, method="codis", hyper={"teacher_lr": 2e-3}, control=False)
    as_named = run(small(), trained, method="codis", teacher_lr=2e-3, control=False)
    assert torch.equal(weights(goes_on.teacher), weights(as_named.teacher))


@pytest.mark.parametrize("method", ["kdgan", "mimic", "nagan"])
def test_privileged_information_goes_to_all_but_the_student(method: str) -> None:
    result = run(
        small(), seeing_all(), with_answer(TRAIN), with_answer(VALIDATION), method=method, steps=60, lr=0.02
    )
    if method != "nagan":
        assert result.report.metrics["teacher"]["accuracy"] > 80
    assert result.report.costs["student"].parameters == 6 * 4 + 4 + 4 * 3 + 3


class Items(Dataset[Any]):
    """Examples one by one, with noise where asked for."""

    def __init__(self, data: Batch, noise: float = 0.0) -> None:
        self.data, self.noise = data, noise

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self.data.inputs[index]
        return x + self.noise * torch.randn(x.shape), int(self.data.targets[index])


def loader(data: Batch) -> DataLoader[Any]:
    return DataLoader(TensorDataset(data.inputs, data.targets), batch_size=16)


FORMS: dict[str, Callable[[Batch], Any]] = {
    "Batch": lambda data: data,
    "list": lambda data: [data.inputs, data.targets],
    "TensorDataset": lambda data: TensorDataset(data.inputs, data.targets),
    "Dataset": Items,
    "random Dataset": lambda data: Items(data, noise=0.1),
    "DataLoader": loader,
}


@pytest.mark.parametrize("form", FORMS)
def test_data_in_every_form(form: str) -> None:
    state = torch.get_rng_state()
    result = run(small(), big(), FORMS[form](TRAIN), FORMS[form](VALIDATION), lr=0.01)
    assert torch.equal(state, torch.get_rng_state()), "the caller's random state was touched"
    assert result.report.updates == 20
    if form in ("list", "TensorDataset", "Dataset"):
        same = run(small(), big(), lr=0.01)
        assert torch.equal(weights(result.student), weights(same.student))


class Planned(Exception):  # noqa: N818 - nothing went wrong
    """The number of updates that a loop was made for."""


@pytest.mark.parametrize("form", ["Batch", "random Dataset", "DataLoader"])
def test_thirty_passes_are_the_default(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    def plan(method: Any, feed: Any, steps: int, *_: Any, **__: Any) -> None:
        raise Planned(steps)

    monkeypatch.setattr("kdgan.training.trainer.Loop", plan)
    for examples, batch, updates in ((60, 64, 3000), (2000, 16, 3750), (2000, 1, 20_000)):
        data = problem(examples)
        with pytest.raises(Planned) as planned:
            run(small(), big(), FORMS[form](data), steps=None, batch=batch, method="supervised")
        # A loader has batches of its own, of 16.
        assert planned.value.args[0] == (updates if form != "DataLoader" else max(3000, 30 * examples // 16))


def test_augmentation_is_applied_to_images() -> None:
    generator = torch.Generator().manual_seed(0)
    images = Batch(torch.randn(40, 1, 8, 8, generator=generator), torch.arange(40) % 3)
    seen: list[Tensor] = []
    elastic = AffineElastic(torch.zeros(1, 1, 1))

    def change(views: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(views)
        return elastic(views, generator)

    players = nets.mlp(64, [4], 3), nets.lenet((1, 8, 8), (2, 4), 8, 3)
    result = run(*players, images, images, method="distn", augment=change, batch=16)
    assert len(seen) == 1 + 20 * 3  # a look before, then teacher, student, control
    assert all(views.shape == (16, 1, 8, 8) for views in seen)
    assert result.report.updates == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_folder_lets_the_same_call_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole = run(small(), big(), method=method)
    stopped = small()
    kind = METHODS[method]
    update, calls = kind.update, iter(range(1, 10_000))

    def failing(self: Any, batch: Batch, progress: float) -> Any:
        if next(calls) == 13:
            raise KeyboardInterrupt
        return update(self, batch, progress)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "update", failing)
        with pytest.raises(KeyboardInterrupt):
            run(stopped, big(), method=method, folder=tmp_path / "run")
    again = run(small(), big(), method=method, folder=tmp_path / "run")
    assert torch.equal(weights(again.student), weights(whole.student))
    once_more = run(small(seed=9), big(), method=method, folder=str(tmp_path / "run"))
    assert torch.equal(weights(once_more.student), weights(whole.student))
    assert once_more.report.metrics == again.report.metrics == whole.report.metrics
    with refused("training.lr", "0.002 there and 0.5 now"):
        run(small(), big(), method=method, folder=tmp_path / "run", lr=0.5)


def test_a_folder_of_other_players(tmp_path: Path) -> None:
    run(small(), big(), folder=tmp_path / "run")
    with refused("run"):
        run(nets.mlp(6, [5], 3), big(), folder=tmp_path / "run")


def test_a_folder_of_other_data_of_the_same_form(tmp_path: Path) -> None:
    run(small(), big(), folder=tmp_path / "run")
    other = dataclasses.replace(TRAIN, inputs=TRAIN.inputs + 1)
    with refused("run", "data"):
        run(small(), big(), other, folder=tmp_path / "run")


def test_a_folder_of_another_trained_teacher(tmp_path: Path, trained: nn.Module) -> None:
    folder = tmp_path / "run"
    call: dict[str, Any] = {"steps": 4, "method": "mimic", "folder": folder, "control": False}
    run(small(), trained, **call)
    other = copy.deepcopy(trained)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.01)
    with refused("another configuration (weights.teacher"):
        run(small(), other, **call)


def test_batches_of_a_loader_may_be_augmented() -> None:
    loader = DataLoader(TensorDataset(TRAIN.inputs, TRAIN.targets), batch_size=8, shuffle=True)
    plain = run(small(), big(), loader, steps=2)
    same = run(small(), big(), loader, steps=2, augment=lambda x, generator: x.clone())
    other = run(small(), big(), loader, steps=2, augment=lambda x, generator: x + 1)
    assert torch.equal(weights(same.student), weights(plain.student))
    assert not torch.equal(weights(other.student), weights(plain.student))


def test_the_report_is_a_table_for_people(trained: nn.Module) -> None:
    result = run(small(), trained, method="distn")
    lines = str(result.report).splitlines()
    heads = [line[:22].strip() for line in lines[:4]]
    assert heads == ["", "student (distn)", "control (no teacher)", "teacher"]
    for word in ("accuracy", "parameters", "MiB", "MFLOPs", "ms"):
        assert word in lines[0]
    assert f" {result.report.metrics['student']['accuracy']:.2f} " in lines[1]
    assert f" {result.report.metrics['control']['accuracy']:.2f} " in lines[2]
    assert lines[4].startswith(
        "Accuracy and ece in %, log_loss in nats; less is better for log_loss and ece, on "
    )
    assert " 43 " in lines[1]
    assert f" {6 * 16 + 16 + 16 * 3 + 3} " in lines[3]
    assert "20 updates of student and control alike" in lines[4]
    assert not re.search(r"\bnan\b", str(result.report))


def test_divergence_is_told() -> None:
    with pytest.raises(RunError, match=r"at step \d+ the loss term '\w+' was (nan|inf)"):
        run(small(), big(), lr=1e38)


# --- things of one's own -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metrics", [{"thrice": thrice, "count": count}, ["tiny:thrice", "tiny:count"]])
def test_metrics_of_ones_own(trained: nn.Module, metrics: Any) -> None:
    plain = run(small(), trained, method="codis", teacher_lr=2e-3)
    result = run(small(), trained, method="codis", teacher_lr=2e-3, metrics=metrics)
    assert torch.equal(weights(result.student), weights(plain.student))
    assert result.control is not None
    modules = {
        "student": result.student,
        "control": result.control,
        "teacher before": trained,
        "teacher": result.teacher,
    }
    assert set(result.report.metrics) == set(modules)
    for role, module in modules.items():
        logits = logits_of(module, VALIDATION)
        found = result.report.metrics[role]
        assert list(found) == ["thrice", "count", "accuracy", "log_loss", "ece"]
        assert {name: found[name] for name in ("accuracy", "thrice", "count")} == {
            "accuracy": accuracy_of(module),
            "thrice": thrice(logits, VALIDATION.targets),
            "count": 30.0,
        }
    for mine, theirs in zip(result.history, plain.history, strict=True):
        assert set(mine) - set(theirs) == {"thrice", "count"}
        assert mine["accuracy"] == theirs["accuracy"]
    lines = str(result.report).splitlines()
    assert lines[0].split()[:5] == ["thrice", "count", "accuracy", "log_loss", "ece"]
    assert all("30.00" in line for line in lines[1:5])


def test_metrics_that_are_none(tmp_path: Path) -> None:
    for metrics, part in (
        (["tiny:nothing"], "cannot import"),
        ({"mine": 3}, "metric mine is no function"),
        ({"mine": lambda logits, targets: "good"}, "metric mine fails"),
    ):
        with refused(part):
            run(small(), big(), metrics=metrics)
    with refused("metric nan gives nan"):
        run(small(), big(), metrics=["tiny:nan"])


class Gentle(Method):
    """Half of what the teacher says."""

    def __init__(self, *modules: nn.Module, half: float = 0.5, **shared: Any) -> None:
        super().__init__(*modules, **shared)
        self.half = half

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        return {"gentle": (self.half, l2(logits, signals["teacher"]))}


def test_a_method_of_ones_own(tmp_path: Path) -> None:
    result = run(small(), big(), method=Gentle, hyper={"half": 1.0}, folder=tmp_path / "run", lr=0.01)
    name = "test_distillation:Gentle"
    assert result.report.method == name
    assert set(result.report.seconds) == {"teacher pretraining", name, "control"}
    assert set(result.history[-1]["losses"]) == {"gentle"}
    assert f"student ({name})" in str(result.report)
    assert {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()} == {
        "student",
        "teacher-pretraining",
        "control",
    }
    assert read_json(tmp_path / "run" / "distill.json", dict[str, Any])["hyper"] == {"half": 1.0}
    # It is named by reference as well, and draws as what it is called does.
    again = run(small(), big(), method=name, hyper={"half": 1.0}, lr=0.01)
    assert torch.equal(weights(again.student), weights(result.student))
    with refused("no hyperparameter 'delta'", "half"):
        run(small(), big(), method=Gentle, hyper={"delta": 1})
    with refused("half of method", "must be a number"):
        run(small(), big(), method=Gentle, hyper={"half": "much"})
    with refused("no method"):
        run(small(), big(), method=nn.Linear)


def test_a_method_of_ones_own_whose_teacher_learns_too(trained: nn.Module) -> None:
    class Eager(Codis):
        """A variant of a method that there is."""

        def step(self, batch: Batch, progress: float) -> Losses:
            return {**super().step(batch, progress), "more": torch.zeros(())}

    assert run(small(), trained, method=Eager).teacher is trained
    result = run(small(), trained, method=Eager, teacher_lr=2e-3)
    assert not torch.equal(weights(result.teacher), weights(trained))
    assert "more" in result.history[-1]["losses"]
    codis = run(small(), trained, method="codis", teacher_lr=2e-3)
    assert torch.equal(weights(result.student), weights(codis.student))


def own_distance(mine: Tensor, theirs: Tensor) -> Tensor:
    return 1.5 * l2(mine, theirs)


def test_a_loss_of_ones_own(tmp_path: Path) -> None:
    methods = [name for name in METHODS if "distillation" in hyperparameters(name)]
    assert set(methods) == {"distn", "codis", "codis3", "kdgan"}
    for method in methods:
        call: dict[str, Any] = {"method": method, "control": False, "lr": 0.01}
        known = run(small(), big(), **call, hyper={"distillation": "l2"})
        same = run(small(), big(), **call, hyper={"distillation": l2})
        assert torch.equal(weights(known.student), weights(same.student))
        other = run(small(), big(), **call, hyper={"distillation": own_distance})
        assert not torch.equal(weights(other.student), weights(same.student))
    folder = tmp_path / "run"
    run(small(), big(), method="distn", hyper={"distillation": own_distance}, folder=folder)
    assert read_json(folder / "distill.json", dict[str, Any])["hyper"]["distillation"].startswith(
        "own_distance "
    )
    run(small(), big(), method="distn", hyper={"distillation": own_distance}, folder=folder)
    with refused("hyper.distillation differs"):
        run(small(), big(), method="distn", hyper={"distillation": "l2"}, folder=folder)


def test_weights_of_labels_are_learned_and_judged_by_the_largest() -> None:
    def soft(data: Batch) -> Batch:
        return Batch(data.inputs, 0.9 * nn.functional.one_hot(data.targets, 3).float() + 0.1 / 3)

    result = run(small(), big(), soft(TRAIN), soft(VALIDATION), steps=300, lr=0.02, method="codis")
    assert result.report.metrics["student"]["accuracy"] == accuracy_of(result.student) > 60


# --- what does not fit -------------------------------------------------------------------------------------------


class Flat(nn.Module):
    """Gives one number per example."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs)[:, 0]


class Pair(Flat):
    """Gives something beside its logits."""

    def forward(self, inputs: Tensor) -> Any:
        return inputs, None


def test_players_and_data_that_do_not_fit() -> None:
    spoilt = TRAIN.inputs.clone()
    spoilt[7, 2] = float("nan")
    x, y = TRAIN.inputs, TRAIN.targets
    with refused("student scores 3 classes", "teacher 4"):
        run(small(), nets.mlp(6, [4], 4))
    with refused("discriminator 5"):
        run(small(), big(), discriminator=nets.mlp(6, [4], 5))
    with refused("student fails", "(2, 6)"):
        run(nets.mlp(7, [4], 3), big())
    with refused("the teacher", "privileged", "train has no privileged information"):
        run(small(), seeing_all())
    with refused("the teacher cannot be called as teacher(inputs, privileged)", "train has privileged"):
        run(small(), big(), with_answer(TRAIN), with_answer(VALIDATION))
    for player, found in ((Flat(), "(2,)"), (Pair(), "tuple")):
        with refused("student must give logits of shape (2, K)", found):
            run(player, big())
    for place, data in (("train", Batch(spoilt, y)), ("train", Items(Batch(x, y)))):
        if isinstance(data, Batch):
            with refused(place, "example 7"):
                run(small(), big(), data)
    with refused("validation", "example 7"):
        run(small(), big(), TRAIN, Batch(spoilt, y))
    for shift, span in ((1, "1..3"), (-2, "-2..0")):  # -1 stands for no label
        for pair in ((Batch(x, y + shift), VALIDATION), (TRAIN, Batch(x, y + shift))):
            with refused(span, "3 classes, 0..2"):
                run(small(), big(), *pair)
    with refused("weigh 4 labels", "3 classes"):
        run(small(), big(), Batch(x, torch.eye(4)[y]))
    with refused("train gives a mapping with no of labels", "it has x"):
        run(small(), big(), {"x": x})
    with refused("validation has no examples"):
        run(small(), big(), TRAIN, VALIDATION[:0])
    with refused("train has no examples"):
        run(small(), big(), TRAIN[:0])
    with refused("unknown method 'gan'"):
        run(small(), big(), method="gan")
    with refused("no hyperparameter 'delta'"):
        run(small(), big(), hyper={"delta": 1})
    with refused("no device 'tpu'"):
        run(small(), big(), device="tpu")


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("steps", -1), ("batch", 0), ("batch", -2), ("lr", 0.0)]
)
def test_numbers_that_make_no_sense(name: str, value: float) -> None:
    with refused(name, value):
        run(small(), big(), **{name: value})


def test_wrong_hyperparameters_are_found_before_any_training(tmp_path: Path) -> None:
    with refused("delta"):
        run(small(), big(), hyper={"delta": 1}, folder=tmp_path / "run")
    assert not list(tmp_path.rglob("checkpoint.safetensors"))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.int16])
def test_class_indices_of_any_integer_type(dtype: torch.dtype) -> None:
    data = Batch(TRAIN.inputs, TRAIN.targets.to(dtype))
    result = run(small(), big(), data, Batch(VALIDATION.inputs, VALIDATION.targets.to(dtype)))
    assert torch.equal(weights(result.student), weights(run(small(), big()).student))


def test_a_loader_that_gives_nothing() -> None:
    empty = DataLoader(TensorDataset(TRAIN.inputs, TRAIN.targets), batch_size=100, drop_last=True)
    with refused("train", "no batch"):
        run(small(), big(), empty)


# --- in a loop of one's own --------------------------------------------------------------------------------------

LOSSES = """
optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
soften = distance("kl", temperature=4.0)
for step in range(150):
    with torch.no_grad():
        hints = teacher(x)
    logits = student(x)
    loss = cross_entropy(logits, y) + soften(logits, hints)
    loss.mean().backward(); optimizer.step(); optimizer.zero_grad()
"""

METHOD = """
from kdgan.methods import KDGAN, Optimization
game = KDGAN(student, teacher, discriminator, optimization=Optimization(lr=0.01))
for step in range(150):
    losses = game.update(Batch(x, y), step / 150)
"""


@pytest.mark.parametrize("snippet", [LOSSES, METHOD], ids=["losses", "method"])
def test_losses_and_methods_in_a_loop_of_ones_own(trained: nn.Module, snippet: str) -> None:
    assert len(snippet.strip().splitlines()) <= 8
    from kdgan.losses import cross_entropy, distance

    student, teacher = small(), copy.deepcopy(trained)
    before = accuracy_of(student)
    names: dict[str, Any] = {
        **{"torch": torch, "Batch": Batch, "distance": distance, "cross_entropy": cross_entropy},
        **{"student": student, "teacher": teacher, "discriminator": big(5)},
        **{"x": TRAIN.inputs, "y": TRAIN.targets},
    }
    exec(compile(snippet, "<snippet>", "exec"), names)
    assert accuracy_of(student) > max(before, 60)


def test_the_default_is_a_game_unless_a_trained_teacher_is_kept() -> None:
    def named(**given: Any) -> str:
        return run(small(), big(), **{"steps": 2, "control": False, **given}).report.method

    assert named(teacher_trained=False) == "kdgan"
    assert named(teacher_trained=True) == "distn"
    assert named(teacher_trained=True, teacher_lr=1e-4) == "kdgan"
    assert named(teacher_trained=True, discriminator=big(2)) == "kdgan"
    assert named(teacher_trained=True, hyper={"beta": 1.0}) == "kdgan"
    assert named(teacher_trained=False, unlabelled=TRAIN.tensor) == "distn"
    assert named(teacher_trained=False, unlabelled=TRAIN.tensor, hyper={"beta": 1.0}) == "kdgan"


def test_bfloat16_is_warned_of_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdgan.training.devices.has_bfloat16", lambda device: False)
    slow = Training(steps=2, teacher_steps=2, precision="bfloat16")
    with pytest.warns(UserWarning, match="no instructions for bfloat16"):
        run(small(), big(), training=slow, control=False)
    with pytest.warns(UserWarning, match="no instructions for bfloat16"):
        kdgan.compare(
            small,
            big(),
            TRAIN,
            VALIDATION,
            VALIDATION,
            training=slow,
            methods=["distn"],
            seeds=1,
            progress=False,
        )


def test_a_report_knows_of_no_teacher_where_there_is_none() -> None:
    assert not run(small(), None, method="supervised").report.teacher_trained


def own_student() -> nn.Module:
    return nets.mlp(6, [5], 3)


def test_a_students_file_brings_it_back(tmp_path: Path) -> None:
    student = own_student()
    result = distill(
        student, nets.mlp(6, [9], 3), TRAIN, VALIDATION, method="distn", steps=20, progress=False
    )
    path = tmp_path / "new" / "student.safetensors"
    result.save(path, ["cat", "dog", "owl"], make=own_student)
    x = VALIDATION.tensor
    for back in (
        kdgan.load(path, own_student()),
        kdgan.load(path, trust=True),
        result.as_student(["cat", "dog", "owl"]),
    ):
        found = back.predict(x, most=1)
        best = student(x).argmax(1)
        assert [each.label for each in found] == [["cat", "dog", "owl"][place] for place in best]
    assert result.as_student().labels == ("0", "1", "2")
    for wrong, parts in (
        ({"labels": ["a"]}, ("labels must be 3 texts",)),
        ({"labels": ["a", "b", "a"]}, ("labels must differ",)),
        ({"labels": "cat"}, ("labels must be 3 texts",)),
        ({"make": lambda: own_student()}, ("make must be a function",)),
        ({"make": 3}, ("make must be a function",)),
    ):
        with refused(*parts):
            result.save(path, **wrong)  # type: ignore[arg-type]
    with refused("cannot be written"):
        result.save(path / "below")


@pytest.mark.parametrize("method", ["mimic", "noisy"])
def test_what_never_looks_at_labels_needs_none(method: str, trained: nn.Module) -> None:
    """The same bits with all labels and without any."""
    given: dict[str, Any] = {"method": method, "steps": 40}
    known = run(small(), trained, control=False, **given)
    without = run(small(), trained, Batch(TRAIN.inputs, None), **given)  # type: ignore[arg-type]
    assert torch.equal(weights(known.student), weights(without.student))
    assert known.report.metrics["student"] == without.report.metrics["student"]
    assert without.control is None
    assert "There is no control: it learns from labels, and train has none." in str(without.report)


def test_supervised_terms_count_nothing_where_there_is_no_label(trained: nn.Module) -> None:
    bare = Batch(TRAIN.inputs, None)  # type: ignore[arg-type]
    for teacher in (
        trained,
        lambda x: trained(x),
        trained(TRAIN.inputs).detach(),
        trained(TRAIN.inputs).detach().numpy(),
    ):
        result = run(small(), teacher, bare, method="distn", steps=40, lr=0.02)
        alone = run(small(), trained, bare, method="distn", steps=40, lr=0.02, hyper={"weight": 1.0})
        assert result.history[-1]["losses"]["label"] == 0
        assert accuracy_of(result.student) > 60
        assert accuracy_of(alone.student) > 60
    result = run(small(), trained, bare, method="codis", steps=10)
    assert result.teacher is trained


@pytest.mark.parametrize("method", ["supervised", "selftrain", "nagan", "kdgan", "codis3"])
def test_methods_that_learn_from_labels_need_some(method: str, trained: nn.Module) -> None:
    bare = Batch(TRAIN.inputs, None)  # type: ignore[arg-type]
    with refused(f"train has no example with a label, and {method} learns from labels: give labels"):
        run(small(), trained, bare, method=method)


def test_a_teacher_that_learns_needs_labels(trained: nn.Module) -> None:
    bare = Batch(TRAIN.inputs, None)  # type: ignore[arg-type]
    for teacher, more in ((big(), {"method": "distn"}), (trained, {"method": "codis", "teacher_lr": 1e-3})):
        with refused(
            "train has no example with a label, and a teacher that is trained here learns from labels"
        ):
            run(small(), teacher, bare, **more)
    with refused("give all examples as train, and leave unlabelled out"):
        run(small(), trained, bare, method="distn", unlabelled=TRAIN.inputs)
