"""The examples are true: each runs as it stands, in a process of its own, and prints what it says."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SOURCE = FOLDER.parent / "src"
STRICT = r"""
import runpy, sys, warnings
warnings.filterwarnings("error", module=r"(kdgan|__main__)\b")
path = sys.argv[1]
sys.argv = [path]
runpy.run_path(path, run_name="__main__")
"""
"""Runs an example. Warnings that kdgan or the example cause are errors; what other packages deprecate is theirs."""


@dataclass(frozen=True, slots=True)
class Example:
    """What is expected of an example.

    Attributes:
        student: the least that each student has by the first metric, in %: between a useless one's and what it has.
        gains: the least by which some student is ahead of its control, in points; None where there is no control, or
            the example does not say so.
        needs: packages that are no dependencies.
    """

    student: float
    gains: float | None = None
    needs: tuple[str, ...] = ()


EXAMPLES = {
    "accelerate_loop": Example(85, needs=("accelerate",)),
    "bert": Example(50, needs=("transformers", "tokenizers")),
    "boosted_teacher": Example(90, gains=2),
    "cached_logits": Example(85, gains=1),
    "lightning_loop": Example(85, needs=("lightning",)),
    "loaders": Example(80, gains=0, needs=("datasets",)),
    "own_loss_and_method": Example(75, gains=1),
    "privileged_table": Example(75, gains=0),
    "several_labels": Example(85, gains=-1),
    "unlabelled_digits": Example(88, gains=2),
}


def text(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def run(name: str, folder: Path) -> str:
    """What an example prints, run elsewhere than in the repository, as its users run it."""
    missing = [each for each in EXAMPLES[name].needs if importlib.util.find_spec(each) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'kdgan[examples]'")
    known = {"PYTHONPATH": str(SOURCE), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    command = [sys.executable, "-c", STRICT, str(FOLDER / f"{name}.py")]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | known, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def first_numbers(printed: str, role: str) -> list[float]:
    """The first metric of a role in each report, or what follows the word in other lines."""
    return [
        float(number) for number in re.findall(rf"^{role}(?: \(.*?\))? +(\d+\.\d+)", printed, re.MULTILINE)
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs_and_its_students_have_learned(name: str, tmp_path: Path) -> None:
    expected, printed = EXAMPLES[name], run(name, tmp_path)
    students, controls = first_numbers(printed, "student"), first_numbers(printed, "control")
    if not name.endswith("_loop"):
        assert len(students) >= len(controls) >= 1
    else:
        students = [float(number) for number in re.findall(r"accuracy (\d+\.\d+)", printed)]
    assert students
    assert min(students) >= expected.student, printed
    if expected.gains is not None:
        ahead = [student - control for student, control in zip(students, controls, strict=False)]
        assert max(ahead) >= expected.gains, printed


def test_answers_in_a_file_are_asked_for_once(tmp_path: Path) -> None:
    first, second = re.findall(r"asked about (\d+) examples", run("cached_logits", tmp_path))
    assert first == second == "597"


def test_all_are_listed() -> None:
    names = {path.stem for path in FOLDER.glob("*.py")}
    rows = re.findall(
        r"^\| \[(\w+)\.py\]\((\w+)\.py\)", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert names == set(EXAMPLES)
    assert sorted(rows) == sorted((name, name) for name in names)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_says_how_it_is_run_and_what_it_prints(name: str) -> None:
    said = ast.get_docstring(ast.parse(text(name))) or ""
    assert f"python examples/{name}.py" in said
    assert "\nPrints " in said
    assert ("kdgan[examples]" in said) == bool(EXAMPLES[name].needs)
    assert len(text(name).splitlines()) < 110
