"""`kdgan report` as a user types it."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from commands import Command, refuses
from finished_runs import finish, result_of
from html_pages import Page
from tiny import DIGITS, TAGS, changed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of one seed."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    for method in ("supervised", "distn", "kdgan"):
        finish(folder, method)
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "out"))


def run_in(out: Path, method: str) -> Path:
    (folder,) = (out / "runs").glob(f"{method}-*")
    return folder


def page_in(path: Path) -> tuple[str, Page]:
    """A page that is well-formed and needs nothing else."""
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    names = ("src", "href", "xlink:href", "srcset", "data")
    loads = [value for name, value in page.attributes if name in names]
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in loads)
    assert page.tags["script"] == 0
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert max(ids.values()) == 1
    return source, page


def test_a_run_beside_teacher_and_control(typed: Command, out: Path) -> None:
    run = run_in(out, "kdgan")
    (run / "student.onnx").write_bytes(b"\0" * 90_000)
    for other in ("vgg16.onnx", "other.safetensors"):
        (run / other).write_bytes(b"\0" * 90_000)
    code, printed, errors = typed("report", run)
    assert (code, errors) == (0, "")
    metrics, control = (result_of(each)["metrics"] for each in (run, run_in(out, "supervised")))
    for name, value in (
        ("student", metrics["accuracy"]),
        ("teacher", metrics["teacher/accuracy"]),
        ("control", control["accuracy"]),
    ):
        assert re.search(rf"^ {name} +{value:.2f} \(\d+\.\d\d to \d+\.\d\d\) ", printed, re.MULTILINE)
    assert re.search(r"^ student − control +[+−]?\d+\.\d\d \(", printed, re.MULTILINE)
    # 64·8 + 8 + 8·10 + 10 parameters, and two operations for each weight.
    assert re.search(r"^ parameters +610 +[\d,]+ +610 *$", printed, re.MULTILINE)
    assert re.search(r"^ operations \(FLOPs\) for an example +1,184 ", printed, re.MULTILINE)
    assert re.search(
        r"^ memory at batch 1, bytes +2,768 ", printed, re.MULTILINE
    )  # 610, 64, 8 and 10 numbers
    flat = " ".join(printed.split())
    size = (run / "student.safetensors").stat().st_size
    assert f"student.onnx is no smaller than student.safetensors: 90,000 bytes against {size:,}" in flat
    assert not re.search(r"vgg16|other\.", printed)
    theirs = (run / "teacher.safetensors").stat().st_size
    assert f"student.onnx is NOT smaller than the teacher's weights: 90,000 bytes against {theirs:,}" in flat
    assert (
        "How fast student.onnx is was not measured: ONNX Runtime, which should take student.onnx, fails"
        in flat
    )
    assert printed.endswith(f"page: {run / 'report.html'}\n")
    source, page = page_in(run / "report.html")
    assert (page.tags["svg"], page.tags["img"]) == (2, 6)
    for part in ("reliability", "confusion matrix", "student and teacher differ most", "Wilson", "ECE"):
        assert part in source
    assert f"{metrics['accuracy']:.2f} (" in page.text


def test_a_larger_and_slower_student_is_said(typed: Command, tmp_path: Path) -> None:
    run = finish(tmp_path / "out", "distn", student="mlp-300-300-300-300", teacher="mlp-2")
    code, printed, errors = typed("report", run, "--out", tmp_path / "page.html")
    assert (code, errors) == (0, "")
    flat = " ".join(printed.split())
    assert "The student is NOT smaller than its teacher: it has more parameters than it, " in flat
    assert "student.safetensors is NOT smaller than the teacher's weights" in flat
    assert "For 64 examples in PyTorch the student is NOT faster than its teacher" in flat
    assert "no control beside these runs" in flat
    assert not (run / "report.html").exists()
    page_in(tmp_path / "page.html")


def test_a_comparison_over_seeds(typed: Command, out: Path) -> None:
    for method in ("supervised", "distn"):
        finish(out, method, seed=2)
    finish(out, "distn", hyper={"temperature": 3.0})
    shutil.rmtree(run_in(out, "kdgan"))
    (run_in(out, "supervised-seed1") / "result.json").touch()
    code, printed, errors = typed("report", out)
    assert (code, errors) == (0, "")
    found = [result_of(run_in(out, f"supervised-seed{seed}"))["metrics"]["accuracy"] for seed in (1, 2)]
    # Student's t of two values: 12.706 times half their distance.
    half = 12.7062 * abs(found[0] - found[1]) / 2
    mean = sum(found) / 2
    low, high = max(0.0, mean - half), min(100.0, mean + half)
    assert (low, high) != (mean - half, mean + half)
    assert re.search(rf"^ control +{mean:.2f} \({low:.2f} to {high:.2f}\)", printed, re.MULTILINE)
    assert not re.search(r"(?<![\w.])-\d", printed)  # a minus is no hyphen
    flat = " ".join(printed.split())
    assert not re.search(r"95 % interval −", flat.replace("paired 95 % interval", ""))
    names = re.findall(r"^ (distn [0-9a-f]{8}) +\d", printed, re.MULTILINE)
    assert len(names) == 2
    assert "2 seeds" in " ".join(printed.split())
    assert printed.endswith(f"page: {out / 'students.html'}\n")
    page_in(out / "students.html")


def test_tags_have_labels_in_place_of_confusions(typed: Command, tmp_path: Path) -> None:
    for method in ("supervised", "distn"):
        run = finish(tmp_path / "out", method, base=TAGS)
    code, printed, errors = typed("report", run)
    assert (code, errors) == (0, "")
    assert re.search(r"^ teacher +\d+\.\d\d \(", printed, re.MULTILINE)
    source, page = page_in(run / "report.html")
    assert "How well each label is found" in source
    assert "confusion matrix" not in source
    assert page.tags["img"] == 6


def test_rows_of_a_table_have_their_values(typed: Command, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    lines = ["age,city,since,member,late,label"]
    for row in range(150):
        age = f"{draw.normal(40, 9):.2f}" if row % 7 else ""
        city = ["Oslo", "Köln"][row % 2]
        lines.append(
            f"{age},{city},2024-03-{1 + row % 28:02},{['true', 'false'][row % 3 > 0]},{draw.normal():.3f},{row % 2}"
        )
    table = tmp_path / "t.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    options = ["--method", "distn", "--steps", 3, "--student", "mlp-4", "--teacher", "mlp-5"]
    run = tmp_path / "run"
    data = ["--data", table, "--target", "label", "--privileged", "late"]
    assert typed("train", *data, *options, "--out", run)[0] == 0
    code, _, errors = typed("report", run)
    assert (code, errors) == (0, "")
    source, page = page_in(run / "report.html")
    assert page.tags["img"] == 0
    shown = re.findall(
        r"<th>age</th><td>([\d.]+|missing)</td></tr><tr><th>city</th><td>(\w+)</td></tr><tr><th>since</th>"
        r"<td>([\d-]+)</td></tr><tr><th>member</th><td>(true|false)</td>",
        source,
    )
    assert len(shown) == 6
    for age, *rest in shown:
        written = "" if age == "missing" else f"{float(age):.2f}"
        assert any(line.startswith(f"{written},{','.join(rest)},") for line in lines), (age, rest)
    # Data that have changed since are refused.
    table.write_text("\n".join(lines).replace("Oslo", "Rome"), encoding="utf-8")
    assert refuses(typed, "report", run, parts=("t.csv", "no longer what it was"))


def test_wrong_calls(typed: Command, out: Path, tmp_path: Path) -> None:
    run = run_in(out, "distn")
    other = finish(tmp_path / "more", "distn", labels=50)
    tags = finish(tmp_path / "tags", "supervised", base=changed(TAGS, steps=2))
    config = json.loads((tags / "config.json").read_text())
    config |= {"method": "knn", "hyper": {"k": 3}}
    (tmp_path / "knn").mkdir()
    (tmp_path / "knn" / "config.json").write_text(json.dumps(config))
    (tmp_path / "unfinished").mkdir()
    shutil.copy(run / "config.json", tmp_path / "unfinished")
    (tmp_path / "shrunk").mkdir()
    (tmp_path / "shrunk" / "shrunk.json").write_text("{}")
    (tmp_path / "distilled").mkdir()
    (tmp_path / "distilled" / "distill.json").write_text("{}")
    of_python = tmp_path / "compared"
    (of_python / "runs" / "a").mkdir(parents=True)
    (of_python / "comparison.json").write_text("{}")
    (of_python / "runs" / "a" / "config.json").write_text('{"method": "distn", "players": {}}')
    for arguments, parts in (
        ([], ("no run was given",)),
        ([tmp_path / "nowhere"], ("nowhere", "no folder of a run")),
        ([tmp_path], (tmp_path, "no folder of a run")),
        ([tmp_path / "unfinished"], ("unfinished", "has not finished")),
        ([tmp_path / "knn"], ("knn", "keeps no network")),
        ([of_python / "runs" / "a"], (f"report is {of_python / 'report.html'}",)),
        ([of_python], ("of a call of kdgan.compare", f"report is {of_python / 'report.html'}")),
        ([tmp_path / "distilled" / "student"], ("of a call of kdgan.distill",)),
        ([tmp_path / "shrunk"], ("of kdgan shrink", tmp_path / "shrunk" / "runs")),
        ([tmp_path / "distilled"], ("of a call of kdgan.distill", "print(result.report)")),
        ([run, run], (run, "given twice")),
        ([run, other], ("one data set", "other settings")),
        ([run, tags], ("one data set", "scenes")),
        ([run, "--out", tmp_path / "x.pdf"], ("--out", "ends in .html")),
        ([run, "--out", tmp_path / "none" / "x.html"], ("--out", "no folder")),
        ([run, "--device", "tpu"], ("tpu",)),
    ):
        assert refuses(typed, "report", *arguments, parts=parts)
    (tmp_path / "folder.html").mkdir()
    code, _, errors = typed("report", run, "--out", tmp_path / "folder.html")
    assert code == 2
    assert len(errors.splitlines()) == 1
    (run / "student.safetensors").write_bytes(b"no student")
    assert refuses(typed, "report", run, parts=("student.safetensors", "damaged"))


def test_a_folder_that_cannot_be_written_into_is_said_before_anything_is_measured(
    typed: Command, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(out, "distn")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != run)
    assert refuses(typed, "report", run, parts=(run, "--out PAGE.html"))
    assert refuses(typed, "report", run, "--out", run / "x.html", parts=("cannot be written into",))
    assert typed("report", run, "--out", tmp_path / "x.html")[0] == 0


def test_code_of_ones_own_is_imported_when_told_to(typed: Command, tmp_path: Path) -> None:
    run = finish(
        tmp_path / "out", "distn", base=changed(DIGITS, metrics=("tiny:thrice",), teacher="tiny:network")
    )
    code, printed, errors = typed("report", run)
    assert (code, errors) == (0, "")
    flat = " ".join(printed.split())
    assert "Metrics of your own are left out" in flat
    assert "takes tiny:network, which --trust imports" in flat
    code, printed, errors = typed("report", run, "--trust")
    assert (code, errors) == (0, "")
    assert "thrice" in printed
    assert re.search(r"^ network +mlp-8 +tiny:network", printed, re.MULTILINE)


def test_methods_of_different_seeds_are_not_paired(typed: Command, out: Path) -> None:
    later = finish(out, "distn", seed=2)
    code, printed, errors = typed("report", run_in(out, "kdgan"), later)
    assert (code, errors) == (0, "")
    found = result_of(later)["metrics"]["accuracy"]
    assert re.search(rf"^ distn +{found:.2f}  ", printed, re.MULTILINE)  # without an interval
    assert "distn has no run of seed 1, so its network is not looked at." in " ".join(printed.split())
    assert "distn − " not in printed
