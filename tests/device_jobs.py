"""What several processes compute together, and one alone, for tests."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdgan import Batch, Training, distill, nets
from kdgan.data.augment import augmentation
from kdgan.data.feed import TensorFeed
from kdgan.losses import Categorical
from kdgan.methods import Losses, Method, Optimization, create
from kdgan.methods.player import Player, Terms, total
from kdgan.methods.sharing import Devices, at_first, by_rows, devices, shared_by
from kdgan.training.launch import devices_of, sharing

STEPS, CLASSES = 200, 5
HYPER: dict[str, dict[str, Any]] = {
    "kdgan": {"estimator": "concrete", "t_steps": 2},
    "mimic": {},
    "codis": {},
}
PARTS: dict[str, Any] = {"steps": 30, "size": 32, "accumulate": 3}


def fabric(count: int = 2) -> Any:
    """A launched Fabric of processes on the CPU."""
    import logging

    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    made = Fabric(accelerator="cpu", devices=count, strategy="ddp")
    made.launch()
    return made


def data(count: int = 300) -> Batch:
    """Of unlike rows: some without a label, most of them at the end, and rare classes."""
    draw = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, 12, generator=draw)
    targets = (inputs[:, :3].sum(1).abs() * 2).long().clamp_max(CLASSES - 1)
    unlabelled = torch.rand(count, generator=draw) < torch.linspace(0, 0.8, count)
    known = torch.randn(count, 4, generator=draw)
    return Batch(inputs, targets.masked_fill(unlabelled, -1), known)


def players(seed: int = 0) -> dict[str, nn.Module]:
    """Student, teacher and discriminator, which see what is known in training beside the inputs."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nets.mlp(16, [24], CLASSES)

        def forward(self, inputs: Tensor, known: Tensor) -> Tensor:
            return self.inner(torch.cat([inputs, known], 1))

    torch.manual_seed(seed)
    return {"student": nets.mlp(12, [16], CLASSES), "teacher": Both(), "discriminator": Both()}


def method(name: str, modules: dict[str, nn.Module], **optimization: Any) -> Method:
    """A method whose loss weighs classes, smooths labels, moves inputs and clips gradients."""
    family = Categorical(class_weights=torch.linspace(0.5, 2, CLASSES), smoothing=0.1)
    learning = Optimization(lr=2e-3, clip=0.5, **optimization)
    return create(name, modules, HYPER[name], optimization=learning, seed=5, family=family, epsilon=0.1)


def trained(
    name: str, shared: Devices | None, *, steps: int = STEPS, size: int = 33, **optimization: Any
) -> dict[str, Tensor]:
    """Losses of every update `(steps,)`, and weights at the end, by name."""
    modules = players()
    made = method(name, modules, **optimization)
    feed = TensorFeed(data(), size, seed=7, augment=augmentation("noise", torch.zeros(1)))
    whole = {role: watch(player) for role, player in made.players.items() if player.learns}
    with shared_by(shared), sharing(made):
        watched = [made.update(feed(step), step / steps) for step in range(steps)]
    found = {f"term/{key}": torch.stack([each[key] for each in watched]) for key in watched[0]}
    found |= {f"loss/{role}": torch.stack(each) for role, each in whole.items()}
    for role in made.players:
        found |= {f"{role}/{key}": each.detach() for key, each in modules[role].state_dict().items()}
    return found


def watch(player: Player) -> list[Tensor]:
    """The loss of every step of a player from now on."""
    losses: list[Tensor] = []
    learn = player.learn

    def watched(terms: Terms, progress: float) -> Losses:
        losses.append(total(terms).detach().mean())
        return learn(terms, progress)

    vars(player)["learn"] = watched
    return losses


def share_all(folder: Path) -> None:
    """All of the jobs below, over one Fabric."""
    made = fabric()
    for job in (train_all, distill_all, refuse_all):
        job(made, folder)


def train_all(made: Any, folder: Path) -> None:
    """Each method, in parts, too; the first process keeps what came out."""
    shared = devices_of(made)
    assert shared is not None
    for name in HYPER:
        found = trained(name, shared)
        if shared.is_first:
            torch.save(found, folder / f"{name}.pt")
    parts = trained("kdgan", shared, **PARTS)
    if shared.is_first:
        torch.save(parts, folder / "parts.pt")


def distilled(made: Any, folder: Path | None, **options: Any) -> Any:
    """A call of `distill`, over the devices of a Fabric or without one."""
    modules = players(1)
    given = {
        "student": modules["student"],
        "teacher": modules["teacher"],
        "train": data(),
        "validation": with_labels(data(151)),
        "method": "kdgan",
        "teacher_trained": False,
        "training": Training(steps=30, teacher_steps=20, batch=21, evaluations=3),
        "folder": folder,
        "progress": False,
        **({"device": "cpu"} if made is None else {"fabric": made}),
    }
    return distill(**{**given, **options})


def with_labels(batch: Batch) -> Batch:
    """The same examples, all with a label."""
    return replace(batch, targets=batch.targets.clamp_min(0))


CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "hint": {"features": {"1": "inner.1"}},
    "relational": {"features": {"1": "inner.1"}, "feature_loss": "relational", "feature_weight": 0.1},
    "whole": {
        "method": "device_jobs:Whole",
        "teacher": None,
        "discriminator": None,
        "teacher_trained": None,
        "control": False,
    },
    "asked": {"method": "distn", "teacher_trained": None, "control": False},
}
"""Calls of `distill`; in the last the teacher is a function."""


def call(name: str, made: Any, folder: Path | None) -> Any:
    """One of the calls, with examples without labels beside the others where a function teaches."""
    if name != "asked":
        return distilled(made, folder, **CALLS[name])
    more = data(80)
    ASKED.clear()
    return distilled(made, folder, teacher=ask, unlabelled=(more.inputs, more.privileged), **CALLS[name])


ASKED: list[int] = []
"""How many examples the teacher was asked about at a time."""


def ask(inputs: Tensor, known: Tensor) -> Tensor:
    """A teacher that is a function."""
    ASKED.append(len(inputs))
    return inputs[:, :CLASSES] * 2 + known[:, :1]


def distill_all(made: Any, folder: Path) -> None:
    """The calls, the first of them in a folder; all processes keep what came out."""
    for name in CALLS:
        found = call(name, made, folder / "run" if name == "plain" else None)
        kept = {
            "history": found.history,
            "student": found.student.state_dict(),
            "report": found.report.metrics,
            "asked": sum(ASKED),
        }
        torch.save(kept, folder / f"{name}-{made.global_rank}.pt")


def refuse_all(made: Any, folder: Path) -> None:
    """What several devices cannot share; each process keeps what it was told."""
    shared = devices_of(made)
    assert shared is not None
    said: list[str] = []

    def told(call: Any) -> None:
        try:
            call()
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
        else:
            said.append("nothing")

    told(lambda: trained("mimic", shared, steps=1, size=1))
    torch.manual_seed(0)
    normed = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    told(lambda: distilled(made, None, student=normed))
    told(lambda: distilled(made, None, train=data(300 + made.global_rank)))
    told(lambda: distilled(made, None, method=Direct, discriminator=None, teacher_trained=True))
    told(lambda: distilled(made, None, student=made.setup(players()["student"])))
    told(lambda: distilled(made, None, device="cpu"))
    (folder / f"{shared.rank}.txt").write_text("\n".join(said), encoding="utf-8")


class Whole(Method):
    """Has a penalty on weights, which is of no row, and asks its network as often as the global generators say."""

    roles = trains = ("student",)
    pretrained = ()

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of C."""
        times = 1 + int(torch.rand(()).item() < 0.5) + random.randrange(2)
        values = torch.stack([self.supervised(self.student(batch), batch) for _ in range(times)]).mean(0)
        size = sum(weight.square().sum() for weight in self.student.module.parameters())
        return self.student.learn(
            {"label": (1.0, values), "size": (0.1, size * torch.ones(len(batch)))}, progress
        )


class Direct(Method):
    """Calls a network past its player."""

    roles = ("student", "teacher")

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of C."""
        values = self.supervised(self.student.module(batch.tensor), batch)
        return self.student.learn({"label": (1.0, values)}, progress)


def draws_of(shared: Devices) -> None:
    """Networks draw otherwise in each process, the same in the same step, and beside what everyone draws."""
    torch.manual_seed(8)
    found = []
    for _ in range(2):
        shared.draws(1, 4)
        for _ in range(2):
            with shared.drawing():
                found.append(torch.rand(1 + shared.rank)[0].item())
    assert found[:2] == found[2:]
    assert found[0] != found[1]
    everywhere: list[Any] = [None] * shared.world
    torch.distributed.all_gather_object(everywhere, found)
    assert everywhere[0] != everywhere[1]
    torch.manual_seed(8)
    expected = torch.rand(1).item()
    torch.manual_seed(8)
    with shared.drawing():
        torch.rand(3)
    assert torch.rand(1).item() == expected


def collect(folder: Path) -> None:
    """Each collective, and what a process is told of another that fails."""
    shared = devices_of(fabric())
    assert shared is not None
    rank = shared.rank
    every = torch.arange(10.0).view(5, 2)
    own = every[shared.rows(5)].clone().requires_grad_(True)
    whole = shared.gathered(own, 5)
    assert torch.equal(whole, every)
    (whole.square() * torch.arange(5.0)[:, None]).sum().backward()
    assert own.grad is not None
    # As often as there are processes, for the mean over them.
    assert torch.equal(own.grad, 2 * (2 * every * torch.arange(5.0)[:, None])[shared.rows(5)])

    first, second, third = (nn.Parameter(torch.zeros(n)) for n in (2, 3, 1))
    first.grad = torch.full((2,), rank + 1.0)
    second.grad = torch.ones(3) if rank else None
    shared.average([first, second, third])
    assert first.grad.tolist() == [1.5, 1.5]
    assert second.grad is not None
    assert second.grad.tolist() == [0.5, 0.5, 0.5]
    assert third.grad is None

    # In the memory's order of its weights, which a fused optimizer trusts.
    image = nn.Parameter(torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last))
    image.grad = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
    lacking = nn.Parameter(image.detach().clone())
    lacking.grad = None if rank else image.grad.clone()
    shared.average([image, lacking])
    assert lacking.grad is not None
    assert image.grad.stride() == lacking.grad.stride() == image.stride()
    assert torch.equal(image.grad, torch.arange(24.0).view(2, 3, 2, 2))
    assert torch.equal(lacking.grad, torch.arange(24.0).view(2, 3, 2, 2) / 2)

    assert not shared.anywhere(False)
    assert shared.anywhere(rank == 1)
    assert shared.from_first({"rank": rank}) == {"rank": 0}
    assert shared.alike(1)
    assert not shared.alike(rank)
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, rank)
    shared.as_first([layer])
    assert not layer.weight.any()
    draws_of(shared)

    with shared_by(shared):
        assert at_first(lambda: (devices(), rank)) == (None, 0)
        assert by_rows(lambda batch: batch.tensor, Batch(every[:1], None)).shape == (1, 2)
    (folder / f"{rank}.txt").write_text("as it should be", encoding="utf-8")
    try:
        with shared_by(shared):
            if rank:
                raise ValueError("no such photo")
            shared.anywhere(False)
    except Exception as error:
        (folder / f"{rank}-failed.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
