"""From a table of photos to what players learn from."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdgan.tags.data import Photos, choose, encode, read_photos
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
    uses = Counter(tag for tags in found.tags for tag in tags)
    assert list(data.tags) == sorted(uses, key=lambda tag: (-uses[tag], tag))[:3]
    rows = np.concatenate([data.rows[part] for part in ("train", "validation", "test")])
    assert len(set(rows)) == len(rows)
    assert [len(data.rows[part]) for part in ("validation", "test")] == [5, 5]
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
    assert not np.array_equal(one.rows["test"], other.rows["test"])


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
        ({"part": ["train"] * 59 + ["else"]}, ("'part'", "else")),
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
