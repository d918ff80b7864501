"""`kdgan evaluate` as a user types it."""

from pathlib import Path

import pytest

from commands import TRAIN, Command, json_in, refuses, result


def test_evaluate_finds_what_training_found(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert typed(*TRAIN, "--seed", 3, "--metrics=-tiny:thrice", "--out", out)[0] == 0
    metrics = result(out)["metrics"]
    trivial = "always naming the largest class gives 10.28 %"
    end = f" (of 360 test examples; {trivial}; 610 parameters, digits, kdgan)\n"
    beside = f"log_loss {metrics['log_loss']:.4f} nats, ece {metrics['ece']:.2f} %"
    accuracy, own = f"accuracy {metrics['accuracy']:.2f} %", f"-thrice {metrics['-thrice']:.2f}"
    assert typed("evaluate", out) == (0, f"{accuracy}, {beside}{end}", "")
    code, printed, errors = typed("evaluate", out, "--trust")
    assert (code, errors) == (0, "")
    assert printed == f"{own}, {accuracy}, {beside}{end}"


def test_a_network_of_ones_own_is_imported_when_told_to(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert typed(*TRAIN, "--method", "supervised", "--student", "tiny:network", "--out", out)[0] == 0
    assert refuses(typed, "evaluate", out, parts=("tiny:network", "--trust"))
    code, printed, errors = typed("evaluate", out, "--trust")
    assert (code, errors) == (0, "")
    assert printed.startswith(f"accuracy {result(out)['metrics']['accuracy']:.2f} %, ")


@pytest.fixture
def compared(typed: Command, tmp_path: Path) -> Path:
    """A comparison of tags."""
    command = ["tags", "compare", "--methods", "supervised,kdgan", "--baselines", "knn", "--seeds", 1]
    command += ["--steps", 4, "--batch", 8, "--text-encoder", "bag", "--student", "projected-8"]
    command += ["--teacher", "mlp-8", "--workers", 1, "--out", tmp_path / "tags"]
    code, _, errors = typed(*command)
    assert (code, errors) == (0, "")
    return tmp_path / "tags"


def test_evaluate_serves_runs_of_any_task(typed: Command, compared: Path) -> None:
    for method in ("supervised", "kdgan"):
        (folder,) = compared.glob(f"runs/{method}-seed0-*")
        metrics, parameters = (result(folder)[name] for name in ("metrics", "student_parameters"))
        code, printed, errors = typed("evaluate", folder)
        assert (code, errors) == (0, "")
        names = ("MAP", "P@3", "P@5", "F@3", "F@5", "MRR")
        shown = ", ".join(f"{name} {metrics[name]:.2f} %" for name in names)
        assert printed.startswith(f"{shown} (of ")
        assert printed.endswith(
            f" test examples; {parameters:,} parameters, scenes, popular tags, {method})\n"
        )
    (folder,) = compared.glob("runs/knn-seed0-*")
    assert refuses(typed, "evaluate", folder, parts=("knn", "keeps no network", "result.json"))


def test_evaluate_of_no_finished_run(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert refuses(typed, "evaluate", tmp_path / "gone", parts=(tmp_path / "gone",))
    assert typed(*TRAIN, "--method", "supervised", "--steps", 2, "--out", out)[0] == 0
    student = out / "student.safetensors"
    whole = student.read_bytes()
    for damaged in (b"", whole[:-9], b"\0" * 500):
        student.write_bytes(damaged)
        assert refuses(typed, "evaluate", out, parts=(student, "damaged"))
    student.unlink()
    assert refuses(typed, "evaluate", out, parts=(student, "does not exist"))
    student.write_bytes(whole)
    assert refuses(typed, "evaluate", out, "--device", "tpu", parts=("tpu",))
    config = json_in(out / "config.json")
    for text in ("{}", '{"data": 3}', str(config)):
        (out / "config.json").write_text(text, encoding="utf-8")
        assert refuses(typed, "evaluate", out, parts=("",))
