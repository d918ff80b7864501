"""The one call: a student of one's own, trained with a teacher of one's own."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.own import Data, LoaderFeed, Unbatched, checked, collected, training_data
from kdgan.errors import UsageError
from kdgan.files import locked
from kdgan.methods import CONTROL, Method, check_hyperparameters, find, hyperparameters, name_of
from kdgan.ship.cost import Cost, cost
from kdgan.tasks.metrics import Metric, accuracy, evaluated, own_metrics
from kdgan.training.check import check_players
from kdgan.training.config import Training, bind_folder
from kdgan.training.devices import find_device, precision_on
from kdgan.training.display import training_bars
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution, unseen
from kdgan.training.players import build_players, is_trained, on_device
from kdgan.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Report:
    """What was gained and what it costs.

    Attributes:
        method: its name.
        metrics: on validation data, by role and name: of `student`, `control` and `teacher`, as far as there are such,
            and of `teacher before` where a trained one went on learning.
        costs: of the student and, where there is one, the teacher.
        updates: of the student, and of the control alike.
        seconds: of training each of the players.
        teacher_kept: whether the teacher was found trained, and so not trained on the labels first.
    """

    method: str
    metrics: Mapping[str, Mapping[str, float]]
    costs: Mapping[str, Cost]
    updates: int
    seconds: Mapping[str, float]
    teacher_kept: bool

    def __str__(self) -> str:
        """A table for people."""
        shown = list(self.metrics["student"])
        head = "".join(f"{name:>{max(10, len(name) + 2)}}" for name in shown)
        lines = [f"{'':22}{head}{'parameters':>13}{'MiB':>9}{'MFLOPs':>10}{'ms':>9}"]
        names = {"student": f"student ({self.method})", "control": "control (no teacher)"}
        for role, found in self.metrics.items():
            c = self.costs["student" if role == "control" else role.removesuffix(" before")]
            values = "".join(f"{found[name]:>{max(10, len(name) + 2)}.2f}" for name in shown)
            numbers = (
                f"{c.parameters:>13,}{c.bytes / 2**20:>9.2f}{c.flops / 1e6:>10.2f}{c.milliseconds:>9.3f}"
            )
            lines.append(f"{names.get(role, role):22}{values}{numbers}")
        lines.append(
            f"Accuracy in %, on validation data; one example at a time; {self.updates:,} updates of student and "
            "control alike."
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Result:
    """What `distill` gives back.

    Attributes:
        student: the caller's own module, trained, in `eval()` mode, on the device it came on.
        report: metrics against a matched control, and costs; print it.
        teacher: as it was in the end: the caller's own module where it was kept, else a trained copy.
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
        training: all settings at once; those above are put in its place where they are given.
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
    where, kind, further = find_device(device), find(method), own_metrics(metrics)
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
    with on_device(where, student, teacher), torch.random.fork_rng([where] if where.type == "cuda" else []):
        # Loaders and random transforms draw from the global generator too.
        data = training_data(train)
        held_out = checked(collected(validation, "validation"), "validation").to(where)
        if augment is not None and not isinstance(data, Batch):
            raise UsageError(
                "augment is for a Batch, or a Dataset that gives the same each time: views of a DataLoader, or of a "
                "Dataset with random views, are its own"
            )
        torch.manual_seed(seed)
        sample = data if isinstance(data, Batch) else LoaderFeed(data, where)(0)
        for part in (sample.to(where), held_out):
            check_players({"student": student, "teacher": teacher}, part)
        kept = is_trained(teacher, held_out) if teacher_trained is None else teacher_trained
        keeps = kept and (teacher_lr is None or "teacher" not in kind.trains)
        players = build_players(kind, student, teacher, discriminator, keep_teacher=keeps, device=where)
        check_players(players, held_out)
        if steps is None and training is None:
            settings = replace(settings, steps=_thirty_passes(data, settings.batch))
        data = data.to(where) if isinstance(data, Batch) else data

        def measured(role: str, module: nn.Module) -> dict[str, float]:
            logits = logits_of(module, held_out, role="teacher" if role.startswith("teacher") else "student")
            targets = held_out.targets
            return {"accuracy": accuracy(logits, targets), **evaluated(further, logits, targets)}

        shared: dict[str, Any] = {"seed": seed, "augment": augment}
        bars = training_bars() if progress else nullcontext(unseen)
        with bars as shown:
            shared["execution"] = Execution(where, progress=shown)
            trainer = Trainer(
                method,
                players,
                data,
                settings,
                hyper=hyper,
                trained=("teacher",) if kept else (),
                frozen=("teacher",) if keeps else (),
                measure=lambda: measured("student", players["student"]),
                **shared,
            )
            home = None if folder is None else Path(folder)
            if home is not None:
                identity = {
                    "method": trainer.name,
                    "hyper": {**hyperparameters(kind), **(hyper or {})},
                    "seed": seed,
                }
                identity |= {"training": asdict(settings), "augment": _called(augment)}
                identity["data"] = [_fingerprint(part) for part in (data, held_out)]
                # A network that was drawn is another one each time a program is started; one that was trained is not.
                identity["teacher"] = _digest(teacher.state_dict().values()) if kept else None
                identity["parameters"] = {
                    role: sum(p.numel() for p in module.parameters()) for role, module in players.items()
                }
                bind_folder(home, "distill.json", _plain(identity))
            beside = copy.deepcopy(student) if control and name_of(method) != CONTROL else None
            before = measured("teacher before", players["teacher"]) if kept and not keeps else None
            with nullcontext() if home is None else locked(home):
                trained = trainer.train(lambda what: _within(home, what, trainer))
                seconds = {what: value for what, value in trained.seconds.items() if what == trainer.name}
                seconds |= {
                    f"{what} pretraining": value
                    for what, value in trained.seconds.items()
                    if what != trainer.name
                }
                if beside is not None:
                    alone = Trainer(CONTROL, {"student": beside}, data, settings, **shared)
                    seconds["control"] = alone.train(lambda what: home / "control" if home else None).seconds[
                        CONTROL
                    ]
        found = {"student": measured("student", student)}
        costs = {"student": cost(student, held_out)}
        if beside is not None:
            found["control"] = measured("control", beside.eval())
        if "teacher" in kind.roles:
            found |= {"teacher before": before} if before is not None else {}
            found["teacher"] = measured("teacher", players["teacher"])
            costs["teacher"] = cost(players["teacher"], held_out, role="teacher")
    report = Report(trainer.name, found, costs, settings.steps, seconds, kept)
    return Result(student.eval(), report, players["teacher"].eval(), beside, trained.history)


def _within(home: Path | None, what: str, trainer: Trainer) -> Path | None:
    if home is None:
        return None
    return home / (what.rpartition(":")[2] if what == trainer.name else f"{what}-pretraining")


def _called(value: object) -> str | None:
    return None if value is None else str(getattr(value, "__qualname__", type(value).__qualname__))


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON holds it: functions of one's own by their names."""
    hyper = {name: _called(value) if callable(value) else value for name, value in identity["hyper"].items()}
    return {**identity, "hyper": hyper}


def _fingerprint(data: Batch | DataLoader[Any]) -> str | None:
    """What tells data from others of the same form: a hash of tensors; None for what may differ at every look."""
    if not isinstance(data, Batch):
        return None
    return _digest(part for part in (data.inputs, data.targets, data.privileged) if part is not None)


def _digest(tensors: Iterable[Tensor]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _thirty_passes(data: Batch | DataLoader[Any], batch: int) -> int:
    """Updates in thirty passes, at least 3,000 and at most 20,000; the most where a stream has no length."""
    try:
        passes = 30 * len(data) // (batch if isinstance(data, Batch | Unbatched) else 1)
    except TypeError:
        return 20_000
    return min(max(passes, 3000), 20_000)
