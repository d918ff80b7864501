"""Tiny runs, and things of one's own that they name as `tiny:...`; for tests of several rooms."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.feed import Feed
from kdgan.losses import cross_entropy
from kdgan.methods import Method, Signals, Terms
from kdgan.tasks import ClassesData, Config, Outcome, TagsData, run_of
from kdgan.training import Execution, Training

DIGITS = Config(
    data=ClassesData("digits", labels=40),
    method="kdgan",
    seed=1,
    student="mlp-8",
    teacher="lenet-2-4-8",
    augment="affine",
    training=Training(steps=20, teacher_steps=10, batch=8, evaluations=4, student_pretraining=0.2),
)
TAGS = Config(
    data=TagsData("scenes", count=8, dropout=0.1),
    method="kdgan",
    seed=1,
    student="normed-6",
    teacher="mlp-8",
    training=Training(steps=10, teacher_steps=6, batch=16, evaluations=2, weight_decay=0.01),
)


def changed(base: Config, **changes: Any) -> Config:
    """`base` with other fields, whether they are its own, or of its data or training."""
    for part in ("data", "training"):
        whole = changes.pop(part, getattr(base, part))
        names = {field.name for field in dataclasses.fields(whole)} & set(changes)
        own = {name: changes.pop(name) for name in names}
        base = dataclasses.replace(base, **{part: dataclasses.replace(whole, **own)})
    return dataclasses.replace(base, **changes)


def train(
    folder: Path, execution: Execution | None = None, *, base: Config = DIGITS, **changes: Any
) -> Outcome:
    """The outcome of a changed run in `folder`, which gets `run` and `pretrained`."""
    run = run_of(changed(base, **changes), execution or Execution())
    return run.train(folder / "run", folder / "pretrained")


def untimed(outcome: Outcome) -> dict[str, Any]:
    """An outcome without the times, as JSON would give it back."""
    values = dataclasses.asdict(outcome)
    del values["seconds"], values["pretraining_seconds"]
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def records(folder: Path) -> list[dict[str, Any]]:
    """What was recorded on the way."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(module: nn.Module) -> Tensor:
    """All numbers of a network."""
    return torch.cat([value.detach().flatten().clone().double() for value in module.state_dict().values()])


# What is named by reference.


def thrice(logits: Tensor, targets: Tensor) -> float:
    """Three times the share of examples whose likeliest label is the last one."""
    return 3 * (logits.argmax(1) == logits.shape[1] - 1).double().mean().item()


def count(logits: Tensor, targets: Tensor) -> int:
    """How many examples there are."""
    return len(targets)


def nan(logits: Tensor, targets: Tensor) -> float:
    """No number."""
    return float("nan")


def broken(logits: Tensor, targets: Tensor) -> float:
    """Nothing at all."""
    raise RuntimeError("no such thing\nhere")


def look(method: Method, feed: Feed, seed: int) -> dict[str, float]:
    """A probe that looks at a batch, and draws where that must not matter."""
    batch: Batch = feed(0)
    torch.rand(5)
    return {"probe/examples": len(batch), "probe/seed": seed, "probe/first": batch.inputs[0].sum().item()}


def network(shape: tuple[int, ...], classes: int, *, privileged: int = 0) -> nn.Module:
    """A student of one's own."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 5), nn.Tanh(), nn.Linear(5, classes)
    )


class Own(Method):
    """A method of one's own."""

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The labels alone."""
        return {"label": (1.0, cross_entropy(logits, batch.targets))}
