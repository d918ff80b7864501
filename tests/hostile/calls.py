"""Wrong calls of every command: the same for a seed. Each is to end with exit code 2 and one printable line, and to
leave nothing behind; `test_calls.py` looks at that."""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile.judging import Case

SMALL = ("--data", "digits", "--labels", "40", "--student", "mlp-4", "--teacher", "mlp-4")
SHORT = ("--steps", "2", "--teacher-steps", "2", "--batch", "4")

WHOLE = (
    "0",
    "-1",
    "1.5",
    "ten",
    "1e3",
    "",
    "nan",
    "999999999999999",
    "0x10",
    "--",
    " ",
    "1_0_",
    "²",
    "1,000",
)
REAL = ("0", "-1", "nan", "inf", "-inf", "1e999", "x", "", "0,1", "--", "1e-999")
NETWORKS = (
    *(
        "",
        "mlp-",
        "mlp-0",
        "mlp--4",
        "mlp-1.5",
        "mlp-99999999999",
        "mlp-60000-60000",
        "lenet-4",
        "MLP-4",
    ),
    *("resnet-9", "resnet-20000", "lenet-1-1-1-1", "lenet-0-1-1", "perceptron", "mlp-" + "1-" * 500 + "1"),
    *("os:system", "nowhere:net", ":", "os:", ":net", "os.path:sep", "a" * 5000, "mlp-4\n", "mlp-４"),
)
NAMES = (
    "",
    ",",
    "gan",
    "KDGAN",
    "kdgan kdgan",
    "os:path",
    "nowhere:Method",
    "math:pi",
    "\x1b[31m",
    "kdgan;distn",
    "é" * 300,
)
SETTINGS = (
    *(
        "",
        "=",
        "=1",
        "alpha",
        "alpha=",
        "alpha=x",
        "alpha=2",
        "alpha=-1",
        "alpha=nan",
        "alpha=inf",
        "alpha=null",
    ),
    *(
        "alpha=[1]",
        "alpha={}",
        "alpha=true",
        "beta=1e999",
        "beta=-1",
        "estimator=none",
        "estimator=3",
        "d_steps=0",
    ),
    *(
        "d_steps=1.5",
        "d_steps=99999999999",
        "tau_end=0",
        "tau_start=-1",
        "distillation=l3",
    ),
    *("nothing=1", "temperature=0", "seed=1", "optimization=1", "alpha=" + "[" * 5000, "alpha=0.5=1", "_x=1"),
)
OPTIONS: dict[str, tuple[str, ...]] = {
    "--steps": WHOLE,
    "--teacher-steps": WHOLE,
    "--batch": WHOLE,
    "--labels": (*WHOLE, "9", "100000"),
    "--evaluations": WHOLE,
    "--teacher-every": WHOLE,
    "--threads": (*WHOLE, "100000"),
    "--lr": REAL,
    "--teacher-lr": tuple(value for value in REAL if value not in ("0", "1e-999")),
    "--weight-decay": tuple(value for value in REAL if value not in ("0", "1e-999")),
    "--epsilon": tuple(value for value in REAL if value not in ("0", "1e-999")),
    "--mixup": tuple(value for value in REAL if value not in ("0", "1e-999")),
    "--student-pretraining": ("1", "-1", "nan", "inf", "x", "2", ""),
    "--checkpoint-seconds": ("-1", "nan", "inf", "x", ""),
    "--student": NETWORKS,
    "--teacher": NETWORKS,
    "--augment": ("", "mirror", "AFFINE", "crop-flip,affine", "os:system"),
    "--metrics": ("gini", "nowhere:metric", "math:pi", "kdgan:nothing", "os.path:sep,os.path:sep", ":"),
    "--device": ("", "tpu", "cuda:99", "cpu:x", "meta", "GPU", "cuda:-1", "cpu,cpu"),
    "--precision": ("", "float16", "float64", "bf16"),
    "--image-size": ("16", "0", "x"),
    "--target": ("y", ""),
    "--privileged": ("y",),
    "--exclude": ("y",),
    "--missing": ("drop", "refuse", ""),
    "--skip-damaged": ("yes",),
    "--wrong-labels": ("-0.1", "1", "20", "nan", "inf", "x", ""),
    "--data-dir": (".", "/nowhere", "/dev/null"),
    "--rounds": WHOLE,
    "--round-steps": WHOLE,
    "--labelled-share": ("0", "1", "-0.1", "nan", "inf", "x", ""),
    "--self-training": ("", "x", "PROPAGATION", "none,fixmatch", "os:path"),
    "--unlabelled": ("", "REST", "nowhere.npz", "/dev/null", "/dev/zero", "."),
    "--clip": REAL[:-1],
    "--accumulate": WHOLE,
    "--nothing": ("1",),
    "--data": (
        "nope",
        "/nowhere",
        "",
        "/dev/null",
        "/dev/zero",
        "digits ",
        "mnist\n",
        "a" * 5000,
        "x.csv",
        "~",
    ),
}
ONLY_ONE = {
    "--method": NAMES,
    "--seed": ("x", "1.5", "", "nan", "--"),
    "--set": SETTINGS,
}
MANY = {
    "--methods": NAMES,
    "--seeds": (*WHOLE, "100000000"),
    "--workers": (*WHOLE, "10000000000"),
    "--set": (
        *(f"kdgan.{setting}" for setting in SETTINGS),
        *SETTINGS[:4],
        *(
            "gan.alpha=1",
            "supervised.alpha=1",
            ".=1",
            "kdgan.=1",
            "distn.teacher_every=2",
            "supervised.teacher_lr=1",
        ),
    ),
    "--settings": ("/nowhere.json", "", ".", "/dev/null", "/dev/zero"),
}


def cases(seed: int, count: int, folder: Path) -> Iterator[Case]:
    """So many calls of all kinds in turn, with `folder` for what they would write."""
    chance = random.Random(seed)
    for number, kind in zip(range(count), itertools.cycle(_KINDS), strict=False):
        own = folder / f"{number}"
        own.mkdir()
        arguments = kind(chance, own)
        yield Case(f"{number} {' '.join(each[:60] for each in arguments)}", arguments=arguments, folder=own)


def _train(chance: random.Random, folder: Path) -> tuple[str, ...]:
    option, value = _wrong(chance, {**OPTIONS, **ONLY_ONE})
    return ("train", "--out", str(folder / "out"), *SMALL, *SHORT, option, value)


def _compare(chance: random.Random, folder: Path) -> tuple[str, ...]:
    option, value = _wrong(chance, {**OPTIONS, **MANY})
    methods = ("--methods", "supervised,distn,kdgan", "--seeds", "1", "--workers", "1")
    return ("compare", "--out", str(folder / "out"), *methods, *SMALL, *SHORT, option, value)


def _tune(chance: random.Random, folder: Path) -> tuple[str, ...]:
    own = {"--trials": WHOLE, "--cell": ("mnist-7", "", "popular"), "--known": ("/nowhere", ".")}
    option, value = _wrong(chance, {**OPTIONS, "--methods": NAMES, "--seeds": MANY["--seeds"], **own})
    few = ("--methods", "distn", "--trials", "1", "--seeds", "1", "--workers", "1")
    return ("tune", "--out", str(folder / "out"), *few, *SMALL, *SHORT, option, value)


def _reproduce(chance: random.Random, folder: Path) -> tuple[str, ...]:
    study = chance.choice(("table1", "table9", "", "figure4", "table2", "TABLE1"))
    own = {
        "--cells": ("mnist-7", "", ",", "popular,mnist-100", "x" * 500),
        "--variants": ("", ",", "x", "supervised,x", "x" * 500),
        "--seeds": ("0", "-1", "101", "x", "10000000"),
        "--first-seed": ("-1", "100", "x", "99999999999"),
        "--table": ("/nowhere.parquet", "", "/dev/zero", "."),
        "--data-dir": ("/nowhere", "/dev/null", ""),
        "--text-encoder": ("gru", ""),
        "--workers": WHOLE,
    }
    option, value = _wrong(chance, own)
    out = ("--out", str(folder / "out"), "--results", str(folder / "results"))
    cell = () if option == "--cells" else ("--cells", "mnist-100")
    lacking = ("--data-dir", str(folder)) if option != "--data-dir" else ()
    return ("reproduce", study, *out, *cell, *lacking, option, value)


def _shrink(chance: random.Random, folder: Path) -> tuple[str, ...]:
    own = {
        "--within": ("-1", "nan", "inf", "x", ""),
        "--least": ("nan", "inf", "-inf", "101", "-1", "x"),
        "--parameters": ("0", "1", "-1", "1e9", "1.5", ""),
        "--milliseconds": ("0", "-1", "nan", "inf", "x"),
        "--also": ("", "x", "mlp-0", "mlp-99999999999", "os:system", "lenet-1-1-1", "-"),
        "--run": ("", ".", "/dev/null", "/nowhere"),
        "--method": ("", "gan", "selftrain", "os:path", "nowhere:Method"),
        "--seeds": MANY["--seeds"],
    }
    option, value = _wrong(chance, {**OPTIONS, **own})
    return ("shrink", "--out", str(folder / "out"), *SMALL, *SHORT, option, value)


def _of_a_student(chance: random.Random, folder: Path) -> tuple[str, ...]:
    """What is done with a student, where there is none, or options that there are not."""
    places = (
        "",
        ".",
        "/dev/null",
        "/dev/zero",
        "/nowhere",
        "a" * 4000,
        str(folder),
        str(folder / "x.safetensors"),
    )
    place, (command, option, value) = chance.choice(places), chance.choice(_OF_A_STUDENT)
    return (command, place, *(("x.npy",) if command == "predict" else ()), option, value)


_OF_A_STUDENT = (
    *(("predict", "--most", value) for value in WHOLE),
    *(("predict", "--device", value) for value in ("tpu", "cuda:99", "")),
    *(("predict", option, "1") for option in ("--size", "--output", "--threads", "--nothing")),
    *(("export", "--format", value) for value in ("pickle", "onnx", "torch", "safetensors", "")),
    *(("export", "--out", value) for value in ("", ".", "/dev/full", "/nowhere/x.onnx", "a" * 300 + ".onnx")),
    *(("export", "--to-hub", value) for value in ("", "x/y/z", "../..", "é/x", "a" * 300)),
    *(("report", "--out", value) for value in ("", "x.txt", "/nowhere/x.html", "/proc/x.html")),
    *(("serve", "--port", value) for value in ("-1", "65536", "x", "1e3", "99999999999999999999")),
    *(("serve", "--host", value) for value in ("", "999.1.1.1", "a" * 300, "é.x", "\x1b")),
    *(("serve", option, value) for option in ("--most-bytes", "--most-pixels") for value in WHOLE),
    *(("serve", option, "2") for option in ("--size", "--threads", "--largest")),
)


def _evaluate(chance: random.Random, folder: Path) -> tuple[str, ...]:
    (folder / "empty").mkdir()
    (folder / "dangling").symlink_to(folder / "nothing")
    place = chance.choice(
        ("", ".", "/dev/null", "/nowhere", "a" * 4000, str(folder / "empty"), str(folder / "dangling"))
    )
    more = chance.choice(((), ("--trust",), ("--device", "tpu"), ("--data-dir", "/nowhere"), ("--nothing",)))
    return ("evaluate", place, *more)


def _out(chance: random.Random, folder: Path) -> tuple[str, ...]:
    """A folder that nothing can be written into."""
    (folder / "file").write_text("work", encoding="utf-8")
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.tex").write_text("work", encoding="utf-8")
    (folder / "dangling").symlink_to(folder / "nothing" / "at" / "all")
    (folder / "loop").symlink_to(folder / "loop")
    places = (
        "file",
        "file/below",
        "taken",
        "dangling",
        "loop",
        "x" * 300,
        "/dev/null",
        "/dev/full",
        "/proc/none",
    )
    place = chance.choice(places)
    command = chance.choice(("train", "compare", "tune", "tags"))
    where = place if place.startswith("/") else str(folder) + os.sep + place
    if command == "tags":
        return (
            "tags",
            "compare",
            "--out",
            where,
            "--methods",
            "supervised",
            "--baselines",
            "",
            "--seeds",
            "1",
            *SHORT,
        )
    few = {
        "train": (),
        "compare": ("--methods", "distn", "--seeds", "1"),
        "tune": ("--methods", "distn", "--trials", "1"),
    }
    return (command, "--out", where, *few[command], *SMALL, *SHORT)


def _words(chance: random.Random, folder: Path) -> tuple[str, ...]:
    """No command, or half of one."""
    return chance.choice(
        (
            ("",),
            ("trian",),
            ("train",),
            ("compare", "digits"),
            ("train", "--out"),
            ("--out", "x"),
            ("tags", "compar"),
            ("tags", "compare", "--data", "/nowhere.parquet", "--out", str(folder / "out")),
            (
                "tags",
                "compare",
                "--count",
                chance.choice(WHOLE),
                "--out",
                str(folder / "out"),
                "--seeds",
                "1",
                *SHORT,
            ),
            ("tags", "compare", "--baselines", "gan", "--out", str(folder / "out")),
            (
                "tags",
                "compare",
                "--dropout",
                chance.choice(("1", "-1", "nan", "x")),
                "--out",
                str(folder / "out"),
            ),
            ("evaluate",),
            ("evaluate", "a", "b"),
            ("reproduce",),
            ("tune", "--cell", "nothing"),
            ("-v",),
            ("train", "--out", str(folder / "out"), "--steps", "2", "--steps"),
            ("\x1b[2J",),
            ("--version", "2"),
        )
    )


def _wrong(chance: random.Random, options: dict[str, tuple[str, ...]]) -> tuple[str, str]:
    option = chance.choice(sorted(options))
    return option, chance.choice(options[option])


_KINDS: tuple[Callable[[random.Random, Path], tuple[str, ...]], ...] = (
    *(_train, _compare, _out, _train, _compare, _evaluate, _tune, _train, _compare, _reproduce, _words),
    *(_shrink, _of_a_student, _shrink, _of_a_student),
)
