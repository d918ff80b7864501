"""What might lift KDGAN above a frozen teacher: principled changes, measured on validation data of seeds from 100.

Each change is an idea for what a discriminator can do that a third peer cannot, or for a student that follows
its teacher more closely. The game is that of the paper, in which labels reach C and T through D alone, and all learn in
every update; everything else is as in the cell of Table 1. This is where they were tried: what helped became part
of the package. One row a run goes to results/changes/CELL-paper.csv; runs are kept in --out, and the same command
continues. The rows in CELL.csv are of the cells as they were at revision a5afc75.
"""

import argparse
import copy
import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.seeds import mixed
from kdgan.files import write_json
from kdgan.losses import discriminator_loss, label_weights
from kdgan.methods import KDGAN, Method
from kdgan.methods.base import Losses, report
from kdgan.experiments.comparison import Comparison, Variant
from kdgan.experiments.pool import Report, Task, run_tasks
from kdgan.paper.table1 import base, frozen
from kdgan.training.config import Config, read_json
from kdgan.training.evaluate import accuracy
from kdgan.tasks.run import Machine, Run


class Changed(KDGAN):
    """KDGAN with every change switched off; both C and T learn from the D that their own labels trained.

    Attributes:
        candidates: views of which the ones on which D catches C most are kept: one in so many.
        verdict: share of what D implies for p_u, p_α·e^g, in the logits that C follows.
        uniform: share of labels drawn uniformly among the fake ones, which keeps D a classifier.
        smoothing: of D's true labels, so that what it implies is no surer of itself than T.
        gate: weigh distillation by D's belief in T's label.
        saturating: False for the non-saturating generator loss, −E[log p_d].
        mixed: share of the batch that is blended with other examples, labels too.
        average: decay of an average of T's weights that C follows in place of T; 0 for T as it is.
    """

    candidates = 1
    verdict = 0.0
    uniform = 0.0
    smoothing = 0.0
    gate = False
    saturating = True
    mixed = 0.0
    average = 0.0
    followed: nn.Module | None = None

    def moved(self, batch: Batch) -> Batch:
        if self.candidates > 1:
            batch = batch[self._caught(batch).topk(len(batch) // self.candidates).indices]
        if self.average and self.followed is None:
            # The first update: T has been pretrained by now.
            self.followed = copy.deepcopy(self.players["teacher"].module).requires_grad_(False).eval()
        return super().moved(self._mixed(batch) if self.mixed else batch)

    def step(self, batch: Batch, progress: float) -> Losses:
        teacher, discriminator = self.players["teacher"], self.players["discriminator"]
        c, t, g = self.student(batch), teacher(batch), discriminator(batch)
        fake = self.alpha * c.detach().float().softmax(-1) + (1 - self.alpha) * t.detach().float().softmax(-1)
        fake = (1 - self.uniform) * fake + self.uniform / fake.shape[-1]
        true = label_weights(batch.targets, g.detach().float())
        true = (1 - self.smoothing) * true + self.smoothing / g.shape[-1]
        d_loss = discriminator_loss(g, true, fake)
        discriminator.learn(d_loss, progress)

        with torch.no_grad():
            g = discriminator(batch).float()
        teacher.learn((1 - self.alpha) * self._fooled(t, g) + self.gamma * self.distance(t, c), progress)
        with torch.no_grad():
            t = self._target(batch).float()
        belief = g.gather(1, t.argmax(1, keepdim=True)).sigmoid().squeeze(1) if self.gate else 1.0
        if self.verdict:
            implied = fake.clamp_min(1e-6).log() + g
            t = (1 - self.verdict) * _centred(t) + self.verdict * _centred(implied)
        ad_c, ds_c = self._fooled(c, g), belief * self.distance(c, t)
        self.student.learn(self.alpha * ad_c + self.beta * ds_c, progress)
        return report(discriminator=d_loss, adversarial=ad_c, distillation=ds_c)

    def _target(self, batch: Batch) -> Tensor:
        if self.followed is None:
            return self.players["teacher"](batch)
        learned = self.players["teacher"].module.parameters()
        for mean, now in zip(self.followed.parameters(), learned, strict=True):
            mean.lerp_(now, 1 - self.average)
        return self.followed(batch.inputs)

    def _fooled(self, logits: Tensor, g: Tensor) -> Tensor:
        value = F.logsigmoid(-g) if self.saturating else -F.logsigmoid(g)
        return (logits.float().softmax(-1) * value).sum(-1)

    def _caught(self, batch: Batch) -> Tensor:
        """log of the probability that D rejects C's label."""
        with torch.no_grad():
            g = self.players["discriminator"](batch).float()
            return (self.student(batch).float().log_softmax(-1) + F.logsigmoid(-g)).logsumexp(-1)

    def _mixed(self, batch: Batch) -> Batch:
        """A share of the batch blended with other examples, labels too (mixup)."""
        count = int(len(batch) * self.mixed)
        other = torch.randperm(len(batch), generator=self.generator)[:count]
        share = torch.rand(count, 1, generator=self.generator)
        labels = F.one_hot(batch.targets, 10).float()
        blended = (
            share.view(-1, 1, 1, 1) * batch.inputs[:count]
            + (1 - share.view(-1, 1, 1, 1)) * batch.inputs[other]
        )
        soft = share * labels[:count] + (1 - share) * labels[other]
        inputs, targets = torch.cat([blended, batch.inputs[count:]]), torch.cat([soft, labels[count:]])
        return dataclasses.replace(batch, inputs=inputs, targets=targets)


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


CHANGES: dict[str, tuple[str, dict, dict]] = {
    # name: method, attributes of Changed, settings beside the frozen ones
    "kdgan": ("kdgan", {}, {}),
    "mimic": ("mimic", {}, {}),
    "codis": ("codis", {}, {}),
    "C pretrained for a tenth": ("kdgan", {}, {"student_pretraining": 0.1}),
    "the game a tenth of its weight": ("kdgan", {}, {"adversarial": 0.1}),
    "the game ten times its weight": ("kdgan", {}, {"adversarial": 10.0}),
    "C learns twice as fast": ("kdgan", {}, {"lr": 4e-3}),
    "C follows T three times as closely": ("kdgan", {}, {"beta": 3.0}),
    "T learns nothing from C": ("kdgan", {}, {"gamma": 0.0}),
    "the product of labels for D": ("kdgan", {}, {"judge": "labels"}),
    "T follows C ten times as closely": ("kdgan", {}, {"gamma": 0.2}),
    "T and D learn in every second update": ("kdgan", {}, {"interval": 2}),
    "T and D learn in every fourth update": ("kdgan", {}, {"interval": 4}),
    "T learns four times as fast": ("kdgan", {}, {"teacher_lr": 8e-4}),
    "T learns four times as fast and C follows its average": (
        "changed",
        {"average": 0.99},
        {"teacher_lr": 8e-4},
    ),
    "C follows an average of T": ("changed", {"average": 0.99}, {}),
    "labels in the losses of C and T": ("kdgan", {}, {"supervision": 0.1}),
    "labels in full in the losses of C and T": ("kdgan", {}, {"supervision": 1.0}),
    "labels in full and C learns twice as fast": ("kdgan", {}, {"supervision": 1.0, "lr": 4e-3}),
    "views chosen by D out of two": ("changed", {"candidates": 2}, {}),
    "target half of what D implies": ("changed", {"verdict": 0.5, "uniform": 0.5, "smoothing": 0.1}, {}),
    "distillation gated by D": ("changed", {"gate": True}, {}),
    "non-saturating": ("changed", {"saturating": False}, {}),
    "half the views mixed up": ("changed", {"mixed": 0.5}, {}),
}


class ChangedRun(Run):
    """A run whose method is KDGAN with changes."""

    def __init__(self, config: Config, machine: Machine, attributes: dict | None) -> None:
        self.attributes = attributes
        super().__init__(config, machine)

    def _method(self) -> Method:
        if self.attributes is None:
            return super()._method()
        config = self.config
        learning = {role: config.optimization(role) for role in self.modules}
        method = Changed(
            *(self.modules[role] for role in KDGAN.roles),
            **config.hyper,
            optimization=learning,
            seed=mixed(config.seed, config.method),
        )
        method.reach = config.reach
        for name, value in self.attributes.items():
            setattr(method, name, value)
        return method

    def _feed(self, seed: int, data: Batch | None = None):
        feed = super()._feed(seed, data)
        if self.attributes is not None:
            # Only the game draws more candidates than it keeps; pretraining comes before, with its own feed.
            feed.size *= self.attributes.get("candidates", 1) if data is not None else 1
        return feed


def task(
    name: str, config: Config, machine: Machine, store: Path, report: Report, stop: Callable[[], bool]
) -> tuple[float, ...]:
    watched = dataclasses.replace(machine, progress=lambda what, done, total: report(done / total), stop=stop)
    method, attributes, _ = CHANGES[name]
    run = ChangedRun(config, watched, attributes if method == "changed" else None)
    folder = store / "changes" / f"{name.replace(' ', '-')}-{config.name}"
    measured = folder / "validation.json"
    if not measured.exists():
        outcome = run.train(folder, store / "pretrained")
        assert outcome.validation_accuracy is not None
        teacher = accuracy(run.modules["teacher"], run.validation_data, role="teacher")
        write_json(measured, {"found": [outcome.validation_accuracy, teacher, outcome.seconds]})
    return tuple(read_json(measured)["found"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", default="mnist-100")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--changes", help="names joined with commas; all by default")
    given = parser.parse_args()
    names = list(CHANGES) if given.changes is None else given.changes.split(",")
    if not set(names) <= set(CHANGES):
        parser.error(f"unknown changes: choose from {', '.join(CHANGES)}")
    shared = dataclasses.replace(base(given.cell), evaluations=1, interval=1)
    machine = Machine(data_dir=given.data_dir)
    tasks = []
    for seed in range(100, 100 + given.seeds):
        for name in names:
            method, _, change = CHANGES[name]
            real = "kdgan" if method == "changed" else method
            own = frozen(given.cell, real)
            game = {"supervision": 0.0} if real == "kdgan" else {}
            variant = Variant.of(real, {**own.hyper, **own.config, **game, **change})
            config = Comparison(shared, {name: variant}, [seed]).runs()[name, seed]
            # The first of a seed pretrains what the others take.
            first = f"{names[0]} {seed}" if name != names[0] else None
            tasks.append(
                Task(f"{name} {seed}", task, (name, config, machine, given.out), (first,) if first else ())
            )
    file = Path("results/changes") / f"{given.cell}-paper.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows: dict[str, tuple] = {}
    if file.exists():
        with file.open(encoding="utf-8", newline="") as opened:
            for change, seed, *values in list(csv.reader(opened))[1:]:
                rows[f"{change} {seed}"] = tuple(float(value) for value in values)

    def done(name: str, found: tuple) -> None:
        rows[name] = found
        with file.open("w", encoding="utf-8", newline="") as opened:
            table = csv.writer(opened, lineterminator="\n")
            table.writerow(
                ["change", "seed", "validation_accuracy", "teacher_validation_accuracy", "seconds"]
            )
            for label, values in sorted(rows.items()):
                change, _, seed = label.rpartition(" ")
                table.writerow([change, seed, *values])

    for failure in run_tasks(tasks, workers=given.workers, threads=1, console=Console(), done=done):
        print(failure)


if __name__ == "__main__":
    main()
