"""Pretrained word embeddings from files to players."""

import bz2
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdgan.nets import ImageText
from kdgan.tagging import lines
from kdgan.tagging.embeddings import Embeddings, named, read_embeddings
from kdgan.tagging.scenes import scenes
from kdgan.tasks.config import Config, TagsData
from kdgan.tasks.run import run_of
from kdgan.tasks.tags import Tags
from kdgan.training.config import Training, digest
from kdgan.training.execution import Execution
from support import refused

PHOTOS = TagsData("scenes", count=8)
CONFIG = Config(PHOTOS, "kdgan", seed=1, student="normed-6", teacher="mlp-8")
WORDS = ("boat", "sky", "été", "new york")


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path, words: tuple[str, ...] = WORDS) -> Embeddings:
    return read_embeddings(path, named(path)["embeddings_sha256"], words)


PLAIN = "the 0 0 0\nsky 1 -2 3e-1\nété 4 5 6\nSky 7 7 7\nsky 8 8 8\nboat 9 9 9\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip(),
        f"6 3\n{PLAIN}",
        PLAIN.replace("\n", " \n"),
        PLAIN.replace("\n", "\r\n"),
        f"6 3\r\n{PLAIN}".replace("the ", "the end of . "),
        bz2.compress(PLAIN.encode()),
    ],
)
def test_words_of_the_vocabulary_are_kept(tmp_path: Path, text: str | bytes) -> None:
    found = read(written(tmp_path / "e.txt", text))
    assert found.places.tolist() == [0, 1, 2]
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, np.float32([[9, 9, 9], [1, -2, 0.3], [4, 5, 6]]))


def test_words_may_hold_blanks(tmp_path: Path) -> None:
    found = read(written(tmp_path / "e.txt", "a 1 2\nnew york 3 4\n. . . 5 6\n"))
    assert (found.places.tolist(), found.vectors.tolist()) == ([3], [[3, 4]])


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "e.txt", PLAIN)
    whole = named(path)
    assert whole["embeddings_sha256"] == hashlib.sha256(PLAIN.encode()).hexdigest()
    for size in (1, 7, 16):
        monkeypatch.setattr(lines, "BLOCK", size)
        read_embeddings.cache_clear()
        assert named(path) == whole
        assert read(path).places.tolist() == [0, 1, 2]
        with refused("f.txt, line 5"):
            read(written(tmp_path / "f.txt", PLAIN.replace("sky 8 8 8", "sky 8 8")))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sky 1 2\nboat 1\n", ("line 2", "2 numbers", "1")),
        ("sky 1 2\nboat 1 2 3\n", ("line 2", "2 numbers", "3")),
        ("sky 1 2\nother 1 2 3\n", ("line 2", "2 numbers", "3")),
        ("sky 1 2\n\nboat 1 2\n", ("line 2", "2 numbers")),
        ("sky 1 2\n 1 2\n", ("line 2", "a word")),
        ("sky 1 2\nboat 1 x\n", ("line 2", "'x'")),
        ("sky 1 2\nboat  2\n", ("line 2", "''")),
        ("sky 1 2\nboat 1 nan\n", ("line 2", "finite")),
        ("sky 1 2\nboat 1 1e99\n", ("line 2", "finite")),
        ("sky\n", ("line 1", "its numbers")),
        ("PK\x03\x04\n", ("line 1", "its numbers")),
        ("2 0\nsky\n", ("line 2",)),
        ("2 2\nsky 1 2\nboat 1 2 3\n", ("line 3", "2 numbers")),
        ("2 3\nsky 1 2\nboat 1 2\n", ("line 2", "3 numbers")),
        ("3 2\nsky 1 2\nboat 1 2\n", ("3 words", "holds 2")),
        ("", ("none of the 4 words",)),
        ("a 1 2\nb 3 4\n", ("none of the 4 words", "language")),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with refused("e.txt", *parts):
        read(written(tmp_path / "e.txt", text))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("none.txt"):
        named(tmp_path / "none.txt")
    monkeypatch.setattr(lines, "BLOCK", 10)
    monkeypatch.setattr(lines, "LONGEST", 100)
    with refused("e.txt", "a line of more than"):
        named(written(tmp_path / "e.txt", "1 " * 500))


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "e.txt", PLAIN)
    given = named(path)
    written(path, PLAIN.replace("9 9 9", "9 9 8"))
    with refused("e.txt", "changed", given["embeddings_sha256"][:8]):
        read_embeddings(path, given["embeddings_sha256"], WORDS)


def test_unknown_words_are_drawn_like_the_known_ones() -> None:
    chance = np.random.default_rng(0)
    known = chance.normal([5, -1], [0.1, 3], (50, 2)).astype(np.float32)
    found = Embeddings(np.arange(0, 100, 2), known)
    torch.manual_seed(0)
    table = found.table(3000)
    assert table.shape == (3002, 2)
    torch.testing.assert_close(table[2:102:2], torch.from_numpy(known))
    drawn = torch.cat([table[:2], table[102:]])
    torch.testing.assert_close(drawn.mean(0), torch.from_numpy(known.mean(0)), atol=0.2, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.from_numpy(known.std(0)), atol=0, rtol=0.1)
    torch.manual_seed(0)
    assert torch.equal(found.table(3000), table)


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    text = "holiday 1 2 3 4 5\nbirthday 5 4 3 2 1\nnowhere 0 0 0 0 0\n"
    return named(written(tmp_path / "e.txt", text))


@pytest.mark.parametrize("encoder", ["lstm", "bag"])
def test_teacher_and_discriminator_begin_with_them(given: dict[str, str], encoder: str) -> None:
    photos = replace(PHOTOS, text_encoder=encoder, **given)
    task = Tags(replace(CONFIG, data=photos), scenes().photos)
    for role in ("teacher", "discriminator"):
        player = task.build("mlp-8", role)
        assert isinstance(player, ImageText)
        weight = player.text.SPEED * player.text.embedding.weight
        assert weight.shape == (len(task.data.vocabulary) + 2, 5)
        # Up to a factor, which is the encoder's own.
        birthday, holiday = (weight[task.data.vocabulary.index(word) + 2] for word in ("birthday", "holiday"))
        torch.testing.assert_close(birthday / holiday[0], torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]))
        assert not weight[0].any()
        assert task.train.privileged is not None
        assert player(task.train.inputs[:3], task.train.privileged[:3]).shape == (3, 8)
    assert "nowhere" not in task.data.vocabulary


def test_a_run_depends_on_what_is_in_the_file(given: dict[str, str], tmp_path: Path) -> None:
    config = replace(CONFIG, data=replace(PHOTOS, **given))
    other = replace(CONFIG, data=replace(PHOTOS, **{**given, "embeddings_sha256": "0" * 64}))
    assert len({run.name for run in (CONFIG, config, other)}) == 3
    assert len({digest(run.pretraining("teacher")) for run in (CONFIG, config, other)}) == 3
    config = replace(config, training=Training(steps=4, teacher_steps=4, batch=8, evaluations=1))
    outcome = run_of(config, Execution()).train(tmp_path / "run", tmp_path / "pretrained")
    assert outcome.student_updates == 4
    with refused("e.txt", "changed"):
        run_of(other, Execution())
    with refused("embeddings_sha256"):
        run_of(replace(CONFIG, data=replace(PHOTOS, embeddings="e.txt")), Execution())


def test_a_word_in_another_spelling_counts_where_there_is_none_in_this_one(tmp_path: Path) -> None:
    text = "Boat 1 1\nSKY 2 2\nsky 3 3\nBOAT 4 4\nE\u0301te\u0301 5 5\nStraße 6 6\n"
    found = read(written(tmp_path / "e.txt", text), (*WORDS, "strasse"))
    assert found.places.tolist() == [0, 1, 2, 4]
    assert found.vectors[:, 0].tolist() == [1, 3, 5, 6]


def test_a_first_line_of_endless_digits_is_no_count(tmp_path: Path) -> None:
    with refused("e.txt, line 2"):
        read(written(tmp_path / "e.txt", f"{'9' * 5000} 3\nsky 1 2 3\n"))
