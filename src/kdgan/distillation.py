"""The one call: a student of one's own, trained with a teacher of one's own."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.own import Data, LoaderFeed, Unbatched, checked, collected, make_feed, training_data
from kdgan.data.seeds import mixed
from kdgan.errors import UsageError
from kdgan.files import held
from kdgan.losses import cross_entropy
from kdgan.methods import METHODS, Method, Optimization, create, find, hyperparameters, pretraining
from kdgan.ship.cost import Cost, cost
from kdgan.training.check import check_players
from kdgan.training.config import claim
from kdgan.training.devices import find_device, precision_on
from kdgan.training.display import training_bars
from kdgan.training.evaluate import accuracy, logits_of
from kdgan.training.loop import Loop
from kdgan.tasks.run import Progress, unseen


@dataclass(frozen=True, slots=True)
class Report:
    """What was gained and what it costs.

    Attributes:
        method: its name.
        accuracy: per cent of validation data, by `student`, `control` and `teacher`, as far as there are such.
        costs: of the student and, where there is one, the teacher.
        updates: of the student, and of the control alike.
        seconds: of training each of the players.
        teacher_kept: whether the teacher was found trained, and so not trained on the labels first.
    """

    method: str
    accuracy: Mapping[str, float]
    costs: Mapping[str, Cost]
    updates: int
    seconds: Mapping[str, float]
    teacher_kept: bool

    def __str__(self) -> str:
        """A table for people."""
        lines = [f"{'':22}{'accuracy':>10}{'parameters':>13}{'MiB':>9}{'MFLOPs':>10}{'ms':>9}"]
        names = {
            "student": f"student ({self.method})",
            "control": "control (no teacher)",
            "teacher": "teacher",
        }
        for role, value in self.accuracy.items():
            c = self.costs["student" if role == "control" else role]
            numbers = (
                f"{c.parameters:>13,}{c.bytes / 2**20:>9.2f}{c.flops / 1e6:>10.2f}{c.milliseconds:>9.3f}"
            )
            lines.append(f"{names[role]:22}{value:>8.2f} %{numbers}")
        lines.append(
            f"Validation data; one instance at a time; {self.updates:,} updates of student and control alike."
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Result:
    """What `distill` gives back.

    Attributes:
        student: the caller's own module, trained, in `eval()` mode, on the device it came on.
        report: accuracy against a matched control, and costs; print it.
        teacher: as it was in the end: the caller's own module where it was kept, else a trained copy.
        control: a copy of the student trained without a teacher, or None.
        history: accuracy on validation data and losses over the student's updates.
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
    method: str = "kdgan",
    discriminator: nn.Module | None = None,
    steps: int | None = None,
    batch: int = 64,
    lr: float = 2e-3,
    hyper: Mapping[str, Any] | None = None,
    interval: int = 1,
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
        teacher: never changed. A trained one is kept as it is by distn, mimic and noisy, and is where codis
            and kdgan start from; an untrained one is first trained on the labels (a copy of it).
        train: a `kdgan.Batch` of all instances, a tuple of tensors, a Dataset or a DataLoader of (inputs, targets)
            or (inputs, targets, privileged). Datasets are kept as tensors on the device where they fit and give
            the same views in every pass.
        validation: the same; for the report and the history, nothing is trained or chosen by it.
        method: distn, mimic, noisy, codis, codis3, nagan or kdgan; supervised trains without the teacher.
        discriminator: for nagan and kdgan; a freshly initialised copy of the teacher's form by default.
        steps: updates of the student. Default: 30 passes, at least 3,000 and at most 20,000.
        batch: instances per update; a DataLoader has its own.
        lr: highest learning rate of what is trained.
        hyper: hyperparameters of the method, see `kdgan.methods.hyperparameters`.
        interval: a teacher that goes on learning, and the discriminator, learn in the first of so many updates: with 4
            or 8, codis takes about a quarter more time than mimic, kdgan half to four fifths more.
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
    where = find_device(device)
    find(method)
    for name, number in (("steps", steps), ("batch", batch)):
        if number is not None and number < 1:
            raise UsageError(f"{name} must be at least 1, not {number}")
    with _on(where, student, teacher), torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        # Loaders and random transforms draw from the global generator too.
        data = training_data(train)
        held_out = checked(collected(validation, "validation"), "validation").to(where)
        torch.manual_seed(seed)
        sample = data if isinstance(data, Batch) else LoaderFeed(data, where)(0)
        for part in (sample.to(where), held_out):
            check_players({"student": student, "teacher": teacher}, part)
        kept = is_trained(teacher, held_out) if teacher_trained is None else teacher_trained
        players = _cast(method, student, teacher, discriminator, kept=kept, device=where)
        check_players(players, held_out)
        steps = _thirty_passes(data, batch) if steps is None else steps
        # Made once here so that wrong hyperparameters are found before anything is written.
        create(method, players, hyper, optimization=Optimization(lr=lr), seed=seed, interval=interval)
        if augment is not None and not isinstance(data, Batch):
            raise UsageError(
                "augment is for a Batch, or a Dataset that gives the same each time: views of a DataLoader, or of a "
                "Dataset with random views, are its own"
            )
        trainer = _Trainer(
            data, held_out, where, batch, lr, interval, augment, seed, Path(folder) if folder else None
        )
        if trainer.folder is not None:
            settings = {"method": method, "steps": steps, "batch": batch, "lr": lr, "seed": seed}
            settings["interval"] = interval
            settings["data"] = [_fingerprint(part) for part in (data, held_out)]
            # A network that was drawn is another one each time a program is started; one that was trained is not.
            settings["teacher"] = _fingerprint_of(teacher) if kept else None
            settings["augment"] = (
                None if augment is None else getattr(augment, "__qualname__", type(augment).__qualname__)
            )
            sizes = {role: sum(p.numel() for p in module.parameters()) for role, module in players.items()}
            claim(
                trainer.folder,
                "distill.json",
                {**settings, "hyper": {**hyperparameters(method), **(hyper or {})}, "parameters": sizes},
            )
        beside = copy.deepcopy(student) if control and method != "supervised" else None
        with training_bars() if progress else nullcontext(unseen) as bars:
            trainer.bars = bars
            trained = {"teacher"} if kept else set[str]()
            history = trainer.play(method, players, steps, hyper or {}, trained=trained)
            if beside is not None:
                trainer.play("supervised", {"student": beside}, steps, {}, trained=set(), name="control")
        accuracies, costs = _measured(method, players, beside, held_out)
    report = Report(method, accuracies, costs, steps, trainer.seconds, kept)
    return Result(student.eval(), report, players["teacher"].eval(), beside, history)


def _cast(
    method: str,
    student: nn.Module,
    teacher: nn.Module,
    discriminator: nn.Module | None,
    *,
    kept: bool,
    device: torch.device,
) -> dict[str, nn.Module]:
    """The players by role: the caller's student and a teacher that may be changed, and those the method adds."""
    kind = METHODS[method]
    frozen = kept and "teacher" not in kind.trains
    players = {"student": student, "teacher": teacher if frozen else copy.deepcopy(teacher)}
    for role in kind.roles:
        if role == "discriminator":
            players[role] = (discriminator or fresh(teacher)).to(device)
        elif role not in players:
            players[role] = fresh(teacher).to(device)
    return players


def _measured(
    method: str, players: Mapping[str, nn.Module], beside: nn.Module | None, validation: Batch
) -> tuple[dict[str, float], dict[str, Cost]]:
    """Accuracies in % and costs at inference, by role."""
    accuracies = {"student": accuracy(players["student"], validation)}
    costs = {"student": cost(players["student"], validation)}
    if beside is not None:
        accuracies["control"] = accuracy(beside.eval(), validation)
    if "teacher" in METHODS[method].roles:
        accuracies["teacher"] = accuracy(players["teacher"], validation, role="teacher")
        costs["teacher"] = cost(players["teacher"], validation, role="teacher")
    return accuracies, costs


def _fingerprint(data: Batch | DataLoader[Any]) -> str | None:
    """What tells data from others of the same form: a hash of tensors; None for what may differ at every look."""
    if not isinstance(data, Batch):
        return None
    found = hashlib.blake2b(digest_size=8)
    for tensor in (data.inputs, data.targets, data.privileged):
        if tensor is not None:
            found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _fingerprint_of(module: nn.Module) -> str:
    found = hashlib.blake2b(digest_size=8)
    for tensor in module.state_dict().values():
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _thirty_passes(data: Batch | DataLoader[Any], batch: int) -> int:
    """Updates in thirty passes, at least 3,000 and at most 20,000; the most where a stream has no length."""
    try:
        passes = 30 * len(data) // (batch if isinstance(data, Batch | Unbatched) else 1)
    except TypeError:
        return 20_000
    return min(max(passes, 3000), 20_000)


class _Trainer:
    """Runs loops one after the other on the same data."""

    def __init__(
        self,
        data: Batch | DataLoader[Any],
        validation: Batch,
        device: torch.device,
        batch: int,
        lr: float,
        interval: int,
        augment: Augmentation | None,
        seed: int,
        folder: Path | None,
    ) -> None:
        self.data, self.validation, self.device, self.batch = data, validation, device, batch
        self.lr, self.interval, self.augment, self.seed, self.folder = lr, interval, augment, seed, folder
        self.bars: Progress = unseen
        self.seconds: dict[str, float] = {}

    def play(
        self,
        method: str,
        players: dict[str, nn.Module],
        steps: int,
        hyper: Mapping[str, Any],
        *,
        trained: set[str],
        name: str | None = None,
    ) -> list[dict[str, Any]]:
        """Pretrains those players that need it and are not `trained`, then trains with the method."""
        before = 0
        history: list[dict[str, Any]] = []
        optimization = Optimization(lr=self.lr)
        for role in METHODS[method].pretrained:
            if role in trained:
                continue
            first = round(steps * METHODS[method].student_pretraining) if role == "student" else steps
            if not first:
                continue
            learning = pretraining(
                role, players[role], optimization=optimization, smoothing=0.0, seed=self.seed
            )
            history += self.run(f"{role} pretraining", learning, first, watch=role)
            before += first if role == "student" else 0
        chosen = {role: players[role] for role in METHODS[method].roles}
        learning = create(
            method, chosen, hyper, optimization=optimization, seed=self.seed, interval=self.interval
        )
        rest = self.run(name or method, learning, steps - before, offset=before, watch="student")
        return [*(r for r in history if "accuracy" in r), *({**r, "step": r["step"] + before} for r in rest)]

    def run(
        self, name: str, method: Method, steps: int, *, watch: str, offset: int = 0
    ) -> list[dict[str, Any]]:
        """One loop; gives its history."""
        data = self.data
        teacher = method.players.get("teacher")
        if isinstance(data, Batch) and self.augment is None and teacher is not None and not teacher.learns:
            on_device = data.to(self.device)
            logits = logits_of(teacher.module, on_device, role="teacher")
            data = Batch(on_device.inputs, on_device.targets, on_device.privileged, logits)
        seed = self.seed if watch == "student" else mixed(self.seed, watch)
        feed = make_feed(data, self.batch, seed=seed, device=self.device, augment=self.augment)
        loop = Loop(
            method,
            lambda step: feed(step + offset),
            steps,
            self.device,
            None if self.folder is None else self.folder / name.replace(" ", "-"),
            bfloat16=precision_on(self.device) == "bfloat16",
            progress=lambda done: self.bars(name, done, steps),
        )
        if watch == "student":
            loop.evaluate = lambda: {"accuracy": accuracy(method.student.module, self.validation)}
        with nullcontext() if self.folder is None else held(self.folder):
            loop.run()
        self.seconds[name] = loop.seconds
        return loop.history


def is_trained(teacher: nn.Module, validation: Batch) -> bool:
    """Whether a teacher knows more of the validation labels than how frequent each is.

    It does if its mean log-loss is clearly below the entropy of the labels, or, for a teacher that is too sure
    of itself, if it is right far more often than the most frequent label.
    """
    logits = logits_of(teacher, validation, role="teacher")
    targets = validation.targets
    weights = (
        targets.float() if targets.ndim == 2 else nn.functional.one_hot(targets, logits.shape[1]).float()
    )
    share = weights.mean(0)
    entropy = -(share * share.clamp_min(1e-12).log()).sum().item()
    loss = cross_entropy(logits, targets).mean().item()
    right, most = accuracy(teacher, validation, role="teacher") / 100, share.max().item()
    return loss < 0.9 * entropy or right > most + (1 - most) / 2


def fresh(module: nn.Module) -> nn.Module:
    """A copy with new initial weights: by each layer's `reset_parameters`, and as a linear layer's elsewhere."""
    made = copy.deepcopy(module)
    reset: set[int] = set()
    for layer in made.modules():
        if callable(getattr(layer, "reset_parameters", None)):
            layer.reset_parameters()  # type: ignore[operator]
            reset.update(id(parameter) for parameter in layer.parameters(recurse=False))
    for parameter in made.parameters():
        parameter.requires_grad_(True)
        if id(parameter) not in reset and parameter.ndim > 1:
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5))
    return made.train()


@contextmanager
def _on(device: torch.device, *modules: nn.Module) -> Iterator[None]:
    """The modules on the device while the block lasts, and back where they were after it."""
    homes = [next((p.device for p in module.parameters()), device) for module in modules]
    for module in modules:
        module.to(device)
    try:
        yield
    finally:
        for module, home in zip(modules, homes, strict=True):
            module.to(home)
