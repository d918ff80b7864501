"""The README is true: its Python runs as it stands, top to bottom, and its commands have the options they name."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from kdgan.cli.main import COMMANDS, main
from kdgan.cli.parsing import parse
from kdgan.cli.tags import TAGS

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TYPED = [
    *(
        line.partition("#")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
    ),
    *(" ".join(text.split()) for text in re.findall(r"(?<!`)`(kdgan [^`]+)`(?!`)", README)),
]
COMMAND_LINES = [line for line in TYPED if re.match(r"kdgan [a-z]", line) and "--help" not in line]


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = ["--student", "mlp-4", "--steps", "2", "--evaluations", "1"]
    main(["train", "--method", "supervised", *short, "--out", "runs/a"])
    torch.use_deterministic_algorithms(False)
    names: dict[str, object] = {}
    assert len(BLOCKS) >= 5
    with torch.random.fork_rng():
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"README, Python block {number}", "exec"), names)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_its_commands_have_these_options(line: str) -> None:
    _, *words = shlex.split(line.replace("...", ""))
    commands, words = (TAGS, words[1:]) if words[:1] == ["tags"] and len(words) > 1 else (COMMANDS, words)
    if words[0] == "train" and "--out" not in words:
        words += ["--out", "runs/x"]  # an example of other options
    parse(commands, words, prog="kdgan", description="")
