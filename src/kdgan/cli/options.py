"""Options that commands share, and what becomes of them."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from kdgan.cli.parsing import by_name, method_names, names_in, settings_of
from kdgan.errors import RunError, UsageError, printable

if TYPE_CHECKING:
    from kdgan.experiments.study import Cell
    from kdgan.experiments.variants import Variant
    from kdgan.methods import Method
    from kdgan.tasks.config import Config
    from kdgan.training.execution import Execution


def _optional(metavar: str) -> Any:
    """Placeholder of a value in the help; where None is the default the text says what that means."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


MOST_PROCESSES, MOST_SEEDS = 1024, 10_000
Count = Annotated[int | None, _optional("N")]
Number = Annotated[float | None, _optional("X")]
Name = Annotated[str | None, _optional("NAME")]
Names = Annotated[str | None, _optional("NAME,NAME...")]
File = Annotated[Path | None, _optional("PATH")]
Files = Annotated[
    tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...", help_behavior_hint="")
]
Settings = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE...", help_behavior_hint="")]


@dataclass(frozen=True)
class ClassesOptions:
    """Data."""

    data: str = "digits"
    """digits or breast-cancer (bundled), mnist, cifar10, a folder of images per class, a folder of IDX files, an .npz
    file, or a table: .csv, .tsv or .parquet."""
    data_dir: File = None
    """Folder with the files of mnist or cifar10; without it they are downloaded once."""
    labels: Count = None
    """Labelled training examples, spread evenly over the classes. Default: 100 for digits, 60 for breast-cancer, else
    all outside validation."""
    unlabelled: Annotated[str | None, _optional("rest|none|PATH")] = None
    """Examples to learn from without labels: rest, those beside --labels and those that have none in the data; none; or
    the path of a file or folder with others, whose labels are not looked at. Default: rest where the data have some
    without, else none."""
    target: Name = None
    """For a table: the column of labels."""
    privileged: Annotated[tuple[str, ...], _optional("NAME...")] = ()
    """For a table: columns known only while training; teacher and discriminator see them, the student does not."""
    exclude: Annotated[tuple[str, ...], _optional("NAME...")] = ()
    """For a table: columns to leave out."""
    missing: Annotated[Literal["impute", "refuse"] | None, _optional("impute|refuse")] = None
    """For a table: what to do about missing values: impute (the mean, and a column that says where) or refuse.
    Default: impute."""
    image_size: Count = None
    """For a folder of images: the side they are brought to, in pixels."""
    skip_damaged: bool = False
    """For a folder of images: leave out those that cannot be read."""
    wrong_labels: Annotated[float | None, _optional("SHARE")] = None
    """Share of training labels to make wrong, drawn by seed, to see what methods make of them: 0.2 for a fifth. Those
    for validation and test stay right. Default: 0."""

    def config(self, training: TrainingOptions, execution: Execution) -> Config:
        """The configuration of runs on these data."""
        from kdgan.tasks import presets

        values = {**dataclasses.asdict(self), "source": self.data}
        del values["data"], values["data_dir"]
        return presets.classes(values, training.values(execution), data_dir=self.data_dir)


@dataclass(frozen=True)
class TagsOptions:
    """Photos and tags."""

    data: str = "scenes"
    """A Parquet table with columns features, tags and, if there is, text; or scenes: generated ones."""
    tags: Literal["popular", "random"] = "popular"
    """Tags that are the labels: the most frequent ones, or some drawn by seed."""
    count: Count = None
    """Number of tags. Default: 200, and 12 for generated scenes."""
    labels: Count = None
    """Training photos whose tags are known. Default: all; of the scenes, without any option of data, 200."""
    unlabelled: Annotated[Literal["rest", "none"] | None, _optional("rest|none")] = None
    """rest: learn from the others, too, with their text but without their tags. Default: none; of the scenes, without
    any option of data, rest."""
    no_text: bool = False
    """Hide the texts: teacher and discriminator are the same networks, on the photo alone."""
    text_encoder: Literal["lstm", "bag"] = "lstm"
    """Text encoder: words in their order, or as a bag for words without one."""
    embeddings: File = None
    """Pretrained embeddings of the words of texts, such as glove.6B.100d.txt: a word and its numbers on each line.
    Words that are not in it, or all without it, begin at random."""
    dropout: Number = None
    """Share of features and hidden layers that is left out in training. Default: 0.3."""

    def config(self, training: TrainingOptions, execution: Execution) -> Config:
        """The configuration of runs on these photos."""
        from kdgan.tasks import presets

        names = ("count", "labels", "unlabelled", "dropout")
        values = {"source": self.data, "choice": self.tags, **{name: getattr(self, name) for name in names}}
        values |= {"text": not self.no_text}
        values |= texts(self.text_encoder, self.embeddings)
        return presets.tags(values, training.values(execution))


@dataclass(frozen=True)
class PhotosOptions:
    """Photos with tags, for the studies that are about them."""

    table: File = None
    """For Table 2, Figures 3b and 5: the Parquet table of photos, see kdgan tags compare; or scenes: generated ones."""
    text_encoder: Literal["lstm", "bag"] = "lstm"
    """Text encoder: words in their order, or as a bag for words without one."""
    embeddings: File = None
    """Pretrained embeddings of the words of these texts, see kdgan tags compare."""

    def unused(self, what: str) -> None:
        """Refuses options about photos, where `what` has none."""
        if self != PhotosOptions():
            raise UsageError(
                f"--table, --text-encoder and --embeddings are for photos with tags, and {what} has none"
            )

    def fields(self) -> dict[str, Any]:
        """As fields of a configuration's data."""
        source = {"source": None if self.table is None else str(self.table)}
        return {**source, **texts(self.text_encoder, self.embeddings)}


@dataclass(frozen=True)
class TrainingOptions:
    """Training. Settings that are not given come from a preset for the data."""

    steps: Count = None
    """Updates of the student, the same for every method."""
    teacher_steps: Count = None
    """Updates in the pretraining of the teacher, and of the discriminator. Default: as --steps; for photos with tags
    two fifths of that."""
    batch: Count = None
    """Examples per update."""
    lr: Number = None
    """Highest learning rate."""
    teacher_lr: Number = None
    """That of a teacher which goes on learning after its pretraining. Default: 0.0002."""
    weight_decay: Number = None
    """Decoupled weight decay of all players."""
    student_pretraining: Number = None
    """Share of --steps in which the student of nagan and kdgan is trained on the labels alone, before it meets the
    others. Default: 0.1 for nagan, 0 for kdgan."""
    student: Name = None
    """Network of the student: mlp-800-800, lenet-20-50-500, resnet-32, ... with sizes of your choice; for photos with
    tags normed-800-800 or projected-800-800; or module:function of your own."""
    teacher: Name = None
    """Network of teacher and discriminator."""
    augment: Name = None
    """Augmentation for every method: none; affine, elastic, elastic-strong for drawings; crop-flip, photo (place, light
    and an erased square), photo-light (less of each) for photographs; noise for features and tables. Default: affine
    for grey images of your own, crop-flip for coloured ones, which may be shifted and mirrored."""
    epsilon: Number = None
    """Largest adversarial perturbation of inputs, for every method, to where the student has more to learn: its root
    mean square, in standard deviations of the inputs. Default: 0."""
    mixup: Number = None
    """Mixing of examples, for every method: α of Beta(α, α), from which come the shares of two. Default: 0, none."""
    teacher_every: Count = None
    """Teacher, peer and discriminator learn in the first of so many updates, which saves most of the time of codis,
    nagan and kdgan. Default: 1."""
    labelled_share: Number = None
    """Share of labelled examples in a batch, where there are others without labels. Default: 0.25."""
    self_training: Name = None
    """How the teacher, once trained on the labels, learns from examples without labels, where there are any:
    propagation of labels over its features; fixmatch, its own confident labels in other views; or none. Default:
    propagation; of photos with tags none."""
    rounds: Count = None
    """Rounds of the teacher's self-training. Default: 3, of digits 2."""
    round_steps: Count = None
    """Updates of the teacher in a round. Default: two thirds of --teacher-steps, of digits 500."""
    clip: Number = None
    """Largest norm of each player's gradient. Default: none."""
    accumulate: Count = None
    """Parts in which a batch goes through each learning network, for less memory. Default: 1."""
    evaluations: Count = None
    """Number of evaluations on the way, for the curves."""
    metrics: Annotated[tuple[str, ...], _optional("NAME...")] = ()
    """Further metrics: accuracy, balanced_accuracy, f1_macro, auroc, average_precision, log_loss, brier, ece, top5; or
    module:function of logits and targets of your own (-module:function where less is better, e.g. --metrics=-mine:err).
    The first that is named is what a comparison is about."""
    device: str = "auto"
    """cpu, cuda, cuda:1, or auto: a GPU where there is one."""
    precision: str = "auto"
    """float32, bfloat16, or auto: bfloat16 on a GPU that computes in it; for a cell of a study its own, or float32
    where there are no instructions for that."""
    threads: int = 1
    """Threads of each process; results are the same bits for the same number."""
    checkpoint_seconds: float = 10.0
    """Time between two checkpoints."""

    def values(self, execution: Execution) -> dict[str, Any]:
        """The part that results depend on, as fields of a configuration; None for what was not given."""
        from kdgan.training.devices import precision_on

        given = {name: getattr(self, name) for name in _TRAINED}
        if given["precision"] == "auto":
            given["precision"] = precision_on(execution.device)
        if self.metrics:
            given["metrics"] = tuple(names_in(",".join(self.metrics)))
        return given

    def check_use(self, methods: Iterable[str | type[Method]], config: Config) -> None:
        """Refuses what was given for methods or data of another kind.

        Args:
            methods: all there are, baselines among them.
            config: of the runs.
        """
        from kdgan.methods import looks_at
        from kdgan.tasks.config import BASELINES

        unlabelled = config.data.unlabelled is not None
        for name in ("rounds", "round_steps"):
            if config.training.self_training == "none" and getattr(self, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')}: with --self-training none, which it is by default for photos with "
                    "tags, there is none: leave it out"
                )
        kinds = [method for method in methods if method not in BASELINES]
        for name in ("teacher_every", "labelled_share", "self_training", "rounds", "round_steps"):
            used = any(looks_at(kind, name) for kind in kinds) and (unlabelled or name == "teacher_every")
            if getattr(self, name) is not None and not used:
                whose = "method" if unlabelled or name == "teacher_every" else "example without a label"
                raise UsageError(
                    f"--{name.replace('_', '-')}: there is no {whose} to use it, so leave it out"
                )

    def changes(self) -> dict[str, Any]:
        """Settings that were given, to be put in place of a study's own."""
        given = {name: getattr(self, name) for name in _TRAINED}
        changes = {name: value for name, value in given.items() if value not in (None, "auto")}
        if self.metrics:
            changes["metrics"] = tuple(names_in(",".join(self.metrics)))
        return changes

    def cell(self, name: str, photos: PhotosOptions, execution: Execution) -> Cell:
        """A cell of a study with these settings; a line on stderr, and float32, where its own precision is slow."""
        from kdgan.paper.cells import cell
        from kdgan.training.devices import slow_in

        fields, changes = photos.fields(), self.changes()
        found = cell(name, fields, changes)
        if self.precision != "auto" or slow_in(found.base.training.precision, execution.device) is None:
            return found
        own = found.base.training.precision
        print(  # noqa: T201
            f"kdgan: {name} is computed in float32, not in its own {own}, for which {execution.device} has no "
            f"instructions; --precision {own} may take tens of times as long",
            file=sys.stderr,
        )
        return cell(name, fields, {**changes, "precision": "float32"})

    def execution(self, data_dir: Path | None = None, workers: int | None = None) -> Execution:
        """Execution; a UsageError for a device or a precision that there is not."""
        from kdgan.training.devices import find_device, slow_in
        from kdgan.training.execution import Execution

        if not 1 <= self.threads <= MOST_PROCESSES:
            raise UsageError(f"--threads must be from 1 to {MOST_PROCESSES:,}, not {self.threads}")
        if not 0 <= self.checkpoint_seconds < math.inf:
            raise UsageError(f"--checkpoint-seconds must be at least 0, not {self.checkpoint_seconds}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise UsageError(f"--precision must be auto, float32 or bfloat16, not {self.precision!r}")
        if workers is not None and not 1 <= workers <= MOST_PROCESSES:
            raise UsageError(f"--workers must be from 1 to {MOST_PROCESSES:,}, not {workers}")
        device = find_device(self.device)
        if note := slow_in(self.precision, device):
            print(f"kdgan: {note}", file=sys.stderr)  # noqa: T201
        many = workers or (1 if device.type == "cuda" else os.cpu_count() or 1)
        return Execution(device, data_dir, many, self.threads, self.checkpoint_seconds)


_TRAINED = (
    "steps",
    "teacher_steps",
    "batch",
    "lr",
    "teacher_lr",
    "weight_decay",
    "student_pretraining",
    "student",
    "teacher",
    "augment",
    "epsilon",
    "mixup",
    "teacher_every",
    "labelled_share",
    "self_training",
    "rounds",
    "round_steps",
    "clip",
    "accumulate",
    "evaluations",
    "precision",
)
"""The training options that are part of a configuration; the others say where and how it is computed."""


@dataclass(frozen=True)
class MethodsOptions:
    """Methods that are compared."""

    methods: Names = None
    """Methods, joined with commas; your own as module:Class. Default: supervised,distn,mimic,noisy,codis,nagan,kdgan;
    where there are examples without labels also selftrain."""
    seeds: int = 5
    """Number of seeds: each has its own subset, initial weights and order."""
    workers: Count = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    set: Settings = ()
    """Settings of one method as METHOD.NAME=VALUE: its hyperparameters, lr and teacher_lr; such as kdgan.alpha=0.3."""
    settings: File = None
    """tuned.json of kdgan tune: the settings of each method; --set comes on top."""

    def names(self, unlabelled: bool = False) -> list[str]:
        """The methods; `unlabelled` says whether there are examples without labels."""
        return usual_methods(unlabelled) if self.methods is None else method_names(self.methods)

    def variants(self, baselines: Iterable[str] = (), unlabelled: bool = False) -> dict[str, Variant]:
        """The variants by their name in results, with their settings."""
        from kdgan.experiments.tuned import read_tuned
        from kdgan.experiments.variants import Variant
        from kdgan.methods import OWN_SETTINGS, looks_at
        from kdgan.tasks.config import BASELINES

        if not 1 <= self.seeds <= MOST_SEEDS:
            raise UsageError(f"--seeds must be from 1 to {MOST_SEEDS:,}, not {self.seeds}")
        methods = by_name([*baselines, *self.names(unlabelled)])
        tuned = {} if self.settings is None else read_tuned(self.settings)
        own = {name: dict(tuned.get(name, {})) for name in methods}
        for name, value in settings_of(self.set).items():
            # A class within a class has a point in its name.
            method = max((each for each in methods if name.startswith(f"{each}.")), key=len, default="")
            key = name[len(method) + 1 :]
            if not method or not key:
                raise UsageError(f"--set {name}: write METHOD.NAME=VALUE with one of {', '.join(methods)}")
            own[method][key] = value
            kind = methods[method]
            if key in OWN_SETTINGS if kind in BASELINES else not looks_at(kind, key):
                raise UsageError(f"--set {name}: {method} has no use for it, so leave it out")
        return {name: Variant.of(method, own[name]) for name, method in methods.items()}


def usual_methods(unlabelled: bool) -> list[str]:
    """The methods that are compared where nobody says which.

    Args:
        unlabelled: whether there are examples without labels: then also a student that teaches itself, so that what
            these bring is not credited to the teacher.
    """
    controls = ["supervised", "selftrain"] if unlabelled else ["supervised"]
    return [*controls, "distn", "mimic", "noisy", "codis", "nagan", "kdgan"]


def texts(encoder: str, embeddings: Path | None) -> dict[str, Any]:
    """Text encoder and embeddings as fields of a configuration's data."""
    if embeddings is None:
        return {"text_encoder": encoder}
    from kdgan.tagging.embeddings import named

    return {"text_encoder": encoder, **named(embeddings)}


def check_failures(failures: list[str]) -> None:
    """Raises a RunError if runs failed: how many, and what the first said."""
    if failures:
        runs = "1 run" if len(failures) == 1 else f"{len(failures)} runs"
        raise RunError(f"{runs} failed; {failures[0]}")


def typed() -> list[str]:
    """The command as it was typed."""
    return ["kdgan", *sys.argv[1:]]


def command_line() -> str:
    """The same as one line for a shell."""
    return printable(shlex.join(typed()))


def beside_accuracy(metrics: Mapping[str, float]) -> str:
    """What an accuracy must be seen beside, where there is such: the trivial one, and the mean over uneven classes."""
    said = ""
    if "majority/accuracy" in metrics:
        said += f"; always naming the largest class gives {metrics['majority/accuracy']:.2f} %"
    if "balanced_accuracy" in metrics:
        said += f", the mean over the classes (balanced accuracy) is {metrics['balanced_accuracy']:.2f} %"
    return said


def primary(metrics: Mapping[str, float]) -> tuple[str, float]:
    """The metric that stands for all, and its value."""
    return next(iter(metrics.items()))
