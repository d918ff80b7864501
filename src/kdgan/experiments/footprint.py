"""What networks of runs take: parameters, bytes on disk, operations, memory, time."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from kdgan.data.batch import Batch
from kdgan.experiments.gathered import OF_CONTROL, Gathered, Player
from kdgan.ship.cost import cost
from kdgan.ship.export import FILES
from kdgan.ship.speed import BATCHES, Latency, eager, latencies, one_thread, peak_bytes, repeated, runtime
from kdgan.ship.student import NAME
from kdgan.tasks.run import TEACHER
from kdgan.training import checkpoint


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one network takes.

    Attributes:
        network: its name.
        parameters: numbers that were learned.
        files: bytes on disk by the file's name: of a student its own and those that `kdgan export` puts beside it; of a
            teacher that only the pretrained players have, of its weights as such a file.
        flops: for one example; None where they cannot be counted.
        memory: most bytes of tensors at once in a forward pass, by the number of examples.
        latency: of a forward pass in PyTorch, by the number of examples.
        runtimes: the same in ONNX Runtime by the file's name; or why it was not measured.
    """

    network: str
    parameters: int
    files: Mapping[str, int]
    flops: int | None
    memory: Mapping[int, int]
    latency: Mapping[int, Latency]
    runtimes: Mapping[str, Mapping[int, Latency] | str]


def footprints(gathered: Gathered) -> dict[str, Footprint]:
    """Of the first student, its teacher and the control, by name, measured in turns on the CPU.

    Two players of the same network take the same, so it is measured once.
    """
    subject = gathered.subject
    wanted = filter(None, [subject.student, subject.teacher, OF_CONTROL])
    players = [gathered.players[name] for name in wanted if name in gathered.players]
    shared: dict[tuple[str, str], Player] = {}
    for player in players:
        shared.setdefault((player.network, player.role), player)
    data = gathered.task.test.to("cpu")
    homes = {
        key: next((each.device for each in player.module.parameters()), None)
        for key, player in shared.items()
    }
    with one_thread():
        modules = {key: player.module.to("cpu").eval() for key, player in shared.items()}
        eager_times = _eager_latencies(modules, data)
        runtimes = {player.name: _runtimes(player) for player in players}
        found = {}
        for player in players:
            key = player.network, player.role
            module = modules[key]
            taken = cost(module, data, role=player.role)
            found[player.name] = Footprint(
                network=player.network,
                parameters=taken.parameters,
                files=_files(player),
                flops=taken.flops,
                memory={count: peak_bytes(module, repeated(data, count), player.role) for count in BATCHES},
                latency=eager_times[key],
                runtimes=runtimes[player.name],
            )
    for key, home in homes.items():
        if home is not None:
            modules[key].to(home)
    return found


def _eager_latencies(
    modules: Mapping[tuple[str, str], nn.Module], data: Batch
) -> dict[tuple[str, str], dict[int, Latency]]:
    found: dict[tuple[str, str], dict[int, Latency]] = {key: {} for key in modules}
    names = {" ".join(key): key for key in modules}
    for count in BATCHES:
        batch = repeated(data, count)
        calls = {name: eager(modules[key], batch, key[1]) for name, key in names.items()}
        for name, latency in latencies(calls).items():
            found[names[name]][count] = latency
    return found


def _runtimes(player: Player) -> dict[str, Mapping[int, Latency] | str]:
    """Of the ONNX files of a student."""
    found: dict[str, Mapping[int, Latency] | str] = {}
    for path in _exported(player) if player.role == "student" else ():
        if path.suffix != ".onnx":
            continue
        times: dict[int, Latency] = {}
        for count in BATCHES:
            call = runtime(path, count)
            if isinstance(call, str):
                found[path.name] = call
                break
            times[count] = latencies({path.name: call})[path.name]
        else:
            found[path.name] = times
    return found


def _exported(player: Player) -> Sequence[Path]:
    """The files of a student in the folder of its run, its own one first: by their names, as a file of another network
    may lie there."""
    paths = (player.run.folder / name for name in (NAME, *sorted(FILES.values())))
    return [path for path in paths if path.is_file()]


def _files(player: Player) -> dict[str, int]:
    if player.role == "student":
        return {path.name: path.stat().st_size for path in _exported(player)}
    kept = player.run.folder / TEACHER
    if kept.is_file():
        return {TEACHER: kept.stat().st_size}
    with tempfile.TemporaryDirectory(prefix="kdgan-") as folder:
        path = Path(folder) / TEACHER
        checkpoint.save(path, {"weights": player.module.state_dict()})
        return {TEACHER: path.stat().st_size}
