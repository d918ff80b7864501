"""From YFCC100M's metadata to a data set for tag recommendation: photos, their text, their tags, three parts."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kdgan.errors import UsageError, wrong
from kdgan.files import replacing, write_json
from kdgan.tagging.yfcc.counting import TagCounts, choose, hashed
from kdgan.tagging.yfcc.metadata import Counts, Photo, read_metadata
from kdgan.tagging.yfcc.stopping import Stop
from kdgan.tagging.yfcc.wording import normal, removal, text_of

PHOTOS, URLS, REPORT = "photos.parquet", "urls.parquet", "prepared.json"
CHOICE = "tag_choice"
"""Column that says how the tags of a table were chosen, the same for all its photos."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of the photos and tags of a data set.

    Attributes:
        tags: "popular" for the most used tags, "random" for tags drawn from all with the minimum of uses.
        count: how many tags.
        minimum: the fewest uses, in all of the metadata, of a chosen tag.
        seed: decides the random tags, the owners of each part and the photos; nothing else does.
        train, validation, test: the photos of each part, or all there are where that is fewer.
        stop_file: tags that must not be chosen, one a line, besides those of cameras and apps.
    """

    tags: Literal["popular", "random"] = "popular"
    count: int = 200
    minimum: int = 1_000
    seed: int = 0
    train: int = 20_000
    validation: int = 2_000
    test: int = 2_000
    stop_file: Path | None = None

    @property
    def parts(self) -> dict[str, int]:
        """The number of photos asked for, by part."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Result of `prepare`.

    Attributes:
        lines: lines of metadata; `videos` and `untagged` photos among them were passed over.
        malformed: lines that could not be understood, by reason.
        candidates: photos with at least one chosen tag.
        tags: the chosen tags, the most used or first drawn first, each with its uses (photos) in the metadata.
        tags_exact: whether counting in bounded memory is certain to have chosen as exact counting would have.
        parts: photos written, by part.
    """

    lines: int
    videos: int
    untagged: int
    malformed: dict[str, int]
    candidates: int
    tags: dict[str, int]
    tags_exact: bool
    parts: dict[str, int]


def download_command(folder: Path) -> str:
    """Command line that downloads the images of a data set with img2dataset, for `kdgan tags features`.

    Photos keep their form, the shorter side 256 pixels: borders, which img2dataset adds by default, would be part of
    what a network sees of a photo, and `kdgan tags recommend` sees photos without.
    """
    return (
        f"img2dataset --url_list {folder / URLS} --input_format parquet --url_col url --caption_col caption "
        "--save_additional_columns '[\"photo\"]' --resize_mode keep_ratio --image_size 256 --output_format files "
        f"--output_folder {folder / 'images'}"
    )


def prepare(
    metadata: Sequence[Path], folder: Path, selection: Selection | None = None, *, progress: bool = True
) -> Prepared:
    """Reads the metadata twice, to count tags and to take photos, and writes a data set to `folder`.

    `photos.parquet` holds a row for each photo: `photo` and `owner` (their identifiers), `part` ("train",
    "validation" or "test"; all photos of an owner are in one), `url`, `text`, `tags` (a list of the chosen tags
    that it has, in alphabetical order) and `tag_choice` (how they were chosen). The text is title, description
    and the other tags; the names of all chosen tags are taken out of it, as whole words, and photos without
    text after that are passed over.
    `urls.parquet` is the list that img2dataset takes, and `prepared.json` holds the selection and the report.

    The same files and selection give the same rows: a photo is taken by a hash of its identifier, so neither
    the order of lines nor anything else of the machine matters (unless `tags_exact` is false, where the order
    may decide between tags of about the same use).

    Raises:
        UsageError: for files that cannot be read or hold no metadata, a selection that makes no sense, too few tags
            with the minimum of uses, a part without a single photo, and a `folder` that is none.
    """
    selection = selection or Selection()
    _check(selection)
    if folder.exists() and not folder.is_dir():
        raise wrong(f"cannot write to {folder}: it is a file")
    stop = Stop(selection.stop_file)
    uses, met = TagCounts(), Counts()
    for photo in read_metadata(metadata, met, what="counting tags", progress=progress):
        uses.add({normal(tag) for tag in photo.tags})
    if met.lines == met.malformed.total():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in met.malformed.most_common())
        raise wrong(
            f"none of {met.lines:,} lines is metadata of YFCC100M: {reasons or 'there is nothing in the files'}"
        )
    tags, tags_exact = choose(
        uses,
        stop,
        how=selection.tags,
        count=selection.count,
        minimum=selection.minimum,
        seed=selection.seed,
    )
    del uses
    counts = Counts()
    photos = read_metadata(metadata, counts, what="taking photos", progress=progress)
    samples, exact_uses, candidates = _take(photos, tags, selection)
    report = Prepared(
        lines=counts.lines,
        videos=counts.videos,
        untagged=counts.untagged,
        malformed=dict(counts.malformed.most_common()),
        candidates=candidates,
        tags={tag: exact_uses[tag] for tag in tags},
        tags_exact=tags_exact,
        parts={part: len(sample) for part, sample in samples.items()},
    )
    _write(folder, samples, selection, report)
    return report


class _Sample:
    """The `size` photos whose keys are smallest, whatever the order in which they come."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._largest: list[tuple[int, str]] = []  # a heap of the keys, negated, with the identifiers
        self._rows: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def wants(self, key: int, identifier: str) -> bool:
        if identifier in self._rows:  # files may overlap
            return False
        return len(self) < self._size or (self._size > 0 and (-key, identifier) > self._largest[0])

    def add(self, key: int, identifier: str, row: dict[str, Any]) -> None:
        self._rows[identifier] = row
        heapq.heappush(self._largest, (-key, identifier))
        if len(self) > self._size:
            del self._rows[heapq.heappop(self._largest)[1]]

    def rows(self) -> list[dict[str, Any]]:
        """In the order of the keys, which is a random one."""
        return [self._rows[identifier] for _, identifier in sorted(self._largest, reverse=True)]


def _take(
    photos: Iterable[Photo], tags: Sequence[str], selection: Selection
) -> tuple[dict[str, _Sample], Counter[str], int]:
    """A sample for each part, the uses of each tag, and the number of photos with any of the tags."""
    targets, names = frozenset(tags), removal(tags)
    samples = {part: _Sample(size) for part, size in selection.parts.items()}
    uses: Counter[str] = Counter()
    candidates = 0
    for photo in photos:
        own = {normal(tag): None for tag in photo.tags}  # a set that keeps the order
        found = targets.intersection(own)
        if not found:
            continue
        candidates += 1
        uses.update(found)
        owner, identifier = photo.owner, photo.identifier
        part = _part_of(owner, selection)
        key = hashed(selection.seed, "photo", identifier)
        # The text is made only for photos that would be taken: that is what costs time.
        if samples[part].wants(key, identifier) and (
            text := text_of(photo, [tag for tag in own if tag not in found], names)
        ):
            row = {"photo": identifier, "owner": owner, "part": part, "url": photo.url, "text": text}
            samples[part].add(key, identifier, row | {"tags": sorted(found)})
    return samples, uses, candidates


def _part_of(owner: str, selection: Selection) -> str:
    """The part in which all photos of an owner are; each has a share of the owners like that of its photos."""
    place = hashed(selection.seed, "owner", owner) * sum(selection.parts.values()) >> 64
    for part, size in selection.parts.items():
        if place < size:
            return part
        place -= size
    raise AssertionError("a hash has 64 bits")


def _check(selection: Selection) -> None:
    if selection.tags not in ("popular", "random"):
        raise wrong(f"tags must be 'popular' or 'random', not {selection.tags!r}")
    for name, least in (("count", 1), ("minimum", 1), ("train", 1), ("validation", 0), ("test", 0)):
        if getattr(selection, name) < least:
            raise UsageError(f"{name} must be at least {least}, not {getattr(selection, name)}")


def _write(folder: Path, samples: dict[str, _Sample], selection: Selection, report: Prepared) -> None:
    for part, size in selection.parts.items():
        if size and not report.parts[part]:
            raise UsageError(
                f"no photos with a chosen tag and text for the part {part!r} ({report.candidates} have a chosen "
                "tag): give more metadata, choose more tags, or ask for none in that part"
            )
    import polars as pl

    kinds: dict[str, Any] = dict.fromkeys(("photo", "owner", "part", "url", "text"), pl.String)
    rows = [row for sample in samples.values() for row in sample.rows()]
    frame = pl.DataFrame(rows, schema=kinds | {"tags": pl.List(pl.String)})
    frame = frame.with_columns(pl.lit(selection.tags).alias(CHOICE))
    urls = frame.select("url", pl.col("text").alias("caption"), "photo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table, name in ((frame, PHOTOS), (urls, URLS)):
            with replacing(folder / name) as temporary:
                table.write_parquet(temporary)
        asked = asdict(selection) | {"stop_file": selection.stop_file and str(selection.stop_file)}
        write_json(folder / REPORT, {"selection": asked, "report": asdict(report)})
    except OSError as error:
        raise wrong(f"cannot write to {folder}: {error.strerror or error}") from error
