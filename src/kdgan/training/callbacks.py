"""Callbacks: what is told of each evaluation of a student, and three that write it where people look at experiments."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from kdgan.errors import KdganError, failed, wrong
from kdgan.extras import needed
from kdgan.training.loop import BOOKKEEPING


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Record of one evaluation; all of it is a copy.

    Attributes:
        role: `student`, or `control`, which is trained after it.
        method: what trains it; `supervised` for the control.
        step: its updates so far.
        steps: those that it will have, unless training ends early.
        metrics: on validation data, by name.
        losses: the mean of each loss since the evaluation before.
        history: the records of all evaluations so far, this one the last: `step`, `seconds`, `losses` and the metrics.
        seconds: of training so far, without evaluations.
        last: whether training ends with this evaluation.
    """

    role: str
    method: str
    step: int
    steps: int
    metrics: Mapping[str, float]
    losses: Mapping[str, float]
    history: tuple[Mapping[str, Any], ...]
    seconds: float
    last: bool

    @classmethod
    def of(
        cls, records: Sequence[dict[str, Any]], role: str, method: str, steps: int, *, last: bool
    ) -> Evaluation:
        """The evaluation that the last of these records is of."""
        now = records[-1]
        return cls(
            role=role,
            method=method,
            step=now["step"],
            steps=steps,
            metrics={name: value for name, value in now.items() if name not in BOOKKEEPING},
            losses=dict(now["losses"]),
            history=tuple(records),
            seconds=now["seconds"],
            last=last,
        )

    def numbers(self) -> dict[str, float]:
        """Metrics and losses by name, losses as `loss/name`."""
        return {**self.metrics, **{f"loss/{name}": value for name, value in self.losses.items()}}


Callback: TypeAlias = Callable[[Evaluation], object]
"""Told of each evaluation; what it draws from random generators, or writes into its record, changes nothing."""


def as_one(given: Callback | Iterable[Callback] | None) -> Callback | None:
    """One callback that calls all of these; what one of them raises is one line that names it.

    Raises:
        UsageError: for what cannot be called.
    """
    if given is None:
        return None
    if callable(given):
        several: list[Callback] = [given]
    elif isinstance(given, Iterable) and not isinstance(given, str | Mapping):
        several = list(given)
    else:
        raise wrong(
            f"on_evaluation must be a function of an evaluation, or several, not {type(given).__name__}"
        )
    for each in several:
        if isinstance(each, type) or not callable(each):
            what = f"the class {each.__name__}: make one" if isinstance(each, type) else type(each).__name__
            raise wrong(f"on_evaluation must be a function of an evaluation, or several, not {what}")

    def tell(evaluation: Evaluation) -> None:
        for each in several:
            try:
                each(deepcopy(evaluation) if len(several) > 1 else evaluation)
            except KdganError:
                raise
            except (Exception, SystemExit) as error:
                name = getattr(each, "__qualname__", type(each).__qualname__)
                raise failed(error, f"on_evaluation: {name}") from error

    return tell


class TensorBoard:
    """Writes event files for TensorBoard, one folder for the student and one for its control, so that curves overlay.

    Args:
        folder: where they go.

    Raises:
        UsageError: if tensorboard is not installed, or the folder cannot be made.
    """

    def __init__(self, folder: Path | str) -> None:
        needed("tensorboard", "tensorboard", "TensorBoard")
        # torch's writer, which is made without a word of tensorflow where that is not installed.
        self._writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise wrong(f"folder {folder} cannot be made: {error.strerror or error}") from error
        self._open: dict[str, Any] = {}

    def __call__(self, evaluation: Evaluation) -> None:
        """One number for each metric and loss, at the student's updates so far."""
        role = evaluation.role
        if role not in self._open:
            self._open[role] = self._writer(str(self.folder / role))
        for name, value in evaluation.numbers().items():
            self._open[role].add_scalar(name, value, evaluation.step)
        self._open[role].flush()
        if evaluation.last:
            self._open.pop(role).close()


class MLflow:
    """Logs metrics and losses to MLflow, one run for the student and one for its control.

    Args:
        experiment: its name.
        uri: of the tracking server or store; MLflow's own default where it is None.
        tags: of both runs.

    Raises:
        UsageError: if mlflow is not installed, or the store cannot be reached.
    """

    def __init__(
        self, experiment: str = "kdgan", *, uri: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        client = needed("mlflow", "mlflow", "MLflow").MlflowClient
        try:
            # A client of its own: the caller's active run and tracking store stay as they are.
            self._client: Any = client(tracking_uri=uri)
            found = self._client.get_experiment_by_name(experiment)
            self.experiment: str = (
                self._client.create_experiment(experiment) if found is None else found.experiment_id
            )
        except Exception as error:
            raise wrong(
                f"mlflow has no experiment {experiment!r:.60} at {uri or 'its default store'}: {error}"
            ) from error
        self.tags = dict(tags or {})
        self._runs: dict[str, str] = {}

    def __call__(self, evaluation: Evaluation) -> None:
        """One number for each metric and loss, at the student's updates so far."""
        role = evaluation.role
        if role not in self._runs:
            tags = {**self.tags, "role": role, "method": evaluation.method}
            name = f"{role} ({evaluation.method})"
            self._runs[role] = self._client.create_run(self.experiment, tags=tags, run_name=name).info.run_id
        for name, value in evaluation.numbers().items():
            # The signs that MLflow allows in a name.
            self._client.log_metric(
                self._runs[role], re.sub(r"[^\w\-. /]", "_", name), value, step=evaluation.step
            )
        if evaluation.last:
            self._client.set_terminated(self._runs.pop(role))


class WandB:
    """Logs metrics and losses to Weights & Biases, one run for the student and one for its control.

    Args:
        project: its name.
        settings: arguments of `wandb.init`, such as `entity`, `dir`, `tags`, or `mode="offline"`.

    Raises:
        UsageError: if wandb is not installed.
    """

    def __init__(self, project: str = "kdgan", **settings: Any) -> None:
        self._init: Any = needed("wandb", "wandb", "WandB").init
        self.project, self.settings = project, settings
        self._runs: dict[str, Any] = {}

    def __call__(self, evaluation: Evaluation) -> None:
        """One number for each metric and loss, at the student's updates so far."""
        role = evaluation.role
        if role not in self._runs:
            given = {
                "project": self.project,
                "name": f"{role} ({evaluation.method})",
                "job_type": role,
                "reinit": "create_new",  # beside a run of the caller's own
                **self.settings,
            }
            self._runs[role] = self._init(**given)
        self._runs[role].log(evaluation.numbers(), step=evaluation.step)
        if evaluation.last:
            self._runs.pop(role).finish()
