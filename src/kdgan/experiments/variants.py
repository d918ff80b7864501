"""Variants, and a comparison of them: what runs there are, each with its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from kdgan.methods import METHODS, OWN_SETTINGS, Method, hyperparameters, name_of
from kdgan.references import reference_to
from kdgan.tasks.config import BASELINES, Config
from kdgan.tasks.run import run_of
from kdgan.training.config import Training
from kdgan.training.execution import Execution

Key = tuple[str, int]
"""The name of a variant, and a seed."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of a comparison: a method, with settings of its own.

    Attributes:
        method: its name, reference or class; or one of `kdgan.tasks.config.BASELINES`.
        hyper: its hyperparameters that differ from the defaults.
        training: fields of `Training` that differ from the comparison's.
        config: fields of the configuration that do, such as `student`; of `data` those of its fields that do.
    """

    method: str | type[Method]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(method: str | type[Method], settings: Mapping[str, Any]) -> Variant:
        """A method with settings by name that may be hyperparameters or one of `OWN_SETTINGS`."""
        # A hyperparameter of one's own goes before a setting of its name.
        own = {} if method in BASELINES else hyperparameters(method)
        training = {
            name: value for name, value in settings.items() if name in OWN_SETTINGS and name not in own
        }
        return Variant(
            method, {name: value for name, value in settings.items() if name not in training}, training
        )

    def changed(self, changes: Mapping[str, Any]) -> Variant:
        """The same with other hyperparameters, fields of `Training`, or fields of the configuration."""
        method = changes.get("method", self.method)
        own = {} if method in BASELINES else hyperparameters(method)
        hyper, training, config = dict(self.hyper), dict(self.training), dict(self.config)
        for name, value in changes.items():
            # A method's own smoothing has the name of that of its teacher's pretraining, and goes first.
            if name in {f.name for f in fields(Training)} - own.keys():
                training[name] = value
            elif name in {f.name for f in fields(Config)} - {"method"} - own.keys():
                config[name] = value
            elif name != "method":
                hyper[name] = value
        return Variant(method, hyper, training, config)

    def plain(self) -> dict[str, Any]:
        """As values that JSON can hold: classes and functions of one's own by where they are found."""
        method = self.method if isinstance(self.method, str) else name_of(self.method)
        if not isinstance(self.method, str) and method not in METHODS:
            method = reference_to(self.method)
        hyper = {key: reference_to(value) if callable(value) else value for key, value in self.hyper.items()}
        return {
            "method": method,
            "hyper": hyper,
            "training": dict(self.training),
            "config": dict(self.config),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Variants, seeds, and what all their runs share.

    Attributes:
        base: the configuration that all runs share; its method, hyperparameters and seed are replaced.
        variants: what to compare, by the name in results.
        seeds: of the runs.
    """

    base: Config
    variants: Mapping[str, Variant]
    seeds: Sequence[int]

    def runs(self) -> dict[Key, Config]:
        """The configuration of every run by variant and seed: all variants of a seed before the next seed."""
        return {(name, seed): self._run(name, seed) for seed in self.seeds for name in self.variants}

    def _run(self, name: str, seed: int) -> Config:
        own = self.variants[name].plain()
        base, given = self.base, {"method": own["method"], "seed": seed, "hyper": own["hyper"]}
        if own["method"] in BASELINES:
            # Of all settings it depends on none.
            return Config(base.data, metrics=base.metrics, **given)
        # A method's own rate must not change the teacher that all of them share.
        shared = replace(base.training, pretraining_lr=base.training.first_lr)
        data = replace(base.data, **own["config"].pop("data", {}))
        return replace(base, data=data, training=replace(shared, **own["training"]), **given, **own["config"])

    def check(self, execution: Execution) -> None:
        """Finds what is wrong before anything is written.

        Raises:
            UsageError: if a configuration does not fit the data.
        """
        for config in list(self.runs().values())[: len(self.variants)]:
            run_of(config, execution)
