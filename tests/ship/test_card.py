"""Model cards: a YAML header that the Hub takes, and what people want to know."""

from dataclasses import replace
from pathlib import Path

from huggingface_hub import ModelCard

from kdgan.ship.card import History, Measured, card
from kdgan.ship.export import Exported
from kdgan.ship.quantize import Price
from kdgan.ship.raw import RawForm
from ship.exported_students import of_digits, of_table

HISTORY = History(
    data="my: data | 7",
    licence="not known to kdgan",
    method="kdgan",
    config={"seed": 3},
    metrics=[Measured("accuracy", 91.25, (90.5, 92.0)), Measured("log_loss", 0.3)],
    examples=400,
    control=[Measured("accuracy", 90.0)],
    teacher=[Measured("accuracy", 95.0)],
    labelled=1000,
    unlabelled=20,
)


def exported(student: object) -> Exported:
    inputs = RawForm(student).inputs  # type: ignore[arg-type]
    return Exported(Path("runs/s.onnx"), "onnx", 1234, inputs, ("a",) * 3, 2e-7, 1000)


def test_a_card_says_what_is_known() -> None:
    student = of_digits("mlp-4")
    text = card(student, exported(student), HISTORY, Price("accuracy", 91.25, 91.0, -0.6, 0.1, 400))
    data = ModelCard(text).data
    assert data.library_name == "kdgan"
    assert data.pipeline_tag == "image-classification"
    (result, other) = data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "my: data | 7",
        "accuracy",
        91.25,
    )
    assert other.metric_type == "log_loss"
    for part in (
        "| student | 91.25 % (90.50 to 92.00) | 0.3000 nats |",
        "| control (no teacher) | 90.00 % |  |",
        "| teacher | 95.00 % |  |",
        "400 test examples",
        "1,000 labelled examples and 20 without labels",
        "Licence of the data: not known to kdgan",
        '"seed": 3',
        "310 parameters",
        "−0.25 points (95 % interval −0.60 to +0.10",
        "1,234 bytes",
        'InferenceSession("s.onnx")',
        "one of 10 classes: 0, 1, 2,",
    ):
        assert part in text, part
    assert "runs/" not in text


def test_a_card_says_what_is_not_known() -> None:
    student = of_table()
    text = card(student, exported(student))
    assert "Nothing is known of data, method and metrics" in text
    assert ModelCard(text).data.pipeline_tag == "tabular-classification"
    assert "columns: age, income" in text
    text = card(student, exported(student), replace(HISTORY, control=(), examples=None))
    assert "No control was found" in text
    assert "not at hand" in text


def test_names_are_no_markdown() -> None:
    student = replace(of_table(), labels=("a|b", "<script>", "new\nline"))
    text = card(student, exported(student))
    assert r"a\|b, \<script\>, new\\nline" in text


def test_a_larger_file_is_said_to_be_larger() -> None:
    student = of_digits("mlp-4")
    text = card(student, replace(exported(student), float_size=1000))
    assert "1,234 bytes: LARGER than the 1,000 bytes of float32, so nothing is won" in text
