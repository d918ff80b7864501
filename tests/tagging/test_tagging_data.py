"""From a table of photos to what players learn from."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdgan.files import sha256_of
from kdgan.tagging.data import Photos, choose, encode, read_photos, set_aside
from support import refused


def table(count: int = 60, **columns: object) -> pl.DataFrame:
    chance = np.random.default_rng(0)
    tags = [[f"t{tag}" for tag in chance.permutation(8)[: 1 + row % 4]] for row in range(count)]
    made = {
        "photo": [f"p{row}" for row in range(count)],
        "features": chance.normal(size=(count, 3)).astype(np.float32),
        "text": ["A Red boat, red sky" if row % 2 else None for row in range(count)],
        "tags": tags,
    }
    return pl.DataFrame({**made, **columns})


def photos(tmp_path: Path, frame: pl.DataFrame | None = None) -> Photos:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
    (table() if frame is None else frame).write_parquet(path)
    return read_photos(path)


def test_a_table_is_read_as_it_is(tmp_path: Path) -> None:
    found = photos(tmp_path)
    assert found.features.shape == (60, 3)
    assert found.features.dtype == np.float32
    assert found.words[:2] == [[], ["a", "red", "boat", "red", "sky"]]
    assert found.names[:2] == ["p0", "p1"]
    assert found.parts is None
    assert found.tags[0] == table()["tags"][0].to_list()


def test_popular_tags_are_the_most_frequent_and_the_rest_is_text(tmp_path: Path) -> None:
    found = photos(tmp_path)
    data = choose(found, "popular", count=3, held_out=5)
    aside = set_aside(found.names)
    uses = Counter(tag for row, tags in enumerate(found.tags) if not aside[row] for tag in tags)
    assert list(data.tags) == sorted(uses, key=lambda tag: (-uses[tag], tag))[:3]
    rows = np.concatenate([data.rows[part] for part in ("train", "validation", "test")])
    assert len(set(rows)) == len(rows)
    assert len(data.rows["validation"]) == 5
    assert set(data.rows["test"]) <= set(np.flatnonzero(set_aside(found.names)))
    words = ("", "?", *data.vocabulary)
    for row in rows:
        assert {data.tags[place] for place in np.flatnonzero(data.targets[row])} == set(
            found.tags[row]
        ) & set(data.tags)
        text = [words[token] for token in data.tokens[row] if token]
        assert text
        assert not set(text) & set(data.tags)
    kept = {row for row, tags in enumerate(found.tags) if set(tags) & set(data.tags)}
    assert set(rows) <= kept


def test_choices_depend_on_the_seed_alone(tmp_path: Path) -> None:
    found = photos(tmp_path)
    one, same, other = (
        choose(found, "random", count=4, least=2, held_out=5, seed=seed) for seed in (1, 1, 2)
    )
    assert one.tags == same.tags
    assert all(np.array_equal(one.rows[part], same.rows[part]) for part in one.rows)
    assert not np.array_equal(one.rows["validation"], other.rows["validation"])


def test_no_seed_and_no_choice_of_tags_learns_from_another_ones_test_photos(tmp_path: Path) -> None:
    found = photos(tmp_path)
    aside = set(np.flatnonzero(set_aside(found.names)))
    assert len(aside) == 10
    for choice in ("popular", "random"):
        for seed in range(5):
            data = choose(found, choice, count=4, least=2, held_out=5, seed=seed)
            assert set(data.rows["test"]) <= aside
            assert not aside & {*data.rows["train"], *data.rows["validation"]}
    # By name, so that it does not matter in which order the photos come.
    shuffled = found.names[::-1]
    assert np.array_equal(set_aside(shuffled), set_aside(found.names)[::-1])


def test_a_prepared_table_gives_the_tags_it_was_prepared_with_and_no_others(tmp_path: Path) -> None:
    made = photos(tmp_path, table(tag_choice=["random"] * 60))
    data = choose(made, "random", count=8, held_out=5, least=1000)
    assert set(data.tags) == {f"t{tag}" for tag in range(8)}
    with refused("prepared with random tags", "--tags popular"):
        choose(made, "popular", count=3)
    with refused("'tag_choice'"):
        photos(tmp_path, table(tag_choice=["random"] * 59 + ["popular"]))


def test_a_table_that_changed_since_it_was_configured_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table().write_parquet(path)
    given = sha256_of(path)
    assert given is not None
    assert len(read_photos(path, given).tags) == 60
    table(59).write_parquet(path)
    with refused("t.parquet", "changed"):
        read_photos(path, given[::-1])


def test_a_list_of_tags_may_have_gaps(tmp_path: Path) -> None:
    found = photos(tmp_path, table(tags=[["a", None, "b"]] * 59 + [None]))
    assert found.tags[0] == ["a", "b"]
    assert found.tags[59] == []


def test_parts_that_the_table_names_are_kept_and_counted_on_training_alone(tmp_path: Path) -> None:
    parts = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    lists = [["only-train", "x"]] * 40 + [["only-test", "x"]] * 20
    found = photos(tmp_path, table(part=parts, tags=lists))
    data = choose(found, "popular", count=2)
    assert set(data.tags) == {"only-train", "x"}
    assert data.rows["train"].max() < 40 <= data.rows["validation"].min()
    assert "only-test" not in data.vocabulary
    unknown = {token for row in data.rows["test"] for token in data.tokens[row]}
    assert 1 in unknown


def test_tokens_are_places_in_the_vocabulary() -> None:
    tokens = encode([["b", "a", "c"], [], ["a"] * 5], ["a", "b"], 4)
    assert tokens.tolist() == [[3, 2, 1, 0], [0, 0, 0, 0], [2, 2, 2, 2]]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"tags": ["a"] * 60}, ("'tags'", "lists")),
        ({"features": [1.0] * 60}, ("'features'", "lists")),
        ({"features": [[1.0]] * 59 + [[1.0, 2.0]]}, ("'features'", "one length")),
        ({"features": [[float("nan")]] * 60}, ("'features'", "finite")),
        ({"features": [["1.0"]] * 60}, ("'features'", "numbers")),
        ({"features": [[[1.0]]] * 60}, ("'features'", "numbers")),
        ({"tags": [[["a"]]] * 60}, ("'tags'", "lists")),
        ({"text": [["a", "b"]] * 60}, ("'text'", "texts")),
        ({"part": ["train"] * 59 + ["else"]}, ("'part'", "else")),
        ({"part": [1] * 60}, ("'part'", "Int64")),
        ({"part": ["train"] * 59 + [None]}, ("'part'", "None")),
        ({"tag_choice": [["popular"]] * 60}, ("'tag_choice'", "texts")),
        ({"feature_network": [["a"]] * 60}, ("'feature_network'", "texts")),
        ({"feature_network": ["[1]"] * 60}, ("'feature_network'", "one network")),
        ({"feature_network": ["[" * 100_000] * 60}, ("'feature_network'", "one network")),
        ({"tags": [[b"a"]] * 60}, ("'tags'", "Binary")),
        ({"tags": [[1.5]] * 60}, ("'tags'", "Float64")),
    ],
)
def test_tables_of_another_form_are_refused(
    tmp_path: Path, columns: dict[str, object], parts: tuple[str, ...]
) -> None:
    with refused(*parts):
        photos(tmp_path, table(**columns))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with refused("none.parquet"):
        read_photos(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no table", encoding="utf-8")
    with refused("text.parquet"):
        read_photos(tmp_path / "text.parquet")
    with refused("features"):
        photos(tmp_path, table().drop("features"))
    with refused("200"):
        choose(photos(tmp_path), "popular")
    with refused("too few"):
        choose(photos(tmp_path), "popular", count=3, held_out=50)
    with refused("no photos"):
        photos(tmp_path, table().clear())
    with refused("at least 1", "-3"):
        choose(photos(tmp_path), "popular", count=-3)
    with refused("no test photo"):
        choose(photos(tmp_path, table(part=["train"] * 60)), "popular", count=3)


def test_one_word_is_one_word_however_it_is_written(tmp_path: Path) -> None:
    spellings = ["café", "cafe\u0301", " CAFÉ ", "ｃａｆé"]
    found = photos(
        tmp_path,
        table(
            tags=[
                [spellings[row % 4], "Straße", spellings[(row + 1) % 4], "STRASSE", "", "\u200d"]
                for row in range(60)
            ],
            text=[
                "Der Kaffee im cafe\u0301 हिन्दी" if row % 2 else "DER KAFFEE im Café हिन्दी"
                for row in range(60)
            ],
        ),
    )
    assert found.tags == [["café", "strasse"]] * 60
    assert found.words == [["der", "kaffee", "im", "café", "हिन्दी"]] * 60
    assert choose(found, "popular", count=1, held_out=5).tags == ("café",)


def test_tags_may_be_whole_numbers_and_break_no_line(tmp_path: Path) -> None:
    assert photos(tmp_path, table(tags=[[7, 7, None]] * 60)).tags == [["7"]] * 60
    assert photos(tmp_path, table(tags=[["a\nb", "a\x1b[31m"]] * 60)).tags == [["a b", "a [31m"]] * 60
