"""Runs on photos and tags: every method unchanged, privileged text, and a student in a file."""

import io
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from kdgan.files import sha256_of
from kdgan.methods import METHODS
from kdgan.ship.student import Student
from kdgan.tagging.embeddings import named
from kdgan.tagging.scenes import scenes
from kdgan.tasks import Config, TagsData, run_of
from kdgan.tasks.ranking import ranking
from kdgan.tasks.run import NetworkRun, task_of
from kdgan.tasks.tags import SIDE, Tags
from kdgan.training import Execution
from kdgan.training.self_training import pseudo_labelled, takes_propagation
from support import refused
from tiny import TAGS, changed, train, weights


def tags_of(config: Config = TAGS) -> Tags:
    task = task_of(config, None)
    assert isinstance(task, Tags)
    return task


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_unchanged(tmp_path: Path, method: str) -> None:
    outcome = train(tmp_path, base=TAGS, method=method)
    names = ["MAP", "P@3", "P@5", "F@3", "F@5", "MRR"]
    assert list(outcome.metrics)[:6] == names
    rest = {f"teacher/{name}" for name in names} if "teacher" in METHODS[method].roles else set()
    rest |= {"log_loss"}
    # So few photos may tell no temperature.
    found = {*outcome.metrics} - {"log_loss_scaled"}
    assert found == {*names, *rest, "validation/MAP", "best_epoch/MAP"}
    assert set(outcome.curves) == {*names, "validation/MAP"}
    task = tags_of()
    saved = Student.load(tmp_path / "run" / "student.safetensors")
    rows = task.data.rows["test"]
    features = task.data.features[rows]
    with torch.no_grad():
        scores = saved.module(saved.scale(torch.from_numpy(features))).numpy()
    measured = ranking(scores, task.data.targets[rows]).means()
    for name in names:
        assert 100 * measured[name] == pytest.approx(outcome.metrics[name], abs=1e-6)
        assert outcome.curves[name][-1] == (10, outcome.metrics[name])
    (best,) = saved.predict(features[:1], most=8)
    assert [*best.labels] == [saved.labels[place] for place in np.argsort(-scores[0], kind="stable")]
    assert sum(best.probabilities) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("student", ["projected-6", "normed-6"])
def test_noise_is_for_training_alone_and_any_student_comes_back_from_its_file(
    tmp_path: Path, student: str
) -> None:
    outcome = train(tmp_path / "noise", base=TAGS, student=student, augment="noise")
    saved = Student.load(tmp_path / "noise" / "run")
    assert saved.network == student
    assert tags_of().measure(saved.module, tags_of().test)["MAP"] == outcome.metrics["MAP"]
    still = train(tmp_path / "still", base=TAGS, student=student)
    assert still.metrics["MAP"] != outcome.metrics["MAP"]


def test_labels_are_distributions_over_a_photos_tags_and_text_is_privileged() -> None:
    task = tags_of()
    assert task.train.privileged is not None
    torch.testing.assert_close(task.train.targets.sum(1), torch.ones(len(task.train)))
    assert ((task.train.targets > 0).numpy() == task.data.targets[task.data.rows["train"]]).all()
    largest = task.train.targets.amax(1, keepdim=True)
    assert ((task.train.targets == largest) == (task.train.targets > 0)).all()
    inputs = task.train.inputs
    torch.testing.assert_close(inputs.mean(0), torch.zeros(inputs.shape[1]), atol=1e-4, rtol=0)
    assert task.labels == task.data.tags
    assert len(task.labels) == 8


def test_text_tells_a_teacher_more_than_the_photo_tells_a_student(tmp_path: Path) -> None:
    config = changed(
        TAGS,
        method="mimic",
        text_encoder="bag",
        count=12,
        steps=200,
        teacher_steps=400,
        batch=64,
        lr=3e-3,
        student="normed-64",
        teacher="mlp-64",
    )
    outcome = train(tmp_path, base=config)
    assert outcome.metrics["teacher/MAP"] > outcome.metrics["MAP"] + 5


def test_wrong_settings_are_refused() -> None:
    for changes, parts in (
        ({"augment": "affine"}, ("affine", "features")),
        ({"augment": "mirror"}, ("mirror", "features")),
        ({"student": "lenet-2-2-2"}, ("lenet-2-2-2", "normed", "projected")),
        ({"student": "mlp-6"}, ("mlp-6", "normed", "projected")),
        ({"teacher": "normed-8"}, ("normed-8", "mlp")),
        ({"count": 900}, ("900",)),
        ({"text_encoder": "words"}, ("words",)),
        ({"source": "none.parquet"}, ("none.parquet",)),
        ({"embeddings": "none.txt"}, ("embeddings_sha256",)),
    ):
        with refused(*parts):
            run_of(changed(TAGS, **changes), Execution())


def test_players_of_a_task() -> None:
    task = tags_of()
    few = task.test[:3]
    assert task.build("normed-6", "student")(few.inputs).shape == (3, 8)
    assert task.build("tiny:network", "student")(few.inputs).shape == (3, 8)
    for role in ("teacher", "discriminator", "peer"):
        assert task.build("mlp-6", role)(few.inputs, few.privileged).shape == (3, 8)
    left_out = [part.p for part in task.build("normed-6", "student") if isinstance(part, torch.nn.Dropout)]
    assert left_out == [0.1]


# --- out of a table ----------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> TagsData:
    """Scenes in a Parquet file, with their pictures beside it."""
    photos = scenes().photos
    names = [f"photos/{row}.png" for row in range(len(photos.names))]
    names[0] = "../outside.png"
    file = tmp_path / "data" / "mine.parquet"
    file.parent.mkdir()
    pl.DataFrame(
        {
            "features": photos.features.tolist(),
            "tags": photos.tags,
            "text": [" ".join(words) for words in photos.words],
            "photo": names,
        }
    ).write_parquet(file)
    return TagsData(str(file), sha256=sha256_of(file), count=8, dropout=0.1)


def test_a_table_of_photos_is_learned_as_scenes_are(table: TagsData, tmp_path: Path) -> None:
    mine = tags_of(changed(TAGS, data=table))
    assert mine.config.data.title == "mine, popular tags"
    assert len(mine.labels) == 8
    outcome = train(tmp_path, base=changed(TAGS, data=table))
    assert outcome.labels == len(mine.train)
    assert task_of(changed(TAGS, data=table), None).load(tmp_path / "run" / "student.safetensors")
    with refused("mine.parquet"):
        tags_of(changed(TAGS, data=table, sha256="0" * 64))


def test_pictures_are_shown_where_they_lie_beside_the_table(table: TagsData, tmp_path: Path) -> None:
    task = tags_of(changed(TAGS, data=table))
    rows = [int(row) for row in task.data.rows["test"][:6]]
    first, second = rows[:2]
    folder = tmp_path / "data" / "photos"
    folder.mkdir()
    Image.fromarray(scenes().pictures[first]).save(folder / f"{first}.png")
    (folder / f"{second}.png").write_text("no picture", encoding="utf-8")
    shown = task.shown()
    assert [each.name for each in shown] == [f"photos/{row}.png" for row in rows]
    assert [each.picture is not None for each in shown] == [True, *[False] * 5]
    assert shown[0].picture is not None
    assert Image.open(io.BytesIO(shown[0].picture)).size == (SIDE, SIDE)
    # A name out of a table does not reach beyond the table's own folder.
    Image.fromarray(scenes().pictures[0]).save(tmp_path / "outside.png")
    assert task._picture(0) is None


def test_scenes_are_shown_with_their_true_tags() -> None:
    task = tags_of()
    shown = task.shown()
    assert len(shown) == task.count_shown
    for each, row in zip(shown, task.data.rows["test"], strict=False):
        assert each.name == f"scene {row}"
        assert set(each.labels) == set(scenes().photos.tags[row]) & set(task.labels)
        assert each.picture is not None
        assert Image.open(io.BytesIO(each.picture)).size == (SIDE, SIDE)


def test_texts_may_begin_with_embeddings_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    rows = [f"{word} {place}.0 1.0 0.5" for place, word in enumerate(("family", "holiday", "wedding"))]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    config = changed(TAGS, **named(file))
    task = tags_of(config)
    assert task.embeddings is not None
    teacher = task.build("mlp-6", "teacher")
    assert teacher.get_parameter("text.embedding.weight").shape[1] == 3
    assert tags_of().embeddings is None
    assert config.pretraining("teacher") != TAGS.pretraining("teacher")
    with refused("words.txt"):
        tags_of(changed(config, embeddings_sha256="0" * 64)).build("mlp-6", "teacher")


def test_a_name_that_no_file_can_have_shows_no_picture(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    names = ["a\x00b", "n" * 5000, "loop", "pipe", "../x", ""] * 20
    features = np.random.default_rng(0).random((120, 3)).tolist()
    frame = pl.DataFrame(
        {"photo": names, "features": features, "text": ["by me"] * 120, "tags": [["a", "b"]] * 120}
    )
    frame = frame.with_columns(part=pl.Series(["train"] * 60 + ["validation"] * 30 + ["test"] * 30))
    frame.write_parquet(tmp_path / "t.parquet")
    data = TagsData(str(tmp_path / "t.parquet"), count=2)
    task = tags_of(Config(data, "supervised", student="normed-4"))
    assert [(shown.name, shown.picture) for shown in task.shown()] == [(name, None) for name in names[:6]]


def test_results_name_the_table_in_one_printable_line() -> None:
    assert TagsData("runs/a\x1b[31m\n\udcff.parquet").title == r"a\x1b[31m\n\udcff, popular tags"


def test_some_photos_keep_their_tags_and_the_others_their_text(tmp_path: Path) -> None:
    config = changed(TAGS, labels=50, unlabelled="rest", method="mimic")
    task, whole = tags_of(config), tags_of()
    assert task.unlabelled is not None
    assert task.unlabelled.targets.tolist() == [-1] * (len(whole.train) - 50)
    assert task.labels == whole.labels
    rows = {*task.data.rows["train"].tolist()}, {*task.data.rows["unlabelled"].tolist()}
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == {*whole.data.rows["train"].tolist()}
    for part in ("validation", "test"):
        assert task.data.rows[part].tolist() == whole.data.rows[part].tolist()
    # All texts and all photos are learned from, so words and scale are those of all.
    assert task.data.vocabulary == whole.data.vocabulary
    for part in ("mean", "std"):
        torch.testing.assert_close(getattr(task.scale, part), getattr(whole.scale, part))
    texts = task.data.tokens[task.data.rows["unlabelled"]]
    assert isinstance(task.unlabelled.privileged, torch.Tensor)
    assert task.unlabelled.privileged.tolist() == texts.tolist()
    assert (texts > 0).any(1).all()
    # A photo's text is what it is with its tags: they are not in it because they are hidden.
    assert (task.data.tokens == whole.data.tokens).all()
    outcome = train(tmp_path, base=config)
    assert (outcome.labels, outcome.unlabelled) == (50, len(task.unlabelled))
    # Fewer labelled photos are the first of more, and a baseline has no others.
    fewer = tags_of(changed(config, labels=20)).data.rows["train"].tolist()
    assert {*fewer} < rows[0]
    knn = train(tmp_path / "knn", base=changed(config, method="knn", hyper={}))
    assert (knn.labels, knn.unlabelled) == (50, outcome.unlabelled)


@pytest.mark.parametrize("text", [True, False])
def test_a_teacher_trains_itself_on_photos_without_tags(tmp_path: Path, text: bool) -> None:
    """By propagation: its last layer is found whether it reads or not; the distribution of tags stays one."""
    config = changed(TAGS, labels=50, unlabelled="rest", method="codis", text=text, rounds=2, round_steps=3)
    run = NetworkRun(config, Execution())
    assert takes_propagation(run.modules["teacher"], run.trainer.data, "teacher")
    run.train(tmp_path / "run", tmp_path / "pretrained")
    rounds = {path.parent.name for path in tmp_path.glob("pretrained/teacher-*/*/checkpoint.safetensors")}
    assert rounds == {"self-training-1", "self-training-2"}
    found, _ = pseudo_labelled(run.modules["teacher"], run.trainer.data, seed=0, role="teacher")
    assert found.pseudo_labels is not None
    torch.testing.assert_close(found.pseudo_labels.sum(1), torch.ones(len(found)))
    assert ((found.pseudo_labels > 0.05) & (found.pseudo_labels < 0.95)).any()


def test_labelled_photos_alone_are_all_there_is_without_the_others() -> None:
    task = tags_of(changed(TAGS, labels=50))
    assert (len(task.train), task.unlabelled) == (50, None)
    assert set(task.data.vocabulary) < set(tags_of().data.vocabulary)


def test_numbers_of_photos_that_are_not_there() -> None:
    count = len(tags_of().train)
    for labels, rest in ((count + 1, None), (0, None), (count, "rest")):
        with refused(f"{labels} labelled photos", f"scenes has {count} for training"):
            tags_of(changed(TAGS, labels=labels, unlabelled=rest))
    with refused("say with labels how many"):
        changed(TAGS, unlabelled="rest")
    with refused("rest or none", "'all'"):
        changed(TAGS, unlabelled="all")


def test_without_texts_the_same_networks_see_the_same_photos(tmp_path: Path) -> None:
    reads, blind = tags_of(), tags_of(changed(TAGS, text=False))
    assert torch.equal(reads.train.tensor, blind.train.tensor)
    assert torch.equal(reads.train.targets, blind.train.targets)
    assert isinstance(blind.train.privileged, torch.Tensor)
    assert not blind.train.privileged.any()
    made = []
    for task in (reads, blind):
        torch.manual_seed(0)
        made.append(weights(task.build("mlp-8", "teacher")))
    assert torch.equal(*made)
    assert (reads.config.data.title, blind.config.data.title) == (
        "scenes, popular tags",
        "scenes, popular tags, no text",
    )
    # The control never sees a text.
    control = [
        train(tmp_path / str(text), base=TAGS, method="supervised", text=text).metrics
        for text in (True, False)
    ]
    assert control[0] == control[1]
    taught = [
        train(tmp_path / f"mimic {text}", base=TAGS, method="mimic", text=text).metrics
        for text in (True, False)
    ]
    assert taught[0]["teacher/MAP"] != taught[1]["teacher/MAP"]
