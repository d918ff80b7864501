"""What is said of sizes and times, from numbers by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from kdgan.experiments.footprint import Footprint
from kdgan.experiments.gathered import Gathered
from kdgan.experiments.run_words import savings
from kdgan.ship.speed import Latency

TEACHER = Footprint(
    network="mlp-9",
    parameters=1000,
    files={"teacher.safetensors": 5000},
    flops=2000,
    memory={1: 5000, 64: 9000},
    latency={1: Latency(1.0, 2.0), 64: Latency(10.0, 11.0)},
    runtimes={},
)
STUDENT = Footprint(
    network="mlp-2",
    parameters=100,
    files={"student.safetensors": 800, "student-int8.onnx": 300, "student.onnx": 700},
    flops=None,
    memory={1: 500, 64: 900},
    latency={1: Latency(0.25, 0.5), 64: Latency(12.0, 13.0)},
    runtimes={
        "student.onnx": {1: Latency(0.1, 0.2), 64: Latency(10.0, 11.0)},
        "student-int8.onnx": "no runtime",
    },
)


def said(**found: Footprint) -> str:
    subject = SimpleNamespace(student="student", teacher="teacher")
    gathered: Any = SimpleNamespace(subject=subject)
    return " ".join(savings(cast(Gathered, gathered), found))


def test_a_smaller_student_in_numbers() -> None:
    text = said(student=STUDENT, teacher=TEACHER)
    assert "The student has 100 parameters, 1/10.0 of the 1,000 of its teacher." in text
    assert "For 1 example in PyTorch it takes 0.25 of the teacher's time: 0.250 ms against 1.000 ms." in text
    assert (
        "For 64 examples in PyTorch the student is NOT faster than its teacher: 12.000 ms against 10.000 ms."
        in text
    )
    assert (
        "For 1 example in ONNX Runtime (student.onnx) it takes 0.10 of the teacher's time in PyTorch" in text
    )
    assert "For 64 examples in ONNX Runtime (student.onnx) the student is NOT faster than its teacher" in text
    assert "How fast student-int8.onnx is was not measured: no runtime." in text
    assert "NOT smaller" not in text
    assert "does not compress" not in text


def test_what_is_larger_is_said_file_by_file() -> None:
    files = {"student.safetensors": 800, "student-int8.onnx": 900, "student.onnx": 5000}
    text = said(student=replace(STUDENT, files=files, parameters=1000), teacher=TEACHER)
    assert "The student is NOT smaller than its teacher: it has as many parameters as it" in text
    assert "student.onnx is NOT smaller than the teacher's weights: 5,000 bytes against 5,000." in text
    assert "student-int8.onnx is no smaller than student.safetensors: 900 bytes against 800." in text
    assert "student-int8.onnx is NOT smaller than the teacher" not in text


def test_without_a_teacher_files_are_compared_alone() -> None:
    text = said(student=replace(STUDENT, files={"student.safetensors": 5, "student.onnx": 6}, runtimes={}))
    assert text == (
        "student.onnx is no smaller than student.safetensors: 6 bytes against 5. That format does not compress this "
        "student."
    )
