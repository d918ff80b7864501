"""Latency of students and teachers at batch 1, one thread: PyTorch eager against ONNX Runtime, in the same run.

    python benchmarks/onnx_latency.py

Both take raw inputs and give probabilities; they are called in turns of 25 calls, so that a busy machine slows both
and each finds its weights in the cache. Weights are those of fresh networks, which changes nothing of the time. The
teacher of tags reads text, has no ONNX file, and is measured in PyTorch alone. Bar: the student in ONNX Runtime takes
at most half of PyTorch eager's time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kdgan import nets
from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.ship.export import export
from kdgan.ship.onnx_file import session
from kdgan.ship.raw import RawForm
from kdgan.ship.raw_student import RawStudent
from kdgan.ship.student import Student

MNIST, CIFAR10, FEATURES, TAGS = (1, 28, 28), (3, 32, 32), (512,), 200


@dataclass(frozen=True)
class Case:
    """Student and teacher of one kind of data."""

    name: str
    shape: tuple[int, ...]
    outputs: int
    student: str
    teacher: str | None


CASES = (
    Case("MNIST", MNIST, 10, "mlp-800-800", "lenet-20-50-500"),
    Case("MNIST, small", MNIST, 10, "mlp-32", "lenet-20-50-500"),
    Case("CIFAR-10", CIFAR10, 10, "lenet-64-128-1024", "resnet-32"),
    Case("CIFAR-10, small", CIFAR10, 10, "resnet-8", "resnet-32"),
    Case("tags, the paper's C", FEATURES, TAGS, "projected-800-800", None),
    Case("tags, normed", FEATURES, TAGS, "normed-800-800", None),
)


def fresh(network: str, shape: tuple[int, ...], outputs: int) -> Student:
    """A student that was not trained."""
    sizes = (shape[0], *[1] * (len(shape) - 1))
    scale = Scale(torch.full(sizes, 0.4), torch.full(sizes, 0.3))
    reader = ImageReader.of(shape) if len(shape) == 3 else None
    labels = tuple(map(str, range(outputs)))
    return Student(nets.build(network, shape, outputs).eval(), labels, network, shape, scale, reader=reader)


def in_turns(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median milliseconds of each call."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for place, call in enumerate(calls):
            for row in range(25):
                start = time.perf_counter()
                call()
                if row >= 5:  # the first bring their weights into the cache
                    seconds[place].append(time.perf_counter() - start)
    return [1000 * float(np.median(each)) for each in seconds]


def both(student: Student, folder: Path) -> list[Callable[[], object]]:
    """A student on one instance: in PyTorch eager, in ONNX Runtime, and there in integers of eight bits."""
    form = RawForm(student)
    done = export(student, folder / "s.onnx")
    small = export(student, folder / "i.onnx", quantize="int8", calibration=form.plausible(100))
    raw = form.of(form.plausible(1))
    inputs = form.coded(raw)
    # The student's own module in its own layout, scaled as a student scales.
    eager = RawStudent(form)
    eager.network = student.module
    opened, integers = session(done.path), session(small.path)

    def in_torch() -> object:
        with torch.inference_mode():
            return eager(*inputs)

    return [in_torch, lambda: opened.run(None, raw), lambda: integers.run(None, raw)]


def text_teacher() -> Callable[[], object]:
    """T of tags, on one photo with a text of 20 words."""
    teacher = nets.ImageText(FEATURES[0], nets.TextEncoder(10_000), [1200, 1200], TAGS).eval()
    features, tokens = torch.randn(1, *FEATURES), torch.randint(1, 10_000, (1, 20))

    def in_torch() -> object:
        with torch.inference_mode():
            return teacher(features, tokens).softmax(1)

    return in_torch


def row_of(data: str, player: str, network: str, found: Sequence[float]) -> str:
    """Of the table."""
    cells = [f"{found[0]:.3f}", *(f"{each:.3f} | {each / found[0]:.2f}" for each in found[1:])]
    return " | ".join(
        ["", data, player, network, *(cells if len(found) == 3 else [*cells, "", "", "", ""]), ""]
    ).strip()


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("| data | player | network | PyTorch, ms | ONNX Runtime, ms | ratio | int8, ms | ratio |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            calls = both(fresh(case.student, case.shape, case.outputs), Path(folder) / "student")
            if case.teacher is None:
                calls.append(text_teacher())
            else:
                calls += both(fresh(case.teacher, case.shape, case.outputs), Path(folder) / "teacher")
            found = in_turns(calls, rounds)
        print(row_of(case.name, "student", case.student, found[:3]))
        print(row_of("", "teacher", case.teacher or "with text", found[3:]))


if __name__ == "__main__":
    main()
