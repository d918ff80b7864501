"""Trained estimators, as scikit-learn has them, as the modules that a `Player` holds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from kdgan.errors import wrong
from kdgan.training.answers import Reading
from kdgan.training.faces import Sees
from kdgan.training.functions import Asked


class Estimator(Asked):
    """A trained estimator as scikit-learn has them: `predict_proba`, else `decision_function`.

    It is called with an array `(B, F)` of all numbers of an example.

    Args:
        estimator: trained.
        classes: the student's class for its classes, see `Reading`.
        sees: what it is called with.
    """

    def __init__(self, estimator: Any, classes: Any, sees: Sees) -> None:
        gives_probabilities = hasattr(estimator, "predict_proba")
        names = getattr(estimator, "classes_", None)
        plain = None
        if isinstance(names, np.ndarray) and names.ndim == 1:
            plain = tuple(names.tolist())
        if not gives_probabilities and len(plain or ()) > 2 and _of_pairs(estimator):
            raise wrong(
                f"the decision_function of {type(estimator).__name__} is of pairs of classes (ovo): give it "
                "probability=True or decision_function_shape='ovr'"
            )
        reading = Reading("probabilities" if gives_probabilities else "logits", plain, classes)
        super().__init__(
            estimator.predict_proba if gives_probabilities else estimator.decision_function,
            reading,
            sees,
            arrays=True,
        )
        self.estimator = estimator
        self.labels = names if isinstance(names, list) else None

    left_out: ClassVar[tuple[str, ...]] = ("ask", "estimator")

    def answer(self, inputs: Sequence[Any], named: dict[str, Any]) -> Any:
        """Probabilities or margins `(B, K')`; of several labels those that they are there."""
        rows = np.concatenate([part.reshape(len(part), -1) for part in (*inputs, *named.values())], axis=1)
        with warnings.catch_warnings():
            # Trained on a table, it misses the names of the columns.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            found = self.ask(rows)
        if isinstance(found, list):
            return np.stack([_yes(each, self._labels(place)) for place, each in enumerate(found)], axis=1)
        if self.reading.gives == "logits" and np.ndim(found) == 1:
            # One margin tells two classes apart.
            return np.stack([-found / 2, found / 2], axis=1)
        return found

    def fingerprint(self) -> str:
        """All that it learned, as joblib keeps results: what compiled parts hold is part of it."""
        return f"{type(self.estimator).__name__} {_joblib_hash(self.estimator)} {self.sees}"

    def _labels(self, place: int) -> list[Any]:
        return [0, 1] if self.labels is None else np.asarray(self.labels[place]).tolist()


def _of_pairs(estimator: Any) -> bool:
    """Whether margins are of pairs of classes, of which there are as many as classes where there are three."""
    while True:
        steps = getattr(estimator, "steps", None)
        inner = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
        if inner is None:
            return getattr(estimator, "decision_function_shape", None) == "ovo"
        estimator = inner


def _joblib_hash(estimator: Any) -> str:
    from joblib import hash as hash_of  # with scikit-learn, which takes long to be imported

    try:
        return str(hash_of(estimator))
    except Exception as error:  # what cannot be pickled
        raise wrong(
            f"{type(estimator).__name__} cannot be told from others ({type(error).__name__}: {error})"
        ) from error


def _yes(probabilities: Any, names: list[Any]) -> Any:
    """The probability that a label is there, which an estimator has no column for that never saw it so."""
    found = np.asarray(probabilities)
    if set(names) - {0, 1} or found.ndim != 2 or found.shape[1] != len(names):
        raise wrong(f"an output of the teacher has the classes {names!r:.60}, not 0 and 1")
    return found[:, names.index(1)] if 1 in names else np.zeros(len(found))
