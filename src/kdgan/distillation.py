"""The one call: a student of one's own, trained with a teacher of one's own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from kdgan.data.augment import Augmentation
from kdgan.data.own import Data, held_out, updates_in
from kdgan.data.seeds import seeded
from kdgan.errors import UsageError, wrong
from kdgan.methods import CONTROL, Method, check_hyperparameters, find, name_of
from kdgan.methods.optimizers import OptimizerFactory, SchedulerFactory, factories_by_role
from kdgan.ship.report import Report
from kdgan.tasks.judging import Judge, check_choice
from kdgan.tasks.metrics import Metric, majority, own_metrics
from kdgan.tasks.own import OwnTask
from kdgan.training.callbacks import Callback, as_one
from kdgan.training.check import check_choices, check_modules, check_players
from kdgan.training.choice import Choice
from kdgan.training.config import Training, plain_number, whole_number, whole_seed
from kdgan.training.devices import find_device, precision_on
from kdgan.training.display import Shown, training_bars
from kdgan.training.execution import Execution
from kdgan.training.home import Home, described
from kdgan.training.players import build_players, copied, on_device
from kdgan.training.trainer import Own, Trained, Trainer

DEFAULT, DEFAULT_FOR_KEPT = "kdgan", "distn"
"""The methods of a call that names none: with a teacher that is trained here, and with a trained one that is kept."""


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
    method: str | type[Method] | None = None,
    discriminator: nn.Module | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    teacher_lr: float | None = None,
    teacher_every: int | None = None,
    training: Training | None = None,
    optimizers: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
    schedulers: SchedulerFactory | Mapping[str, SchedulerFactory] | None = None,
    hyper: Mapping[str, Any] | None = None,
    test: Data | None = None,
    keep: Literal["last", "best"] = "last",
    patience: int | None = None,
    evaluations: int | None = None,
    eval_batch: int | None = None,
    on_evaluation: Callback | Iterable[Callback] | None = None,
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
            the same views in every pass. What a DataLoader, or a Dataset with random views, draws from torch, numpy or
            random depends on `seed` and the pass alone: the control sees the same.
        validation: the same; for the report and the history, nothing is trained by it, and nothing is chosen by it
            unless `keep` or `patience` says so. Where it is large, evaluations on the way look at a part of it, the
            same each time, and the last at all of it: all on the way cost about 2 % of training. It may lack privileged
            information, which exists for training alone: then the teacher is not judged.
        method: distn, mimic, noisy, codis, codis3, nagan or kdgan, or a subclass of `kdgan.methods.Method`; supervised
            trains without the teacher. Default: kdgan, or distn where nothing is given but a trained teacher: it is
            kept as it is, and a game in which it cannot learn is no better (docs/findings.md).
        discriminator: for nagan and kdgan; a freshly initialised copy of the teacher's form by default.
        steps: updates of the student. Default: 30 passes, at least 3,000 and at most 20,000.
        epochs: passes, in place of steps: updates that see so many times as many examples as there are, those without
            labels counted.
        batch: examples per update, see `kdgan.training.Training`; a DataLoader has its own.
        lr: highest learning rate of what is trained.
        teacher_lr: that of a teacher that goes on learning.
        teacher_every: a teacher that goes on learning, and the discriminator, learn in the first of so many updates:
            with 4 or 8, codis takes about a quarter more time than mimic, kdgan half to four fifths more.
        training: all settings at once; those above are put in its place where they are given. Its own `teacher_lr` is
            for a teacher that is trained here: a trained one goes on learning only by the argument above.
        optimizers: a function that makes an optimizer of a list of parameters, for all players or by role (`student`,
            which is the control's, too, `teacher`, `peer`, `discriminator`); in groups, if it likes. It keeps the rates
            that it is made with, whatever `lr` and the schedule say, unless a scheduler changes them. A trained teacher
            goes on learning where one is given for its role, as with `teacher_lr`. Default: AdamW.
        schedulers: a function that makes a learning rate scheduler of an optimizer, for all players or by role; it is
            stepped after each step of its player. A player that is trained on the labels first has another for that.
            Default: a linear rise over a tenth of all updates, then a cosine to 0.
        hyper: hyperparameters of the method, see `kdgan.methods.hyperparameters`; a distillation loss may be a function
            of two logits `(B, K)` that gives one value per example `(B,)`.
        test: data like validation that the report is of; then validation only watches and chooses.
        keep: `best` gives student and control as each was at the evaluation with the best first metric on validation.
            The report is then of `test` or, without it, of a half of validation that chose nothing, drawn by the seed
            with its share of each class. `last`, the default, chooses nothing.
        patience: evaluations without a better first metric after which student and control, each by itself, end their
            training; it chooses as `keep` does, so that the report is of data apart. None: they have all updates.
        evaluations: of the student on its way. Default: as in `training`; where a student is chosen, fewer if they
            would cost more than 2 % of training, but at least 10.
        eval_batch: examples per forward pass in evaluations. Default: at most 1,000, fewer where they are large.
        on_evaluation: called with a `kdgan.training.callbacks.Evaluation` after each evaluation of student and control,
            one or several; there are ready ones for TensorBoard, MLflow and Weights & Biases. A call that goes on in
            its folder tells again of evaluations after its last checkpoint.
        metrics: to be measured beside accuracy: functions of logits `(N, K)` and targets, by name.
        augment: other views of a batch of inputs, such as `kdgan.data.AffineElastic`; for all players alike.
        teacher_trained: whether the teacher is trained; by default its predictions on validation data tell, or on
            training data where validation lacks what it looks at.
        control: whether to train the control, a copy of the student, as long as the student.
        seed: of order, views and samples; from 0 to 2**63 - 1.
        device: `auto`, `cpu`, `cuda`.
        folder: where checkpoints go, so that the same call continues after a stop, with the same bits; None keeps
            nothing. A DataLoader is known by what it gives, so that a pass of it is read before training.
        progress: show bars with the time left on a terminal or in a notebook and, where stderr is neither, a line every
            ten seconds.

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
    kind = find(DEFAULT if method is None else method)
    own, home = own_metrics(metrics, ["accuracy"]), Home(folder)
    check_choices(augment, control=control, progress=progress, teacher_trained=teacher_trained)
    seed, hyper = whole_seed(seed), _plain_hyper(kind, hyper)
    # What is wrong with the settings is found before the data are read.
    if steps is not None and epochs is not None:
        raise wrong(f"steps={steps!r:.60} and epochs={epochs!r:.60} both say how long: give one of them")
    epochs, eval_batch = whole_number("epochs", epochs), whole_number("eval_batch", eval_batch)
    patience = check_choice(keep, patience)
    settings = _settings(
        training,
        where,
        steps=steps,
        batch=batch,
        lr=lr,
        teacher_lr=teacher_lr,
        teacher_every=teacher_every,
        evaluations=evaluations,
    )
    by_role = factories_by_role(optimizers, "optimizers"), factories_by_role(schedulers, "schedulers")
    told = as_one(on_evaluation)
    goes_on = teacher_lr is not None or (isinstance(optimizers, Mapping) and "teacher" in optimizers)
    modules = {"student": student, "teacher": teacher}
    if discriminator is not None and "discriminator" in kind.roles:
        modules["discriminator"] = discriminator
    check_modules(modules)
    with _apart(where, seed, modules), training_bars() if progress else nullcontext(Shown()) as shown:
        task = OwnTask.read(
            train, validation, modules, own, where, size=settings.batch, seed=seed, augment=augment,
            eval_batch=eval_batch,
        )  # fmt: skip
        apart = None
        if test is not None:
            with seeded(seed % 2**32, where):
                apart = task.judged(held_out(test, "test", seed=seed), where)
            task.check_judged(modules, apart)
        began = time.perf_counter()
        trained = task.is_trained(teacher) if teacher_trained is None else bool(teacher_trained)
        looked = time.perf_counter() - began
        if method is None:
            kept = trained and not goes_on and discriminator is None and not hyper
            method = DEFAULT_FOR_KEPT if kept else DEFAULT
            kind = find(method)
        frozen = trained and (not goes_on or "teacher" not in kind.trains)
        players = build_players(kind, student, teacher, discriminator, keep_teacher=frozen, device=where)
        check_players(players, task.sample, "train")
        if epochs is not None:
            settings = replace(settings, steps=_updates_of(epochs, task, settings.batch))
        elif steps is None and training is None:
            passes = updates_in(30, task.train, settings.batch)
            settings = replace(settings, steps=min(max(passes, 3000), 20_000))
        chooses = keep == "best" or patience is not None
        judge = Judge.of(
            task, settings, seed=seed, chooses=chooses, given=evaluations is not None, test=apart
        )
        judge.seconds += looked
        settings = replace(settings, evaluations=judge.evaluations)
        choice = Choice("accuracy", keep=keep == "best", patience=patience) if chooses else None
        shared = {
            "seed": seed,
            "augment": augment,
            "execution": Execution(where, progress=shown),
            "own": Own(*by_role, told, shown.evaluated),
            "choice": choice,
        }
        call = _Call(task, judge, settings, home, shared)
        trainer = call.trainer(method, players, hyper, trained=trained, frozen=frozen)
        if trained and "teacher" in kind.roles:
            judge.measured("teacher before", teacher)  # while it is
        done, beside, alone = call.train(
            trainer, hyper, control=control and name_of(method) != CONTROL, trained=trained
        )
        report = call.report(trainer, (done, alone), beside, trained=trained, frozen=frozen)
    taught = players["teacher"]
    for module, like in ((taught, teacher), (beside, student)):
        if module is not None:  # back where the caller's own are
            module.to(next((p.device for p in like.parameters()), where))
    return Result(
        student.eval(), report, taught if taught is teacher else taught.eval(), beside, done.history
    )


@dataclass(frozen=True, slots=True)
class _Call:
    """A call whose data are read and whose settings are known.

    Attributes:
        task: the data.
        judge: how players are judged.
        settings: of training.
        home: where it is kept.
        shared: what student and control are trained with alike.
    """

    task: OwnTask
    judge: Judge
    settings: Training
    home: Home
    shared: Mapping[str, Any]

    def trainer(
        self,
        method: str | type[Method],
        players: Mapping[str, nn.Module],
        hyper: Mapping[str, Any],
        *,
        trained: bool,
        frozen: bool,
    ) -> Trainer:
        """The trainer of the method; the teacher is trained already, and kept as it is, or not."""
        made = Trainer(
            method,
            players,
            self.task.train,
            self.settings,
            hyper=hyper,
            trained=("teacher",) if trained else (),
            frozen=("teacher",) if frozen else (),
            **self.looks("student", players["student"]),
            **self.shared,
        )
        self.task.check_last_batch(made.method)
        return made

    def looks(self, role: str, module: nn.Module) -> dict[str, Any]:
        """How a student, or its control, is looked at on its way."""
        return {
            "measure": lambda: self.judge.on_the_way(role, module),
            "measure_last": lambda: self.judge.at_last(role, module),
            "called": role,
        }

    def train(
        self, trainer: Trainer, hyper: Mapping[str, Any], *, control: bool, trained: bool
    ) -> tuple[Trained, nn.Module | None, Trained | None]:
        """Trains the student with its method and then, where it is asked for, a copy of it alone."""
        student = trainer.modules["student"]

        def told() -> dict[str, Any]:
            return described(
                trainer,
                self.task.validation,
                hyper=hyper,
                metrics=self.task.metrics,
                trained=[
                    role
                    for role, module in trainer.modules.items()
                    if role != "discriminator"
                    and (trained if role == "teacher" else self.task.is_trained(module, role))
                ],
            )

        alone = None
        with self.home.open(told, student):
            beside = copied(student, "student", "give control=False") if control else None
            done = trainer.train(self.home.places(trainer.name, "student"))
            seconds = {
                what if what == trainer.name else f"{what} pretraining": value
                for what, value in done.seconds.items()
            }
            if beside is not None:
                as_long = replace(self.settings, steps=trainer.planned)
                # Nobody looks at its way, unless it is chosen on it, or someone is told.
                looks = self.looks("control", beside) if self.is_watched else {}
                other = Trainer(
                    CONTROL, {"student": beside}, self.task.train, as_long, **looks, **self.shared
                )
                alone = other.train(self.home.places(CONTROL, "control"))
                seconds["control"] = alone.seconds[CONTROL]
                beside.eval()
        return replace(done, seconds=seconds), beside, alone

    @property
    def is_watched(self) -> bool:
        """Whether evaluations are for more than the history of the student."""
        return self.shared["choice"] is not None or self.shared["own"].on_evaluation is not None

    def report(
        self,
        trainer: Trainer,
        done: tuple[Trained, Trained | None],
        beside: nn.Module | None,
        *,
        trained: bool,
        frozen: bool,
    ) -> Report:
        """What students, and a teacher where there is one, can do and cost."""
        modules = {"student": trainer.modules["student"]}
        if beside is not None:
            modules["control"] = beside
        if "teacher" in trainer.kind.roles:
            modules["teacher"] = trainer.modules["teacher"]
        metrics = {}
        for role, module in modules.items():
            before = self.judge.measured("teacher before", module) if role == "teacher" and trained else None
            if before is not None and not frozen:
                metrics["teacher before"] = before
            found = before if frozen and before is not None else self.judge.measured(role, module)
            if found is not None:
                metrics[role] = found
        runs = {role: run for role, run in zip(("student", "control"), done, strict=True) if run is not None}
        return Report(
            trainer.name,
            metrics,
            {role: self.task.cost(role, module) for role, module in modules.items() if role != "control"},
            done[0].updates,
            done[0].seconds,
            trained,
            majority(self.judge.report.targets),
            evaluation_seconds=self.judge.seconds + sum(run.evaluation_seconds for run in runs.values()),
            data=self.judge.name,
            chosen={role: run.best for role, run in runs.items() if run.best is not None},
            ended={role: run.updates for role, run in runs.items() if run.updates < trainer.planned},
        )


@contextmanager
def _apart(device: torch.device, seed: int, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Players on the device and everything seeded for the block, whatever the caller was at; then as it was before."""
    modes = [(part, part.training) for part in modules["teacher"].modules()]
    # Loaders, random transforms and layers draw from global generators too.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        on_device(device, *modules.values()),
        seeded(seed % 2**32, device),
    ):
        try:
            yield
        finally:
            for part, mode in modes:
                part.training = mode


def _settings(training: Training | None, device: torch.device, **named: Any) -> Training:
    """All settings, those that are given by name in the place of the others."""
    if training is not None and not isinstance(training, Training):
        raise wrong(f"training must be a kdgan.Training, not {type(training).__name__}")
    given = {name: value for name, value in named.items() if value is not None}
    return replace(training or Training(precision=precision_on(device)), **given)


def _updates_of(epochs: int, task: OwnTask, batch: int) -> int:
    """Updates that see so many times as many examples as there are."""
    updates = updates_in(epochs, task.train, batch)
    if updates >= 2**31:
        raise UsageError("train has no length, so that nobody knows how long an epoch is: give steps")
    return max(1, updates)


def _plain_hyper(kind: type[Method], hyper: Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(hyper, Mapping):
        hyper = {name: plain_number(value) for name, value in hyper.items()}
    check_hyperparameters(kind, {} if hyper is None else hyper)
    return dict(hyper or {})
