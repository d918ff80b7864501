"""What might lift KDGAN above a frozen teacher: principled changes, measured on validation data of seeds from 100.

Each change is an idea for what a discriminator can do that a third peer cannot, or for a student that follows
its teacher more closely. This is where they were tried; only the moving of views became part of the package, for
every method (`kdgan.methods.Method.moved`). One row a run goes to results/changes/CELL.csv; runs are kept in
--out, and the same command continues.
"""

import argparse
import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from kdgan.data import Batch
from kdgan.files import write_json
from kdgan.losses import discriminator_loss, label_weights
from kdgan.methods import KDGAN, Method, Mimic
from kdgan.methods.base import Losses, report
from kdgan.studies.pool import Report, Task, run_tasks
from kdgan.studies.table1 import base
from kdgan.training.config import Config, read_json
from kdgan.training.evaluate import accuracy
from kdgan.training.run import Machine, Run


class Changed(KDGAN):
    """KDGAN with every change switched off; both C and T learn from the D that their own labels trained.

    Attributes:
        radius: largest distance, in units of the inputs' deviation, to which D's objective may move a view.
        candidates: views of which the ones on which D catches C most are kept: one in so many.
        verdict: share of what D implies for p_u, p_α·e^g, in the logits that C follows.
        uniform: share of labels drawn uniformly among the fake ones, which keeps D a classifier.
        smoothing: of D's true labels, so that what it implies is no surer of itself than T.
        gate: weigh distillation by D's belief in T's label.
        saturating: False for the non-saturating generator loss, −E[log p_d].
        mixed: share of the batch that is blended with other instances, labels too.
    """

    radius = 0.0
    candidates = 1
    verdict = 0.0
    uniform = 0.0
    smoothing = 0.0
    gate = False
    saturating = True
    mixed = 0.0

    def update(self, batch: Batch, progress: float) -> Losses:
        teacher, discriminator = self.players["teacher"], self.players["discriminator"]
        if self.candidates > 1:
            batch = batch[self._caught(batch).topk(len(batch) // self.candidates).indices]
        if self.mixed:
            batch = self._mixed(batch)
        if self.radius:
            batch = self._moved(batch)
        c, t, g = self.student(batch), teacher(batch), discriminator(batch)
        fake = self.alpha * c.detach().float().softmax(-1) + (1 - self.alpha) * t.detach().float().softmax(-1)
        fake = (1 - self.uniform) * fake + self.uniform / fake.shape[-1]
        true = label_weights(batch.targets, g.detach().float())
        true = (1 - self.smoothing) * true + self.smoothing / g.shape[-1]
        d_loss = discriminator_loss(g, true, fake)
        discriminator.learn(d_loss, progress)

        g = g.detach().float()
        teacher.learn((1 - self.alpha) * self._fooled(t, g) + self.gamma * self.distance(t, c), progress)
        t = t.detach().float()
        belief = g.gather(1, t.argmax(1, keepdim=True)).sigmoid().squeeze(1) if self.gate else 1.0
        if self.verdict:
            implied = fake.clamp_min(1e-6).log() + g
            t = (1 - self.verdict) * _centred(t) + self.verdict * _centred(implied)
        ad_c, ds_c = self._fooled(c, g), belief * self.distance(c, t)
        self.student.learn(self.alpha * ad_c + self.beta * ds_c, progress)
        return report(discriminator=d_loss, adversarial=ad_c, distillation=ds_c)

    def _fooled(self, logits: Tensor, g: Tensor) -> Tensor:
        value = F.logsigmoid(-g) if self.saturating else -F.logsigmoid(g)
        return (logits.float().softmax(-1) * value).sum(-1)

    def _caught(self, batch: Batch) -> Tensor:
        """log of the probability that D rejects C's label."""
        with torch.no_grad():
            g = self.players["discriminator"](batch).float()
        return (self.student(batch).float().log_softmax(-1) + F.logsigmoid(-g)).logsumexp(-1).detach()

    def _moved(self, batch: Batch) -> Batch:
        """Views moved to where D catches C more easily: the adversary of Eq. 3 also chooses where to look."""
        with torch.no_grad():
            g = self.players["discriminator"](batch).float()
        x = batch.inputs.detach().clone().requires_grad_(True)
        caught = (self.student.module(x).float().log_softmax(-1) + F.logsigmoid(-g)).logsumexp(-1)
        (slope,) = torch.autograd.grad(caught.sum(), x)
        axes = tuple(range(1, slope.ndim))
        slope = slope.float() / slope.float().square().sum(axes, keepdim=True).sqrt().clamp_min(1e-12)
        size = torch.rand(len(x), generator=self.generator).view(-1, *[1] * len(axes)) * self.radius
        return dataclasses.replace(batch, inputs=(x + size * slope).detach())

    def _mixed(self, batch: Batch) -> Batch:
        """A share of the batch blended with other instances, labels too (mixup)."""
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


class MovedMimic(Mimic):
    """MIMIC whose views move to where C and T disagree more: what the moving alone is worth, without a D."""

    radius = 4.0

    def update(self, batch: Batch, progress: float) -> Losses:
        t = self.target(batch).float()
        x = batch.inputs.detach().clone().requires_grad_(True)
        (slope,) = torch.autograd.grad((self.student.module(x).float() - t).square().mean(-1).sum(), x)
        axes = tuple(range(1, slope.ndim))
        slope = slope.float() / slope.float().square().sum(axes, keepdim=True).sqrt().clamp_min(1e-12)
        size = torch.rand(len(x), generator=self.generator).view(-1, *[1] * len(axes)) * self.radius
        return super().update(dataclasses.replace(batch, inputs=(x + size * slope).detach()), progress)


CHANGES: dict[str, tuple[str, dict, dict, dict]] = {
    # name: method, attributes of Changed, hyperparameters, fields of the configuration
    "kdgan": ("kdgan", {}, {}, {}),
    "mimic": ("mimic", {}, {}, {}),
    "mimic with views moved to where it errs": ("mimic", {"moved": True}, {}, {}),
    "views moved by D": ("changed", {"radius": 4.0}, {}, {}),
    "views chosen by D out of two": ("changed", {"candidates": 2}, {}, {}),
    "target half of what D implies": ("changed", {"verdict": 0.5, "uniform": 0.5, "smoothing": 0.1}, {}, {}),
    "distillation gated by D": ("changed", {"gate": True}, {}, {}),
    "non-saturating": ("changed", {"saturating": False}, {}, {}),
    "half the views mixed up": ("changed", {"mixed": 0.5}, {}, {}),
    "no pretraining of C": ("kdgan", {}, {}, {"student_pretraining": 0.0}),
    "T follows C ten times as closely": ("kdgan", {}, {"gamma": 0.2}, {}),
    "C follows T five times as closely": ("kdgan", {}, {"beta": 5.0}, {}),
    "D learns at a fifth of the rate": ("changed", {"slow": True}, {}, {}),
}


class ChangedRun(Run):
    """A run whose method is KDGAN with changes."""

    def __init__(self, config: Config, machine: Machine, attributes: dict) -> None:
        self.attributes = attributes
        super().__init__(config, machine)

    def _method(self) -> Method:
        if not self.attributes:
            return super()._method()
        if "moved" in self.attributes:
            learning = {"student": self.config.optimization("student")}
            players = [self.modules[role] for role in Mimic.roles]
            return MovedMimic(*players, optimization=learning, seed=self.config.seed)
        config, attributes = self.config, dict(self.attributes)
        learning = {role: config.optimization(role) for role in self.modules}
        if attributes.pop("slow", False):
            learning["discriminator"] = dataclasses.replace(learning["discriminator"], lr=config.lr / 5)
        players = [self.modules[role] for role in KDGAN.roles]
        method = Changed(*players, **config.hyper, optimization=learning, seed=config.seed)
        for name, value in attributes.items():
            setattr(method, name, value)
        return method

    def _feed(self, seed: int, data: Batch | None = None):
        feed = super()._feed(seed, data)
        if self.attributes:
            # Only the game draws more candidates than it keeps; pretraining comes before, with its own feed.
            feed.size *= self.attributes.get("candidates", 1) if data is not None else 1
        return feed


def task(
    name: str, config: Config, machine: Machine, store: Path, report: Report, stop: Callable[[], bool]
) -> tuple[float, ...]:
    watched = dataclasses.replace(machine, progress=lambda what, done, total: report(done / total), stop=stop)
    method, attributes, _, _ = CHANGES[name]
    run = ChangedRun(config, watched, attributes or ({"radius": 0.0} if method == "changed" else {}))
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
    # As they were tried: without moving views, and for 1,500 updates.
    shared = dataclasses.replace(base(given.cell), evaluations=1, steps=1500, teacher_steps=1500, reach=0.0)
    shared = dataclasses.replace(shared, pretraining_lr=shared.lr)
    machine = Machine(data_dir=given.data_dir)
    tasks = []
    for seed in range(100, 100 + given.seeds):
        for name in names:
            method, _, hyper, fields = CHANGES[name]
            real = "kdgan" if method == "changed" else method
            config = dataclasses.replace(shared, method=real, seed=seed, hyper=hyper, **fields)
            # The first of a seed pretrains what the others take.
            first = f"{names[0]} {seed}" if name != names[0] else None
            tasks.append(
                Task(f"{name} {seed}", task, (name, config, machine, given.out), (first,) if first else ())
            )
    file = Path("results/changes") / f"{given.cell}.csv"
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
