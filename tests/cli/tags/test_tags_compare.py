"""`kdgan tags compare` as a user types it: `kdgan compare` with another task."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from commands import Command, json_in, refuses, rows, written_at

RANKING = ("MAP", "P@3", "P@5", "F@3", "F@5", "MRR")
SHORT = ["tags", "compare", "--seeds", 1, "--steps", 4, "--batch", 8, "--teacher", "mlp-6", "--workers", 1]


def test_a_comparison_ends_in_a_table_and_a_page(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "tags"
    command = ["tags", "compare", "--methods", "supervised,mimic", "--baselines", "knn", "--seeds", 2]
    command += ["--steps", 8, "--text-encoder", "bag", "--workers", 1, "--out", out]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert "scenes, popular tags" in printed
    for name in ("supervised", "mimic", "knn"):
        assert f"\n {name} " in printed
    found = rows(out / "results.csv")
    assert list(found[0])[:10] == ["data", "labels", "method", "seed", *RANKING]
    assert [(row["method"], row["seed"]) for row in found] == [
        (method, seed) for seed in "01" for method in ("knn", "supervised", "mimic")
    ]
    assert all(0 < float(row[name]) <= 100 for row in found for name in RANKING)
    for row in found:
        assert (row["teacher/MAP"] != "") == (row["method"] == "mimic")
        assert (row["student_updates"], row["student_parameters"] == "") == (
            ("", True) if row["method"] == "knn" else ("8", False)
        )
    page = (out / "report.html").read_text(encoding="utf-8")
    # Test photos with what each method says of them.
    assert page.count("<img") == 6
    assert "What is recommended" in page
    assert "in truth: " in page
    assert "scenes, popular tags" in page
    assert "<script" not in page
    before = written_at(out)
    assert len(before) == 6
    assert typed(*command)[0] == 0
    assert written_at(out) == before
    # Further methods join what is there.
    more = [*command[:3], "supervised,distn", "--baselines", "", *command[6:]]
    assert typed(*more)[0] == 0
    assert {row["method"] for row in rows(out / "results.csv")} == {"supervised", "distn"}
    assert before.items() <= written_at(out).items()


def test_it_takes_settings_as_any_comparison_does(typed: Command, tmp_path: Path) -> None:
    tuned = '{"methods": {"kdgan": {"settings": {"beta": 3.0, "lr": 0.001, "teacher_steps": 3}}}}'
    (tmp_path / "tuned.json").write_text(tuned, encoding="utf-8")
    command = [*SHORT, "--methods", "kdgan", "--baselines", "", "--settings", tmp_path / "tuned.json"]
    command += ["--set", "kdgan.alpha=0.125", "--student", "projected-8", "--epsilon", 0.1]
    command += ["--teacher-every", 2, "--weight-decay", 0.5, "--teacher-lr", 0.003, "--augment", "noise"]
    command += ["--tags", "random", "--count", 5, "--text-encoder", "bag", "--dropout", 0]
    code, _, errors = typed(*command, "--out", tmp_path / "o")
    assert (code, errors) == (0, "")
    (config,) = (tmp_path / "o").glob("runs/*/config.json")
    used = json_in(config)
    assert (used["hyper"]["beta"], used["hyper"]["alpha"]) == (3.0, 0.125)
    expected = {"lr": 0.001, "teacher_steps": 3, "epsilon": 0.1, "teacher_every": 2, "teacher_lr": 0.003}
    assert {name: used["training"][name] for name in expected} == expected
    assert (used["student"], used["augment"], used["training"]["weight_decay"]) == (
        "projected-8",
        "noise",
        0.5,
    )
    data = {"choice": "random", "count": 5, "text_encoder": "bag", "dropout": 0.0}
    assert {name: used["data"][name] for name in data} == data


def test_a_comparison_takes_pretrained_embeddings(typed: Command, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("holiday 1 2 3\nbirthday 3 2 1\nelsewhere 0 0 0\n", encoding="utf-8")
    command = [*SHORT, "--methods", "supervised,mimic", "--baselines", "", "--embeddings", words, "--out"]
    code, printed, errors = typed(*command, tmp_path / "tags")
    assert (code, errors) == (0, "")
    assert printed.splitlines()[0].startswith("2 of ")
    assert printed.splitlines()[0].endswith(f" words of the texts are in {words}")
    assert typed(*command, tmp_path / "tags")[0] == 0
    words.write_text("holiday 1 2 3\nbirthday 3 2\n", encoding="utf-8")
    assert refuses(typed, *command, tmp_path / "other", parts=("words.txt, line 2",))
    assert not (tmp_path / "other").exists()
    words.write_text("holiday 1 2 3\nbirthday 3 2 2\n", encoding="utf-8")
    code, _, errors = typed(*command, tmp_path / "tags")
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert "another configuration (data.embeddings_sha256" in errors


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of photos with pictures of one colour beside it."""
    chance = np.random.default_rng(0)
    names = [f"p{row}.png" for row in range(120)]
    for name in names:
        Image.new("RGB", (9, 9), tuple(chance.integers(0, 255, 3).tolist())).save(tmp_path / name)
    columns = {
        "photo": names,
        "features": chance.random((120, 3), dtype=np.float32),
        "tags": [[["red", "green", "blue"][row % 3], "photo"] for row in range(120)],
        "text": ["by me"] * 120,
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "photos.parquet")
    return tmp_path / "photos.parquet"


def test_photos_of_a_table_are_shown_where_they_lie_beside_it(typed: Command, table: Path) -> None:
    command = [*SHORT, "--data", table, "--count", 3, "--methods", "supervised", "--baselines", "knn"]
    out = table.parent / "o"
    code, printed, errors = typed(*command, "--out", out)
    assert (code, errors) == (0, "")
    assert "photos, popular tags" in printed
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 6
    assert ".png, in truth: " in page
    for path in table.parent.glob("*.png"):
        path.unlink()
    assert typed(*command, "--out", out)[0] == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 0
    assert page.count(", in truth: ") == 6


WRONG = [
    ("--data none.parquet", "none.parquet"),
    ("--seeds 0", "--seeds"),
    ("--count 0", "at least 1"),
    ("--count 900", "900"),
    ("--baselines knn,foo", "'foo'"),
    ("--methods gan", "gan"),
    ("--methods ,", "at least one"),
    ("--workers 0", "--workers"),
    ("--set foo=1", "METHOD.NAME=VALUE"),
    ("--set knn.neighbours=0", "neighbours"),
    ("--set knn.foo=1", "foo"),
    ("--set kdgan.alpha=2", "alpha"),
    ("--settings none.json", "none.json"),
    ("--student mlp-4", "mlp-4"),
    ("--student lenet-2-2-4", "normed"),
    ("--teacher normed-4", "normed-4"),
    ("--augment affine", "features"),
    ("--steps 0", "steps"),
    ("--threads 0", "threads"),
    ("--dropout 2", "dropout"),
    ("--embeddings none.txt", "none.txt"),
]


@pytest.mark.parametrize(("options", "part"), WRONG, ids=[options for options, _ in WRONG])
def test_wrong_options(typed: Command, tmp_path: Path, options: str, part: str) -> None:
    assert refuses(typed, "tags", "compare", *options.split(), "--out", tmp_path / "o", parts=(part,))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["file/x", "link", "n" * 300, "/dev/full", "/proc/none", "half", "file"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(
    typed: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "half" / "results.csv").mkdir(parents=True)
    command = ["tags", "compare", "--data", tmp_path / "never read", "--out", tmp_path / name]
    assert refuses(typed, *command, parts=("cannot write to", name))


def test_names_of_any_bytes_are_printed_as_what_can_be(typed: Command, tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "photo": [f"p{row}\x1b[31m\n" for row in range(120)],
            "features": chance.random((120, 3)).tolist(),
            "text": ["हिन्दी भाषा"] * 120,
            "tags": [[["a\nb", "\x1b[31mred"][row % 2]] for row in range(120)],
        }
    )
    data, out = tmp_path / "t\udcff\x1b[31m\n.parquet", tmp_path / "o\x1b[31m"
    with data.open("wb") as file:
        frame.write_parquet(file)
    command = [
        *SHORT,
        "--data",
        data,
        "--count",
        2,
        "--methods",
        "supervised",
        "--baselines",
        "knn",
        "--out",
        out,
    ]
    assert refuses(typed, *command[:-1], tmp_path / "o\udcff", parts=("a name that is no UTF-8",))
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert all(line.isprintable() for line in printed.splitlines())
    assert {row["data"] for row in rows(out / "results.csv")} == {r"t\udcff\x1b[31m\n, popular tags"}
    assert (out / "report.html").is_file()


def test_photos_whose_tags_are_hidden(typed: Command, tmp_path: Path) -> None:
    command = [*SHORT, "--methods", "supervised,mimic", "--baselines", "knn", "--text-encoder", "bag"]
    command += ["--labels", 60, "--unlabelled", "rest", "--self-training", "fixmatch"]
    command += ["--rounds", 2, "--round-steps", 3]
    code, printed, errors = typed(*command, "--out", tmp_path / "a")
    assert (code, errors) == (0, "")
    assert "scenes, popular tags, 60 labels, " in printed
    found = rows(tmp_path / "a" / "results.csv")
    assert {(row["labels"], int(row["unlabelled"]) > 1000) for row in found} == {("60", True)}
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "FixMatch, its own confident labels, 6 updates" in page
    code, printed, errors = typed(*command, "--no-text", "--out", tmp_path / "b")
    assert (code, errors) == (0, "")
    assert "scenes, popular tags, no text, 60 labels, " in printed
    blind = rows(tmp_path / "b" / "results.csv")
    for before, after in zip(found, blind, strict=True):
        assert (before["MAP"] == after["MAP"]) == (before["method"] != "mimic")
