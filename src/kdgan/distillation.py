"""The one call: a student of one's own, trained with a teacher of one's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.own import Data, checked, collected, sample_of, training_data, updates_in
from kdgan.files import locked
from kdgan.methods import CONTROL, Method, check_hyperparameters, find, hyperparameters, name_of
from kdgan.ship.cost import cost
from kdgan.ship.report import Report
from kdgan.tasks.metrics import Metric, accuracy, evaluated, majority, own_metrics
from kdgan.training import checkpoint, identity
from kdgan.training.check import check_players
from kdgan.training.config import Training, bind_folder
from kdgan.training.devices import find_device, precision_on
from kdgan.training.display import training_bars
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution, unseen
from kdgan.training.players import build_players, is_trained, on_device
from kdgan.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Result:
    """The result of `distill`.

    Attributes:
        student: the caller's own module, trained, in `eval()` mode, on the device it came on.
        report: metrics against a matched control, and costs; print it.
        teacher: as it was in the end: the caller's own module, as it came, where it was kept, else a trained copy.
        control: a copy of the student trained without a teacher, or None.
        history: metrics on validation data and losses over the student's updates.
    """

    student: nn.Module
    report: Report
    teacher: nn.Module
    control: nn.Module | None
    history: list[dict[str, Any]]


def distill(
    student: nn.Module,
    teacher: nn.Module,
    train: Data,
    validation: Data,
    *,
    method: str | type[Method] = "kdgan",
    discriminator: nn.Module | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    teacher_lr: float | None = None,
    teacher_every: int | None = None,
    training: Training | None = None,
    hyper: Mapping[str, Any] | None = None,
    metrics: Iterable[str] | Mapping[str, Metric] = (),
    augment: Augmentation | None = None,
    teacher_trained: bool | None = None,
    control: bool = True,
    seed: int = 0,
    device: str = "auto",
    folder: Path | str | None = None,
    progress: bool = True,
) -> Result:
    """Trains `student` with the help of `teacher`, and beside it a control without one.

    Student, teacher and discriminator are any modules that give logits `(B, K)`: the student is called with
    inputs, the others with inputs or, where the data have privileged information, inputs and privileged.

    Args:
        student: trained in place.
        teacher: never changed. A trained one is kept as it is, unless `teacher_lr` is given: then a copy of it goes on
            learning in the methods whose teacher does. An untrained one is first trained on the labels (a copy of it).
        train: a `kdgan.Batch` of all examples, a tuple of tensors, a Dataset or a DataLoader of (inputs, targets)
            or (inputs, targets, privileged). Datasets are kept as tensors on the device where they fit and give
            the same views in every pass.
        validation: the same; for the report and the history, nothing is trained or chosen by it.
        method: distn, mimic, noisy, codis, codis3, nagan or kdgan, or a subclass of `kdgan.methods.Method`; supervised
            trains without the teacher.
        discriminator: for nagan and kdgan; a freshly initialised copy of the teacher's form by default.
        steps: updates of the student. Default: 30 passes, at least 3,000 and at most 20,000.
        batch: examples per update, see `kdgan.training.Training`; a DataLoader has its own.
        lr: highest learning rate of what is trained.
        teacher_lr: that of a teacher that goes on learning.
        teacher_every: a teacher that goes on learning, and the discriminator, learn in the first of so many updates:
            with 4 or 8, codis takes about a quarter more time than mimic, kdgan half to four fifths more.
        training: all settings at once; those above are put in its place where they are given. Its own `teacher_lr` is
            for a teacher that is trained here: a trained one goes on learning only by the argument above.
        hyper: hyperparameters of the method, see `kdgan.methods.hyperparameters`; a distillation loss may be a function
            of two logits `(B, K)` that gives one value per example `(B,)`.
        metrics: to be measured beside accuracy: functions of logits `(N, K)` and targets, by name.
        augment: other views of a batch of inputs, such as `kdgan.data.AffineElastic`; for all players alike.
        teacher_trained: whether the teacher is trained; by default its validation accuracy tells.
        control: whether to train the control, a copy of the student, as long as the student.
        seed: of order, views and samples.
        device: `auto`, `cpu`, `cuda`.
        folder: where checkpoints go, so that the same call continues after a stop; None keeps nothing.
        progress: show bars on stderr, where that is a terminal.

    Returns:
        The trained student with a report.

    Raises:
        UsageError: if players and data do not fit, one line saying how.
        RunError: if a loss diverges.

    Example:
        >>> import torch
        >>> from kdgan import Batch, distill, nets
        >>> x = torch.randn(300, 8)
        >>> y = (x[:, 0] * x[:, 1] > 0).long()
        >>> data = Batch(x[:200], y[:200]), Batch(x[200:], y[200:])
        >>> result = distill(nets.mlp(8, [4], 2), nets.mlp(8, [64], 2), *data, method="distn", steps=50)
        >>> result.student.training
        False
    """
    where, kind = find_device(device), find(method)
    own = own_metrics(metrics, taken=["accuracy"])
    check_hyperparameters(kind, hyper or {})
    named = {
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "teacher_lr": teacher_lr,
        "teacher_every": teacher_every,
    }
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    # What is wrong with the settings is found before the data are read.
    settings = replace(training or Training(precision=precision_on(where)), **given)
    modes = [(part, part.training) for part in teacher.modules()]
    home, modules = (None if folder is None else Path(folder)), (student, teacher)
    with on_device(where, *modules), torch.random.fork_rng([where] if where.type == "cuda" else []):
        # Loaders and random transforms draw from the global generator too.
        torch.manual_seed(seed)
        data = training_data(train, where, augmented=augment is not None)
        held_out = checked(collected(validation, "validation"), "validation").to(where)
        torch.manual_seed(seed)
        for part in (sample_of(data, where), held_out):
            check_players({"student": student, "teacher": teacher}, part)
        trained = is_trained(teacher, held_out) if teacher_trained is None else teacher_trained
        frozen = trained and (teacher_lr is None or "teacher" not in kind.trains)
        players = build_players(kind, student, teacher, discriminator, keep_teacher=frozen, device=where)
        check_players(players, held_out)
        if steps is None and training is None:
            settings = replace(settings, steps=min(max(updates_in(30, data, settings.batch), 3000), 20_000))
        judge = _Judge(held_out, own)
        with training_bars() if progress else nullcontext(unseen) as shown:
            shared: dict[str, Any] = {"seed": seed, "augment": augment}
            shared["execution"] = Execution(where, progress=shown)
            main = Trainer(
                method,
                players,
                data,
                settings,
                hyper=hyper,
                trained=("teacher",) if trained else (),
                frozen=("teacher",) if frozen else (),
                measure=lambda: judge("student", student),
                **shared,
            )
            if home is not None:
                values = _identity(
                    main, players, hyper or {}, own, (data, held_out), teacher if trained else None
                )
                bind_folder(home, "distill.json", values)
            before = judge("teacher", teacher) if trained and not frozen else None
            with nullcontext() if home is None else locked(home):
                if home is not None:
                    _start_alike(student, home / "initial.safetensors")
                beside = copy.deepcopy(student) if control and name_of(method) != CONTROL else None
                done = main.train(_places(home, main.name, "student"))
                seconds = {
                    what if what == main.name else f"{what} pretraining": value
                    for what, value in done.seconds.items()
                }
                if beside is not None:
                    as_long = replace(settings, steps=done.updates)
                    alone = Trainer(CONTROL, {"student": beside}, data, as_long, **shared)
                    seconds["control"] = alone.train(_places(home, CONTROL, "control")).seconds[CONTROL]
        found, costs = {"student": judge("student", student)}, {"student": cost(student, held_out)}
        if beside is not None:
            found["control"] = judge("student", beside.eval())
        if "teacher" in kind.roles:
            found |= {"teacher before": before} if before is not None else {}
            found["teacher"] = judge("teacher", players["teacher"])
            costs["teacher"] = cost(players["teacher"], held_out, role="teacher")
    for layer, mode in modes:
        layer.training = mode
    for module, like in ((players["teacher"], teacher), (beside, student)):
        if module is not None:  # back where the caller's own are
            module.to(next((p.device for p in like.parameters()), where))
    report = Report(main.name, found, costs, done.updates, seconds, trained, majority(held_out.targets))
    taught = players["teacher"]
    return Result(
        student.eval(), report, taught if taught is teacher else taught.eval(), beside, done.history
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Metrics on the validation data."""

    data: Batch
    own: Mapping[str, Metric]

    def __call__(self, role: str, module: nn.Module) -> dict[str, float]:
        logits, targets = logits_of(module, self.data, role=role), self.data.targets
        return {"accuracy": accuracy(logits, targets), **evaluated(self.own, logits, targets)}


def _identity(
    trainer: Trainer,
    players: Mapping[str, nn.Module],
    hyper: Mapping[str, Any],
    metrics: Iterable[str],
    data: Iterable[Batch | DataLoader[Any]],
    teacher: nn.Module | None,
) -> dict[str, Any]:
    """All that tells this call from others, as JSON holds it; `teacher` if it is trained.

    A network that was drawn is another one each time a program is started; one that was trained is not.
    """
    own = {
        name: identity.of_object(value) for name, value in {**hyperparameters(trainer.kind), **hyper}.items()
    }
    return {
        "method": trainer.name,
        "hyper": own,
        "training": asdict(trainer.training),
        "seed": trainer.seed,
        "augment": identity.of_object(trainer.augment),
        "metrics": list(metrics),
        "data": [identity.of_data(part) for part in data],
        "teacher": None if teacher is None else identity.of_tensors(teacher.state_dict().values()),
        "parameters": {role: sum(p.numel() for p in each.parameters()) for role, each in players.items()},
    }


def _start_alike(student: nn.Module, file: Path) -> None:
    """The student as it was when the folder was new: after a stop, the control must begin where the student did."""
    if file.exists():
        student.load_state_dict(checkpoint.load(file, dict[str, Any]))
    else:
        checkpoint.save(file, dict(student.state_dict()))


def _places(home: Path | None, method: str, name: str) -> Callable[[str], Path | None]:
    """The folder of each thing that is trained, within `home`."""

    def place(what: str) -> Path | None:
        if home is None:
            return None
        return home / (name if what == method else f"{what}-pretraining")

    return place
