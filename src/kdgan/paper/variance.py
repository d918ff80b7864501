"""How noisy the gradients of the game are while it is played (paper, Eqs. 6 and 7, and Figure 7)."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from kdgan.data.feed import Feed
from kdgan.files import replacing
from kdgan.losses import EstimatorName, generator_loss
from kdgan.methods.kdgan import KDGAN
from kdgan.methods.player import forward
from kdgan.experiments.comparison import Comparison, task_name
from kdgan.experiments.pool import Report, Task, run_tasks
from kdgan.training.config import Config
from kdgan.training.loop import Loop
from kdgan.tasks.run import Machine, Run

ESTIMATES: dict[str, tuple[EstimatorName, float]] = {
    "exact": ("exact", 1.0),
    "concrete, τ = 1": ("concrete", 1.0),
    "concrete, τ = 0.5": ("concrete", 0.5),
    "concrete, τ = 0.1": ("concrete", 0.1),
    "reinforce": ("reinforce", 1.0),
    "reinforce-baseline": ("reinforce-baseline", 1.0),
}
"""What is measured of ∇L_AD: the estimator, and τ where it has one."""

DISTILLATION = "distillation"
"""The name of ∇L_DS among them."""


class VarianceRun(Run):
    """A run of KDGAN that measures, at each evaluation, the gradients C could have got from the next batches.

    Of each of `BATCHES` minibatches, with fresh views and samples, it takes the gradient in C's weights of
    L_DS and of L_AD by every estimator, all three networks kept as they are. A record holds for each:
    `variance/NAME`, the trace of the covariance over minibatches, `signal/NAME`, the squared norm of the mean,
    and for estimators `bias/NAME`, the squared norm of the mean difference to the exact gradient. What
    averaging over few minibatches adds to a squared norm is taken out, so it may be slightly below 0.
    """

    BATCHES = 32
    _playing = False

    def _play(self, folder: Path, student: Loop | None) -> Loop:
        self._playing = True  # not before: pretrained players are shared with runs that measure nothing
        return super()._play(folder, student)

    def _measure(self) -> dict[str, float]:
        measured = super()._measure()
        if self._playing and isinstance(self.method, KDGAN):
            # What is measured must not change what is trained: the run's own generator stays out of it.
            generator = torch.Generator(self.machine.device).manual_seed(self.config.seed)
            feed = self._feed(self.config.seed + 1)
            measured |= gradient_variances(self.method, feed, self.BATCHES, generator)
        return measured


def gradient_variances(
    method: KDGAN, feed: Feed, batches: int, generator: torch.Generator
) -> dict[str, float]:
    """Variance and signal of the student's gradients in a game as it stands, for L_DS and every estimator.

    Args:
        method: the game; its networks are not changed.
        feed: gives the minibatches, from its step 0.
        batches: how many, at least 2.
        generator: source of the samples of labels.

    Returns:
        `variance/NAME`, `signal/NAME` and `bias/NAME`, as in `VarianceRun`.
    """
    weights = [weight for weight in method.student.module.parameters() if weight.requires_grad]
    gradients, errors = _Spread(), _Spread()
    for step in range(batches):
        found = dict(_gradients(method, feed, step, weights, generator))
        for name, gradient in found.items():
            gradients.add(name, gradient)
            if name in ESTIMATES:
                errors.add(name, gradient - found["exact"])
    measured: dict[str, float] = {}
    for name in gradients.sums:
        variance, signal = gradients.of(name, batches)
        measured |= {f"variance/{name}": variance, f"signal/{name}": signal}
        if name in ESTIMATES:
            measured[f"bias/{name}"] = errors.of(name, batches)[1]
    return measured


class _Spread:
    """Running sums of vectors and of their squared norms, by name."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.squares: dict[str, float] = {}

    def add(self, name: str, vector: Tensor) -> None:
        self.squares[name] = self.squares.get(name, 0.0) + vector.square().sum().item()
        self.sums[name] = self.sums[name] + vector if name in self.sums else vector

    def of(self, name: str, count: int) -> tuple[float, float]:
        """Trace of the covariance, and the squared norm of the mean without what the noise adds to it."""
        mean = (self.sums[name] / count).square().sum().item()
        variance = (self.squares[name] - count * mean) / (count - 1)
        return variance, mean - variance / count


def _gradients(
    method: KDGAN, feed: Feed, step: int, weights: Sequence[Tensor], generator: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    batch = feed(step)
    student = method.student.module
    with torch.no_grad():
        t = forward("teacher", method.players["teacher"].module, batch)
        g = forward("discriminator", method.players["discriminator"].module, batch)
    c = student(batch.inputs)
    yield DISTILLATION, _flat(method.distance(c, t), weights)
    for name, (estimator, tau) in ESTIMATES.items():
        loss = generator_loss(c, g, estimator=estimator, tau=tau, generator=generator)
        yield name, _flat(loss, weights)


def _flat(loss: Tensor, weights: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(loss.mean(), weights, retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def measure_variance(
    comparison: Comparison,
    machine: Machine,
    store: Path,
    file: Path,
    *,
    workers: int,
    threads: int,
    console: Console,
) -> list[str]:
    """Makes the runs of a comparison as `VarianceRun`, and writes what they measured into a CSV file.

    Its columns: seed, student_updates, gradient, variance, signal, bias (empty for ∇L_DS).

    Returns:
        What each failed run said.
    """
    runs = comparison.runs()
    tasks = [Task(task_name(*key), _variance_task, (config, machine, store)) for key, config in runs.items()]
    failures = run_tasks(tasks, workers=workers, threads=threads, console=console, done=lambda *_: None)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["seed", "student_updates", "gradient", "variance", "signal", "bias"])
        for (_, seed), config in runs.items():
            metrics = _folder(store, config) / "metrics.jsonl"
            if not metrics.exists():
                continue
            before = config.pretraining_steps("student")
            for line in metrics.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                for name in (DISTILLATION, *ESTIMATES):
                    values = [record.get(f"{what}/{name}", "") for what in ("variance", "signal", "bias")]
                    table.writerow([seed, record["step"] + before, name, *values])
    return failures


def _variance_task(
    config: Config, machine: Machine, store: Path, report: Report, stop: Callable[[], bool]
) -> None:
    watched = replace(machine, progress=lambda what, done, total: report(done / total), stop=stop)
    VarianceRun(config, watched).train(_folder(store, config), store / "pretrained")


def _folder(store: Path, config: Config) -> Path:
    return store / "variance" / config.name
