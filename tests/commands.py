"""What tests of commands share: commands in processes of their own, and what is in the files they leave."""

import csv
import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdgan.cli import main
from support import served, without_progress

Command = Callable[..., tuple[int, str, str]]
"""Carries out a command: exit code, stdout, stderr; see the fixture `typed`."""
PATIENCE = 300.0
"""Seconds after which something hangs."""
METHODS = ("supervised", "distn", "kdgan")
SMALL = ["--data", "digits", "--student", "mlp-8", "--teacher", "lenet-2-4-8"]
COMPARE = [
    *("compare", "--methods", ",".join(METHODS), "--seeds", "2", *SMALL, "--unlabelled", "none"),
    *("--steps", "40", "--teacher-steps", "40", "--checkpoint-seconds", "0"),
]
TRAIN = [
    *("train", "--labels", "40", *SMALL),
    *("--batch", "8", "--steps", "20", "--teacher-steps", "10", "--student-pretraining", "0.1"),
]
WRONG_FOR_BOTH = [
    ("--data nope", "nope"),
    ("--data-dir /nowhere", "data_dir"),
    ("--data mnist --data-dir /nowhere/at/all", "/nowhere/at/all"),
    ("--target y", "target"),
    ("--image-size 16", "image_size"),
    ("--labels 1438", "1438 labels"),
    ("--labels 9", "9 labels"),
    ("--labels 0", "0 labels"),
    ("--labels -3", "-3 labels"),
    ("--unlabelled nowhere.npz", "nowhere.npz does not exist"),
    ("--unlabelled rest --labels 1437", "ask for fewer labels"),
    ("--labelled-share 1", "labelled_share"),
    ("--steps 0", "steps"),
    ("--steps -5", "steps"),
    ("--teacher-steps 0", "teacher_steps"),
    ("--batch 0", "batch"),
    ("--lr 0", "lr"),
    ("--lr -1", "lr"),
    ("--lr nan", "lr"),
    ("--weight-decay -1", "weight_decay"),
    ("--epsilon -1", "epsilon"),
    ("--mixup -1", "mixup"),
    ("--teacher-every 0", "teacher_every"),
    ("--evaluations 0", "evaluations"),
    ("--student perceptron", "perceptron"),
    ("--student mlp-0", "mlp-0"),
    ("--student lenet-4", "lenet-4"),
    ("--student resnet-9", "9"),
    ("--augment mirror", "mirror"),
    ("--metrics nowhere:metric", "nowhere"),
    ("--metrics acuracy", "module:name"),
    ("--metrics ece auroc top6", "top6"),
    ("--device tpu", "tpu"),
    ("--device cuda:99", "cuda:99"),
    ("--precision float16", "float16"),
    ("--threads 0", "threads"),
    ("--threads -2", "threads"),
]
"""Options of `kdgan train` and `kdgan compare`, and what is said of them."""


class Forked:
    """A command in a process of its own."""

    def __init__(self, folder: Path, *arguments: object, file_size: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        texts = [str(argument) for argument in arguments]
        self.process = served().Process(target=_forked, args=(str(folder), texts, file_size), daemon=True)
        self.process.start()

    def end(self) -> tuple[int, str, str]:
        """Waits; exit code, stdout, stderr."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "it hangs"
        out, err = ((self.folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return self.process.exitcode, out, without_progress(err)


def _forked(folder: str, arguments: list[str], file_size: int | None) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # The server may have been started with Ctrl-C blocked, as workers are.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if file_size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    main(arguments)


def is_one_line(text: str, *parts: object) -> bool:
    """Whether stderr holds just one line of kdgan's, with all `parts` in it."""
    assert text.startswith("kdgan: "), text
    assert text.count("\n") == 1, text
    assert text.endswith("\n")
    for part in parts:
        assert str(part) in text, text
    return True


def refuses(typed: Command, *arguments: object, parts: tuple[object, ...]) -> bool:
    """Whether a command is told in one line with these parts that it cannot be carried out, and prints nothing."""
    code, printed, errors = typed(*arguments)
    assert (code, printed) == (2, ""), (arguments, printed, errors)
    return is_one_line(errors, *parts)


def wait_until(true: Callable[[], object], process: Any = None) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, "it hangs"
        if process is not None:
            assert process.is_alive(), "it ended too soon"
        time.sleep(0.005)


def rows(file: Path) -> list[dict[str, str]]:
    """Of a CSV file."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def json_in(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def result(out: Path) -> dict[str, Any]:
    """What a run found, without the times."""
    values = json_in(out / "result.json")
    return {name: value for name, value in values.items() if "seconds" not in name}


def written_at(folder: Path, pattern: str = "result.json") -> dict[Path, int]:
    """When each of these files in a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob(pattern)}
