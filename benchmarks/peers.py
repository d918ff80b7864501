"""One epoch of distillation through `distill`, torchdistill, KD_Lib and Lightning, each beside a bare loop.

All do the same work in one process on one thread: the same student and frozen teacher, batches of 128, AdamW (fused) at
one rate, 0.1 of the cross entropy and 0.9 of the divergence from the teacher at temperature 4, and the teacher is asked
for every batch. Nobody evaluates but on 128 examples, which two of them ask for. The bare loop and `distill` are given
tensors, the others a DataLoader over these, and `distill` this, too. A row says what `distill` does by itself: without
augmentation it asks a frozen teacher once, ahead.

A round is a seed: a student and a teacher of its own, the latter trained for one epoch on the labels, and all of them
distil it into a copy of the student, every second round in the opposite order. What is timed is the whole call, the
making of a trainer included, in CPU time, which other processes disturb less. Prints the median of the ratios to the
bare loop of the same round with its quartiles, and the accuracy of the students on test images with its 95 % interval,
paired with that of the bare loop; `--out FILE` keeps the figures of each seed.

The peers need an environment of their own, as KD_Lib pins the releases of 2021 and its import wants transformers:

    python -m venv peers && peers/bin/pip install -e . torchvision torchdistill lightning matplotlib tensorboard
    peers/bin/pip install --no-deps --only-binary :all: KD_Lib==0.0.32

With a torch for CPUs alone take its own torchvision, from the same index. Random tensors take the place of MNIST unless
`--data-dir` names its files.
"""

from __future__ import annotations

import argparse
import copy
import gc
import io
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from kdgan import Batch, Training, distill, nets
from kdgan.data import load
from kdgan.experiments.statistics import holm, mean_interval, paired_difference
from kdgan.experiments.tables import plus_minus
from kdgan.files import write_json

BATCH, LR, TEMPERATURE, WEIGHT = 128, 1e-3, 4.0, 0.9
SETTINGS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "small": lambda: (nets.mlp(784, [400, 400], 10), nets.lenet()),
    "large": lambda: (nets.lenet(), nets.lenet(channels=(32, 64), hidden=1024)),
}


def kd_loss(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """The loss of all of them."""
    soft = F.kl_div(
        F.log_softmax(student / TEMPERATURE, 1), F.softmax(teacher / TEMPERATURE, 1), reduction="batchmean"
    )
    return (1 - WEIGHT) * F.cross_entropy(student, targets) + WEIGHT * TEMPERATURE**2 * soft


def optimizer_of(weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of all of them; the rate stays."""
    return torch.optim.AdamW(weights, lr=LR, weight_decay=0.0, fused=True)


def loader_of(data: Batch) -> DataLoader[Any]:
    """What the peers read."""
    return DataLoader(TensorDataset(data.tensor, data.targets), BATCH, shuffle=True, drop_last=True)


def bare(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """The loop that one would write by hand."""
    x, y = data.tensor, data.targets
    optimizer = optimizer_of(student.parameters())
    student.train()
    order = torch.randperm(len(x))
    for start in range(0, len(x) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        images = x[chosen]
        with torch.no_grad():
            told = teacher(images)
        loss = kd_loss(student(images), told, y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def through_distill(student: nn.Module, teacher: nn.Module, data: Batch, **more: Any) -> None:
    """`distill`, with a trained teacher that is kept as it is."""
    training = Training(steps=len(data) // BATCH, batch=BATCH, lr=LR, evaluations=1)
    train, optimizers = more.pop("train", data), more.pop("optimizers", {"student": optimizer_of})
    distill(
        student,
        teacher,
        train,
        data[:BATCH],
        method="distn",
        hyper={"temperature": TEMPERATURE, "weight": WEIGHT},
        training=training,
        teacher_trained=True,
        optimizers=optimizers,
        control=False,
        device="cpu",
        progress=False,
        **more,
    )


def asking(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """The same with views of the inputs, which are the inputs: so the teacher must look at each."""
    through_distill(student, teacher, data, augment=lambda x, generator: x)


def from_loader(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """The same over a DataLoader, which is read anew, so that the teacher must look at each."""
    through_distill(student, teacher, data, train=loader_of(data))


def scheduled(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """With its own warm-up and cosine in place of one rate."""
    through_distill(student, teacher, data, optimizers=None)


def torchdistill(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """A distillation box, in the loop of its examples without their printing."""
    from torchdistill.core.distillation import get_distillation_box

    kd = {
        "student_module_path": ".",
        "student_module_io": "output",
        "teacher_module_path": ".",
        "teacher_module_io": "output",
        "temperature": TEMPERATURE,
        "alpha": 1 - WEIGHT,
        "beta": WEIGHT,
    }
    config = {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "train",
            "requires_supp": False,
            "sampler": {"class_or_func": RandomSampler, "kwargs": {}},
            "kwargs": {"batch_size": BATCH, "drop_last": True},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only"},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": LR, "weight_decay": 0.0, "fused": True}},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": {"key": "KDLoss", "kwargs": kd}, "weight": 1.0}}},
        },
    }
    examples = {"train": TensorDataset(data.tensor, data.targets)}
    box = get_distillation_box(
        teacher,
        student,
        examples,
        config,
        torch.device("cpu"),
        device_ids=None,
        distributed=False,
        lr_factor=1,
    )
    box.pre_epoch_process(epoch=0)
    for images, targets in box.train_data_loader:
        box.post_forward_process(loss=box.forward_process(images, targets))
    box.post_epoch_process()


class Divergence(nn.Module):
    """The divergence of what KD_Lib hands over: probabilities of teacher and student."""

    def forward(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The mean over the batch."""
        return F.kl_div(student.log(), teacher, reduction="batchmean")


def kd_lib(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """Its VanillaKD."""
    # What it imports beside needs transformers of 2021.
    sys.modules.setdefault("KD_Lib.KD.text", _Anything("KD_Lib.KD.text"))
    from KD_Lib.KD.vision.vanilla.vanilla_kd import VanillaKD

    some = DataLoader(TensorDataset(data.tensor[:BATCH], data.targets[:BATCH]), BATCH)
    trainer = VanillaKD(
        teacher,
        student,
        loader_of(data),
        some,
        None,
        optimizer_of(student.parameters()),
        Divergence(),
        TEMPERATURE,
        WEIGHT,
    )
    with redirect_stdout(io.StringIO()):
        trainer.train_student(epochs=1, plot_losses=False, save_model=False)


class _Anything(ModuleType):
    def __getattr__(self, name: str) -> object:
        return None


def lightning(student: nn.Module, teacher: nn.Module, data: Batch) -> None:
    """A module with the same step in a Trainer that neither logs nor keeps anything."""
    import lightning as pl

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # which the import sets

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.student, self.teacher = student, teacher

        def training_step(self, batch: list[Tensor], number: int) -> Tensor:
            images, targets = batch
            with torch.no_grad():
                told = self.teacher(images)
            return kd_loss(self.student(images), told, targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer_of(self.student.parameters())

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader_of(data))


CONTENDERS: dict[str, Callable[[nn.Module, nn.Module, Batch], None]] = {
    "bare loop": bare,
    "distill": asking,
    "distill, DataLoader": from_loader,
    "distill, teacher ahead": through_distill,
    "distill, teacher ahead, own schedule": scheduled,
    "torchdistill": torchdistill,
    "KD_Lib": kd_lib,
    "Lightning": lightning,
}


def examples_of(count: int, folder: str | None) -> tuple[Batch, Batch]:
    """MNIST's training and test images, or random ones whose class a network can find."""
    if folder is not None:
        source = load("mnist", data_dir=folder)
        assert source.test is not None
        parts = source.train[:count], source.test
        return tuple(Batch(part.tensor.float() / 255, part.targets) for part in parts)  # type: ignore[return-value]
    targets = torch.randint(10, (count + 2000,))
    images = torch.randn(10, 1, 28, 28)[targets] + 2 * torch.randn(len(targets), 1, 28, 28)
    both = Batch(images, targets)
    return both[:count], both[count:]


def accuracy(student: nn.Module, data: Batch) -> float:
    """In per cent."""
    with torch.no_grad():
        return 100 * (student.eval()(data.tensor).argmax(1) == data.targets).double().mean().item()


def players(setting: str, data: Batch, seed: int) -> tuple[nn.Module, nn.Module]:
    """A student, and a teacher that was trained for one epoch."""
    torch.manual_seed(seed)
    student, teacher = SETTINGS[setting]()
    optimizer = optimizer_of(teacher.parameters())
    for start in range(0, len(data) - BATCH + 1, BATCH):
        part = data[start : start + BATCH]
        optimizer.zero_grad()
        F.cross_entropy(teacher(part.tensor), part.targets).backward()
        optimizer.step()
    return student, teacher.eval().requires_grad_(False)


def measure(setting: str, names: list[str], data: Batch, test: Batch, rounds: int) -> list[dict[str, Any]]:
    """All contenders in turns; prints their ratios and accuracies, and gives those of each seed."""
    found = []
    for number in range(rounds + 1):
        student, teacher = players(setting, data if number else data[: 5 * BATCH], number)
        for name in names[:: 1 if number % 2 else -1]:
            taught = copy.deepcopy(student)
            gc.collect()
            torch.manual_seed(number)
            start = time.process_time()
            CONTENDERS[name](taught, teacher, data[: 5 * BATCH] if not number else data)
            seconds = time.process_time() - start
            if number:  # the first only imports and warms up
                found.append(
                    {
                        "contender": name,
                        "seed": number,
                        "seconds": seconds,
                        "accuracy": accuracy(taught, test),
                    }
                )
        if number:
            found.append({"contender": "teacher", "seed": number, "accuracy": accuracy(teacher, test)})
    seconds, right = (
        {name: {each["seed"]: each[what] for each in found if each["contender"] == name} for name in names}
        for what in ("seconds", "accuracy")
    )
    others = [name for name in names if name != "bare loop"]
    gains = holm([paired_difference(right[name], right["bare loop"]) for name in others])
    for name, gain in zip(others, gains, strict=True):
        ratios = [seconds[name][seed] / bare for seed, bare in seconds["bare loop"].items()]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{setting:6} {name:36} ratio {middle:.3f} (quartiles {low:.3f} to {high:.3f}, {rounds} rounds), "
            f"accuracy {plus_minus(mean_interval(right[name].values()))}, to the bare loop "
            f"{plus_minus(gain, difference=True)}, corrected for {len(others)} (Holm)",
            flush=True,
        )
    return found


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=[*SETTINGS])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=[*CONTENDERS])
    parser.add_argument("--examples", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", help="files of MNIST; random tensors by default")
    parser.add_argument("--out", type=Path, help="a JSON file of the figures of each seed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    logging.getLogger("torchdistill").setLevel(logging.ERROR)
    data, test = examples_of(given.examples, given.data_dir)
    names = [name for name in CONTENDERS if name == "bare loop" or name in given.contenders]
    found = {setting: measure(setting, names, data, test, given.rounds) for setting in given.settings}
    if given.out is not None:
        of = "random tensors" if given.data_dir is None else "MNIST"
        write_json(given.out, {"data": of, "examples": given.examples, "runs": found})


if __name__ == "__main__":
    main()
