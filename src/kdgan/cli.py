"""The commands: parse, call, print."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from kdgan.command_line import parse
from kdgan.errors import KdganError, RunError, UsageError
from kdgan.tag_cli import Tags, tags

if TYPE_CHECKING:
    from kdgan.training.config import Config
    from kdgan.training.run import Machine

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class DataOptions:
    """Which data."""

    data: str = "digits"
    """digits (bundled), mnist, cifar10, a folder of images per class, a folder of IDX files, an .npz file, or a
    .csv or .parquet table."""
    data_dir: Path | None = None
    """Folder with the files of mnist or cifar10; without it they are downloaded once."""
    labels: int | None = None
    """Labelled training instances, spread evenly over the classes. Default: 100 for digits, else all outside
    validation."""
    target: str | None = None
    """For a table: the column of labels."""
    privileged: tuple[str, ...] = ()
    """For a table: columns known only while training; teacher and discriminator see them, the student does not."""
    image_size: int | None = None
    """For a folder of images: the side they are brought to, in pixels."""


@dataclass(frozen=True)
class TrainingOptions:
    """How to train. What is not given comes from a preset for the data."""

    steps: int | None = None
    """Updates of the student, the same for every method."""
    teacher_steps: int | None = None
    """Updates in the pretraining of the teacher, and of the discriminator. Default: as --steps."""
    batch: int | None = None
    """Instances per update."""
    lr: float | None = None
    """Highest learning rate."""
    student_pretraining: float | None = None
    """Share of --steps in which the student of nagan and kdgan is trained on the labels alone, before it meets the
    others. Default: 0.1 for nagan, 0 for kdgan."""
    student: str | None = None
    """Network of the student: mlp-800-800, lenet-20-50-500, resnet-32, ... with sizes of your choice."""
    teacher: str | None = None
    """Network of teacher and discriminator."""
    augment: str | None = None
    """Augmentation for every method: none; affine, elastic, elastic-strong for drawings; crop-flip, photo (place, light
    and an erased square) for photographs."""
    reach: float | None = None
    """How far inputs may be moved, for every method, to where the student has more to learn: the largest root mean
    square of the change, in standard deviations of the inputs. Default: 0."""
    evaluations: int | None = None
    """How often accuracy is measured on the way, for the curves."""
    device: str = "auto"
    """cpu, cuda, cuda:1, or auto: a GPU where there is one."""
    precision: str = "auto"
    """float32, bfloat16, or auto: bfloat16 on a GPU that computes in it."""
    threads: int = 1
    """Threads of each process; results are the same bits for the same number."""
    checkpoint_seconds: float = 10.0
    """Time between two checkpoints."""


@dataclass(frozen=True)
class PhotoOptions:
    """Photos with tags, for the studies that are about them."""

    table: Path | None = None
    """For Table 2, Figures 3b and 5: the Parquet table of photos, see kdgan tags compare; or world: generated
    scenes."""
    reader: Literal["lstm", "bag"] = "lstm"
    """How their texts are read: in their order, or as a bag for words without one."""
    embeddings: Path | None = None
    """Pretrained embeddings of the words of these texts, see kdgan tags compare."""

    def table_for(self, what: str) -> Path:
        """The table, which `what` needs."""
        if self.table is None:
            raise UsageError(f"{what} needs --table FILE, a Parquet table of photos (see kdgan tags compare)")
        return self.table

    def unused(self, what: str) -> None:
        """Refuses what was said of photos, where `what` has none."""
        if self != PhotoOptions():
            raise UsageError(
                f"--table, --reader and --embeddings are for photos with tags, and {what} has none"
            )

    def fields(self) -> dict[str, Any]:
        """How texts are read, as fields of a configuration."""
        from kdgan.tags.embeddings import named

        return {"reader": self.reader, **({} if self.embeddings is None else named(self.embeddings))}


@dataclass(frozen=True)
class Compare:
    """Compare methods on the same data, subsets, views and number of updates, over several seeds.

    Prints a table and writes report.html and results.csv. The same command again continues where it stopped.
    """

    data: tyro.conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    methods: str = "supervised,distn,mimic,noisy,codis,nagan,kdgan"
    """Which, joined with commas."""
    seeds: int = 5
    """How many: each has its own subset, initial weights and order."""
    workers: int | None = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    set: tuple[str, ...] = ()
    """Settings of one method as METHOD.NAME=VALUE: its hyperparameters, lr and teacher_lr; such as kdgan.alpha=0.3."""
    settings: Path | None = None
    """tuned.json of kdgan tune: the settings of each method; --set comes on top."""
    out: Path | None = None
    """Folder of the comparison. Default: runs/compare-DATA."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.studies.comparison import Comparison, Variant, compare, facts
        from kdgan.studies.tuned import read_tuned
        from kdgan.training.display import console

        methods = _methods(self.methods)
        if self.seeds < 1:
            raise UsageError(f"--seeds must be at least 1, not {self.seeds}")
        tuned = {} if self.settings is None else read_tuned(self.settings)
        hyper = {method: tuned.get(method, {}) for method in methods}
        for name, value in _settings(self.set).items():
            method, dot, key = name.partition(".")
            if not dot or method not in methods:
                raise UsageError(f"--set {name}: write METHOD.NAME=VALUE with one of {', '.join(methods)}")
            hyper[method][key] = value
        base, machine = _plan(self.data, self.training, methods[0])
        variants = {method: Variant.of(method, hyper[method]) for method in methods}
        comparison = Comparison(base, variants, range(self.seeds))
        out = self.out or Path("runs") / f"compare-{Path(self.data.data).stem}"
        compared = compare(
            comparison,
            machine,
            out,
            workers=_workers(self.workers, machine),
            threads=self.training.threads,
            console=console(),
            facts=facts(comparison, machine, shlex.join(["kdgan", *sys.argv[1:]])),
        )
        print(f"report: {out / 'report.html'}   results: {out / 'results.csv'}")  # noqa: T201
        _say_failed(compared.failures)


@dataclass(frozen=True)
class Tune:
    """Search settings for each method with the same number of trials, on validation data of other seeds.

    Writes tuned.json for kdgan compare --settings. The same command again continues; a higher --trials adds some.
    """

    data: tyro.conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    methods: str = "supervised,distn,mimic,noisy,codis,nagan,kdgan"
    """Which, joined with commas."""
    cell: str | None = None
    """A cell of kdgan reproduce table1, such as mnist-100, or of table2, popular or random: its methods and
    configuration, in place of --data."""
    photos: tyro.conf.OmitArgPrefixes[PhotoOptions] = dataclasses.field(default_factory=PhotoOptions)
    trials: int = 12
    """Of each method; the first is its defaults, for a cell the second its frozen settings."""
    seeds: int = 2
    """Of each trial; they are numbered from 100, so that no reported seed is used."""
    workers: int | None = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    out: Path | None = None
    """Folder of the search. Default: runs/tune-DATA."""

    def __call__(self) -> None:
        """Carry out the command."""
        try:
            from kdgan.studies.tuning import tune
        except ModuleNotFoundError as error:
            raise UsageError("kdgan tune needs Optuna: pip install 'kdgan[tune]'") from error
        from kdgan.studies import table1, table2
        from kdgan.studies.tuned import settings
        from kdgan.training.display import console

        if self.seeds < 1 or self.trials < 1:
            raise UsageError("--trials and --seeds must be at least 1")
        if self.cell is None:
            self.photos.unused("--data")
            methods, known = _methods(self.methods), {}
            config, machine = _plan(self.data, self.training, methods[0])
        else:
            machine, changes = _machine(self.training, self.data.data_dir), _changes(self.training)
            known = settings({**table1.TUNED, **table2.TUNED}.get(self.cell))
            if self.cell in table2.CELLS:
                table = self.photos.table_for(self.cell)
                methods, config = list(table2.METHODS), table2.base(table, self.cell)
                changes |= self.photos.fields()
            else:
                methods, config = list(table1.METHODS), table1.base(self.cell)
                self.photos.unused(self.cell)
            config = dataclasses.replace(config, **changes, evaluations=1)
        name = self.cell or Path(self.data.data).stem
        found = tune(
            config,
            methods,
            machine,
            self.out or Path("runs") / f"tune-{name}",
            trials=self.trials,
            seeds=self.seeds,
            workers=_workers(self.workers, machine),
            threads=self.training.threads,
            console=console(),
            known=known,
        )
        print(f"settings: {found}")  # noqa: T201


@dataclass(frozen=True)
class Reproduce:
    """Carry out one of the paper's experiments, or what its reviewers asked for, from frozen settings.

    The same command again continues where it stopped, on another machine too if it gets the folder --out.
    """

    study: Annotated[str, tyro.conf.Positional]
    """table1, table2, figure3a, figure3b, figure4, figure5, figure7, samples, sizes or ablations."""
    cells: str | None = None
    """Parts of the study joined with commas, such as mnist-100,mnist-1000. Default: all."""
    seeds: int | None = None
    """How many. Default: the study's own number, such as 10 for the tables."""
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    data_dir: Path | None = None
    """Folder with the files of mnist and cifar10; without it they are downloaded once."""
    photos: tyro.conf.OmitArgPrefixes[PhotoOptions] = dataclasses.field(default_factory=PhotoOptions)
    workers: int | None = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    out: Path = Path("runs/reproduce")
    """Holds runs, which studies share, and reports."""
    results: Path = Path("results")
    """Gets the raw figures: STUDY/CELL.csv and the like."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.studies.reproduce import find, reproduce
        from kdgan.studies.table2 import CELLS, SEEDS
        from kdgan.studies.tag_studies import reproduce_tags
        from kdgan.studies.work import Work
        from kdgan.training.display import console

        chosen = None if self.cells is None else tuple(_names(self.cells))
        on_photos = self.study in SEEDS
        if on_photos:
            table = self.photos.table_for(self.study)
            cells, usual = CELLS, SEEDS[self.study]
        else:
            study = find(self.study, chosen or ())
            self.photos.unused(self.study)
            cells, usual = study.cells, study.seeds
        seeds = usual if self.seeds is None else self.seeds
        if seeds < 1:
            raise UsageError(f"--seeds must be at least 1, not {seeds}")
        machine = _machine(self.training, self.data_dir)
        work = Work(
            machine,
            self.out,
            self.results,
            changes={**_changes(self.training), **(self.photos.fields() if on_photos else {})},
            workers=_workers(self.workers, machine),
            threads=self.training.threads,
            console=console(),
            command=["kdgan", *sys.argv[1:]],
        )
        if on_photos:
            failures = reproduce_tags(self.study, table, chosen or cells, range(seeds), work)
        else:
            failures = reproduce(self.study, chosen or cells, range(seeds), work)
        print(f"reports: {self.out / self.study}   results: {self.results / self.study}")  # noqa: T201
        _say_failed(failures)


@dataclass(frozen=True)
class Train:
    """Train one student with one method. The same command again continues where it stopped."""

    out: Path
    """Folder of the run; student.safetensors and result.json are in it when it is done."""
    method: str = "kdgan"
    """supervised, distn, mimic, noisy, codis, nagan or kdgan."""
    data: tyro.conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    seed: int = 0
    """Of subset, initial weights, order, views and samples."""
    set: tuple[str, ...] = ()
    """Hyperparameters of the method as NAME=VALUE, such as alpha=0.3 beta=2."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.training.devices import deterministic
        from kdgan.training.display import training_bars
        from kdgan.training.interrupt import stop_on_signal
        from kdgan.training.run import Run

        config, machine = _plan(self.data, self.training, self.method)
        deterministic(self.training.threads)
        config = dataclasses.replace(config, seed=self.seed, hyper=_settings(self.set))
        with training_bars() as progress, stop_on_signal() as stop:
            machine = dataclasses.replace(machine, progress=progress, stop=stop)
            outcome = Run(config, machine).train(self.out, self.out / "pretrained")
        teacher = "" if outcome.teacher_accuracy is None else f", teacher {outcome.teacher_accuracy:.2f} %"
        print(  # noqa: T201
            f"{self.method}: student {outcome.student_accuracy:.2f} % on test data{teacher}; "
            f"{outcome.student_parameters:,} parameters, {outcome.seconds:.0f} s\n"
            f"student: {self.out / 'student.safetensors'}"
        )


@dataclass(frozen=True)
class Evaluate:
    """Measure the student of a finished run on the test data of its configuration."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the run (--out of kdgan train, or one of OUT/runs of kdgan compare)."""
    data_dir: Path | None = None
    """Folder with the files of mnist or cifar10, as in training."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.training.devices import find_device
        from kdgan.training.run import evaluate_run

        measured = evaluate_run(self.folder, find_device(self.device), data_dir=self.data_dir)
        print(  # noqa: T201
            f"{measured['accuracy']:.2f} % of {measured['instances']:,} test instances right "
            f"({measured['parameters']:,} parameters, {measured['data']}, {measured['method']})"
        )


def main(arguments: list[str] | None = None) -> None:
    """The command `kdgan`: exit code 0, 2 where the call cannot go on as it is, 1 for a failed run."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["tags"] and len(given) > 1:
            tags(given[1:])
            return
        commands: dict[str, Any] = {
            "compare": Compare,
            "train": Train,
            "evaluate": Evaluate,
            "tune": Tune,
            "reproduce": Reproduce,
            "tags": Tags,
        }
        said = "Train small classifiers with more than they will have at inference."
        parse(commands, given, prog="kdgan", description=said)()
    except KeyboardInterrupt:
        _fail("stopped at once; what was saved before is kept", 2)
    except KdganError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno in _FULL:
            _fail(
                f"no room left to write {error.filename or 'to the output folder'}: free some and repeat the command",
                2,
            )
        _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)


def _fail(message: str, code: int) -> None:
    print(f"kdgan: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)


def _plan(data: DataOptions, training: TrainingOptions, method: str) -> tuple[Config, Machine]:
    """The configuration of a run, the data's preset filling what was not said, and the machine."""
    from kdgan.studies.presets import configuration
    from kdgan.training.devices import precision_on

    machine = _machine(training, data.data_dir)
    given = {**dataclasses.asdict(data), **{name: getattr(training, name) for name in _TRAINED}}
    del given["data_dir"]
    if given["precision"] == "auto":
        given["precision"] = precision_on(machine.device)
    return configuration(method, given, data_dir=data.data_dir), machine


_TRAINED = (
    "steps",
    "teacher_steps",
    "batch",
    "lr",
    "student",
    "teacher",
    "augment",
    "reach",
    "student_pretraining",
    "evaluations",
    "precision",
)
"""The training options that are part of a configuration; the others say where and how it is computed."""


def _machine(training: TrainingOptions, data_dir: Path | None) -> Machine:
    from kdgan.training.devices import find_device
    from kdgan.training.run import Machine

    if training.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {training.threads}")
    if training.precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"--precision must be auto, float32 or bfloat16, not {training.precision!r}")
    return Machine(find_device(training.device), data_dir, training.checkpoint_seconds)


def _changes(training: TrainingOptions) -> dict[str, Any]:
    """What was said of training, to be put in place of a study's own."""
    said = {name: getattr(training, name) for name in _TRAINED}
    changes = {name: value for name, value in said.items() if value not in (None, "auto")}
    if "steps" in changes:
        changes.setdefault("teacher_steps", changes["steps"])
    return changes


def _methods(text: str) -> list[str]:
    methods = _names(text)
    if not methods:
        raise UsageError("--methods names none: at least one is needed")
    return methods


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, text.split(","))))


def _workers(given: int | None, machine: Machine) -> int:
    if given is not None and given < 1:
        raise UsageError(f"--workers must be at least 1, not {given}")
    return given or (1 if machine.device.type == "cuda" else os.cpu_count() or 1)


def _say_failed(failures: list[str]) -> None:
    if failures:
        raise RunError(f"{len(failures)} runs failed; {failures[0]}")


def _settings(texts: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` texts as a dictionary; values are numbers, true, false, or text."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: write NAME=VALUE")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings
