"""Studies are data: which runs they are, and what their tables say of raw figures."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from html_pages import Page
from kdgan.experiments.records import Record, write_curves, write_records
from kdgan.experiments.statistics import holm, mean_interval
from kdgan.experiments.study import read_results, write_study_page
from kdgan.experiments.variants import Comparison
from kdgan.methods import CONTROL, hyperparameters
from kdgan.paper.cells import CLASSES, PHOTOS, PHOTOS_REST, PUBLISHED, REST, WRONG, cell
from kdgan.paper.studies import ABLATIONS, ORACLE, PLAYED, STUDIES, TABLE_1, TABLE_2, WEIGHTS, WIDTHS, find
from kdgan.paper.variance import MEASURED
from kdgan.references import find_object, is_reference
from kdgan.tasks.config import BASELINES, ClassesData, TagsData
from made_records import record
from support import refused

RESULTS = Path(__file__).parents[2] / "results"
SCENES = {"source": "scenes", "count": 12}


def comparison_of(study: str, name: str, seeds: range = range(2), **changes: object) -> Comparison:
    return STUDIES[study].comparison(cell(name, SCENES, changes), seeds)


def test_there_is_a_study_for_each_table_figure_and_question() -> None:
    assert set(STUDIES) == {
        *("table1", "table2", "figure3a", "figure3b", "figure4", "figure5", "figure7"),
        *("samples", "sizes", "ablations", "oracle", "distribution", "unlabelled"),
    }
    for study in STUDIES.values():
        assert study.question.endswith("?")
        assert study.text.endswith(".")
        assert set(study.cells) <= {*CLASSES, *WRONG, *PHOTOS, *REST, *PHOTOS_REST}
        assert (study.figure is None) == (study.caption == "")
        assert study.seeds >= 3
    assert (STUDIES["table1"].seeds, STUDIES["table2"].seeds) == (10, 10)


@pytest.mark.parametrize(
    ("study", "name"), [(study, name) for study in STUDIES for name in STUDIES[study].cells]
)
def test_a_comparison_has_runs_of_its_own_for_every_variant(study: str, name: str) -> None:
    runs = comparison_of(study, name).runs()
    # The frozen value of a weight is a point of Figures 4 and 5, once for each weight.
    assert len({config.name for config in runs.values()}) >= len(runs) - 6
    assert {config.seed for config in runs.values()} == {0, 1}
    for config in runs.values():
        assert config.probe == STUDIES[study].probe
        json.dumps(config.plain())


def test_tables_have_the_methods_of_the_paper() -> None:
    for name in CLASSES:
        assert tuple(comparison_of("table1", name).variants) == TABLE_1
    for name in PHOTOS:
        assert tuple(comparison_of("table2", name).variants) == TABLE_2
    assert set(PUBLISHED["accuracy"]) <= set(TABLE_1)
    assert set(PUBLISHED["MAP"]) <= set(TABLE_2)


def test_studies_of_one_cell_share_runs() -> None:
    table1 = comparison_of("table1", "mnist-100").runs()
    for study in ("samples", "figure3a"):
        for key, config in comparison_of(study, "mnist-100").runs().items():
            assert config == table1[key]
    for study in ("ablations", "oracle", "figure4"):
        assert comparison_of(study, "mnist-100").runs()["kdgan", 0] == table1["kdgan", 0]
    table2 = comparison_of("table2", "random").runs()
    for study in ("figure3b", "figure5"):
        assert comparison_of(study, "random").runs()["kdgan", 1] == table2["kdgan", 1]


def test_the_weights_of_figure_4_cover_the_ranges_of_the_paper() -> None:
    ends = {name: (values[0], values[-1]) for name, values in WEIGHTS.items()}
    assert ends == {"alpha": (0.0, 1.0), "beta": (0.001, 1000.0), "gamma": (0.0001, 100.0)}


@pytest.mark.parametrize(
    ("study", "name", "table"), [("figure4", "mnist-100", "table1"), ("figure5", "random", "table2")]
)
def test_one_weight_is_changed_at_a_time_around_the_game_of_the_table(
    study: str, name: str, table: str
) -> None:
    comparison, game = comparison_of(study, name, steps=9), comparison_of(table, name, steps=9)
    names = {f"kdgan: {weight} = {value:g}" for weight, values in WEIGHTS.items() for value in values}
    assert set(comparison.variants) == {"kdgan", *names}
    runs = comparison.runs()
    assert runs["kdgan", 1] == game.runs()["kdgan", 1]
    frozen = dict(game.variants["kdgan"].hyper)
    for weight, values in WEIGHTS.items():
        for value in values:
            run = runs[f"kdgan: {weight} = {value:g}", 1]
            assert {**hyperparameters("kdgan"), **run.hyper}[weight] == value
            assert set(run.hyper) - set(frozen) <= {weight}


def test_an_ablation_takes_one_thing_away() -> None:
    comparison = comparison_of("ablations", "mnist-1000")
    assert list(comparison.variants) == ["mimic", *ABLATIONS]
    assert set(ORACLE) <= set(ABLATIONS)
    game = comparison.variants["kdgan"]
    for name, changes in ABLATIONS.items():
        variant = comparison.variants[name]
        for key, value in changes.items():
            there = {"method": variant.method, **variant.hyper, **variant.training, **variant.config}
            assert there[key] == value, name
            if is_reference(value):
                assert callable(find_object(str(value)))
        assert set(variant.hyper) - set(game.hyper) <= set(changes)
    runs = comparison.runs()
    assert runs["kdgan", 0].training.epsilon > 0 == runs["kdgan: views not moved", 0].training.epsilon
    assert runs["kdgan", 0].training.teacher_every > 1
    assert runs["kdgan: all learn in every update", 0].training.teacher_every == 1


def test_the_distribution_is_that_of_the_tables_players() -> None:
    study = STUDIES["distribution"]
    assert study.cells[:4] == ("mnist-100", "mnist-1000", "mnist-10000", "mnist-100-wrong-20")
    assert set(study.cells) == {*study.cells[:3], *WRONG, *PHOTOS}
    assert list(PLAYED.values()) == [{}, {"supervision": 0.0}, {"adversarial": 0.0}]
    for name in ("mnist-100", "random"):
        found, tables = comparison_of("distribution", name), ("table1", "table2")
        table = comparison_of(tables[name in PHOTOS], name)
        assert set(found.variants) == {*table.variants, *PLAYED} - set(BASELINES)
        runs = table.runs()
        for key, config in found.runs().items():
            assert config == runs.get(key, config)
    ablations = comparison_of("ablations", "mnist-100").runs()
    for key, config in comparison_of("distribution", "mnist-100").runs().items():
        assert config == ablations.get(key, config)
    noisy = comparison_of("distribution", "mnist-1000-wrong-40").runs()
    assert {
        config.data.wrong_labels for config in noisy.values() if isinstance(config.data, ClassesData)
    } == {0.4}


def test_probabilities_stand_beside_kdgans(tmp_path: Path) -> None:
    rows = {"mimic": [0.4, 0.5, 0.45], "kdgan": [0.3, 0.35, 0.31], "kdgan: no game": [0.35, 0.3, 0.31]}
    made = [
        record(name, seed, 90.0, metrics={"log_loss": value, "log_loss_scaled": value / 2})
        for name, values in rows.items()
        for seed, value in enumerate(values)
    ]
    write_records(tmp_path / "mnist-100-wrong-20.csv", made)
    table = STUDIES["distribution"].table(read_results(tmp_path))
    assert len(table.headers) == 10
    mimic, kdgan, other = table.cells
    assert mimic[:4] == ["mnist-100-wrong-20", "mimic", "3", "90.00 ± 0.00"]
    assert kdgan[4:8] == ["0.3200", "0.1600", "–", "–"]
    differences = [np.subtract(rows[name], rows["kdgan"]) for name in ("mimic", "kdgan: no game")]
    clear, unclear = holm([mean_interval(each) for each in differences])
    assert mimic[4] == f"0.4500 (+0.1300 ± {clear.half_width:.4f})"
    assert other[4] == f"0.3200 (0.0000 ± {unclear.half_width:.4f})"


def test_sizes_are_those_of_the_students() -> None:
    variants = comparison_of("sizes", "mnist-1000").variants
    assert len(variants) == 4 * len(WIDTHS)
    assert variants["kdgan: 25"].config == {"student": "mlp-25-25"}
    assert variants["kdgan: 25"].hyper == variants["kdgan: 800"].hyper


def test_figure_7_looks_at_the_gradients_of_the_game() -> None:
    study = STUDIES["figure7"]
    assert study.curves == MEASURED
    assert study.probe is not None
    assert callable(find_object(study.probe))


def test_what_is_not_there_is_told() -> None:
    assert find("table1", ["mnist-100"]) is STUDIES["table1"]
    with refused("table9", "choose from ablations, distribution, figure3a"):
        find("table9", [])
    with refused("table1 has no cell 'popular'", "mnist-100"):
        find("table1", ["mnist-1000", "popular"])


def of_mnist(method: str, seed: int, accuracy: float, **changes: object) -> Record:
    given = {"data": "mnist", "labels": 100, "seconds": 5.0, "pretraining_seconds": 7.0, **changes}
    metrics = {"teacher/accuracy": 96.0, "best_epoch/accuracy": accuracy + 0.25}
    return record(method, seed, accuracy, metrics=metrics, **given)


def test_table_1_stands_beside_the_paper(tmp_path: Path) -> None:
    runs = [of_mnist("mimic", seed, 90.0 + seed) for seed in range(3)]
    runs += [of_mnist("kdgan", seed, 92.0 + seed) for seed in range(3)]
    write_records(tmp_path / "mnist-100.csv", runs)
    table = STUDIES["table1"].table(read_results(tmp_path))
    mimic, kdgan = table.cells
    assert mimic == [
        *("mnist-100", "mimic", "3", "91.00 ± 2.48", "+2.00 ± 0.00", "+0.25", "96.00", "67.35", "5.0 + 7.0"),
    ]
    assert kdgan[4] == "–"
    assert kdgan[7] == f"{PUBLISHED['accuracy']['kdgan'][0]:.2f}"
    assert table.headers[4:8] == ["KDGAN − it", "best epoch", "teacher", "paper"]


def of_tags(method: str, seed: int, precision: float, average: float) -> Record:
    metrics = {"MAP": average, "P@3": precision, "P@5": 90.0, "F@3": 90.0, "F@5": 90.0, "MRR": 90.0}
    return Record("t, popular tags", 50 + seed, method, seed, metrics, 9, 1.0, 1.0, 8, None)


def test_table_2_stands_beside_the_paper(tmp_path: Path) -> None:
    runs = [of_tags("knn", 0, 20.0, 50.0), of_tags("kdgan", 0, 30.0, 70.0), of_tags("kdgan", 1, 30.0, 60.0)]
    write_records(tmp_path / "popular.csv", runs)
    knn, kdgan = STUDIES["table2"].table(read_results(tmp_path)).cells
    assert knn[:4] == ["popular", "knn", "1", "20.00"]
    assert knn[-3:] == ["+20.00", "–", "57.55"]
    assert kdgan[7].startswith("65.00 ±")
    assert kdgan[-3:] == ["–", "–", "77.87"]


def test_variants_stand_beside_kdgan(tmp_path: Path) -> None:
    names = {"kdgan": 50.0, "kdgan: gamma = 0.1": 50.0, "kdgan: gamma = 100": 30.0, "kdgan: alpha = 1": 40.0}
    for tags, more in (("popular", 0.0), ("random", 10.0)):
        made = [
            of_tags(name, seed, value + more + 2 * seed, 60.0)
            for name, value in names.items()
            for seed in range(2)
        ]
        write_records(tmp_path / f"{tags}.csv", made)
    rows = [list(row) for row in STUDIES["figure5"].table(read_results(tmp_path)).cells]
    assert len(rows) == 8
    assert rows[0][:3] == ["popular", "kdgan", "2"]
    worst = next(row for row in rows if row[:2] == ["random", "kdgan: gamma = 100"])
    assert worst[3].startswith("41.00")
    assert worst[4].startswith("−20.00")
    assert worst[6].replace("+", "").startswith("0.00")
    assert rows[0][4] == "–"


def test_the_smallest_student_that_is_good_enough_is_marked(tmp_path: Path) -> None:
    sizes = {"kdgan: 10": (100, 90.0), "kdgan: 20": (200, 94.6), "kdgan: 40": (400, 95.0)}
    runs = [
        of_mnist(name, seed, accuracy, student_parameters=size, teacher_parameters=250)
        for name, (size, accuracy) in sizes.items()
        for seed in range(2)
    ]
    runs += [of_mnist("supervised: 10", 0, 80.0, student_parameters=100)]
    (tmp_path / "results").mkdir()
    write_records(tmp_path / "results" / "mnist-100.csv", runs)
    rows = STUDIES["sizes"].table(read_results(tmp_path / "results")).cells
    kdgan, control = rows[:3], rows[3]
    assert [(row[1], bool(row[-1])) for row in kdgan] == [("100", False), ("200", True), ("400", False)]
    assert [row[3] for row in kdgan] == ["2.5", "1.2", "0.6"]
    assert (control[0], control[3], bool(control[-1])) == ("supervised", "–", True)
    for name in ("a.html", "b.html"):
        write_study_page(STUDIES["sizes"], tmp_path / "results", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    Page((tmp_path / "a.html").read_text(encoding="utf-8"))


def test_gradients_are_compared_by_their_noise(tmp_path: Path) -> None:
    def points(first: float, second: float) -> list[tuple[int, float]]:
        return [(1, first), (2, second)]

    curves = {
        ("kdgan", 0): {
            **{"variance/distillation": points(1.0, 3.0), "signal/distillation": points(0.5, 0.5)},
            **{"variance/exact": points(4.0, 4.0), "signal/exact": points(-1.0, -1.0)},
            **{"bias/exact": points(0.0, 0.0)},
        },
        ("kdgan", 1): {"variance/distillation": points(2.0, 2.0), "signal/distillation": points(0.5, 0.5)},
    }
    write_curves(tmp_path / "mnist-100-curves.csv", curves, MEASURED)
    distillation, exact = STUDIES["figure7"].table(read_results(tmp_path)).cells
    assert distillation == ["mnist-100", "∇L_DS", "2.00e+00", "5.00e-01", "4.0", "–"]
    # No ratio to a signal that is lost in the noise.
    assert exact == ["mnist-100", "∇L_AD, exact", "4.00e+00", "-1.00e+00", "–", "0.00e+00"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_folder_without_results_gives_an_empty_table_and_picture(tmp_path: Path, name: str) -> None:
    study = STUDIES[name]
    assert study.table([]).cells == []
    assert study.note in study.table([]).markdown()
    write_study_page(study, tmp_path, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert study.question in page.text


@pytest.mark.parametrize("name", [name for name in STUDIES if any((RESULTS / name).glob("*.csv"))])
def test_committed_figures_can_be_shown(tmp_path: Path, name: str) -> None:
    study, folder = STUDIES[name], RESULTS / name
    results = read_results(folder)
    assert {each.cell for each in results} <= set(study.cells)
    assert study.table(results).cells
    write_study_page(study, folder, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.tags["svg"] == (study.figure is not None)


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, file.stem) for name in STUDIES for file in sorted((RESULTS / name).glob("*.json"))],
)
def test_committed_figures_are_of_the_runs_that_the_study_has_now(name: str, which: str) -> None:
    described = json.loads((RESULTS / name / f"{which}.json").read_text(encoding="utf-8"))
    assert which in STUDIES[name].cells
    comparison = comparison_of(name, which)
    variants = {each: variant.plain() for each, variant in comparison.variants.items()}
    there = described["variants"]
    if "--variants" in described["command"]:  # not all rows have been run
        variants = {each: variants[each] for each in there}
    assert set(there) == set(variants)
    if which in (*CLASSES, *WRONG, *REST):
        shared = json.loads(json.dumps(comparison.base.shared()))
        # Where no processor had instructions for bfloat16, the command says float32.
        if asked := re.search(r"--precision (\S+)", described["command"]):
            shared["training"]["precision"] = asked[1]
        # What was read from --data-dir is no part of the study, but of what was carried out.
        assert described["base"] == {
            **shared,
            "data": {**shared["data"], "sha256": described["base"]["data"]["sha256"]},
        }
    assert there == json.loads(json.dumps(variants))
    for each in (RESULTS / name).glob(f"{which}.csv"):
        rows = next(found.rows for found in read_results(each.parent) if found.cell == which)
        assert {row.name for row in rows} == set(variants)
        assert {row.seeds for row in rows} == {tuple(described["seeds"])}


def test_baselines_see_the_photo_alone() -> None:
    comparison = comparison_of("table2", "popular")
    assert set(BASELINES) <= set(comparison.variants)
    for name in BASELINES:
        assert comparison.variants[name].plain() == {
            "method": name,
            "hyper": {},
            "training": {},
            "config": {},
        }


def test_examples_without_labels_are_those_that_lose_theirs() -> None:
    study = STUDIES["unlabelled"]
    assert set(study.cells) == {*REST, *PHOTOS_REST}
    mnist = comparison_of("unlabelled", "mnist-100-rest")
    assert tuple(mnist.variants) == (CONTROL, "selftrain", *TABLE_1[1:])
    assert (mnist.base.data.labels, mnist.base.data.unlabelled) == (100, "rest")
    assert mnist.base.training.self_training == "propagation"
    photos = comparison_of("unlabelled", "random-300-rest")
    assert (photos.base.data.labels, photos.base.data.unlabelled) == (300, "rest")
    assert photos.base.training.self_training == "none"
    runs = photos.runs()
    reads, alone = runs["distn", 0], runs["distn: T sees the photo alone", 0]
    assert isinstance(reads.data, TagsData)
    assert replace(reads, data=replace(reads.data, text=False)) == alone


def test_some_rows_of_a_study() -> None:
    some = STUDIES["table1"].only(["mimic", "kdgan"])
    assert list(some.variants(cell("mnist-100"))) == ["mimic", "kdgan"]
    with refused("mnist-100 has no variant 'nobody'"):
        STUDIES["table1"].only(["nobody"]).variants(cell("mnist-100"))
