"""Students in other formats give what the student gives, from raw inputs on."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

import kdgan
from kdgan import nets
from kdgan.data.reading import load
from kdgan.errors import RunError
from kdgan.ship.export import Exported, export
from kdgan.ship.raw import RawForm
from kdgan.ship.student import Student
from kdgan.tagging.scenes import scenes
from ship.exported_students import RAW, of_digits, of_kind, of_scenes, of_table
from support import refused

NETWORKS = {
    "mlp-16-16": of_digits,
    "lenet-4-6-8": of_digits,
    "resnet-8-4": of_digits,
    "normed-12-8": of_scenes,
    "projected-12-8": of_scenes,
}


def real(student: Student, count: int = 1000) -> tuple[str, np.ndarray[Any, Any]]:
    """Raw inputs by name, of the data that come with kdgan."""
    if student.features is None:
        return "pixels", load("digits").train.tensor[:count].numpy()
    return "features", scenes().photos.features[:count]


def run(path: Path, feeds: dict[str, Any]) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(str(path))
    (found,) = session.run(["probabilities"], feeds)
    return np.asarray(found)


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_gives_what_pytorch_gives_on_a_thousand_real_inputs(tmp_path: Path, network: str) -> None:
    student = NETWORKS[network](network)
    name, raw = real(student)
    assert len(raw) == 1000
    done = export(student, tmp_path / "new" / "student.onnx", examples=raw)
    expected = student(torch.from_numpy(raw)).numpy()
    assert expected.std(0).max() > 0.01  # it tells inputs apart
    for rows in (slice(0, 1000), slice(0, 1), slice(0, 0), slice(5, 12)):
        found = run(done.path, {name: raw[rows]})
        assert found.shape == expected[rows].shape
        assert np.abs(found - expected[rows]).max(initial=0) <= 1e-5
    assert done == Exported(
        tmp_path / "new" / "student.onnx",
        "onnx",
        done.path.stat().st_size,
        RawForm(student).inputs,
        student.labels,
        done.difference,
        1000,
    )
    assert done.difference <= 1e-5
    assert [each.name for each in done.path.parent.iterdir()] == ["student.onnx"]
    session = onnxruntime.InferenceSession(str(done.path))
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == (name, ["N", *raw.shape[1:]])
    assert (output.name, output.shape) == ("probabilities", ["N", len(student.labels)])
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["labels"]) == list(student.labels)
    assert notes["network"] == network
    assert (
        str(Path(kdgan.__file__).parent).encode() not in done.path.read_bytes()
    )  # whose machine it was is nobody's


def test_onnx_of_a_table_takes_numbers_and_texts(tmp_path: Path) -> None:
    student = of_table()
    done = export(student, tmp_path / "t.onnx")
    form = RawForm(student)
    expected = student(
        torch.from_numpy(np.array([[31, 0, 1, 0, 1000, 1, 0, 0], [40, 1, 0, 0, 5e5, 0, 0, 1]]))
    )
    feeds = {name: values[:2] for name, values in RAW.items()}
    assert np.abs(run(done.path, feeds) - expected.numpy()).max() <= 1e-5
    notes = onnxruntime.InferenceSession(str(done.path)).get_modelmeta().custom_metadata_map
    assert [each["columns"] for each in json.loads(notes["inputs"])] == [["age", "income"], ["city", "mood"]]
    # A program of torch takes codes in place of texts.
    program = export(student, tmp_path / "t.pt2", "torch")
    coded = form.coded(RAW)
    assert coded[1].tolist() == [[0, 2], [-1, 3], [1, 0], [-1, -1]]
    found = torch.export.load(str(program.path)).module()(*coded)
    assert np.abs(found.detach().numpy() - run(done.path, RAW)).max() <= 1e-5


@pytest.mark.parametrize(("kind", "labels"), [("binary", 2), ("multilabel", 3)])
def test_labels_that_are_on_or_off(tmp_path: Path, kind: str, labels: int) -> None:
    student = of_kind(kind, labels)
    inputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    done = export(student, str(tmp_path / "b.onnx"), examples=inputs)
    expected = student.module(inputs).sigmoid().detach()
    found = torch.from_numpy(run(done.path, {"features": inputs.numpy()}))
    wanted = torch.cat([1 - expected, expected], 1) if kind == "binary" else expected
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_a_script_with_nothing_but_onnxruntime_and_numpy_uses_the_file(tmp_path: Path) -> None:
    student = of_digits("lenet-4-6-8")
    _, raw = real(student, 20)
    done = export(student, tmp_path / "student.onnx", examples=raw)
    np.save(tmp_path / "pixels.npy", raw)
    script = """
import json, sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("student.onnx")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
(found,) = session.run(None, {"pixels": np.load("pixels.npy")})
assert not {"torch", "kdgan", "onnx", "PIL"} & {*sys.modules}, "more than onnxruntime and numpy"
print(json.dumps([labels[place] for place in found.argmax(1)]))
"""
    (tmp_path / "use.py").write_text(script)
    done_by = subprocess.run(
        [sys.executable, "-I", "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done_by.returncode == 0, done_by.stderr
    assert json.loads(done_by.stdout) == [each.label for each in student.predict(torch.from_numpy(raw))]
    assert done.examples == 20


def test_a_program_of_torch_holds_no_pickle(tmp_path: Path) -> None:
    student = of_digits("resnet-8-4")
    _, raw = real(student, 40)
    done = export(student, tmp_path / "student.pt2", "torch", examples=raw)
    program = torch.export.load(str(done.path)).module()
    for rows in (40, 1, 3):
        found = program(torch.from_numpy(raw[:rows]))
        torch.testing.assert_close(found, student(torch.from_numpy(raw[:rows])), rtol=0, atol=1e-5)
    with zipfile.ZipFile(done.path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, held in parts.items() if held[:2] in (b"PK", b"\x80\x02")]
    notes = json.loads(next(held for name, held in parts.items() if name.endswith("kdgan.json")))
    assert json.loads(notes["labels"]) == list(student.labels)
    assert str(Path(kdgan.__file__).parent).encode() not in b"".join(parts.values())


def test_weights_alone_go_into_a_module_of_ones_own(tmp_path: Path) -> None:
    student = of_digits("lenet-2-3-4")
    done = export(student, tmp_path / "w.safetensors", "safetensors")
    with safe_open(done.path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        notes = file.metadata()
    module = nets.build(notes["network"], json.loads(notes["shape"]), len(json.loads(notes["labels"])))
    module.load_state_dict(weights)
    _, raw = real(student, 10)
    mean, std = (torch.tensor(json.loads(notes[name])).view(-1, 1, 1) for name in ("mean", "std"))
    inputs = (torch.from_numpy(raw) / 255 - mean) / std
    torch.testing.assert_close(module.eval()(inputs).softmax(1), student(torch.from_numpy(raw)))


class Chance(nn.Module):
    """Gives other logits at every call."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class Odd(nn.Module):
    """Takes a way that depends on numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


def test_what_gives_something_else_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "student.onnx"
    path.write_text("as it was")
    for module, part in (
        (Chance(), "differ from the student's by"),
        (Odd(), "torch.export of this student's"),
    ):
        with pytest.raises(RunError, match=part) as caught:
            export(Student(module, ("a", "b"), None, (2,)), path, examples=torch.randn(20, 2))
        assert len(str(caught.value).splitlines()) == 1
        assert path.read_text() == "as it was"
        assert [each.name for each in tmp_path.iterdir()] == ["student.onnx"]


def test_calls_that_cannot_be_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, path = of_kind("binary", 2), tmp_path / "s.onnx"
    with refused("format", "tflite"):
        export(student, path, "tflite")  # type: ignore[arg-type]
    with refused(".pt2"):
        export(student, path, "torch")
    with refused("int8", "int4"):
        export(student, path, quantize="int4")  # type: ignore[arg-type]
    with refused("calibration"):
        export(student, path, quantize="int8")
    with refused("onnx, not torch"):
        export(student, tmp_path / "s.pt2", "torch", quantize="int8", calibration=torch.randn(3, 4))
    with refused("examples", "(N, 4,)", "(3, 5)"):
        export(student, path, examples=torch.randn(3, 5))
    with refused("is a folder"):
        (tmp_path / "folder.onnx").mkdir()
        export(student, tmp_path / "folder.onnx")
    with refused("path"):
        export(student, 3)  # type: ignore[arg-type]
    for name in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)
        with refused(f"needs {name}", "pip install 'kdgan[export]'"):
            export(student, path)
        monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir()] == ["folder.onnx"]


def test_integers_are_smaller_and_nearly_as_good(tmp_path: Path) -> None:
    student = of_digits("mlp-200-200")
    _, raw = real(student, 300)
    done = export(
        student, tmp_path / "i.onnx", examples=raw, quantize="int8", calibration=raw[:100], test=raw[100:]
    )
    assert done.float_size is not None
    assert done.size < 0.3 * done.float_size
    assert done.size_note.endswith(f"% of the {done.float_size:,} bytes of float32")
    expected = student(torch.from_numpy(raw[100:])).numpy()
    assert done.again is not None
    assert (done.again.argmax(1) == expected.argmax(1)).mean() > 0.95
    assert 0 < done.difference < 0.1
    kinds = {each.data_type for each in onnx.load(done.path).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    # What is too small to become smaller says so.
    tiny = export(
        of_digits("mlp-2"), tmp_path / "t.onnx", examples=raw, quantize="int8", calibration=raw[:50]
    )
    assert "LARGER than" in tiny.size_note
