"""The one call, what it tells of costs, and its parts in a loop of one's own."""

import copy
import dataclasses
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from kdgan import Batch, Result, distill, nets
from kdgan.data import AffineElastic
from kdgan.distillation import fresh, is_trained
from kdgan.errors import RunError
from kdgan.methods import METHODS
from kdgan.ship.cost import cost
from kdgan.training.check import check_players
from kdgan.training.evaluate import accuracy
from support import refused


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


def weights(module: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten().clone().double() for value in module.state_dict().values()])


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A teacher that knows the labels."""
    teacher = big()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(TRAIN.inputs), TRAIN.targets).backward()
        optimizer.step()
    assert accuracy(teacher, VALIDATION) > 75
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
    assert result.report.accuracy["student"] == accuracy(student, VALIDATION) > 60
    assert result.history[-1]["step"] == 3000
    assert result.history[-1]["accuracy"] == result.report.accuracy["student"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method: str) -> None:
    student, teacher = small(), big()
    before = weights(student), weights(teacher)
    result = run(student, teacher, method=method, lr=0.01)
    assert not torch.equal(weights(student), before[0])
    assert torch.equal(weights(teacher), before[1])
    report = result.report
    assert (report.method, report.updates, report.teacher_kept) == (method, 20, False)
    needs_teacher = "teacher" in METHODS[method].roles
    assert ("teacher" in report.accuracy) == ("teacher" in report.costs) == needs_teacher
    assert ("control" in report.accuracy) == (result.control is not None) == (method != "supervised")
    steps = [record["step"] for record in result.history]
    assert steps == sorted(set(steps))
    assert steps[-1] == 20
    if needs_teacher:
        assert not torch.equal(weights(result.teacher), before[1])  # a copy learnt
        assert report.seconds["teacher pretraining"] > 0
    assert report.seconds[method] > 0


def test_at_intervals_the_teacher_learns_less_often() -> None:
    def taught(interval: int) -> Tensor:
        result = distill(
            small(), big(), TRAIN, VALIDATION, method="codis", steps=6, batch=8, interval=interval,
            teacher_trained=True, control=False, progress=False,
        )  # fmt: skip
        return torch.cat([p.detach().flatten() for p in result.teacher.parameters()])

    start = torch.cat([p.detach().flatten() for p in big().parameters()])
    often, rarely = ((taught(interval) - start).norm() for interval in (1, 6))
    assert 0 < rarely < 0.5 * often
    with refused("interval must be at least 1, not 0"):
        taught(0)


def test_other_hyperparameters_are_another_run(tmp_path: Path) -> None:
    given = {"method": "distn", "steps": 2, "control": False, "progress": False, "teacher_trained": True}
    distill(small(), big(), TRAIN, VALIDATION, **given, folder=tmp_path / "f")
    with refused("'weight': 0.9"):
        distill(small(), big(), TRAIN, VALIDATION, **given, folder=tmp_path / "f", hyper={"weight": 0.5})


def test_the_control_is_the_same_student_without_a_teacher() -> None:
    result = run(small(3), big(), method="mimic", lr=0.01)
    alone = run(small(3), big(), method="supervised", lr=0.01)
    assert result.control is not None
    assert torch.equal(weights(result.control), weights(alone.student))
    assert result.report.accuracy["control"] == alone.report.accuracy["student"]
    assert not result.control.training
    assert run(small(3), big(), control=False).control is None


def test_the_seed_decides_everything() -> None:
    torch.manual_seed(1)
    one = run(small(), big())
    torch.manual_seed(2)
    same, other = run(small(), big()), run(small(), big(), seed=1)
    assert torch.equal(weights(one.student), weights(same.student))
    assert not torch.equal(weights(one.student), weights(other.student))


@pytest.mark.parametrize("method", ["distn", "mimic", "noisy"])
def test_a_trained_teacher_is_kept(trained: nn.Module, method: str) -> None:
    before = weights(trained)
    result = run(small(), trained, method=method)
    assert result.report.teacher_kept
    assert result.teacher is trained
    assert torch.equal(weights(trained), before)
    assert "teacher pretraining" not in result.report.seconds
    assert result.report.accuracy["teacher"] == accuracy(trained, VALIDATION)


@pytest.mark.parametrize("method", ["codis", "kdgan"])
def test_a_trained_teacher_is_where_a_game_starts(trained: nn.Module, method: str) -> None:
    before = weights(trained)
    result = run(small(), trained, method=method)
    assert result.report.teacher_kept
    assert result.teacher is not trained
    assert torch.equal(weights(trained), before)
    assert 0 < (weights(result.teacher) - before).abs().max() < 0.2
    assert "teacher pretraining" not in result.report.seconds


def test_one_may_say_whether_the_teacher_is_trained(trained: nn.Module) -> None:
    assert not run(small(), trained, method="mimic", teacher_trained=False).report.teacher_kept
    untrained = big()
    result = run(small(), untrained, method="mimic", teacher_trained=True)
    assert result.report.teacher_kept
    assert result.teacher is untrained


def test_is_trained_tells_knowledge_from_none(trained: nn.Module) -> None:
    assert is_trained(trained, VALIDATION)
    for seed in range(5):
        assert not is_trained(big(seed), VALIDATION)

    class Sure(nn.Module):
        """Right as often as the trained one, and far too sure of it."""

        def forward(self, inputs: Tensor) -> Tensor:
            return 1000 * trained(inputs)

    class Constant(nn.Module):
        """Knows how frequent each label is, and nothing else."""

        def forward(self, inputs: Tensor) -> Tensor:
            share = VALIDATION.targets.bincount(minlength=3) / len(VALIDATION)
            return share.log().expand(len(inputs), 3)

    assert is_trained(Sure(), VALIDATION)
    assert not is_trained(Constant(), VALIDATION)
    soft = Batch(VALIDATION.inputs, nn.functional.one_hot(VALIDATION.targets, 3).float())
    assert is_trained(trained, soft)
    assert not is_trained(big(), soft)


def test_a_discriminator_may_be_of_ones_own() -> None:
    judge = nets.mlp(6, [5], 3)
    before = weights(judge)
    run(small(), big(), method="kdgan", discriminator=judge)
    assert not torch.equal(weights(judge), before)
    before = weights(judge)
    run(small(), big(), method="mimic", discriminator=judge)
    assert torch.equal(weights(judge), before)


def test_fresh_has_other_weights_of_the_same_form() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
            self.own = nn.Parameter(torch.ones(4, 4))

    module = Scaled().eval()
    module.own.requires_grad_(False)
    module.layers[1].running_mean += 5.0  # type: ignore[operator]
    before = weights(module)
    made: Any = fresh(module)
    assert torch.equal(weights(module), before)
    assert made.training
    assert not torch.equal(made.layers[0].weight, module.layers[0].weight)  # type: ignore[arg-type]
    assert not torch.equal(made.own, module.own)
    assert made.own.requires_grad
    assert torch.equal(made.layers[1].running_mean, torch.zeros(3))


@pytest.mark.parametrize("method", ["kdgan", "mimic", "nagan"])
def test_privileged_information_goes_to_all_but_the_student(method: str) -> None:
    result = run(
        small(), seeing_all(), with_answer(TRAIN), with_answer(VALIDATION), method=method, steps=60, lr=0.02
    )
    if method != "nagan":
        assert result.report.accuracy["teacher"] > 80
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

    monkeypatch.setattr("kdgan.distillation.Loop", plan)
    for count, batch, updates in ((60, 64, 3000), (2000, 16, 3750), (2000, 1, 20_000)):
        data = problem(count)
        with pytest.raises(Planned) as planned:
            run(small(), big(), FORMS[form](data), steps=None, batch=batch, method="supervised")
        # A loader has batches of its own, of 16.
        assert planned.value.args[0] == (updates if form != "DataLoader" else max(3000, 30 * count // 16))


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
    assert len(seen) == 20 * 3  # teacher, student, control
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
    assert once_more.report.accuracy == again.report.accuracy == whole.report.accuracy
    with refused("lr", "0.002 there and 0.5 now"):
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
    with refused("another configuration (teacher"):
        run(small(), other, **call)


def test_views_of_a_loader_are_its_own() -> None:
    loader = DataLoader(TensorDataset(TRAIN.inputs, TRAIN.targets), batch_size=8, shuffle=True)
    with refused("augment is for"):
        run(small(), big(), loader, steps=2, augment=lambda x, generator: x)


def test_the_report_is_a_table_for_people(trained: nn.Module) -> None:
    result = run(small(), trained, method="distn")
    lines = str(result.report).splitlines()
    heads = [line[:22].strip() for line in lines[:4]]
    assert heads == ["", "student (distn)", "control (no teacher)", "teacher"]
    for word in ("accuracy", "parameters", "MiB", "MFLOPs", "ms"):
        assert word in lines[0]
    assert f"{result.report.accuracy['student']:.2f} %" in lines[1]
    assert f"{result.report.accuracy['control']:.2f} %" in lines[2]
    assert " 43 " in lines[1]
    assert f" {6 * 16 + 16 + 16 * 3 + 3} " in lines[3]
    assert "20 updates of student and control alike" in lines[4]
    assert not re.search(r"\bnan\b", str(result.report))


def test_divergence_is_told() -> None:
    with pytest.raises(RunError, match=r"at step \d+ the loss term '\w+' was (nan|inf)"):
        run(small(), big(), lr=1e38)


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
    with refused("the teacher", "privileged", "no privileged information"):
        run(small(), seeing_all())
    with refused("the teacher cannot be called as teacher(inputs, privileged)", "the data have some"):
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
    for shift, span in ((1, "1..3"), (-1, "-1..1")):
        for pair in ((Batch(x, y + shift), VALIDATION), (TRAIN, Batch(x, y + shift))):
            with refused(span, "3 classes, 0..2"):
                run(small(), big(), *pair)
    with refused("weigh 4 labels", "3 classes"):
        run(small(), big(), Batch(x, torch.eye(4)[y]))
    with refused("train must give", "dict"):
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


def test_check_players_leaves_them_as_they_were() -> None:
    student = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    before, state = copy.deepcopy(student.state_dict()), torch.get_rng_state()
    for training in (True, False):
        student.train(training)
        assert check_players({"student": student, "teacher": big()}, TRAIN) == 3
        assert student.training == training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert check_players({"teacher": seeing_all()}, with_answer(TRAIN)) == 3
    assert check_players({"student": small()}, Batch(TRAIN.inputs, torch.eye(3)[TRAIN.targets])) == 3


# --- costs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [[], [5], [7, 11]])
def test_costs_of_a_known_network(hidden: list[int]) -> None:
    widths = [6, *hidden, 3]
    pairs = list(pairwise(widths))
    net = nets.mlp(6, hidden, 3)
    measured = cost(net.train(), TRAIN)
    assert measured.parameters == sum(a * b + b for a, b in pairs)
    assert measured.bytes == 4 * measured.parameters
    assert measured.flops == sum(2 * a * b for a, b in pairs)  # of one example
    assert 0 < measured.milliseconds < 1000
    assert net.training


def test_costs_count_buffers_and_convolutions_and_privileged_information() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(256, 3)
    )
    before = copy.deepcopy(net.state_dict())
    measured = cost(net, Batch(torch.zeros(5, 1, 8, 8), torch.zeros(5).long()))
    assert measured.parameters == 36 + 8 + 256 * 3 + 3
    assert measured.bytes == 4 * measured.parameters + 4 * 8 + 8  # running statistics and their count
    assert measured.flops == 2 * (9 * 4 * 64) + 2 * 256 * 3
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    teacher = cost(seeing_all(), with_answer(TRAIN), role="teacher")
    assert teacher.flops == 2 * (9 * 16 + 16 * 3)


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
    before = accuracy(student, VALIDATION)
    names: dict[str, Any] = {
        **{"torch": torch, "Batch": Batch, "distance": distance, "cross_entropy": cross_entropy},
        **{"student": student, "teacher": teacher, "discriminator": big(5)},
        **{"x": TRAIN.inputs, "y": TRAIN.targets},
    }
    exec(compile(snippet, "<snippet>", "exec"), names)
    assert accuracy(student, VALIDATION) > max(before, 60)
