"""`distill` over data that are drawn, streamed, changed, or in part privileged."""

import copy
import importlib
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan import Batch, Result, distill, nets
from kdgan.data import Noise
from kdgan.methods import METHODS, Distn, Method
from kdgan.training.execution import Execution
from support import refused
from tiny import weights

X = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)
TRAIN, VALIDATION = Batch(X[:60], Y[:60]), Batch(X[60:], Y[60:])
KNOWN = nn.functional.one_hot(Y, 3).float()


def drawn(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def small() -> nn.Module:
    return drawn(lambda: nn.Sequential(nets.mlp(6, [8], 3), nn.Dropout(0.2)))


def big() -> nn.Module:
    return drawn(lambda: nets.mlp(6, [16], 3), 1)


def seeing_all() -> nn.Module:
    return drawn(lambda: nets.WithPrivileged(nn.Identity(), nets.mlp(9, [16], 3)), 1)


def run(train: Any = TRAIN, validation: Any = VALIDATION, **options: Any) -> Result:
    players = options.pop("student", None) or small(), options.pop("teacher", None) or big()
    given = {"steps": 20, "batch": 8, "lr": 0.01, "method": "distn", "progress": False, **options}
    return distill(*players, train, validation, **given)


class Views(Dataset[Any]):
    """Examples in views that are drawn, from generators of everybody or one of its own."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.draw, self.targets = draw, TRAIN.targets.clone()

    def __len__(self) -> int:
        return len(TRAIN)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return TRAIN.inputs[index] + self.draw(), int(self.targets[index])


def by_all() -> float:
    return 0.1 * (torch.rand(()).item() + float(np.random.rand()) + random.random())


FORMS: dict[str, Callable[[], Any]] = {
    "Dataset": lambda: Views(by_all),
    "DataLoader": lambda: DataLoader(Views(by_all), batch_size=8, shuffle=True),
    "generator": lambda: DataLoader(
        Views(by_all),
        batch_size=7,
        shuffle=True,
        generator=torch.Generator().manual_seed(random.getrandbits(30)),
    ),
    "fixed": lambda: DataLoader(TensorDataset(TRAIN.inputs, TRAIN.targets), batch_size=9),
}


@pytest.mark.parametrize("form", FORMS)
def test_two_runs_of_a_seed_are_equal_whoever_drew_before(form: str) -> None:
    def after(seed: int) -> Tensor:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]
        data = FORMS[form]()
        state = random.getstate()
        result = run(data, method="kdgan")
        assert random.getstate() == state
        assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]
        assert torch.equal(torch.get_rng_state(), before[2])
        assert result.control is not None
        return torch.cat([weights(result.student), weights(result.control)])

    assert torch.equal(after(1), after(2))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["distn", "nagan"])  # nagan's student is first trained alone
def test_the_control_sees_what_the_student_sees(form: str, method: str) -> None:
    result, alone = run(FORMS[form](), method=method), run(FORMS[form](), method="supervised")
    assert result.control is not None
    assert torch.equal(weights(result.control), weights(alone.student))


def stopped(monkeypatch: pytest.MonkeyPatch, at: int, **call: Any) -> None:
    """The call, interrupted in the midst of an update of any of its trainings."""
    update, calls = Method.update, iter(range(1, 10_000))

    def failing(self: Any, batch: Batch, progress: float) -> Any:
        if next(calls) == at:
            raise KeyboardInterrupt
        return update(self, batch, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "update", failing)
        # A checkpoint after each update, so that it is in the midst of things that it goes on.
        patch.setattr("kdgan.training.loop.WINDOW", 1)
        patch.setattr("kdgan.distillation.Execution", partial(Execution, checkpoint_seconds=0.0))
        with pytest.raises(KeyboardInterrupt):
            run(**call)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", [13, 33, 53])  # in the teacher's pretraining, the method and the control
def test_a_stopped_call_goes_on_with_the_same_bits(
    form: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(FORMS[form]())
    stopped(monkeypatch, at, train=FORMS[form](), folder=tmp_path / "run")
    again = run(FORMS[form](), folder=tmp_path / "run")
    assert whole.control is not None
    assert again.control is not None
    assert torch.equal(weights(again.student), weights(whole.student))
    assert torch.equal(weights(again.control), weights(whole.control))
    assert again.report.metrics == whole.report.metrics
    assert [row["accuracy"] for row in again.history] == [row["accuracy"] for row in whole.history]


def test_views_of_a_function_of_ones_own_follow_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def views(inputs: Tensor, generator: torch.Generator) -> Tensor:
        return inputs + by_all() * torch.randn(inputs.shape, generator=generator)

    whole, alone = run(augment=views), run(augment=views, method="supervised")
    random.random()
    assert torch.equal(weights(run(augment=views).student), weights(whole.student))
    assert whole.control is not None
    assert torch.equal(weights(whole.control), weights(alone.student))
    stopped(monkeypatch, 33, augment=views, folder=tmp_path / "run")
    assert torch.equal(weights(run(augment=views, folder=tmp_path / "run").student), weights(whole.student))


def test_a_method_that_draws_follows_the_seed_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drawing(Distn):
        """Distn, with a weight that is drawn."""

        def student_loss(self, *given: Any) -> Any:
            return {name: (w * by_all(), value) for name, (w, value) in super().student_loss(*given).items()}

    whole = run(method=Drawing)
    stopped(monkeypatch, 33, method=Drawing, folder=tmp_path / "run")
    assert torch.equal(weights(run(method=Drawing, folder=tmp_path / "run").student), weights(whole.student))


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize("draw", [random.Random(0).random, np.random.default_rng(0).random])
def test_views_from_generators_of_ones_own_follow_the_seed(
    draw: Callable[[], float], loads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the control sees those of the student."""
    data: Any = DataLoader(Views(draw), batch_size=8, shuffle=True) if loads else Views(draw)
    whole, alone = run(data), run(data, method="supervised")
    draw()
    assert torch.equal(weights(run(data).student), weights(whole.student))
    assert whole.control is not None
    assert torch.equal(weights(whole.control), weights(alone.student))
    assert not torch.equal(weights(run(data, seed=1).student), weights(whole.student))
    stopped(monkeypatch, 33, train=data, folder=tmp_path / "run")
    draw()
    assert torch.equal(weights(run(data, folder=tmp_path / "run").student), weights(whole.student))


def test_what_cannot_go_on_gets_no_folder(tmp_path: Path) -> None:
    own = random.SystemRandom()  # which nobody can seed
    run(Views(own.random))
    for data in (Views(own.random), DataLoader(Views(own.random), batch_size=8)):
        with refused("train gives other batches when it is read again", "leave folder out"):
            run(data, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    quantized = copy.deepcopy(big())
    quantized.register_module("more", _Extra())
    with refused("more._extra_state of the teacher is no plain tensor"):
        run(teacher=quantized, folder=tmp_path / "run")


class _Extra(nn.Identity):
    def get_extra_state(self) -> Any:
        return {"scale": 2}

    def set_extra_state(self, state: Any) -> None: ...


# --- another call in the same folder ---------------------------------------------------------------------------------


def test_a_wrong_label_anywhere_in_a_loader_is_other_data(tmp_path: Path) -> None:
    for form in (lambda data: data, lambda data: DataLoader(data, batch_size=8, shuffle=True)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        data = Views(by_all)
        first = run(form(data), folder=folder)
        assert torch.equal(weights(run(form(Views(by_all)), folder=folder).student), weights(first.student))
        for place in (0, 59):
            other = Views(by_all)
            other.targets[place] = (other.targets[place] + 1) % 3
            with refused("another configuration (data"):
                run(form(other), folder=folder)


def frozen(module: nn.Module) -> nn.Module:
    module[0][1].requires_grad_(False)  # type: ignore[index]
    return module


def holding(value: float) -> nn.Module:
    """A student of which a layer, that stays as it is, has this value everywhere."""
    module = nn.Sequential(small(), nn.Linear(3, 3))
    nn.init.constant_(module[1].weight.requires_grad_(False), value)
    return module


def test_weights_that_stay_are_part_of_the_call(tmp_path: Path) -> None:
    first, other = holding(0.1), holding(9.0)
    found = run(student=first, steps=2, folder=tmp_path / "run")
    again = run(student=holding(0.1), steps=2, folder=tmp_path / "run")
    assert torch.equal(weights(again.student), weights(found.student))
    with refused("another configuration (players.student differs)", "choose another folder (folder=)"):
        run(student=other, steps=2, folder=tmp_path / "run")
    assert bool((other[1].weight == 9).all())  # type: ignore[index]


def in_part_evaluating(module: nn.Module) -> nn.Module:
    module[1].eval()  # type: ignore[index]
    return module


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (
            "student",
            lambda: nn.Sequential(
                nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), nn.Dropout(0.2)
            ),
        ),
        ("student", lambda: nn.Sequential(nets.mlp(6, [8], 3), nn.Dropout(0.3))),
        ("student", lambda: frozen(small())),
        ("student", lambda: in_part_evaluating(small())),
        ("student", lambda: holding(1.0)),
        ("teacher", lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))),
        ("discriminator", lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))),
    ],
)
def test_players_of_another_form_are_another_call(
    part: str, other: Callable[[], nn.Module], tmp_path: Path
) -> None:
    given = {"method": "kdgan", "steps": 2, "control": False, "folder": tmp_path / "run"}
    run(**given, discriminator=nets.mlp(6, [5], 3))
    run(**given, discriminator=nets.mlp(6, [5], 3))
    with refused(f"another configuration (players.{part}"):
        run(**given, **{"discriminator": nets.mlp(6, [5], 3), part: other()})


class Chain:
    """Views one after the other, as libraries of transforms have it."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        for part in self.parts:
            inputs = part(inputs, generator)
        return inputs


def test_views_of_another_strength_are_another_call(tmp_path: Path) -> None:
    run(steps=2, augment=Chain(Noise(0.1)), folder=tmp_path / "run")
    run(steps=2, augment=Chain(Noise(0.1)), folder=tmp_path / "run")
    for other in (Chain(Noise(0.2)), Chain(Noise(0.1), Noise(0.1)), Noise(0.1), None):
        with refused("another configuration (augment"):
            run(steps=2, augment=other, folder=tmp_path / "run")


def test_a_metric_of_other_code_is_another_call(tmp_path: Path) -> None:
    def first(power: int) -> Any:
        return lambda logits, targets: float(logits.abs().mean() ** power)

    run(steps=2, metrics={"size": first(1)}, folder=tmp_path / "run")
    run(steps=2, metrics={"size": first(1)}, folder=tmp_path / "run")
    with refused("another configuration (metrics.size"):
        run(steps=2, metrics={"size": first(2)}, folder=tmp_path / "run")


# --- privileged information ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("told", [None, True])
def test_validation_may_lack_what_exists_for_training_alone(method: str, told: bool | None) -> None:
    train = Batch(*TRAIN.parts()[:2], KNOWN[:60])
    result = run(train, teacher=seeing_all(), method=method, teacher_trained=told)
    assert {*result.report.metrics} == {"student"} | ({"control"} if method != "supervised" else set())
    lines = str(result.report).splitlines()
    if "teacher" in METHODS[method].roles:
        assert "teacher" in result.report.costs
        assert lines[3].split()[:2] == ["teacher", "-"]
        assert "teacher: needs privileged information, which validation does not have." in lines
    whole = run(
        train,
        Batch(*VALIDATION.parts()[:2], KNOWN[60:]),
        teacher=seeing_all(),
        method=method,
        teacher_trained=told,
    )
    if told:
        assert torch.equal(weights(result.student), weights(whole.student))


def test_whether_such_a_teacher_is_trained_is_seen_on_training_data() -> None:
    train = Batch(*TRAIN.parts()[:2], KNOWN[:60])
    teacher = seeing_all()
    assert not run(train, teacher=teacher).report.teacher_trained
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(train.inputs, train.privileged), train.targets).backward()
        optimizer.step()
    for data in (train, DataLoader(TensorDataset(train.inputs, train.targets, KNOWN[:60]), batch_size=30)):
        result = run(data, teacher=teacher)
        assert result.report.teacher_trained
        assert result.teacher is teacher


def test_privileged_information_that_only_validation_has_is_not_looked_at() -> None:
    with_it = Batch(*VALIDATION.parts()[:2], KNOWN[60:])
    assert torch.equal(weights(run(validation=with_it).student), weights(run().student))
    with refused("the teacher cannot be called as teacher(inputs)", "train has no privileged information"):
        run(validation=with_it, teacher=seeing_all())
    with refused("the teacher cannot be called as teacher(inputs, privileged)", "train has privileged"):
        run(Batch(*TRAIN.parts()[:2], KNOWN[:60]))


# --- what is right, though it looks odd ------------------------------------------------------------------------------


def test_classes_that_may_be_numbered_from_minus_one_are_told() -> None:
    with pytest.warns(UserWarning, match="no example has class 2, the last of 3: -1 stands for no label"):
        run((X[:60], Y[:60] - 1), (X[60:], Y[60:] - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = torch.where(torch.arange(60) % 2 == 0, Y[:60], -1)
        run((X[:60], labels))
        run((X[:60], torch.where(labels == 2, -1, labels)))  # validation has them all
        # A weight, however small, is a label; what is read anew has not been seen in full.
        soft = torch.tensor([[0.5, 0.4, 0.1], [0.4, 0.5, 0.1]]).repeat(15, 1)
        few = X[60:], Y[60:] % 2
        run((X[:30], soft), few, unlabelled=X[:30])
        run(DataLoader(TensorDataset(X[:60], Y[:60]), batch_size=8), few, unlabelled=X[:30])


def test_columns_without_labels_in_other_units_are_told() -> None:
    more = X[:20] * torch.tensor([1, 1, 1, 1000, 1, 1.0])
    with pytest.warns(UserWarning, match=r"unlabelled in column 3 \(from 0\).*units"):
        run(unlabelled=more)


def test_tables_of_numbers_are_arrays() -> None:
    tables = [pl.from_numpy(part.numpy()) for part in (X[:60], X[60:], X[:9] * 1.5)]
    labels = [pl.Series(Y[:60].tolist()), pl.Series(Y[60:].tolist())]
    by_table = run((tables[0], labels[0]), (tables[1], labels[1]), unlabelled=tables[2])
    by_tensor = run(unlabelled=X[:9] * 1.5)
    assert all(map(torch.equal, weights(by_table.student), weights(by_tensor.student)))
    with refused("train: ", "not of numbers"):
        run((tables[0].with_columns(pl.lit("a").alias("column_0")), labels[0]))


def test_a_share_that_two_loaders_say_is_not_asked_for() -> None:
    loaders = [DataLoader(TensorDataset(*parts), batch_size=5) for parts in ((X[:60], Y[:60]), (X[:60],))]
    with refused("labelled_share", "two DataLoaders"):
        run(loaders[0], unlabelled=loaders[1], labelled_share=0.5)
    run(loaders[0], unlabelled=X[:60], labelled_share=0.5)


class Flow(IterableDataset[Tensor]):
    """Examples without an end that is known."""

    def __iter__(self) -> Iterator[Tensor]:
        yield from X[:30]


def test_an_epoch_of_what_has_no_length() -> None:
    with refused("unlabelled has no length", "give steps"):
        run(unlabelled=Flow(), steps=None, epochs=2)


def test_numbers_of_every_kind_are_numbers() -> None:
    plain = run(steps=12, batch=8, lr=0.01, seed=3, hyper={"weight": 0.5})
    given: dict[str, Any] = {
        "steps": np.int64(12),
        "batch": torch.tensor(8),
        "lr": np.float64(0.01),
        "seed": np.uint8(3),
    }
    same = run(**given, hyper={"weight": np.float32(0.5)}, control=np.True_)
    assert torch.equal(weights(same.student), weights(plain.student))
    assert run(steps=2, seed=2**63 - 1).report.updates == 2
    for name, value in (("steps", 1.5), ("steps", "3"), ("steps", np.True_), ("lr", "0.1"), ("seed", 1.0)):
        with refused(name, "number", "not "):
            run(**{name: value})
    for seed in (-1, 2**63, 2**70):
        with refused("seed must be a whole number from 0 to 2**63 - 1", seed):
            run(seed=seed)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_a_caller_that_wants_no_gradients(around: Callable[[], Any]) -> None:
    players = {"student": small(), "teacher": big()}
    with around():
        inside = run(Batch(TRAIN.inputs.clone(), TRAIN.targets.clone()), **players)
        assert not torch.is_grad_enabled()
    assert torch.equal(weights(inside.student), weights(run().student))
    with torch.inference_mode():
        student = small()
    with refused("the student was made under torch.inference_mode()"):
        run(student=student)


def test_inputs_through_which_something_could_be_learned() -> None:
    x = TRAIN.inputs.clone().requires_grad_()
    assert torch.equal(weights(run((x, TRAIN.targets, None)).student), weights(run().student))
    assert x.grad is None


class Writing(nn.Module):
    """Writes into what it is given, always or only while it is trained."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.net, self.always = big(), always

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x.mul_(0.5) if self.always or self.training else x)
        return logits


@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("always", [True, False])
def test_a_network_that_writes_into_its_inputs(role: str, always: bool) -> None:
    data = Batch(TRAIN.inputs.clone(), TRAIN.targets), Batch(VALIDATION.inputs.clone(), VALIDATION.targets)
    for train in (
        data[0],
        DataLoader(TensorDataset(*data[0].parts()[:2]), batch_size=60, collate_fn=_whole(data[0])),
    ):
        with refused(f"the {role} changes its inputs in place"):
            run(train, data[1], **{role: Writing(always)}, method="codis")
    assert torch.equal(data[0].inputs, TRAIN.inputs)
    assert torch.equal(data[1].inputs, VALIDATION.inputs)


def _whole(data: Batch) -> Any:
    """Gives the caller's own tensors."""
    return lambda examples: (data.inputs, data.targets)


class Words(nn.Module):
    """The mean of what is embedded."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 8, sparse=sparse), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.embedding(x).mean(1))
        return logits


def test_whole_numbers_are_embedded() -> None:
    words = torch.randint(0, 20, (60, 4), generator=torch.Generator().manual_seed(0))
    data = Batch(words, words[:, 0] % 3)
    result = run(data, data, student=Words(False), teacher=Words(False), steps=300, lr=0.05)
    assert result.report.metrics["student"]["accuracy"] > 80
    with refused("the student has sparse gradients in 'embedding', which Adam cannot use"):
        run(data, data, student=Words(True), teacher=Words(False))
    kept = run(data, data, student=Words(False), teacher=Words(True), teacher_trained=True)
    assert kept.report.teacher_trained


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


def test_batch_normalisation_and_a_last_batch_of_one() -> None:
    data = TensorDataset(TRAIN.inputs[:57], TRAIN.targets[:57])
    with refused("the last batch of train has a single example", "drop_last=True"):
        run(DataLoader(data, batch_size=8), student=normed())
    run(DataLoader(data, batch_size=8, drop_last=True), student=normed())
    run(DataLoader(data, batch_size=8))
    run(DataLoader(data, batch_size=8), teacher=normed(), teacher_trained=True)
    drawn_views = Views(by_all)
    drawn_views.__class__ = _Fewer
    assert run(drawn_views, student=normed(), steps=30).report.updates == 30
    with pytest.raises(RuntimeError, match=r"^the student fails with ValueError: Expected more than 1 value"):
        run(student=normed(), batch=1)


class _Fewer(Views):
    def __len__(self) -> int:
        return 57


def test_networks_of_other_kinds() -> None:
    double = (
        Batch(TRAIN.inputs.double(), TRAIN.targets),
        Batch(VALIDATION.inputs.double(), VALIDATION.targets),
    )
    assert run(*double, student=small().double(), teacher=big().double()).report.updates == 20
    with refused("the student fails", "inputs are torch.float64, its weights torch.float32"):
        run(*double)
    images = Batch(torch.randint(0, 256, (60, 6), dtype=torch.uint8), TRAIN.targets)
    with refused("inputs are torch.uint8: scale them to real numbers, as by x.float() / 255"):
        run(images)
    plain = run(steps=4, teacher_trained=True)
    compiled = run(steps=4, teacher=torch.compile(big(), backend="eager"), teacher_trained=True)  # type: ignore[arg-type]
    assert torch.equal(weights(compiled.student), weights(plain.student))
    still = big().requires_grad_(False)
    assert torch.equal(
        weights(run(steps=4, teacher=still, teacher_trained=True).student), weights(plain.student)
    )
    for player, part in (
        (
            nn.Sequential(nn.Flatten(), nn.LazyLinear(3)),
            "has no shape yet (a lazy module): call it on a batch first",
        ),
        (big().to("meta"), "has no values (the meta device)"),
        (nn.Linear, "must be a torch.nn.Module, not the class Linear"),
        (still, "no parameter that requires gradient"),
    ):
        with refused("student", part):
            run(student=player)


class Uncopied(nn.Module):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = big(), (call for call in range(3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


def test_networks_that_cannot_be_copied() -> None:
    with refused("the student cannot be copied", "give control=False"):
        run(student=Uncopied())
    assert run(student=Uncopied(), control=False).control is None
    with refused("the teacher cannot be copied", "give one that is trained"):
        run(teacher=Uncopied())
    assert run(teacher=Uncopied(), teacher_trained=True).report.updates == 20
    with refused("the teacher cannot be copied", "give a discriminator of your own"):
        run(teacher=Uncopied(), teacher_trained=True, method="kdgan")


def test_a_mode_comes_back_though_the_call_fails() -> None:
    teacher = nn.Sequential(big(), nn.Dropout(0.5)).train()
    with pytest.raises(RuntimeError, match=r"diverged|no numbers"):
        run(teacher=teacher, teacher_trained=True, lr=1e38, method="supervised")
    assert all(part.training for part in teacher.modules())


@pytest.mark.parametrize("folder", ["file", "below", 3, "a\0b", "x" * 5000])
def test_folders_that_are_none(folder: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    where = {"file": tmp_path / "file", "below": str(tmp_path / "file" / "below")}.get(folder, folder)
    with refused("fo" if folder != "file" else "is not a folder"):
        run(folder=where)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"


def test_soft_labels_that_tie_and_labels_of_every_precision() -> None:
    tied = torch.full((30, 3), 1 / 3)
    result = run(validation=Batch(VALIDATION.inputs, tied))
    assert result.report.metrics["student"]["accuracy"] == 100.0
    assert result.report.majority == 100.0
    assert not result.report.teacher_trained
    two = torch.zeros(30, 3)
    two[:, :2] = 0.5
    two[:10] = torch.eye(3)[2]
    assert run(validation=Batch(VALIDATION.inputs, two)).report.majority == pytest.approx(200 / 3)
    soft = 0.8 * KNOWN[:60] + 0.2 / 3
    for kind in (torch.float64, torch.float32, torch.bfloat16):
        assert run(Batch(TRAIN.inputs, soft.to(kind))).report.updates == 20
    assert run(Batch(TRAIN.inputs, TRAIN.targets.remainder(2).bool())).report.updates == 20


def own_module(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Any:
    """The module `mine` as a program that is started anew would find it, beside others of one's own."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    for name in files:
        sys.modules.pop(name, None)
    return importlib.import_module("mine")


METHOD = (
    "from kdgan.methods import Distn\nfrom helper import SCALE\nclass Mine(Distn):\n    name = 'mine:Mine'\n"
)
VIEWS = "class Views:\n    def __call__(self, inputs, generator):\n        return inputs * {}\n"


def test_code_of_ones_own_is_part_of_a_call_and_so_is_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = own_module(tmp_path, monkeypatch, helper="SCALE = 1\n", mine=METHOD)
    run(method=mine.Mine, folder=tmp_path / "run", steps=2)
    mine = own_module(tmp_path, monkeypatch, helper="SCALE = 2\n", mine=METHOD)
    with refused("another configuration (code"):
        run(method=mine.Mine, folder=tmp_path / "run", steps=2)
    mine = own_module(tmp_path, monkeypatch, helper="SCALE = 1\n", mine=METHOD + VIEWS.format(1))
    run(augment=mine.Views(), folder=tmp_path / "views", steps=2)
    mine = own_module(tmp_path, monkeypatch, helper="SCALE = 1\n", mine=METHOD + VIEWS.format(9))
    with refused("another configuration (augment"):
        run(augment=mine.Views(), folder=tmp_path / "views", steps=2)


class Holding(nn.Module):
    """A student that knows something beside its weights."""

    def __init__(self, **held: Any) -> None:
        super().__init__()
        self.net = nets.mlp(6, [8], 3)
        for name, value in held.items():
            if name == "buffer":
                self.register_buffer("buffer", value, persistent=False)
            else:
                setattr(self, name, value)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.net(inputs)
        return logits


@pytest.mark.parametrize("name", ["_private", "plain", "buffer"])
def test_what_a_student_knows_beside_its_weights_is_part_of_a_call(tmp_path: Path, name: str) -> None:
    one, other = (torch.tensor([value]) if name != "_private" else value for value in (1.0, 50.0))
    for held in (one, one):
        run(student=drawn(lambda held=held: Holding(**{name: held})), folder=tmp_path / "run", steps=2)
    with refused("another configuration (players.student"):
        run(student=drawn(lambda: Holding(**{name: other})), folder=tmp_path / "run", steps=2)


def test_a_student_that_is_trained_is_part_of_a_call(tmp_path: Path) -> None:
    trained = run(steps=200, control=False).student
    run(student=copy.deepcopy(trained), folder=tmp_path / "run", steps=2)
    with refused("another configuration (weights"):
        run(folder=tmp_path / "run", steps=2, student=run(steps=200, seed=1, control=False).student)
