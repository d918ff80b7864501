"""Configuration of a run: everything that its result depends on, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, get_type_hints

from kdgan.errors import UsageError, printable, wrong
from kdgan.methods import find, hyperparameters
from kdgan.references import find_object, fingerprint, is_reference
from kdgan.ship.forms import bare
from kdgan.stored import as_kind
from kdgan.training.config import Training, digest, whole_seed
from kdgan.training.identity import plain

BASELINES: Mapping[str, str] = {
    "knn": "kdgan.tagging.baselines.knn:KNN",
    "tprop": "kdgan.tagging.baselines.tagprop:TagProp",
    "tfeat": "kdgan.tagging.baselines.tagfeature:TagFeature",
    "rexmp": "kdgan.tagging.baselines.relexamples:RelExamples",
}
"""Methods without a network, which recommend tags from the photo alone: by name, where each is."""


@dataclass(frozen=True, slots=True)
class ClassesData:
    """Examples of which each has one of K classes.

    Attributes:
        source: digits, breast-cancer, mnist, cifar10, or a path.
        sha256: of what was read, see `kdgan.data.Source`, so that a run depends on its configuration alone; None where
            the name says it all.
        labels: labelled examples; None for all outside validation.
        unlabelled: what is learned from without labels: `rest` for examples of the data that have none, and those whose
            labels are hidden as `labels` are fewer; or the path of a file or folder, see `kdgan.data.load`, for its
            examples beside those of the data that have none. None, or `none`, for none.
        target: label column of a table.
        privileged: privileged columns of a table.
        exclude: columns of a table that are left out.
        missing: what is done about missing values of a table; None for imputing them.
        image_size: side to which a folder's images are brought, in pixels.
        skip_damaged: leave out images that cannot be read.
        wrong_labels: share of the labelled examples to learn from whose label is another class, drawn by seed; those
            for validation and test keep theirs.
    """

    kind: ClassVar = "classes"
    source: str
    sha256: str | None = None
    labels: int | None = None
    unlabelled: str | None = None
    target: str | None = None
    privileged: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    missing: Literal["impute", "refuse"] | None = None
    image_size: int | None = None
    skip_damaged: bool = False
    wrong_labels: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.wrong_labels, int | float) or not 0 <= self.wrong_labels < 1:
            raise wrong(f"wrong_labels must be a share in [0, 1), such as 0.2, not {self.wrong_labels!r:.60}")
        if self.unlabelled == "none":
            object.__setattr__(self, "unlabelled", None)

    @property
    def title(self) -> str:
        """Its name in results."""
        noise = f", {100 * self.wrong_labels:g} % wrong labels" if self.wrong_labels else ""
        return _title(self.source) + noise

    @property
    def more(self) -> str | None:
        """The path of further examples without labels; None where there is none."""
        return None if self.unlabelled == "rest" else self.unlabelled

    @property
    def as_read(self) -> ClassesData:
        """The same without what matters only once the files are read."""
        return replace(self, labels=None, unlabelled=self.more, wrong_labels=0.0)

    @property
    def files(self) -> tuple[object, ...]:
        """Key of the data as they are read from their files."""
        return self.kind, *(getattr(self.as_read, each.name) for each in fields(self))

    @property
    def reading(self) -> dict[str, Any]:
        """Arguments of `kdgan.data.load` beside the source."""
        names = ("target", "privileged", "exclude", "missing", "image_size", "skip_damaged")
        own = {"unlabelled": self.more}
        return own | {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class TagsData:
    """Photos with tags, and the text that their owners wrote.

    Attributes:
        source: a Parquet file, or `scenes` for generated ones.
        sha256: of the file's content.
        labels: photos of the training part whose tags are known, drawn by seed; None for all.
        unlabelled: `rest` to learn from the others, too, with their text but without their tags. None, or `none`, for
            the labelled ones alone.
        text: whether teacher and discriminator see the texts. Without, they are the same networks on texts without
            words, on the same photos: that shows what the text is worth.
        choice: whether the most `popular` tags are the labels, or `random` ones.
        count: how many tags.
        text_encoder: how texts are read: `lstm`, or `bag` for words without an order.
        embeddings: file of pretrained word embeddings for texts; None draws them.
        embeddings_sha256: of its content.
        dropout: share of image features and hidden layers that is left out in training.
    """

    kind: ClassVar = "tags"
    source: str
    sha256: str | None = None
    labels: int | None = None
    unlabelled: Literal["rest", "none"] | None = None
    text: bool = True
    choice: Literal["popular", "random"] = "popular"
    count: int = 200
    text_encoder: Literal["lstm", "bag"] = "lstm"
    embeddings: str | None = None
    embeddings_sha256: str | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("choice", ("popular", "random")), ("text_encoder", ("lstm", "bag"))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be {' or '.join(known)}, not {getattr(self, name)!r}")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be in [0, 1), not {self.dropout!r}")
        if self.count == 1:
            raise UsageError(
                "one tag alone has no order, so there is nothing to learn: count must be at least 2"
            )
        if self.unlabelled not in ("rest", "none", None):
            raise wrong(f"unlabelled photos are rest or none, not {self.unlabelled!r:.60}")
        if self.unlabelled == "none":
            object.__setattr__(self, "unlabelled", None)
        if self.unlabelled is not None and self.labels is None:
            raise UsageError(
                "unlabelled photos are those beside some that keep their tags: say with labels how many do"
            )

    @property
    def title(self) -> str:
        """Its name in results."""
        without = "" if self.text else ", no text"
        return f"{_title(Path(self.source).stem)}, {self.choice} tags{without}"

    @property
    def files(self) -> tuple[object, ...]:
        """Key of the data as they are read from their files."""
        return self.kind, self.source, self.sha256


Data: TypeAlias = ClassesData | TagsData
_UNSAID: Mapping[str, Mapping[str, Any]] = {
    "data": {"wrong_labels": 0.0},
    "training": {"mixup": 0.0, "pretraining_mixup": None},
}
"""Fields that came later than runs which are kept, and what they are where plain values do not have them: so these runs
keep their names."""
_OF_UNLABELLED = ("self_training", "rounds", "round_steps")
"""Fields of training that plain values have only where there are examples without labels."""
KINDS: Mapping[str, type[Data]] = {kind.kind: kind for kind in (ClassesData, TagsData)}


@dataclass(frozen=True, slots=True)
class Config:
    """One run: a method on data from a seed.

    Attributes:
        data: of one kind, which says what is learned.
        method: its name or reference, see `kdgan.methods.find`; or one of `BASELINES`.
        seed: of the subset, the initial weights, the order, the views and all sampling.
        hyper: hyperparameters of the method that differ from its defaults.
        student: network of C, as `kdgan.nets.build` names it.
        teacher: network of T, and of D unless the next says otherwise.
        discriminator: network of D; None for the teacher's form.
        augment: augmentation of the training inputs, by name.
        metrics: further ones of your own, `module:function` of logits `(N, K)` and targets.
        probe: `module:function` that looks at the method at every evaluation, see `kdgan.training.trainer.Probe`.
        training: how players are trained.
    """

    data: Data
    method: str
    seed: int = 0
    hyper: dict[str, Any] = field(default_factory=dict)
    student: str = "mlp-800-800"
    teacher: str = "mlp-1200-1200"
    discriminator: str | None = None
    augment: str = "none"
    metrics: tuple[str, ...] = ()
    probe: str | None = None
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        whole_seed(self.seed)
        if isinstance(self.data, TagsData) and (self.training.mixup or self.training.first_mixup):
            raise UsageError(
                "mixup: texts are numbers of words, which cannot be mixed: leave it out for photos with tags"
            )
        if is_reference(self.method):
            return  # imported by the run, and not by whoever reads its configuration
        if self.method not in BASELINES:
            find(self.method)
        elif not isinstance(self.data, TagsData):
            raise UsageError(f"{self.method} recommends tags: it is for photos with tags alone")

    @property
    def name(self) -> str:
        """A name for the run's folder that no other configuration has: method, seed, and a digest of the rest."""
        method = self.method.rpartition(":")[2]
        return f"{method}-seed{self.seed}-{digest(self.identity())}"

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The players that are trained on the labels before the method begins."""
        return () if self.method in BASELINES else self.training.pretrained(find(self.method))

    def network(self, role: str) -> str:
        """The network that plays a role."""
        if role == "student":
            return self.student
        return self.discriminator or self.teacher if role == "discriminator" else self.teacher

    def plain(self) -> dict[str, Any]:
        """As JSON would give it back, with every hyperparameter of the method: a default may change."""
        defaults = {} if self.method in BASELINES else hyperparameters(self.method)
        # 1 and 1.0 are one setting.
        given = {
            name: float(value) if isinstance(defaults.get(name), float) and type(value) is int else value
            for name, value in self.hyper.items()
        }
        values = {**asdict(self), "hyper": {**defaults, **given}}
        known = plain(values)
        for part, unsaid in _UNSAID.items():
            known[part] = {
                name: value
                for name, value in known[part].items()
                if name not in unsaid or value != unsaid[name]
            }
        if self.data.unlabelled is None:
            for name in _OF_UNLABELLED:
                del known["training"][name]
        return {**known, "data": {"kind": self.data.kind, **known["data"]}}

    def identity(self) -> dict[str, Any]:
        """The same with a hash of each object of one's own: other code under the same name is another run."""
        named = [self.method, *self.hyper.values(), self.student, self.teacher, self.discriminator]
        return {**self.plain(), **code([*named, *map(bare, self.metrics), self.probe])}

    def shared(self, *, portable: bool = False) -> dict[str, Any]:
        """The part that all runs of a comparison have in common.

        Args:
            portable: of data in files only the names, since folders are one machine's own.
        """
        shared = {
            name: value for name, value in self.plain().items() if name not in ("method", "seed", "hyper")
        }
        if portable:
            data = shared["data"]
            paths = ("source", "embeddings", "unlabelled")
            names = {name: Path(data[name]).name for name in paths if data.get(name)}
            shared["data"] = {**data, **names}
        return shared

    def pretraining(self, role: str) -> dict[str, Any]:
        """All that a player's pretraining depends on, as plain values: runs that agree in it share the player."""
        wanted = ("data", "seed", "augment", *(("metrics",) if role == "student" else ()))
        values = {name: value for name, value in self.plain().items() if name in wanted}
        own = code([self.network(role), *(map(bare, self.metrics) if role == "student" else ())])
        kind = find(self.method)
        has_others = self.data.unlabelled is not None and kind.uses_unlabelled
        training = self.training.pretraining(role, kind, unlabelled=has_others)
        return {**values, "network": self.network(role), **training, **own}


def _title(name: str) -> str:
    """A name in results: printable, and no formula where a spreadsheet opens them."""
    shown = printable(name)
    return f"./{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def code(names: Iterable[object]) -> dict[str, Any]:
    """Under `code` a hash for each reference among the names; nothing where there is none."""
    found = {
        name: fingerprint(find_object(name)) for name in names if isinstance(name, str) and is_reference(name)
    }
    return {"code": found} if found else {}


_NONE = "this is not the configuration of a run of this version of kdgan"


def from_plain(values: Mapping[str, Any]) -> Config:
    """The configuration that `Config.plain` gave.

    Raises:
        UsageError: if the values are not those of a configuration.
    """
    given = {name: value for name, value in values.items() if name != "code"}
    data, training = given.get("data"), given.get("training")
    kind = KINDS.get(str(data.get("kind"))) if isinstance(data, dict) else None
    if kind is None or not isinstance(training, dict):
        raise UsageError(f"{_NONE}: there is no kind of data, or no training")
    data = {name: value for name, value in given.pop("data").items() if name != "kind"}
    without = _OF_UNLABELLED if data.get("unlabelled") is None else ()
    usual = {name: getattr(Training(), name) for name in without}
    given["training"] = training = {**_UNSAID["training"], **usual, **training}
    data = {**{name: value for name, value in _UNSAID["data"].items() if hasattr(kind, name)}, **data}
    # A field that is missing would have a default that the run may not have had.
    for of, there in ((Config, {*given, "data"}), (kind, {*data}), (Training, {*training})):
        odd = sorted(there ^ {each.name for each in fields(of)})
        if odd:
            raise UsageError(f"{_NONE}: {odd[0]} is missing, or unknown")
    types = get_type_hints(Config)
    try:
        known = {name: as_kind(value, types[name], name) for name, value in given.items()}
        return Config(data=as_kind(data, kind, "data"), **known)
    except UsageError as error:
        raise UsageError(f"{_NONE}: {error}") from error
