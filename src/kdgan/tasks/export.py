"""A run's student in another format, with what only the run knows: real inputs, test examples, and a model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.forms import one_tensor
from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.errors import UsageError, wrong
from kdgan.files import replacing
from kdgan.references import is_reference
from kdgan.ship.card import LICENCES, History, Measured, card
from kdgan.ship.export import FILES, Exported, Format, check_path, export
from kdgan.ship.forms import bare
from kdgan.ship.quantize import MOST_CALIBRATION, Price, price
from kdgan.ship.student import NAME, Student
from kdgan.stored import read_json
from kdgan.tasks.base import Task
from kdgan.tasks.config import BASELINES, Config, TagsData, from_plain
from kdgan.tasks.diagnosis import over_examples
from kdgan.tasks.finished import Finished, control_of
from kdgan.tasks.ranking import ranking
from kdgan.tasks.run import Outcome, task_of
from kdgan.tasks.scores import is_right
from kdgan.training.evaluate import logits_of

_NOT_BEFORE = ("validation/", "best_epoch/", "majority/", "teacher/")
"""Beginnings of names in results that are not of the student on test data."""


@dataclass(frozen=True, slots=True)
class Left:
    """A student that has left its run.

    Attributes:
        exported: its file.
        card: the path of its model card.
        text: of the card.
        price: what quantisation cost; None without.
        notes: sentences for people.
    """

    exported: Exported
    card: Path
    text: str
    price: Price | None
    notes: tuple[str, ...]


def export_run(
    where: Path,
    out: Path | None = None,
    format: Format = "onnx",  # noqa: A002
    *,
    quantize: Literal["int8"] | None = None,
    data_dir: Path | None = None,
    trust: bool = False,
) -> Left:
    """Writes the student of a run, or one in a file of its own, in another format, and a model card beside it.

    The file is checked on test examples of the run where its data are at hand, on random inputs of their range else.
    The card is `FILE.md`, so that no README.md that lies there is overwritten.

    Args:
        where: folder of the run, or the student's file.
        out: the file; by default `student` or `student-int8`, or `student-weights`, beside the student's own.
        format: see `kdgan.ship.export.export`.
        quantize: `int8`, for which the run's data must be at hand.
        data_dir: folder with the files of mnist or cifar10.
        trust: import the network of one's own that the file names.

    Raises:
        UsageError: for what cannot be exported.
        RunError: if the file would not give what the student gives.
    """
    student = Student.load(where, trust=trust)
    folder = where if where.is_dir() else where.parent
    if out is None:
        out = folder / FILES.get((format, quantize), "")
    out = check_path(out, format, quantize)
    if out.resolve() == (folder / NAME if where.is_dir() else where).resolve():
        raise wrong(f"{out} is the student itself: name another file")
    config, task, notes = _task(where, student, data_dir, trust=trust)
    given: dict[str, Any] = {}
    if task is not None:
        test = raw_inputs(student, task.test)
        given = {"examples": test}
    if quantize is not None:
        if task is None:
            raise wrong(f"--quantize calibrates on training data of the run, and there are none: {notes[0]}")
        given |= {"calibration": raw_inputs(student, task.train[:MOST_CALIBRATION]), "test": test}
    exported = export(student, out, format, quantize=quantize, **given)
    cost = None
    if task is not None and exported.again is not None:
        name, before = values_of(task, student(test))
        cost = price(name, before, values_of(task, torch.from_numpy(exported.again))[1])
    history = None if config is None else _history(folder, config, task, student)
    text = card(student, exported, history, cost)
    beside = out.with_name(f"{out.name}.md")
    with replacing(beside) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Left(exported, beside, text, cost, notes)


def _task(
    where: Path, student: Student, data_dir: Path | None, *, trust: bool
) -> tuple[Config | None, Task | None, tuple[str, ...]]:
    """Configuration and data of the run, and why there are none."""
    folder = where if where.is_dir() else where.parent
    if (where.is_file() and where.name != NAME) or not (folder / "config.json").is_file():
        return None, None, (f"{where} is not a run, or the student of one, whose data would be known",)
    config = None
    try:
        config = from_plain(read_json(folder / "config.json", dict[str, Any]))
        if config.method in BASELINES:
            raise wrong(f"it is of {config.method}, which keeps no network")
        named = (
            config.method,
            config.teacher,
            config.discriminator,
            config.probe,
            *map(bare, config.metrics),
        )
        own = [name for name in named if is_reference(name)]
        if own and not trust:
            return (
                None,
                None,
                (f"{folder} names {own[0]}, of one's own: --trust imports it, and then its data are known",),
            )
        task = task_of(config, data_dir)
    except UsageError as error:
        return config, None, (f"the data of the run are not at hand ({error})",)
    if task.labels != student.labels or tuple(one_tensor(task.test.inputs).shape[1:]) != student.shape:
        return None, None, (f"{folder} is the folder of a run with another student",)
    return config, task, ()


def raw_inputs(student: Student, part: Batch) -> Tensor:
    """Inputs of a task's examples `(N, ...)` as the student is called with: pixels in bytes, and numbers before they
    were scaled, up to the rounding of that."""
    inputs = one_tensor(part.inputs)
    if part.scale is None and student.scale is not None:
        scale: Scale = student.scale
        inputs = inputs.to(scale.mean.dtype) * scale.std + scale.mean
        if isinstance(student.reader, ImageReader):
            inputs = (inputs * 255).round().clamp(0, 255).byte()
    return inputs


def values_of(task: Task, scores: Tensor) -> tuple[str, NDArray[Any]]:
    """What quantisation is judged by, and its value for each test example, 0 to 1.

    Args:
        task: whose test part it is.
        scores: logits or probabilities `(N, K)`.
    """
    targets = task.test.targets
    if isinstance(task.config.data, TagsData):
        return "MAP", ranking(scores.numpy(), (targets > 0).numpy()).per_image()["MAP"]
    return "accuracy", is_right(scores, targets).double().numpy()


def _history(folder: Path, config: Config, task: Task | None, student: Student) -> History:
    plain = config.plain() | {"data": config.shared(portable=True)["data"]}
    outcome = _outcome(folder)
    metrics = {} if outcome is None else outcome.metrics
    own = {name: value for name, value in metrics.items() if not name.startswith(_NOT_BEFORE)}
    taught = {
        name.removeprefix("teacher/"): value for name, value in metrics.items() if name.startswith("teacher/")
    }
    control = None if outcome is None else control_of(Finished(folder, config, outcome))
    beside = {} if control is None else control.outcome.metrics
    found = _plain_metrics(own) if task is None else _intervals(task, student)
    return History(
        data=config.data.title,
        licence=LICENCES.get(config.data.source, "not known to kdgan"),
        method=config.method,
        config=plain,
        metrics=found,
        examples=None if task is None else len(task.test),
        control=_plain_metrics({name: beside[name] for name in own if name in beside}),
        teacher=_plain_metrics(taught),
        labelled=None if outcome is None else outcome.labels,
        unlabelled=0 if outcome is None else outcome.unlabelled,
    )


def _plain_metrics(metrics: Mapping[str, float]) -> list[Measured]:
    return [Measured(name, value) for name, value in metrics.items()]


def _outcome(folder: Path | None) -> Outcome | None:
    if folder is None or not (folder / "result.json").is_file():
        return None
    return read_json(folder / "result.json", Outcome)


def _intervals(task: Task, student: Student) -> list[Measured]:
    """Metrics on test data with 95 % intervals over examples, as `kdgan report` has them."""
    logits = {"student": logits_of(student.module, task.test)}
    found = over_examples(task.measured_from, logits, task.test.targets)[("student",)]
    return [
        Measured(name, each.value, None if each.low is None or each.high is None else (each.low, each.high))
        for name, each in found.items()
    ]
