"""Methods against each other on the same data from the same seeds."""

import io
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kdgan.errors import UsageError
from kdgan.experiments.comparison import Compared, compare
from kdgan.experiments.description import describe, facts, self_trained
from kdgan.experiments.records import read_records
from kdgan.experiments.variants import Comparison, Variant
from kdgan.losses import l2
from kdgan.methods import METHODS, Mimic
from kdgan.tasks import Config, Outcome
from kdgan.tasks.config import BASELINES
from kdgan.training import Execution, Training
from support import refused, served
from tiny import DIGITS, TAGS, changed

MEASURED = ("accuracy", "teacher/accuracy", "best_epoch/accuracy", "validation/accuracy", "majority/accuracy")
BESIDE = ("log_loss", "ece", "teacher/log_loss", "teacher/ece")
DISTRIBUTION = ("brier", "log_loss_scaled", "brier_scaled", "ece_scaled")


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers forked from a server that has imported torch: a second instead of five for each."""
    context = served()
    monkeypatch.setattr("kdgan.experiments.processes.multiprocessing.get_context", lambda method: context)


def comparison_of(
    methods: Sequence[str] | dict[str, Variant], seeds: int = 1, base: Config = DIGITS, **changes: Any
) -> Comparison:
    variants = methods if isinstance(methods, dict) else {method: Variant(method) for method in methods}
    return Comparison(changed(base, **changes), variants, range(seeds))


def carried_out(
    out: Path, comparison: Comparison, *, workers: int = 2, **options: Any
) -> tuple[Compared, str]:
    """What was found, and what was printed."""
    printed = io.StringIO()
    console = Console(file=printed, width=100)
    found = compare(comparison, Execution(workers=workers), out, console=console, **options)
    return found, printed.getvalue()


def accuracies(out: Path) -> dict[tuple[str, int], dict[str, float]]:
    records = read_records(out / "results.csv")
    assert all((record.data, record.labels) == ("digits", 40) for record in records)
    return {(record.method, record.seed): dict(record.metrics) for record in records}


@pytest.mark.usefixtures("quick_workers")
def test_a_comparison_can_be_extended_and_does_not_depend_on_workers(tmp_path: Path) -> None:
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    assert carried_out(grown, comparison_of(["supervised", "mimic"]), workers=1)[0].failures == []
    kept = {path: path.stat().st_mtime_ns for path in grown.rglob("*/result.json")}
    assert len(kept) == 2
    first = accuracies(grown)
    found, table = carried_out(grown, comparison_of(["kdgan", "supervised", "mimic"], 2))
    assert found.failures == []
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert {key: accuracies(grown)[key] for key in first} == first
    carried_out(whole, comparison_of(["supervised", "mimic", "kdgan"], 2), workers=1)
    assert accuracies(whole) == accuracies(grown)
    assert len(accuracies(whole)) == 6
    for (method, _), metrics in accuracies(whole).items():
        alone = {name for name in (*MEASURED, *BESIDE) if name.startswith("teacher/")}
        # All or none: so few examples may tell no temperature.
        scaled = {name for name in DISTRIBUTION if name.endswith("_scaled")}
        assert scaled & set(metrics) in (scaled, set())
        expected = {*MEASURED, *BESIDE, *DISTRIBUTION} - (alone if method == "supervised" else set())
        assert set(metrics) - scaled == expected - scaled
    assert (grown / "report.html").stat().st_size > 1000
    for method in ("supervised", "mimic", "kdgan"):
        assert f"\n {method}" in table
    said = " ".join(table.split())
    assert said.endswith("2 seeds are too few to conclude from, so any of these differences may be chance.")
    assert said.count("From 40 labelled examples alone the student reaches ") == 1
    with refused("grown", "training.steps", "--out"):
        carried_out(grown, comparison_of(["supervised"], steps=21))


@pytest.mark.usefixtures("quick_workers")
def test_two_commands_on_one_folder_share_the_runs(tmp_path: Path) -> None:
    comparison = comparison_of(["supervised", "mimic", "distn"], 2)
    carried_out(tmp_path / "whole", comparison, workers=1)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(carried_out, tmp_path / "both", comparison, workers=1) for _ in range(2)]
    found = [each.result()[0] for each in both]
    assert found[0].failures == found[1].failures == []
    assert found[0].outcomes == found[1].outcomes  # seconds and all: each run was carried out once
    assert accuracies(tmp_path / "both") == accuracies(tmp_path / "whole")
    assert len(accuracies(tmp_path / "both")) == 6
    assert (tmp_path / "both" / "report.html").exists()


@pytest.mark.usefixtures("quick_workers")
@pytest.mark.parametrize("how", ["removed", "replaced by a file"])
def test_a_folder_that_is_removed_meanwhile_is_told(tmp_path: Path, how: str) -> None:
    comparison = comparison_of(["supervised", "distn"])

    class Watch(io.StringIO):
        def write(self, text: str) -> int:
            if text.startswith("[1/") and (tmp_path / "c").is_dir():
                shutil.rmtree(tmp_path / "c")
                if how != "removed":
                    (tmp_path / "c").touch()
            return super().write(text)

    console = Console(file=Watch(), width=100)
    with pytest.raises((UsageError, OSError)) as caught:
        compare(comparison, Execution(), tmp_path / "c", console=console)
    assert str(tmp_path / "c") in str(caught.value)
    assert not (tmp_path / "c" / "results.csv").exists()


@pytest.mark.usefixtures("quick_workers")
def test_variants_that_agree_share_a_run(tmp_path: Path) -> None:
    variants = {name: Variant("supervised", {"smoothing": value}) for name, value in (("a", 0.1), ("b", 0.1))}
    found, _ = carried_out(tmp_path / "c", comparison_of(variants, 2))
    assert len(list((tmp_path / "c" / "runs").iterdir())) == 2
    assert set(found.outcomes) == {("a", 0), ("b", 0), ("a", 1), ("b", 1)}
    assert [(record.method, record.seed) for record in found.records] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1)
    ]  # fmt: skip
    for seed in (0, 1):
        assert found.outcomes["a", seed] == found.outcomes["b", seed]
        assert found.curves["a", seed] == found.curves["b", seed] == found.outcomes["a", seed].curves


@pytest.mark.usefixtures("quick_workers")
def test_a_failed_run_is_told_and_others_go_on(tmp_path: Path) -> None:
    variants = {name: Variant(name) for name in ("supervised", "mimic")}
    wild = {"lr": 1e30, "augment": "none"}
    found, table = carried_out(tmp_path / "c", comparison_of(variants, **wild))
    failures = found.failures
    assert len(failures) == 2
    assert any(failure.startswith("supervised seed 0: training diverged: at step") for failure in failures)
    assert any(
        failure.startswith("pretraining of teacher seed 0: ") for failure in failures
    )  # mimic was not even begun
    assert found.outcomes == {}
    assert "mimic" not in table
    assert not list((tmp_path / "c" / "runs").glob("mimic-*"))

    variants["tame"] = Variant("supervised", training={"lr": 1e-3})
    found, table = carried_out(tmp_path / "c", comparison_of(variants, **wild))
    assert set(found.outcomes) == {("tame", 0)}
    assert len(found.failures) == 2
    assert "\n tame" in table
    assert "training diverged" in (tmp_path / "c" / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick_workers")
def test_a_comparison_on_tags_with_a_baseline_and_a_metric_of_ones_own(tmp_path: Path) -> None:
    variants = {name: Variant(name) for name in ("knn", "supervised", "mimic")}
    comparison = comparison_of(variants, base=TAGS, metrics=("tiny:count",))
    found, table = carried_out(tmp_path / "c", comparison)
    assert found.failures == []
    assert {record.data for record in found.records} == {"scenes, popular tags"}
    for record in found.records:
        names = [name for name in record.metrics if "/" not in name and name != "log_loss_scaled"]
        judged = [] if record.method == "knn" else ["log_loss"]
        assert names == ["count", "MAP", "P@3", "P@5", "F@3", "F@5", "MRR", *judged]
        assert (record.student_updates is None) == (record.method == "knn")
    for name in ("knn", "supervised", "mimic", "MAP", "count"):
        assert name in table
    page = (tmp_path / "c" / "report.html").read_text(encoding="utf-8")
    assert "scene " in page  # photos with what each method says of them
    assert "data:image/png" in page
    # Another width of the student's layers is another comparison; the baseline's run depends on nothing of the kind.
    other = comparison_of({"knn": Variant("knn")}, base=TAGS, metrics=("tiny:count",), student="normed-5")
    kept = next((tmp_path / "c" / "runs").glob("knn-*/result.json"))
    before = kept.stat().st_mtime_ns
    found, _ = carried_out(tmp_path / "d", other, store=tmp_path / "c")
    assert set(found.outcomes) == {("knn", 0)}
    assert kept.stat().st_mtime_ns == before
    assert not (tmp_path / "d" / "runs").exists()


def test_what_is_wrong_is_found_before_anything_is_written(tmp_path: Path) -> None:
    for variant, part in (
        (Variant("kdgan", {"delta": 1}), "delta"),
        (Variant("kdgan", config={"student": "foo"}), "foo"),
        (Variant("kdgan", training={"lr": 0.0}), "lr must be above 0"),
        (Variant("kdgan", training={"steps": 0}), "steps"),
        (Variant("gan"), "unknown method 'gan'"),
        (Variant("knn"), "recommends tags"),
        (Variant("kdgan", {"distillation": lambda mine, theirs: mine}), "not at the top of a module"),
    ):
        with refused(part):
            carried_out(
                tmp_path / "c", comparison_of({"supervised": Variant("supervised"), "other": variant})
            )
        assert not (tmp_path / "c").exists()


# --- variants ----------------------------------------------------------------------------------------------------


def test_settings_by_name_are_hyperparameters_or_of_training() -> None:
    variant = Variant.of("kdgan", {"alpha": 0.3, "lr": 0.1, "teacher_every": 4, "student_pretraining": 0.2})
    training = {"lr": 0.1, "teacher_every": 4, "student_pretraining": 0.2}
    assert variant == Variant("kdgan", {"alpha": 0.3}, training)
    more = variant.changed({"beta": 2.0, "steps": 9, "student": "mlp-4", "alpha": 0.5})
    assert more.hyper == {"alpha": 0.5, "beta": 2.0}
    assert more.training == {**variant.training, "steps": 9}
    assert more.config == {"student": "mlp-4"}
    assert more.changed({"method": "mimic"}).method == "mimic"
    assert variant.hyper == {"alpha": 0.3}


def test_a_variant_is_plain_wherever_it_comes_from() -> None:
    assert Variant(METHODS["kdgan"]).plain()["method"] == "kdgan"
    assert Variant(Mimic).plain()["method"] == "mimic"
    assert Variant("kdgan.methods:Mimic").plain()["method"] == "kdgan.methods:Mimic"
    assert Variant(Own).plain() == {
        "method": "test_comparison:Own",
        "hyper": {},
        "training": {},
        "config": {},
    }
    given = Variant("kdgan", {"distillation": l2, "alpha": 0.5}).plain()
    assert given["hyper"] == {"distillation": "kdgan.losses.distillation:l2", "alpha": 0.5}


class Own(Mimic):
    """Mine, in a sentence.

    And more.
    """


def test_what_a_variant_is_in_a_sentence() -> None:
    for method in (*METHODS, *BASELINES):
        assert describe(Variant(method)).endswith(".")
    assert describe(Variant("mimic")) == Mimic.description
    assert describe(Variant(Own)) == describe(Variant("test_comparison:Own")) == "Mine, in a sentence."


def test_all_variants_of_a_seed_come_before_the_next_seed() -> None:
    variants = {
        "supervised": Variant("supervised"),
        "fast": Variant("kdgan", {"alpha": 0.3}, {"lr": 0.1}, {"student": "mlp-4"}),
    }
    runs = comparison_of(variants, 2).runs()
    assert list(runs) == [("supervised", 0), ("fast", 0), ("supervised", 1), ("fast", 1)]
    plain, fast = runs["supervised", 1], runs["fast", 1]
    assert (plain.method, plain.seed, plain.hyper, plain.student) == ("supervised", 1, {}, "mlp-8")
    assert (fast.method, fast.seed, fast.hyper, fast.student) == ("kdgan", 1, {"alpha": 0.3}, "mlp-4")
    assert fast.training.lr == 0.1
    # A method's own rate must not change the teacher that all of them share.
    assert fast.training.pretraining_lr == plain.training.pretraining_lr == Training().lr
    mimic = comparison_of({"mimic": Variant("mimic", training={"lr": 0.5})}, 2).runs()["mimic", 1]
    assert mimic.pretraining("teacher") == fast.pretraining("teacher")
    given = comparison_of({"a": Variant("mimic", training={"lr": 0.5})}, pretraining_lr=0.25).runs()["a", 0]
    assert given.training.pretraining_lr == 0.25


def test_a_baseline_depends_on_none_of_the_settings() -> None:
    one = comparison_of({"knn": Variant("knn", {"neighbours": 3})}, base=TAGS).runs()["knn", 0]
    changes: dict[str, Any] = {"lr": 0.5, "student": "normed-9", "augment": "noise", "probe": "tiny:look"}
    other = comparison_of({"knn": Variant("knn", {"neighbours": 3})}, base=TAGS, **changes).runs()["knn", 0]
    assert one == other
    assert one.hyper == {"neighbours": 3}
    assert one.name == other.name
    counted = comparison_of({"knn": Variant("knn")}, base=TAGS, metrics=("tiny:count",)).runs()["knn", 0]
    assert counted.metrics == ("tiny:count",)


def test_a_page_says_what_was_compared() -> None:
    variants = {"supervised": Variant("supervised"), "kdgan": Variant("kdgan", {"alpha": 0.3}, {"lr": 0.1})}
    said = facts(comparison_of(variants, 3), Execution(), "kdgan compare --seeds 3")
    assert said["Data"] == "digits"
    assert said["Student"] == "mlp-8"
    assert said["Updates of the student"].startswith("20 of 8 examples")
    assert said["Updates in pretraining teacher and discriminator"].startswith("10 each")
    assert said["Hyperparameters"] == '{"kdgan": {"alpha": 0.3, "lr": 0.1}}'
    assert said["Seeds"] == "0 to 2"
    assert said["Device"] == "cpu, float32"
    assert said["Command"] == "kdgan compare --seeds 3"
    assert "Adversarial perturbation" not in said
    assert "Other players learn" not in said
    changes = {"epsilon": 0.1, "mixup": 0.5, "teacher_every": 4, "teacher_steps": None}
    said = facts(comparison_of(["mimic"], **changes), Execution(), "")
    assert said["Mixed examples"] == "mixup, shares from Beta(0.5, 0.5), for every method"
    first = facts(comparison_of(["mimic"], pretraining_mixup=0.5), Execution(), "")["Mixed examples"]
    assert "Beta(0.5, 0.5) in the pretraining" in first
    assert "none after it" in first
    later = facts(comparison_of(["mimic"], mixup=0.25, pretraining_mixup=0.0), Execution(), "")
    assert "none in the pretraining" in later["Mixed examples"]
    assert "Beta(0.25" in later["Mixed examples"]
    assert said["Adversarial perturbation"] == "epsilon 0.1, for every method"
    assert "4 updates" in said["Other players learn"]
    assert said["Updates in pretraining teacher and discriminator"].startswith("20 each")
    assert said["Hyperparameters"] == "defaults of each method"


def test_records_are_in_the_order_of_the_comparison() -> None:
    comparison = comparison_of(["mimic", "supervised"], 2)
    outcomes = {
        key: Outcome({"accuracy": 1.0}, labels=40, seconds=1.0, curves={"accuracy": [(20, 1.0)]})
        for key in [("supervised", 1), ("mimic", 1), ("mimic", 0)]
    }
    found = Compared("digits", [*comparison.runs()], None, outcomes)
    assert [(record.method, record.seed) for record in found.records] == [
        ("mimic", 0), ("mimic", 1), ("supervised", 1)
    ]  # fmt: skip
    assert list(found.curves) == [("mimic", 0), ("mimic", 1), ("supervised", 1)]


def test_a_variant_may_have_data_of_its_own() -> None:
    blind = Variant("mimic").changed({"data": {"text": False}, "lr": 0.5})
    own = {"mimic": Variant("mimic"), "mimic: no text": blind}
    reads, other = Comparison(TAGS, own, [3]).runs().values()
    assert changed(other, text=True, lr=reads.training.lr) == reads
    assert not other.data.text  # type: ignore[union-attr]
    assert blind.plain()["config"] == {"data": {"text": False}}


def test_teachers_that_learn_from_examples_without_labels_are_told_from_others() -> None:
    methods = ["supervised", "selftrain", "nagan", "distn", "kdgan"]
    assert self_trained(comparison_of(methods, unlabelled="rest").runs()) == {"distn", "kdgan"}
    kept = comparison_of(methods, unlabelled="rest", self_training="none")
    assert self_trained(kept.runs()) == frozenset()
    assert self_trained(comparison_of(["knn", "distn"], base=TAGS).runs()) == {"distn"}


def test_a_page_says_how_many_of_a_batch_are_labelled() -> None:
    comparison = comparison_of(["mimic"], unlabelled="rest", labelled_share=0.125)
    assert facts(comparison, Execution(), "")["Examples without labels"].startswith(
        "12% of each batch are labelled"
    )
    assert "Examples without labels" not in facts(comparison_of(["mimic"]), Execution(), "")
