"""`kdgan.compare`: methods against each other on a student, a teacher and data of a caller's own."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from torch import Tensor

from kdgan.data.augment import Augmentation
from kdgan.data.own import Data, Inputs
from kdgan.data.semi import Semi
from kdgan.errors import Interrupted, RunError, wrong
from kdgan.experiments.comparison import Compared, run_all
from kdgan.experiments.description import facts_of_own, self_trained
from kdgan.experiments.own import (
    Factory,
    FreshTeacher,
    OwnPlan,
    OwnRun,
    Setting,
    described,
    forget,
    moved,
    plans_of,
    share,
)
from kdgan.experiments.own_options import (
    Players,
    check_call,
    check_main,
    seeds_of,
    teacher_of,
    variants_of,
)
from kdgan.experiments.ray_cluster import EVERYTHING
from kdgan.experiments.sending import can_be_sent, check_sent_far
from kdgan.experiments.variants import Key
from kdgan.experiments.verdict import Verdict
from kdgan.files import make_folder
from kdgan.losses import Loss
from kdgan.methods import Method
from kdgan.tasks.given import Given
from kdgan.tasks.metrics import Metric
from kdgan.tasks.teachers import Teacher
from kdgan.training.check import check_choices
from kdgan.training.class_map import ClassMap
from kdgan.training.config import Training, bind_folder
from kdgan.training.devices import find_device
from kdgan.training.display import training_bars
from kdgan.training.execution import Execution, unseen
from kdgan.training.home import Home
from kdgan.training.players import apart

READING = 0
"""Seed of what reading draws: the data are the same for every seed of a run."""


def compare(
    make_student: Factory,
    teacher: Teacher | Factory,
    train: Data,
    validation: Data,
    test: Data,
    *,
    teacher_gives: Literal["logits", "probabilities"] = "logits",
    teacher_sees: Literal["both", "inputs", "privileged"] = "both",
    teacher_classes: ClassMap | None = None,
    unlabelled: Inputs | None = None,
    methods: Sequence[str | type[Method]] | None = None,
    seeds: int | Sequence[int] = 5,
    make_discriminator: Factory | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    teacher_lr: float | None = None,
    teacher_every: int | None = None,
    labelled_share: float | None = None,
    training: Training | None = None,
    hyper: Mapping[str | type[Method], Mapping[str, Any]] | None = None,
    evaluations: int | None = None,
    eval_batch: int | None = None,
    task: str = "auto",
    loss: Loss | None = None,
    class_weights: Tensor | Sequence[float] | str | None = None,
    label_smoothing: float = 0.0,
    metrics: Iterable[str | Metric] | Mapping[str, Metric] = (),
    augment: Augmentation | None = None,
    teacher_trained: bool | None = None,
    device: str = "auto",
    workers: int | None = None,
    threads: int = 1,
    executor: Literal["processes", "ray"] = "processes",
    address: str | None = None,
    folder: Path | str | None = None,
    report: Path | str | None = None,
    title: str = "own data",
    progress: bool = True,
) -> Verdict:
    """Compares methods with each other and with a control that has no teacher, over several seeds.

    A seed decides the initial weights, the order, the views and what is sampled; all methods of a seed begin with the
    same weights and see the same examples at the same update, so that they may be compared seed by seed. What a method
    trains from a seed is, bit for bit, what `distill` trains of the same student from it. An option counts for the
    methods that have a use for it, and is refused where none has.

    `distill` alone has `optimizers`, `schedulers`, `features` with `feature_loss` and `feature_weight`, `keep`,
    `patience`, `on_evaluation` and `fabric`.

    Args:
        make_student: a function without arguments that gives a fresh student; torch's, numpy's and Python's
            generators are seeded before.
        teacher: as in `distill`: one that is trained is kept as it is, unless `teacher_lr` is given; one that is not is
            first trained on the labels, once for all methods of a seed. Or a function without arguments that gives a
            fresh module for each seed. Of any other kind, too, as in `distill`: a function that takes inputs, an array,
            a file, an estimator, or a list is asked once, before all runs.
        teacher_gives: as in `distill`, as everything is of which no more is said here.
        teacher_sees: what the teacher is called with.
        teacher_classes: the student's class for each of the teacher's.
        train: what is learned from.
        validation: for the curves; nothing is trained or chosen by it.
        test: in the same forms; players are judged by it once, after the last step.
        unlabelled: examples without labels.
        methods: their names, or subclasses of `kdgan.Method`; the control is always added, and `selftrain` where
            `unlabelled` is given. Default: distn and kdgan, or distn where the teacher cannot learn.
        seeds: how many, from 0, or which.
        make_discriminator: as `make_student`, for methods that have one; by default it has the teacher's form.
        steps: updates of the student.
        epochs: passes, in place of steps.
        batch: examples per update.
        lr: highest learning rate of what is trained.
        teacher_lr: that of a teacher that goes on learning.
        teacher_every: other players learn in the first of so many updates.
        labelled_share: share of labelled examples in a batch.
        training: all settings at once.
        hyper: by method, what `distill` takes for one.
        evaluations: of the student on its way, all of validation each time.
        eval_batch: examples per forward pass in evaluations.
        task: `classes`, `binary`, `multilabel`, or `auto`.
        loss: of the supervised terms.
        class_weights: of the same.
        label_smoothing: of the same.
        metrics: what is measured; the first is what methods are compared by. The name of one's own begins with "-"
            where less is better.
        augment: other views of a batch of inputs.
        teacher_trained: whether the teacher is trained; by default its predictions tell.
        device: `auto`, `cpu`, `cuda`.
        workers: runs at a time, by default 1. More than one are other processes, where players, data and methods can be
            sent to them (pickled), and the call stands under `if __name__ == "__main__"`; otherwise runs go one after
            another. With a cluster as many by default as its CPUs allow.
        threads: of each run. Results depend on it in their last bits, but not on `workers`.
        executor: what carries runs out: processes of this machine, or those of a Ray cluster (`kdgan[scale]`), see
            docs/scale.md: `folder` must then be the same one on all machines, and functions, classes and methods be in
            modules that all machines can import.
        address: of the cluster, HOST:PORT or auto; by default one of this machine, for this call.
        folder: keeps runs, results.csv and report.html: the same call goes on after a stop, and one with other methods
            or more seeds extends it. None keeps nothing.
        report: the page is written there.
        title: name of the data, for tables and pages.
        progress: show on stderr how far it is.

    Returns:
        The verdict: print it, or write its page.

    Raises:
        UsageError: if players, data and settings do not fit, one line saying how.
        RunError: if every run failed.
        Interrupted: on Ctrl-C.

    Example:
        >>> import torch
        >>> from kdgan import Batch, compare, nets
        >>> x = torch.randn(400, 8)
        >>> y = (x[:, 0] * x[:, 1] > 0).long()
        >>> parts = [Batch(x[rows], y[rows]) for rows in torch.arange(400).split([200, 100, 100])]
        >>> verdict = compare(
        ...     lambda: nets.mlp(8, [4], 2), nets.mlp(8, [64], 2), *parts, methods=["distn"], seeds=2, steps=30,
        ...     progress=False,
        ... )
        >>> [row.name for row in verdict.rows]
        ['supervised', 'distn']
    """
    check_main()
    if test is None:
        raise wrong("test must be data that nothing is chosen by, not None")
    where, home = find_device(device), Home(folder)
    check_choices(augment, progress=progress, teacher_trained=teacher_trained)
    check_call(
        make_student,
        make_discriminator,
        workers=workers,
        threads=threads,
        title=title,
        executor=executor,
        address=address,
    )
    origin = teacher_of(teacher, gives=teacher_gives, sees=teacher_sees, classes=teacher_classes, data=train)
    makers, chosen = Players(make_student, origin, make_discriminator), seeds_of(seeds)
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
    variants = variants_of(makers.usual if methods is None else methods, hyper, semi=unlabelled is not None)
    options = {"teacher_every": teacher_every, "labelled_share": labelled_share}
    makers.check(variants, rate=teacher_lr, trained=teacher_trained, options=options)
    players = makers.examples(READING, where)
    taught = makers.taught(players)
    console, key = Console(stderr=True, quiet=not progress), os.urandom(8).hex()
    with ExitStack() as stack, ExitStack() as block:
        block.enter_context(apart(where, READING, players))
        opened = given.read(taught, players, seed=READING, trained=teacher_trained)
        data, tested, family, trained = opened.task, opened.test, opened.family, opened.trained
        settings, asked = opened.training, None
        if not data.has_labels:
            raise wrong(
                "train has no example with a label, and the control learns from labels: distill needs none"
            )
        assert tested is not None
        if not taught.looks:
            asked = tested.measure("teacher", taught.face) if tested.judges("teacher", taught.face) else None
            with training_bars() if progress else nullcontext(unseen) as shown:
                data = taught.recorded(data, where, shown)
        keeps = home.path is not None
        face = origin if isinstance(origin, FreshTeacher) else origin.face
        setting = Setting(
            make_student, face, make_discriminator, data, tested, family, augment, trained, keeps, asked
        )
        shared = described(setting, settings, players) if keeps else {}
        plans = plans_of(
            key,
            variants,
            chosen,
            settings,
            trained=trained,
            learns=teacher_lr is not None,
            shared=shared,
            unlabelled=isinstance(data.train, Semi),
        )
        stack.callback(forget, key)
        share(key, setting)
        many = workers or (1 if executor == "processes" else EVERYTHING)
        execution = Execution(where, workers=many, threads=threads, executor=executor, address=address)
        for plan in list(plans.values())[: len(variants)]:
            OwnRun(plan, execution)  # finds what is wrong before anything is written
        stated = facts_of_own(players, setting, settings, variants, chosen, execution, title, taught.what)
        if executor == "ray":
            check_sent_far((setting, list(plans.values())))
        if executor == "processes" and (
            many == 1 or not can_be_sent((setting, list(plans.values())), console)
        ):
            execution = replace(execution, workers=0)
        else:
            block.close()
            cpu = torch.device("cpu")
            setting = replace(setting, task=moved(data, cpu), test=moved(tested, cpu), family=family.to(cpu))
        found = Compared(title, [*plans], home.path)
        with _store(home.path, shared) as store:
            _carry_out(found, plans, execution, store, console, partial(share, key, setting))
        learned = (
            self_trained(plans)
            if isinstance(data.train, Semi)
            and (data.kind == "classes" or settings.self_training == "fixmatch")
            else frozenset[str]()
        )
        names = [name for name in found.records[0].metrics if "/" not in name]
        verdict = found.verdict(names, stated, variants, learned)
    for page in (report, home.path and home.path / "report.html"):
        if page is not None:
            verdict.report(page)
    return verdict


@contextmanager
def _store(folder: Path | None, shared: Mapping[str, Any]) -> Iterator[Path]:
    """Where runs and pretrained players are kept: in the folder, or for the block."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="kdgan-") as made:
            yield Path(made)
        return
    bind_folder(folder, "comparison.json", shared, "folder=")
    make_folder(folder)
    yield folder


def _carry_out(
    found: Compared,
    plans: Mapping[Key, OwnPlan],
    execution: Execution,
    store: Path,
    console: Console,
    prepare: Callable[[], None],
) -> None:
    """Carries out what is not yet done.

    Raises:
        RunError: if every run failed.
        Interrupted: on Ctrl-C.
    """
    if found.folder is None:
        execution = replace(execution, checkpoint_seconds=math.inf)
    try:
        found.failures.extend(
            run_all(plans, execution, store, console=console, keep=found.keep, prepare=prepare)
        )
    except RunError as error:
        if not execution.workers or found.outcomes or execution.executor != "processes":
            raise
        raise RunError(
            f'{error}; where a script calls kdgan.compare, that must be under if __name__ == "__main__":'
        ) from error
    except Interrupted:
        again = f"the same call goes on from there, in {found.folder}"
        raise Interrupted(
            f"stopped; {again if found.folder else 'nothing is kept, as there is no folder='}"
        ) from None
    finally:
        found.settle()
    if not found.outcomes:
        raise RunError(f"every run failed; the first: {found.failures[0]}")
