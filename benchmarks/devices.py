"""Updates over several devices against the same updates on one: losses, weights, and time.

KDGAN with concrete samples, MIMIC and CODIS on handwritten digits (student MLP 64-64-10, two LeNets 8-16-64), global
batches of 65, which no two devices share evenly, in noisy views. Each process first makes all updates alone, then its
share of them. Prints for each method the largest relative difference of a player's loss in any update, the largest
difference of a weight after the last, and the time of an update beside that of one device.

    python benchmarks/devices.py --out results/devices.json    # two processes on the CPU
    python benchmarks/devices.py --devices 4 --device cuda     # four GPUs, over NCCL
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from kdgan import Batch
from kdgan.data.augment import augmentation
from kdgan.data.feed import TensorFeed
from kdgan.files import write_json
from kdgan.methods import Losses, Optimization, create
from kdgan.methods.player import Player, Terms, total
from kdgan.methods.sharing import Devices, shared_by
from kdgan.nets import lenet, mlp
from kdgan.training.devices import deterministic
from kdgan.training.launch import command_of, launch, sharing

METHODS: dict[str, dict[str, Any]] = {"kdgan": {"estimator": "concrete"}, "mimic": {}, "codis": {}}
BATCH = 65


def watch(player: Player) -> list[Tensor]:
    """The loss of each step of a player from now on."""
    losses: list[Tensor] = []
    learn = player.learn

    def watched(terms: Terms, progress: float) -> Losses:
        losses.append(total(terms).detach().mean())
        return learn(terms, progress)

    vars(player)["learn"] = watched
    return losses


def trained(
    name: str, updates: int, device: torch.device, shared: Devices | None
) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """Losses of all updates and weights after the last, by name, and the seconds that it took."""
    torch.manual_seed(0)
    modules = {"student": mlp(64, [64], 10)}
    modules |= {role: lenet((1, 8, 8), (8, 16), 64, 10) for role in ("teacher", "discriminator")}
    modules = {role: module.to(device) for role, module in modules.items()}
    found = load_digits()
    inputs = torch.tensor(found.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    data = Batch(inputs, torch.tensor(found.target)).to(device)
    feed = TensorFeed(data, BATCH, seed=1, augment=augmentation("noise", torch.zeros(1)))
    method = create(name, modules, METHODS[name], optimization=Optimization(clip=1.0), seed=2)
    losses = {role: watch(player) for role, player in method.players.items() if player.learns}
    began = time.perf_counter()
    with shared_by(shared), sharing(method):
        for step in range(updates):
            method.update(feed(step), step / updates)
    values = {role: torch.stack(each).cpu() for role, each in losses.items()}
    seconds = time.perf_counter() - began
    weights = {
        f"{role}.{key}": each.cpu()
        for role, player in method.players.items()
        for key, each in player.module.state_dict().items()
    }
    return values, weights, seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    shared = launch(options.devices, options.device)
    if shared is None:
        raise SystemExit("one device has nobody to be held against: --devices 2")
    deterministic(1)
    with command_of(shared):
        if shared.is_first:
            print(f"{shared.world} processes on {shared.device.type}, {options.updates} updates")
            print("| method | losses, relative | weights | time beside one device |\n|---|---:|---:|---:|")
        found = {}
        for name in METHODS:
            alone, its, one = trained(name, options.updates, shared.device, None)
            together, theirs, several = trained(name, options.updates, shared.device, shared)
            losses = max(((together[role] - alone[role]) / alone[role]).abs().max().item() for role in alone)
            weights = max((theirs[key] - its[key]).abs().max().item() for key in its)
            found[name] = {"losses": losses, "weights": weights, "time": several / one}
            if shared.is_first:
                print(f"| {name} | {losses:.1e} | {weights:.1e} | {several / one:.2f} |", flush=True)
        if shared.is_first and options.out is not None:
            what = {"processes": shared.world, "device": shared.device.type, "updates": options.updates}
            write_json(options.out, {**what, "batch": BATCH, "methods": found})


if __name__ == "__main__":
    main()
