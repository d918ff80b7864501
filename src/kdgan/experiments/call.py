"""`kdgan.compare`: methods against each other on a student, a teacher and data of a caller's own."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from torch import Tensor

from kdgan.data.augment import Augmentation
from kdgan.data.own import Data, Inputs
from kdgan.distillation import apart, default_steps, settings_of
from kdgan.errors import Interrupted, RunError, wrong
from kdgan.experiments.comparison import run_all
from kdgan.experiments.description import describe, facts_of_own
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
    DEFAULT_FOR_KEPT,
    DEFAULT_METHODS,
    Players,
    check_call,
    check_main,
    seeds_of,
    teacher_of,
    variants_of,
)
from kdgan.experiments.records import Curves, Record, record_of, write_records
from kdgan.experiments.sending import can_be_sent
from kdgan.experiments.variants import Key
from kdgan.experiments.verdict import Verdict
from kdgan.files import make_folder
from kdgan.losses import Loss
from kdgan.methods import Method
from kdgan.tasks.choice import named
from kdgan.tasks.given import Given
from kdgan.tasks.metrics import Metric
from kdgan.tasks.run import Outcome
from kdgan.tasks.teachers import Teacher
from kdgan.training.check import check_choices
from kdgan.training.class_map import ClassMap
from kdgan.training.config import Training, bind_folder, check_kept
from kdgan.training.devices import find_device
from kdgan.training.display import training_bars
from kdgan.training.execution import Execution, unseen
from kdgan.training.home import Home

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
    methods: Sequence[str | type[Method]] | None = None,
    seeds: int | Sequence[int] = 5,
    hyper: Mapping[str | type[Method], Mapping[str, Any]] | None = None,
    make_discriminator: Factory | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    teacher_lr: float | None = None,
    teacher_every: int | None = None,
    training: Training | None = None,
    labelled_share: float | None = None,
    loss: Loss | None = None,
    class_weights: Tensor | Sequence[float] | str | None = None,
    label_smoothing: float = 0.0,
    metrics: Iterable[str | Metric] | Mapping[str, Metric] = (),
    augment: Augmentation | None = None,
    unlabelled: Inputs | None = None,
    task: str = "auto",
    teacher_trained: bool | None = None,
    device: str = "auto",
    workers: int = 1,
    threads: int = 1,
    folder: Path | str | None = None,
    report: Path | str | None = None,
    title: str = "own data",
    progress: bool = True,
) -> Verdict:
    """Compares methods with each other and with a control that has no teacher, over several seeds.

    A seed decides the initial weights, the order, the views and what is sampled; all methods of a seed begin with the
    same weights and see the same examples at the same update, so that they may be compared seed by seed. What a method
    trains from a seed is, bit for bit, what `distill` trains of the same student from it.

    Args:
        make_student: a function without arguments that gives a fresh student; torch's, numpy's and Python's
            generators are seeded before.
        teacher: as in `distill`: one that is trained is kept as it is, unless `teacher_lr` is given; one that is not is
            first trained on the labels, once for all methods of a seed. Or a function without arguments that gives a
            fresh module for each seed. Of any other kind, too, as in `distill`: a function that takes inputs, an array,
            a file, an estimator, or a list is asked once, before all runs.
        teacher_gives: as in `distill`, as the next two are.
        teacher_sees: what the teacher is called with.
        teacher_classes: the student's class for each of the teacher's.
        train: as in `distill`.
        validation: as in `distill`; for the curves, and nothing is trained or chosen by it.
        test: in the same forms; players are judged by it once, after the last step.
        methods: their names, or subclasses of `kdgan.Method`; the control is always added, and `selftrain` where there
            are unlabelled examples. Default: distn and kdgan, or distn where the teacher cannot learn.
        seeds: how many, from 0, or which.
        hyper: hyperparameters by method, and whichever of lr, teacher_lr, teacher_steps, teacher_every and
            student_pretraining a method has to itself.
        make_discriminator: as `make_student`, for methods that have one; by default it has the teacher's form.
        steps: updates of the student, as in `distill`, as the next five are.
        batch: examples per update.
        lr: highest learning rate of what is trained.
        teacher_lr: that of a teacher that goes on learning.
        teacher_every: other players learn in the first of so many updates.
        training: all settings at once.
        labelled_share: share of labelled examples in a batch, as in `distill`, as the next eight are.
        loss: of the supervised terms.
        class_weights: of the same.
        label_smoothing: of the same.
        metrics: what is measured; the first is what methods are compared by.
        augment: other views of a batch of inputs.
        unlabelled: examples without labels.
        task: `classes`, `binary`, `multilabel`, or `auto`.
        teacher_trained: whether the teacher is trained; by default its predictions tell.
        device: `auto`, `cpu`, `cuda`.
        workers: runs at a time. More than one are other processes, where players, data and methods can be sent to
            them (pickled), and the call stands under `if __name__ == "__main__"`; otherwise runs go one after another.
        threads: of each run. Results depend on it in their last bits, but not on `workers`.
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
    check_call(make_student, make_discriminator, workers=workers, threads=threads, title=title)
    origin = teacher_of(teacher, gives=teacher_gives, sees=teacher_sees, classes=teacher_classes, data=train)
    makers, chosen = Players(make_student, origin, make_discriminator), seeds_of(seeds)
    settings = settings_of(
        training,
        where,
        steps=steps,
        batch=batch,
        lr=lr,
        teacher_lr=teacher_lr,
        teacher_every=teacher_every,
        labelled_share=labelled_share,
    )
    if methods is None:
        methods = DEFAULT_METHODS if makers.may_learn else DEFAULT_FOR_KEPT
    variants = variants_of(methods, hyper, semi=unlabelled is not None)
    makers.check(variants, rate=teacher_lr, trained=teacher_trained)
    own, players = named(metrics), makers.examples(READING, where)
    taught = makers.taught(players)
    given = Given(
        train=train,
        validation=validation,
        test=test,
        unlabelled=unlabelled,
        task=task,
        metrics=own,
        augment=augment,
        loss=loss,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
    )
    console, key = Console(stderr=True, quiet=not progress), os.urandom(8).hex()
    with ExitStack() as stack, ExitStack() as block:
        block.enter_context(apart(where, READING, players))
        opened = given.read(
            taught, players, where, size=settings.batch, seed=READING, trained=teacher_trained
        )
        data, tested, family, trained = opened.task, opened.test, opened.family, opened.trained
        assert tested is not None
        asked = None
        if not taught.looks:
            asked = tested.measure("teacher", taught.face) if tested.judges("teacher", taught.face) else None
            with training_bars() if progress else nullcontext(unseen) as shown:
                data = taught.recorded(data, where, shown)
        if steps is None and training is None:
            settings = replace(settings, steps=default_steps(data.train, settings.batch))
        keeps = home.path is not None
        face = origin if isinstance(origin, FreshTeacher) else origin.face
        setting = Setting(
            make_student, face, make_discriminator, data, tested, family, augment, trained, keeps, asked
        )
        shared = described(setting, settings, players) if keeps else {}
        plans = plans_of(
            key, variants, chosen, settings, trained=trained, learns=teacher_lr is not None, shared=shared
        )
        stack.callback(forget, key)
        share(key, setting)
        execution = Execution(where, workers=workers, threads=threads)
        for plan in list(plans.values())[: len(variants)]:
            OwnRun(plan, execution)  # finds what is wrong before anything is written
        facts = facts_of_own(players, setting, settings, variants, chosen, execution, title, taught.what)
        if workers == 1 or not can_be_sent((setting, list(plans.values())), console):
            execution = replace(execution, workers=0)
        else:
            block.close()
            cpu = torch.device("cpu")
            setting = replace(setting, task=moved(data, cpu), test=moved(tested, cpu), family=family.to(cpu))
        found = _Found(title, plans, home.path)
        with _store(home.path, shared) as store:
            found.carry_out(execution, store, console, partial(share, key, setting))
        verdict = found.verdict(facts, {name: describe(variant) for name, variant in variants.items()})
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
    bind_folder(folder, "comparison.json", shared)
    make_folder(folder)
    yield folder


@dataclass(frozen=True, slots=True)
class _Found:
    """What the runs of a call have found.

    Attributes:
        title: name of the data.
        plans: of the runs.
        folder: where they are kept, or None.
        outcomes: of those that ended well.
        failures: what the others said.
    """

    title: str
    plans: Mapping[Key, OwnPlan]
    folder: Path | None
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        """Of the runs that ended well, in the order of the plans."""
        return [record_of(self.title, *key, self.outcomes[key]) for key in self.plans if key in self.outcomes]

    def carry_out(
        self, execution: Execution, store: Path, console: Console, prepare: Callable[[], None]
    ) -> None:
        """Carries out what is not yet done."""
        if self.folder is None:
            execution = replace(execution, checkpoint_seconds=math.inf)
        try:
            self.failures.extend(
                run_all(self.plans, execution, store, console=console, keep=self._keep, prepare=prepare)
            )
        except RunError as error:
            if not execution.workers or self.outcomes:
                raise
            raise RunError(
                f'{error}; where a script calls kdgan.compare, that must be under if __name__ == "__main__":'
            ) from error
        except Interrupted:
            again = f"the same call goes on from there, in {self.folder}"
            raise Interrupted(
                f"stopped; {again if self.folder else 'nothing is kept, as there is no folder='}"
            ) from None

    def _keep(self, key: Key, outcome: Outcome) -> None:
        self.outcomes[key] = outcome
        if self.folder is not None:
            check_kept(self.folder, "comparison.json")
            write_records(self.folder / "results.csv", self.records)

    def verdict(self, facts: Mapping[str, str], described: Mapping[str, str]) -> Verdict:
        """What they say together.

        Raises:
            RunError: if every run failed.
        """
        records = self.records
        if not records:
            raise RunError(f"every run failed; the first: {self.failures[0]}")
        curves: Curves = {key: self.outcomes[key].curves for key in self.plans if key in self.outcomes}
        metrics = [name for name in records[0].metrics if "/" not in name]
        return Verdict(records, curves, metrics, facts, described, self.failures)
