"""What networks of runs take: which files are the student's."""

from pathlib import Path

from finished_runs import finish
from kdgan import export, load
from kdgan.experiments.footprint import footprints
from kdgan.experiments.gathering import gather
from kdgan.training import Execution


def test_files_of_the_student_are_known_by_their_names(tmp_path: Path) -> None:
    run = finish(tmp_path / "out", "kdgan")
    export(load(run), run / "student-weights.safetensors", "safetensors")
    for other in ("vgg16.onnx", "step-5.safetensors", "student.onnx.md", "checkpoint.safetensors"):
        (run / other).write_bytes(b"\0" * 1000)
    (run / "student.pt2").mkdir()  # no file
    found = footprints(gather([run], Execution()))
    sizes = {
        name: (run / name).stat().st_size for name in ("student.safetensors", "student-weights.safetensors")
    }
    assert dict(found["student"].files) == sizes
    assert next(iter(found["student"].files)) == "student.safetensors"
    assert dict(found["teacher"].files) == {
        "teacher.safetensors": (run / "teacher.safetensors").stat().st_size
    }
    assert found["student"].runtimes == {}
