"""The commands of tag recommendation: `kdgan tags prepare`, `features`, `compare`, `recommend`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from kdgan.cli.options import method_names, names_in, say_failed
from kdgan.cli.parsing import parse
from kdgan.errors import UsageError


@dataclass(frozen=True)
class Prepare:
    """Make a data set from YFCC100M's metadata: photos with text, their tags, split by owner.

    Writes photos.parquet, and urls.parquet for img2dataset, which downloads the images.
    """

    metadata: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The published files, as they are (.bz2) or unpacked."""
    out: Path
    """Folder of the data set."""
    tags: Literal["popular", "random"] = "popular"
    """The most used tags, or tags drawn by seed."""
    count: int = 200
    """How many tags."""
    minimum: int = 1000
    """Fewest uses of a chosen tag."""
    train: int = 20_000
    """Photos to train on."""
    validation: int = 2000
    """Photos to choose settings with."""
    test: int = 2000
    """Photos to report on."""
    seed: int = 0
    """Of tags, owners and photos."""
    stop_file: Path | None = None
    """Tags that must not be chosen, one a line, besides those of cameras and apps."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.tagging.yfcc.prepare import Selection, download_command, prepare

        selection = Selection(
            tags=self.tags,
            count=self.count,
            minimum=self.minimum,
            seed=self.seed,
            train=self.train,
            validation=self.validation,
            test=self.test,
            stop_file=self.stop_file,
        )
        made = prepare(self.metadata, self.out, selection)
        malformed = ", ".join(f"{count:,} {reason}" for reason, count in made.malformed.items()) or "none"
        parts = ", ".join(f"{count:,} {part}" for part, count in made.parts.items())
        print(  # noqa: T201
            f"{made.lines:,} lines; malformed: {malformed}\nphotos: {parts}; {len(made.tags)} tags\n"
            f"data set: {self.out / 'photos.parquet'}   images to download: {self.out / 'urls.parquet'}, with\n"
            f"{download_command(self.out)}"
        )


@dataclass(frozen=True)
class NetworkOptions:
    """Which image network, and what it takes."""

    network: str
    """An ONNX file, or module:function of a function on float32 images (B, 3, H, W)."""
    output: str | None = None
    """Name of the output of an ONNX network, where it has several."""
    size: int | None = None
    """Side of its images in pixels, where the network does not say."""
    largest: float = 1.0
    """Value of white: 1 or 255."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Taken from each colour after that."""
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Each colour is divided by it."""
    threads: int = 1
    """Of the network."""

    def load(self) -> Any:
        """The network."""
        from kdgan.tagging.images.features import Scaling, load_network

        scaling = Scaling(self.largest, self.mean, self.deviation)
        return load_network(
            self.network, size=self.size, output=self.output, scaling=scaling, threads=self.threads
        )


@dataclass(frozen=True)
class Features:
    """Compute the features of downloaded images, and join them with their table. Goes on where it stopped."""

    table: Annotated[Path, tyro.conf.Positional]
    """photos.parquet of kdgan tags prepare."""
    images: Path
    """Folder that img2dataset wrote with --output_format files."""
    out: Path
    """The table with features to write."""
    network: tyro.conf.OmitArgPrefixes[NetworkOptions]
    batch: int = 32
    """Images at a time."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.tagging.images.features import attach, downloaded, extract, load_features, photos_in

        wanted = photos_in(self.table)
        found = {photo: path for photo, path in downloaded(self.images).items() if photo in wanted}
        network, folder = self.network.load(), self.out.with_suffix(".features")
        extracted = extract(list(found.values()), network, folder, batch=self.batch)
        rows = attach(self.table, list(found), load_features(folder), self.out, network.identity)
        unreadable = len(extracted.unreadable)
        print(f"{rows:,} photos with {extracted.width} features in {self.out}; {unreadable:,} unreadable")  # noqa: T201


@dataclass(frozen=True)
class CompareTags:
    """Compare all methods, and baselines that see the photo alone, in recommending tags.

    Prints a table like the paper's Table 2 and writes results.csv. The same command again goes on.
    """

    data: str = "world"
    """A Parquet table with columns features, tags and, if there is, text; or world: generated scenes."""
    tags: Literal["popular", "random"] = "popular"
    """Which tags are the labels: the most frequent ones, or some drawn by seed."""
    count: int | None = None
    """How many. Default: 200, and 12 in the generated world."""
    reader: Literal["lstm", "bag"] = "lstm"
    """How texts are read: in their order, or as a bag for words without one."""
    embeddings: Path | None = None
    """Pretrained embeddings of the words of texts, such as glove.6B.100d.txt: a word and its numbers on each line.
    Words that are not in it, or all without it, begin at random."""
    methods: str = "supervised,distn,mimic,noisy,codis,nagan,kdgan"
    """Which, joined with commas."""
    baselines: str = "knn,tprop,tfeat,rexmp"
    """Which, joined with commas; may be empty."""
    seeds: int = 3
    """How many: each has its own random tags and, where the table does not say, validation photos; all share the test
    photos."""
    steps: int = 1500
    """Updates of the student."""
    augment: Literal["none", "noise"] = "none"
    """Noise on the features in training, the same for every method: worth trying where a network gave them."""
    workers: int = 2
    """Processes at a time."""
    out: Path = Path("runs/tags")
    """Folder of the comparison."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.experiments.comparison import Comparison, Variant, run_of
        from kdgan.experiments.tables import markdown
        from kdgan.paper.tag_comparison import HEADERS, compare_tags, table2, tag_base, write_records
        from kdgan.paper.tag_page import write_tag_page
        from kdgan.tagging.baselines import BASELINES
        from kdgan.tagging.embeddings import named
        from kdgan.tasks.tags import TagTask
        from kdgan.training.config import claim
        from kdgan.training.display import console
        from kdgan.tasks.run import Machine

        if self.seeds < 1 or self.steps < 1 or self.workers < 1:
            raise UsageError("--seeds, --steps and --workers must be at least 1")
        usual = 12 if self.data == "world" else 200
        count = usual if self.count is None else self.count
        given: dict[str, Any] = {"augment": self.augment}
        if self.embeddings is not None:
            given |= named(self.embeddings)
        base = tag_base(self.data, self.tags, count=count, reader=self.reader, steps=self.steps, **given)
        methods, baselines = method_names(self.methods), names_in(self.baselines)
        for name in baselines:
            if name not in BASELINES:
                raise UsageError(f"unknown baseline {name!r}: choose from {', '.join(BASELINES)}")
        comparison = Comparison(base, {method: Variant(method) for method in methods}, range(self.seeds))
        for config in comparison.runs().values():
            run_of(config, Machine())  # what is wrong is found here, before anything is written
            break
        if self.embeddings is not None:
            task = TagTask(base)
            assert task.embeddings is not None
            known, words = len(task.embeddings.places), len(task.data.vocabulary)
            print(f"{known:,} of {words:,} words of the texts are in {self.embeddings}")  # noqa: T201
        claim(self.out, "comparison.json", base.without("method", "seed", "hyper"))
        found = compare_tags(
            comparison,
            baselines,
            Machine(),
            self.out,
            workers=self.workers,
            threads=1,
            console=console(),
        )
        write_records(self.out / "results.csv", found.records)
        write_tag_page(self.out / "report.html", base, found)
        print(markdown(HEADERS, table2(found.records), words=("tags", "method")))  # noqa: T201
        print(f"report: {self.out / 'report.html'}   results: {self.out / 'results.csv'}")  # noqa: T201
        say_failed(found.failures)


@dataclass(frozen=True)
class Recommend:
    """Recommend tags for photos with a trained student: no text needed."""

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """JPEG, PNG or WebP files."""
    student: Path
    """student.safetensors of a run of kdgan tags compare."""
    network: tyro.conf.OmitArgPrefixes[NetworkOptions]
    most: int = 5
    """Tags for each photo."""

    def __call__(self) -> None:
        """Carry out the command."""
        import numpy as np

        from kdgan.tagging.images.features import read_image
        from kdgan.ship.recommender import Recommender

        if self.most < 1:
            raise UsageError(f"--most must be at least 1, not {self.most}")
        recommender, network = Recommender.load(self.student), self.network.load()
        recommender.check(network.identity)
        unreadable = []
        for start in range(0, len(self.images), _AT_A_TIME):
            pictures = {}
            for path in self.images[start : start + _AT_A_TIME]:
                try:
                    pictures[path] = read_image(path, network.size)
                except UsageError as error:  # the others have tags all the same
                    unreadable.append(str(error))
            if pictures:
                features = network(np.stack(list(pictures.values())))
                for path, tags in zip(pictures, recommender(features, self.most), strict=True):
                    shown = "  ".join(f"{tag} {100 * chance:.0f} %" for tag, chance in tags)
                    print(f"{path}: {shown}", flush=True)  # noqa: T201
        if unreadable:
            raise UsageError("; ".join(unreadable))


_AT_A_TIME = 32
"""Images that are in memory together."""


COMMANDS: dict[str, Any] = {
    "prepare": Prepare,
    "features": Features,
    "compare": CompareTags,
    "recommend": Recommend,
}


def tags(arguments: list[str]) -> None:
    """`kdgan tags ...`: the errors are `kdgan.cli.main`'s to tell."""
    said = "Recommend tags for photos, from what their owners wrote about others."
    parse(COMMANDS, arguments, prog="kdgan tags", description=said)()


@dataclass(frozen=True)
class Tags:
    """Tag recommendation: kdgan tags prepare, features, compare, recommend."""

    def __call__(self) -> None:
        """Show what there is."""
        print("\n".join(f"kdgan tags {name}" for name in COMMANDS), file=sys.stderr)  # noqa: T201
