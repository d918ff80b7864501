"""`kdgan export` as a user types it."""

import itertools
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import kdgan
from commands import TRAIN, Command, is_one_line, result
from kdgan.data.reading import load
from ship.hub_stand_in import TOKEN, stand_in
from tiny import TAGS, train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a teacher, `a`, its control beside it, and a student of its own network."""
    from kdgan.cli import main

    folder = tmp_path_factory.mktemp("runs")
    for name, options in (("a", ["kdgan"]), ("supervised-1", ["supervised"])):
        main([*TRAIN, "--method", *options, "--steps", "60", "--out", str(folder / name)])
    main(
        [
            *TRAIN,
            "--method",
            "supervised",
            "--student",
            "tiny:network",
            "--steps",
            "2",
            "--out",
            str(folder / "own"),
        ]
    )
    return folder


def test_a_run_becomes_an_onnx_file_with_a_card(typed: Command, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "s.onnx"
    code, printed, errors = typed("export", runs / "a", "--out", out)
    assert (code, errors) == (0, "")
    first, takes, checked, card = printed.splitlines()
    assert first == f"{out}: {out.stat().st_size:,} bytes"
    assert takes.startswith("takes pixels uint8 ('N', 1, 8, 8): ")
    assert checked.endswith("of 360 test examples")
    assert card == f"model card: {out}.md"
    test = load("digits").test
    (found,) = onnxruntime.InferenceSession(str(out)).run(None, {"pixels": test.tensor.numpy()})
    right = 100 * (found.argmax(1) == test.targets.numpy()).mean()
    assert right == pytest.approx(result(runs / "a")["metrics"]["accuracy"])
    text = Path(f"{out}.md").read_text(encoding="utf-8")
    control = result(runs / "supervised-1")["metrics"]["accuracy"]
    assert f"| control (no teacher) | {control:.2f} %" in text
    assert f"| student | {right:.2f} % (" in text
    assert "| teacher | " in text
    assert "CC BY 4.0" in text


def test_integers_and_what_they_cost(typed: Command, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.onnx"
    code, printed, errors = typed("export", runs / "a", "--quantize", "int8", "--out", out)
    assert (code, errors) == (0, "")
    assert "LARGER than" in printed  # 610 parameters
    test = load("digits").test
    (found,) = onnxruntime.InferenceSession(str(out)).run(None, {"pixels": test.tensor.numpy()})
    after = 100 * (found.argmax(1) == test.targets.numpy()).mean()
    before = result(runs / "a")["metrics"]["accuracy"]
    assert f"int8: accuracy {before:.2f} % becomes {after:.2f} %: " in printed
    assert "95 % interval" in printed
    assert "paired over 360 test examples" in printed


def test_a_file_alone_and_other_formats(typed: Command, runs: Path, tmp_path: Path) -> None:
    alone = tmp_path / "student.safetensors"
    alone.write_bytes((runs / "a" / "student.safetensors").read_bytes())
    for kind, name in (("torch", "student.pt2"), ("safetensors", "student-weights.safetensors")):
        code, printed, errors = typed("export", alone, "--format", kind)
        assert (code, errors) == (0, "")
        assert printed.splitlines()[0].startswith(f"{tmp_path / name}: ")
        assert "is not a run, or the student of one" in printed
        assert "Nothing is known of data" in (tmp_path / f"{name}.md").read_text()
    code, printed, errors = typed(
        "export", runs / "own", "--trust", "--format", "torch", "--out", tmp_path / "own.pt2"
    )
    assert (code, errors) == (0, "")
    # Data that are gone are said to be, and the file is checked all the same.
    config = json.loads((runs / "a" / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "gone.npz")
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, printed, errors = typed("export", alone, "--format", "torch")
    assert (code, errors) == (0, "")
    assert "the data of the run are not at hand" in printed
    assert "of 1,000 random inputs" in printed
    code, printed, errors = typed("export", alone, "--quantize", "int8")
    assert (code, printed) == (2, "")
    is_one_line(errors, "--quantize", "gone.npz")


def test_tags_by_their_features(typed: Command, tmp_path: Path) -> None:
    train(tmp_path, base=TAGS, method="supervised")
    run = tmp_path / "run"
    out = tmp_path / "s.onnx"
    code, printed, errors = typed("export", run, "--quantize", "int8", "--out", out)
    assert (code, errors) == (0, "")
    assert "takes features float32" in printed
    assert "int8: MAP " in printed
    assert "| student | " in Path(f"{out}.md").read_text()


def test_file_and_card_go_to_the_hub(
    typed: Command, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    out = tmp_path / "w.safetensors"
    with stand_in() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        arguments = (
            "export",
            runs / "a",
            "--format",
            "safetensors",
            "--out",
            out,
            "--to-hub",
            "someone/digits",
        )
        code, printed, errors = typed(*arguments)
        assert (code, errors) == (0, "")
        assert printed.splitlines()[-1] == f"sent to {hub.endpoint}/someone/digits"
        assert hub.files == {"w.safetensors": out.read_bytes(), "README.md": Path(f"{out}.md").read_bytes()}
        hub.refuses = True
        code, printed, errors = typed(*arguments)
        assert code == 2
        is_one_line(errors, "someone/digits cannot be sent")
        assert TOKEN not in printed + errors


def test_a_hundred_wrong_calls(
    typed: Command, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "text.safetensors").write_text("no student")
    (tmp_path / "empty").write_text("")
    np.save(tmp_path / "array.npy", np.zeros(3))
    whole = (runs / "a" / "student.safetensors").read_bytes()
    for count in (1, 8, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / f"cut-{count}.safetensors").write_bytes(whole[:count])
    cut = sorted(path.name for path in tmp_path.glob("cut-*"))
    students = [
        "gone",
        "gone/student.safetensors",
        "folder",
        "text.safetensors",
        "empty",
        "array.npy",
        "",
        *cut,
    ]
    run = str(runs / "a")
    options = [
        ["--format", "tflite"], ["--format", ""], ["--format"], ["--format", "ONNX"], ["--quantize", "int4"],
        ["--quantize", ""], ["--quantize"], ["--format", "torch", "--quantize", "int8"],
        ["--format", "safetensors", "--quantize", "int8"], ["--out", "s.pt2"], ["--out", "s"], ["--out", ""],
        ["--out", "folder"], ["--out", "folder.onnx"], ["--out", "s.onnx", "--format", "torch"],
        ["--out", "/proc/no/s.onnx"], ["--out", "empty/s.onnx"], ["--out", "s\0.onnx"], ["--to-hub", ""],
        ["--to-hub", "a b"], ["--to-hub", "a/b/c"], ["--to-hub", "../x"], ["--to-hub"], ["--steps", "3"],
        ["more"], ["--trust", "maybe"], ["--out", "x" * 300 + ".onnx"],
        ["--format", "safetensors", "--out", str(runs / "a" / "student.safetensors")],
    ]  # fmt: skip
    calls = [["export"], ["export", str(runs / "own")], ["export", str(runs / "own"), "--format", "torch"]]
    calls += [["export", name, *option] for name, option in itertools.product(students, ([], *options[:5]))]
    calls += [["export", run, *option] for option in options]
    assert len(calls) >= 100
    before = sorted(tmp_path.rglob("*"))
    for call in calls:
        code, printed, errors = typed(*call)
        assert (code, printed) == (2, ""), (call, printed, errors)
        is_one_line(errors)
    assert sorted(tmp_path.rglob("*")) == before
    assert kdgan.load(run).labels == tuple("0123456789")
