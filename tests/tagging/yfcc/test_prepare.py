"""From metadata to a data set: tags, text, owners, samples."""

import json
import random
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote_plus

import polars as pl
import pytest

from kdgan.tagging.yfcc.prepare import Selection, download_command, prepare
from kdgan.tagging.yfcc.wording import removal
from support import refused

SMALL = Selection(count=10, minimum=5, train=200, validation=40, test=50)
TAGS = [f"tag {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def record(number: int, owner: int, title: str, description: str, tags: list[str]) -> str:
    fields = [""] * 25
    fields[0], fields[1], fields[3] = str(number), str(10**6 + number), f"{owner}@N00"
    fields[8], fields[9] = quote_plus(title), quote_plus(description)
    fields[10] = ",".join(map(quote_plus, tags))
    fields[16], fields[24] = f"http://images.org/{number}.jpg", "0"
    return "\t".join(fields)


@pytest.fixture(scope="module")
def records() -> list[str]:
    """2,000 photos of 100 owners; tag a is the most used and so on, and the camera's tag beats them all."""
    chance = random.Random(0)
    lines = []
    for number in range(2_000):
        tags = sorted({TAGS[int(26 * chance.random() ** 2)] for _ in range(4)})
        title = chance.choice(["A walk", "IMG_0520", f"My {tags[-1].upper()}!"])
        description = chance.choice(["", "<b>Near</b> the <i>old</i> pier", "é東京"])
        lines.append(record(number, chance.randrange(100), title, description, ["Canon EOS 40D", *tags]))
    return lines


def uses(records: list[str]) -> Counter[str]:
    """How many photos have each tag but the camera's."""
    tags = (tag for text in records for tag in text.split("\t")[10].replace("+", " ").split(",")[1:])
    return Counter(tags)


@pytest.fixture(scope="module")
def metadata(tmp_path_factory, records) -> Path:
    path = tmp_path_factory.mktemp("metadata") / "dump"
    path.write_text("\n".join([*records, "malformed"]) + "\n")
    return path


def test_the_data_set_is_what_was_asked_for(tmp_path, metadata, records):
    report = prepare([metadata], tmp_path, SMALL)
    assert report.parts == {"train": 200, "validation": 40, "test": 50}
    assert report.tags == dict(uses(records).most_common(10))
    assert report.tags_exact
    assert (report.lines, report.malformed) == (2_001, {"not 25 fields": 1})
    table = pl.read_parquet(tmp_path / "photos.parquet")
    assert table.schema == {
        **dict.fromkeys(("photo", "owner", "part", "url", "text"), pl.String), "tags": pl.List(pl.String),
        "tag_choice": pl.String,
    }  # fmt: skip
    assert dict(table["part"].value_counts().iter_rows()) == report.parts
    assert table["photo"].is_unique().all()
    assert table["tags"].list.len().min() >= 1
    assert set(table["tags"].explode()) == set(report.tags)
    assert table.filter(
        pl.col("url") != "http://images.org/" + (pl.col("photo").cast(int) - 10**6).cast(str) + ".jpg"
    ).is_empty()


def test_no_owner_is_in_two_parts(tmp_path, metadata):
    prepare([metadata], tmp_path, SMALL)
    table = pl.read_parquet(tmp_path / "photos.parquet")
    assert table.group_by("owner").agg(pl.col("part").n_unique())["part"].max() == 1


def test_photos_with_a_chosen_tag_are_counted(tmp_path, metadata, records):
    report = prepare([metadata], tmp_path, SMALL)
    own = [set(fields.split("\t")[10].replace("+", " ").split(",")) for fields in records]
    assert report.candidates == sum(not tags.isdisjoint(report.tags) for tags in own)


def test_text_has_words_but_no_chosen_tag(tmp_path, metadata):
    report = prepare([metadata], tmp_path, SMALL)
    for text in pl.read_parquet(tmp_path / "photos.parquet")["text"]:
        assert any(character.isalpha() for character in text)
        assert not removal(report.tags).search(text)
        assert "<" not in text
        assert "IMG" not in text


@pytest.mark.parametrize("tags", ["popular", "random"])
def test_the_same_seed_gives_the_same_photos_in_any_order_of_lines(tmp_path, records, tags):
    wanted = replace(SMALL, tags=tags, seed=3)
    for name, lines in (("a", records), ("b", records[::-1]), ("c", [*records, *records[:500]])):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        prepare([tmp_path / name], tmp_path / f"out {name}", wanted)
    first, second, third = (pl.read_parquet(tmp_path / f"out {name}" / "photos.parquet") for name in "abc")
    assert first.equals(second)
    assert third["photo"].is_unique().all()  # files that overlap


def test_another_seed_gives_others(tmp_path, metadata):
    found = []
    for seed in range(2):
        report = prepare([metadata], tmp_path / str(seed), replace(SMALL, tags="random", seed=seed))
        table = pl.read_parquet(tmp_path / str(seed) / "photos.parquet")
        test = table.filter(pl.col("part") == "test")
        found.append((set(report.tags), set(table["photo"]), set(test["owner"])))
    for one, other in zip(*found, strict=True):
        assert one != other


def test_a_random_tag_has_the_minimum_of_uses(tmp_path, metadata):
    report = prepare([metadata], tmp_path, replace(SMALL, tags="random", minimum=150))
    assert min(report.tags.values()) >= 150


def test_a_part_takes_all_there_are_where_that_is_fewer(tmp_path, metadata):
    report = prepare([metadata], tmp_path, replace(SMALL, train=10**6, validation=0, test=10**5))
    assert report.parts["validation"] == 0
    assert 1_000 < report.parts["train"] + report.parts["test"] <= report.candidates


def test_the_list_for_downloading_and_the_report_are_written(tmp_path, metadata):
    report = prepare([metadata], tmp_path, SMALL)
    table, urls = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("photos", "urls"))
    assert urls.columns == ["url", "caption", "photo"]
    assert urls["photo"].equals(table["photo"])
    assert urls["caption"].equals(table["text"], check_names=False)
    held = json.loads((tmp_path / "prepared.json").read_text())
    assert held["report"]["tags"] == report.tags
    assert held["selection"]["train"] == 200
    assert {path.name for path in tmp_path.iterdir()} == {"photos.parquet", "urls.parquet", "prepared.json"}


def test_tags_of_ones_own_are_stopped(tmp_path, metadata, records):
    stop = tmp_path / "stop.txt"
    stop.write_text("Tag A\ntag-b\n")
    report = prepare([metadata], tmp_path / "out", replace(SMALL, stop_file=stop))
    others = Counter({tag: count for tag, count in uses(records).items() if tag not in ("tag a", "tag b")})
    assert report.tags == dict(others.most_common(10))


def test_wrong_selections_are_refused_before_anything_is_written(tmp_path, metadata):
    out = tmp_path / "out"
    for wrong, parts in (
        (replace(SMALL, tags="best"), ("popular", "random", "best")),
        (replace(SMALL, count=0), ("count", "at least 1")),
        (replace(SMALL, count=10**12), ("count", "at most 10,000")),
        (replace(SMALL, train=10**12), ("train", "at most 100,000,000")),
        (replace(SMALL, seed=-1), ("seed", "at least 0")),
        (replace(SMALL, test=-1), ("test", "at least 0", "-1")),
        (replace(SMALL, count=100), ("only 26 tags", "100", "lower the minimum")),
        (replace(SMALL, stop_file=tmp_path / "none"), ("cannot read", "none")),
    ):
        with refused(*parts):
            prepare([metadata], out, wrong)
    assert not out.exists()


def test_a_part_without_photos_is_refused(tmp_path):
    path = tmp_path / "dump"
    path.write_text("\n".join(record(n, 1, "text", "", ["sea"]) for n in range(9)) + "\n")
    with refused("no photos", "part", "9 have a chosen tag"):
        prepare([path], tmp_path / "out", Selection(count=1, minimum=1))


def test_what_is_no_metadata_is_refused_for_that_reason(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with refused("none of 2 lines is metadata", "2 not 25 fields"):
        prepare([tmp_path / "other.csv"], tmp_path / "out", SMALL)
    (tmp_path / "empty").touch()
    with refused("nothing in the files"):
        prepare([tmp_path / "empty"], tmp_path / "out", SMALL)
    with refused("cannot write to", "other.csv"):
        prepare([tmp_path / "empty"], tmp_path / "other.csv", SMALL)


def test_what_is_to_be_typed_for_the_images_names_what_features_needs(tmp_path):
    command = shlex.split(download_command(tmp_path))
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given["--url_list"] == str(tmp_path / "urls.parquet")
    assert json.loads(given["--save_additional_columns"]) == ["photo"]
    assert given["--resize_mode"] == "keep_ratio"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, metadata):
    (tmp_path / "file").touch()
    with refused("cannot write", "file"):
        prepare([metadata], tmp_path / "file", SMALL)


def test_a_data_set_does_not_take_the_place_of_what_it_is_made_from(tmp_path, metadata):
    tmp_path.joinpath("urls.parquet").symlink_to(metadata)
    with refused("urls.parquet", "which is read"):
        prepare([metadata], tmp_path, SMALL)
    (tmp_path / "urls.parquet").unlink()
    (tmp_path / "prepared.json").write_text("sea\n")
    with refused("prepared.json", "which is read"):
        prepare([tmp_path / "none"], tmp_path, replace(SMALL, stop_file=tmp_path / "prepared.json"))


def test_one_file_that_cannot_be_written_is_told_before_the_metadata_are_read(tmp_path):
    (tmp_path / "prepared.json").mkdir()
    with refused("prepared.json", "it is a folder"):
        prepare([tmp_path / "none"], tmp_path, SMALL)


def test_what_is_to_be_typed_may_have_any_folder():
    command = shlex.split(download_command(Path("my photos; rm")))
    assert command[2] == "my photos; rm/urls.parquet"
