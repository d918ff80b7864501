"""A run's student in another format: from a raw table to the file of its own, and the run's real inputs."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
import torch

import kdgan
from commands import Command
from kdgan.data.reading import load
from kdgan.ship.quantize import MOST_CALIBRATION
from kdgan.tasks.config import ClassesData
from kdgan.tasks.export import export_run, raw_inputs, values_of
from kdgan.tasks.run import task_of
from support import refused
from tiny import DIGITS, TAGS, changed


def test_a_table_from_its_texts_to_the_file(typed: Command, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = tmp_path / "table.csv"
    lines = ["size,city,label"]
    for row in range(150):
        size = f"{draw.normal():.3f}" if row % 7 else "n/a"
        lines.append(f"{size},{['Köln', 'Bonn', ''][row % 3]},{['ja', 'nein'][int(draw.integers(2))]}")
    table.write_text("\n".join(lines))
    options = (
        "--data",
        table,
        "--target",
        "label",
        "--method",
        "supervised",
        "--student",
        "mlp-8",
        "--steps",
        20,
    )
    code, _, errors = typed("train", *options, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    left = export_run(tmp_path / "run", quantize="int8")
    assert left.exported.path == tmp_path / "run" / "student-int8.onnx"
    assert left.price is not None
    assert left.card == tmp_path / "run" / "student-int8.onnx.md"
    left = export_run(tmp_path / "run")
    assert left.notes == ()
    # By hand, from the CSV file.
    rows = pl.read_csv(table, null_values=["n/a"])
    feeds = {
        "numbers": rows["size"].fill_null(float("nan")).to_numpy()[:, None],
        "categories": np.array(rows["city"].fill_null("").to_list(), dtype=object)[:, None],
    }
    session = onnxruntime.InferenceSession(str(left.exported.path))
    (found,) = session.run(None, feeds)
    student = kdgan.load(tmp_path / "run")
    with pytest.warns(UserWarning, match="missing"):
        predicted = student.predict(rows.with_columns(pl.col("size").cast(pl.String)).drop("label"))
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    for each, row in zip(predicted, found, strict=True):
        likely = dict(zip(each.labels, each.probabilities, strict=True))
        np.testing.assert_allclose([likely[label] for label in labels], row, rtol=0, atol=1e-5)


def test_raw_inputs_are_those_that_were_read() -> None:
    task = task_of(DIGITS, None)
    student = task.student(task.build("mlp-8", "student").eval())
    assert torch.equal(raw_inputs(student, task.test), load("digits").test.tensor)
    tags = task_of(TAGS, None)
    student = tags.student(tags.build("normed-6", "student").eval())
    features = torch.from_numpy(tags.data.features[tags.data.rows["test"]])  # type: ignore[attr-defined]
    torch.testing.assert_close(raw_inputs(student, tags.test), features)
    assert MOST_CALIBRATION >= 100


def test_what_quantisation_is_judged_by() -> None:
    for config, name in ((DIGITS, "accuracy"), (TAGS, "MAP")):
        task = task_of(config, None)
        scores = torch.randn(len(task.test), len(task.labels), generator=torch.Generator().manual_seed(0))
        judged, values = values_of(task, scores)
        assert judged == name
        expected = task.measured_from(scores, task.test.targets)[name]
        assert 100 * values.mean() == pytest.approx(expected)


def test_a_folder_of_another_run(typed: Command, tmp_path: Path) -> None:
    for name, student in (("a", "mlp-4"), ("b", "mlp-4")):
        options = ("--data", "digits", "--method", "supervised", "--student", student, "--steps", 2)
        assert typed("train", *options, "--out", tmp_path / name)[0] == 0
    config = changed(DIGITS, data=ClassesData("mnist", labels=40), method="supervised").plain()
    (tmp_path / "b" / "config.json").write_text(json.dumps(config))
    with refused("--quantize"):
        export_run(tmp_path / "b", quantize="int8", data_dir=tmp_path)
