"""The one call: a student of one's own, trained with a teacher of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from kdgan.data.augment import Augmentation
from kdgan.data.own import Data, Inputs
from kdgan.losses import FeatureLoss, Loss
from kdgan.methods import Method
from kdgan.methods.optimizers import OptimizerFactory, SchedulerFactory, factories_by_role
from kdgan.methods.sharing import shared_by
from kdgan.ship.report import Report
from kdgan.ship.student import Student
from kdgan.tasks.call import Call
from kdgan.tasks.given import Given
from kdgan.tasks.judging import check_choice
from kdgan.tasks.metrics import Metric
from kdgan.tasks.teachers import Teacher, as_teacher
from kdgan.tasks.wanted import Wanted, features_of
from kdgan.training.callbacks import Callback, as_one
from kdgan.training.check import check_choices
from kdgan.training.class_map import ClassMap
from kdgan.training.config import Training, whole_seed
from kdgan.training.devices import find_device
from kdgan.training.display import Shown, training_bars
from kdgan.training.execution import Execution
from kdgan.training.faces import networks
from kdgan.training.home import Home
from kdgan.training.launch import check_unwrapped, devices_of
from kdgan.training.players import apart, returned
from kdgan.training.trainer import Own


@dataclass(frozen=True, slots=True)
class Result:
    """The result of `distill`.

    Attributes:
        student: the caller's own module, trained, in `eval()` mode, on the device it came on.
        report: metrics against a matched control, and costs; print it.
        teacher: as it was in the end: the caller's own module, as it came, where it was kept, else a trained copy.
        control: a copy of the student trained without a teacher, or None.
        history: metrics on validation data and losses over the student's updates.
        plain: the student as it predicts, with numbers for the names of classes; see `as_student`.
    """

    student: nn.Module
    report: Report
    teacher: Any
    control: nn.Module | None
    history: list[dict[str, Any]]
    plain: Student

    def as_student(
        self, labels: Sequence[str] | None = None, *, make: Callable[[], nn.Module] | str | None = None
    ) -> Student:
        """The student as it predicts and is saved: `kdgan.load` brings it back.

        Args:
            labels: names of the classes, or of the labels; of a binary task those of 0 and 1. Numbers by default.
            make: what makes a fresh module without arguments, or its import path `module:name`, which goes into the
                file: whoever trusts that (`kdgan.load(path, trust=True)`) needs to pass no module.

        Raises:
            UsageError: for names that are too many, too few or equal, and for what cannot be imported elsewhere.
        """
        return self.plain.named(labels).made_by(make)

    def save(
        self,
        path: Path | str,
        labels: Sequence[str] | None = None,
        *,
        make: Callable[[], nn.Module] | str | None = None,
    ) -> None:
        """Writes the student, see `as_student`, to one safetensors file, whole or not at all.

        Raises:
            UsageError: as `as_student`, or if the file cannot be written.
        """
        self.as_student(labels, make=make).save(path)


def distill(
    student: nn.Module,
    teacher: Teacher | None,
    train: Data,
    validation: Data,
    *,
    teacher_gives: Literal["logits", "probabilities"] = "logits",
    teacher_sees: Literal["both", "inputs", "privileged"] = "both",
    teacher_classes: ClassMap | None = None,
    unlabelled: Inputs | None = None,
    method: str | type[Method] | None = None,
    discriminator: nn.Module | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    teacher_lr: float | None = None,
    teacher_every: int | None = None,
    labelled_share: float | None = None,
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
    task: str = "auto",
    loss: Loss | None = None,
    class_weights: Tensor | Sequence[float] | str | None = None,
    label_smoothing: float = 0.0,
    metrics: Iterable[str | Metric] | Mapping[str, Metric] = (),
    augment: Augmentation | None = None,
    features: Mapping[str, str] | None = None,
    feature_loss: FeatureLoss = "hint",
    feature_weight: float = 1.0,
    teacher_trained: bool | None = None,
    control: bool = True,
    seed: int = 0,
    device: str = "auto",
    fabric: Any = None,
    folder: Path | str | None = None,
    progress: bool = True,
) -> Result:
    """Trains `student` with the help of `teacher`, and beside it a control without one.

    Student, teacher and discriminator are any modules that give logits `(B, K)`, or an object or mapping that holds
    such as `logits`. The student is called with inputs: `module(x)`, `module(*x)` or `module(**x)` as they are a
    tensor, a tuple or a mapping. The others are called with inputs or, where the data have privileged information,
    inputs and privileged: `module(x, known)`, `module(*x, known)` or, by name, `module(**x, privileged=known)`.

    Args:
        student: trained in place.
        teacher: never changed. A trained module is kept as it is, unless `teacher_lr` is given: then a copy of it goes
            on learning in the methods whose teacher does. An untrained one is first trained on the labels (a copy of
            it). Every other kind counts as trained, and goes with the methods whose teacher does not learn:

            - a function from inputs, called as a module would be (with arrays where the data are arrays), to logits; a
              network that it calls must be in `eval()` mode;
            - a trained estimator with `predict_proba` or `decision_function`, as scikit-learn's, called with an array
              `(N, F)` of all numbers of an example;
            - an array of logits `(N, K)` for the training examples, in their order (those of `unlabelled` after those
              of `train`), the path of a `.npy` file of such, or of a file that `kdgan.teach` wrote;
            - a list of any of these: the mean of their probabilities counts.

            Before training they are asked once about each training example, as it is before `augment`; where a Dataset
            has random views, about one of them. Without an order (an IterableDataset) they are asked about each batch.

            None where the method trains without: supervised, selftrain, or nagan with a discriminator of your own.
        teacher_gives: `probabilities` where functions or arrays give such: they become logits, see
            `kdgan.training.answers.SMOOTHING`.
        teacher_sees: what the teacher is called with where there is privileged information: `privileged` alone, too,
            for a teacher with another tokeniser or a higher resolution.
        teacher_classes: for a teacher of other classes the student's class for each of them, by its own (a mapping) or
            in their order; None for those that have no counterpart. What several weigh adds up.
        train: a `kdgan.Batch` of all examples, a tuple (inputs, targets) or (inputs, targets, privileged), a mapping
            that names its targets, a list of such examples, a Dataset or a DataLoader, see `kdgan.data.own.Data`. An
            example may lack a label (-1, None, or a row of NaN); in a DataLoader it stays in its batch, whatever share
            of that has one, and a teacher that is trained here does not train itself on it, as it does on `unlabelled`.
            All may (`Batch(x, None)`) where the method can follow a trained teacher alone; then there is no control.
            Datasets are kept as tensors on the device where they fit and give the same views in every pass. What a
            DataLoader, or a Dataset with random views, draws from torch, numpy or random, also by generators that it
            holds, depends on `seed` and the pass alone: the control sees the same.
        validation: the same; for the report and the history, nothing is trained by it, and nothing is chosen by it
            unless `keep` or `patience` says so. Where it is large, evaluations on the way look at a part of it, the
            same each time, and the last at all of it: all on the way cost about 2 % of training. It may lack privileged
            information, which exists for training alone: then the teacher is not judged.
        unlabelled: examples without labels, in the same forms: inputs, or (inputs, privileged). Every method but
            supervised, the control, learns from them: whoever follows the teacher follows it on them, too.
        method: distn, mimic, noisy, codis, codis3, nagan or kdgan, or a subclass of `kdgan.methods.Method`;
            supervised and selftrain train without the teacher. Default: kdgan, or distn where nothing is given but a
            trained teacher, which is kept as it is, or where there are examples without labels: there the game is no
            better (docs/findings.md).
        discriminator: for nagan and kdgan; a freshly initialised copy of the teacher's form by default.
        steps: updates of the student. Default: 30 passes, at least 3,000 and at most 20,000.
        epochs: passes, in place of steps: updates that see so many times as many examples as there are, those without
            labels counted.
        batch: examples per update, see `kdgan.training.Training`; a DataLoader has its own.
        lr: highest learning rate of what is trained.
        teacher_lr: that of a teacher that goes on learning.
        teacher_every: a teacher that goes on learning, and the discriminator, learn in the first of so many updates:
            with 4 or 8, codis takes a tenth to a fifth more time than mimic, kdgan half to two thirds more.
        labelled_share: share of labelled examples in a batch, where there are others without labels.
        training: all settings at once; those above are put in its place where they are given. Its own `teacher_lr` is
            for a teacher that is trained here: a trained one goes on learning only by the argument above.
        optimizers: a function that makes an optimizer of a list of parameters, for all players or by role (`student`,
            which is the control's, too, `teacher`, `peer`, `discriminator`); in groups, if it likes. It keeps the rates
            that it is made with, whatever `lr` and the schedule say, unless a scheduler changes them. A trained teacher
            goes on learning where one is given for its role, as with `teacher_lr`. Default: AdamW.
        schedulers: a function that makes a learning rate scheduler of an optimizer, for all players or by role; it is
            stepped after each step of its player. A player that is trained on the labels first has another for that,
            and a teacher one more for each round of training itself (`training.round_steps` long): one of a fixed
            length must fit the longest. Default: a linear rise over a tenth of all updates, then a cosine to 0.
        hyper: hyperparameters of the method, see `kdgan.methods.hyperparameters`, and whichever of lr, teacher_lr,
            teacher_steps, teacher_every and student_pretraining it has to itself, which are not the control's; a
            distillation loss may be a function of two logits `(B, K)` that gives one value per example `(B,)`.
        test: data like validation that the report is of; then validation only watches and chooses.
        keep: `best` gives student and control as each was at the evaluation with the best first metric on validation.
            The report is then of `test` or, without it, of a half of validation that chose nothing, drawn by the seed
            with its share of each class. `last`, the default, chooses nothing.
        patience: evaluations without a better first metric after which student and control, each by itself, end their
            training; it chooses as `keep` does, so that the report is of data apart. None: they have all updates.
        evaluations: of the student on its way. Default: as in `training`; where a student is chosen, fewer if they
            would cost more than 2 % of training, but at least 10.
        eval_batch: examples per forward pass in evaluations. Default: at most 500, fewer where they are large.
        on_evaluation: called with a `kdgan.training.callbacks.Evaluation` after each evaluation of student and control,
            one or several; there are ready ones for TensorBoard, MLflow and Weights & Biases. A call that goes on in
            its folder tells again of evaluations after its last checkpoint.
        task: classes (one of K; softmax), binary (one logit, 0 or 1) or multilabel (K sigmoids, any of K labels);
            auto for what the form of the targets says: class indices `(N,)` are classes, or binary where the student
            gives one logit; rows `(N, K)` that sum to 1 weights of classes, other rows of zeros and ones labels.
        loss: a supervised loss of your own, of logits `(n, K)` and targets to one value per example `(n,)`, in the
            place of the cross entropy.
        class_weights: weights `(K,)` of the classes in the supervised loss (of labels that are on, for labels), or
            "balanced" for the inverse of how frequent each is.
        label_smoothing: share of the label that is spread evenly, in the supervised loss, in [0, 1). Without it a
            teacher that is trained here has `training.smoothing`, and the student none.
        metrics: names of ready-made ones, see `kdgan.tasks.metrics.METRICS`, and functions of logits `(N, K)` and
            targets, or such functions by name; the first is the one that counts. Of one's own more is better, or less
            where the name begins with "-", as in {"-error": error}. Default: what suits the task.
        augment: other views of a batch of inputs, such as `kdgan.data.AffineElastic`; for all players alike.
        features: layers of the student that learn from layers of the teacher beside what the method does:
            `{"layer3": "blocks.2"}`, by their names in `named_modules()`. The student is called and kept as it was, and
            the control learns without them.
        feature_loss: how: `hint` (FitNets; where widths differ with a regressor, which learns with the student and is
            gone afterwards), `attention` (attention transfer), `relational` (RKD), see `kdgan.losses`; or a function of
            the features of both that gives one value per example `(B,)`.
        feature_weight: weight of that in the student's loss.
        teacher_trained: whether the teacher is trained; by default its predictions on validation data tell, or on
            training data where validation lacks what it looks at.
        control: whether to train the control, a copy of the student, as long as the student.
        seed: of order, views and samples; from 0 to 2**63 - 1.
        device: `auto`, `cpu`, `cuda`.
        fabric: a `lightning.fabric.Fabric` that is launched, of the strategy `ddp`: its devices share each batch, with
            the same losses and the same student as one device gives, see docs/scale.md. Every process makes this same
            call, with the same data (no DistributedSampler) and modules that were not given to `fabric.setup`; each
            has the result, and the first alone shows, tells and writes.
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
    shared = None if fabric is None else devices_of(fabric, device)
    where = find_device(device) if fabric is None else fabric.device
    home, seed = Home(folder), whole_seed(seed)
    taught = as_teacher(
        teacher, gives=teacher_gives, sees=teacher_sees, classes=teacher_classes, data=train, optional=True
    )
    check_choices(augment, control=control, progress=progress, teacher_trained=teacher_trained)
    wanted = Wanted(
        taught,
        method,
        hyper,
        discriminator,
        features_of(features, feature_loss, feature_weight),
        options={"teacher_every": teacher_every, "labelled_share": labelled_share},
        learns=teacher_lr is not None or (isinstance(optimizers, Mapping) and "teacher" in optimizers),
    )
    optimizers = factories_by_role(optimizers, "optimizers", wanted.kind.roles)
    schedulers = factories_by_role(schedulers, "schedulers", wanted.kind.roles)
    modules = wanted.players(student, rate=teacher_lr, trained=teacher_trained)
    check_unwrapped(shared, modules)
    told, patience = as_one(on_evaluation), check_choice(keep, patience)
    given = Given(
        train=train,
        validation=validation,
        test=test,
        unlabelled=unlabelled,
        task=task,
        metrics=metrics,
        augment=augment,
        loss=loss,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        training=training,
        steps=steps,
        epochs=epochs,
        batch=batch,
        lr=lr,
        teacher_lr=teacher_lr,
        teacher_every=teacher_every,
        labelled_share=labelled_share,
        evaluations=evaluations,
        eval_batch=eval_batch,
    ).checked(where)
    first = shared is None or shared.is_first
    bars = training_bars() if progress and first else nullcontext(Shown())
    with shared_by(shared), apart(where, seed, modules), bars as shown:
        if shared is not None:
            shared.as_first([each for module in modules.values() for each in networks(module)])
        call = Call.of(
            given.read(taught, modules, seed=seed, trained=teacher_trained),
            wanted,
            student,
            home=home,
            seed=seed,
            augment=augment,
            own=Own(optimizers, schedulers, told, shown.evaluated),
            execution=Execution(where, progress=shown),
            best=keep == "best",
            patience=patience,
            counted=evaluations is not None,
        )
        trainer = call.trainer()
        done = call.train(trainer, control=control)
        report = call.report(trainer, done, taught.notes)
    last = returned(call.players["teacher"], taught.face, where)
    beside = done.control and returned(done.control, student, where)
    sample = call.task.sample.inputs
    plain = Student(
        student.eval(),
        tuple(
            map(str, range(max(2, call.task.classes) if call.task.kind == "binary" else call.task.classes))
        ),
        shape=tuple(sample.shape[1:]) if isinstance(sample, Tensor) else None,
        kind=call.task.kind,
    )
    return Result(student, report, taught.returned(last), beside, done.student.history, plain)
