"""Linear functions of standardised features, one per tag, learned by scikit-learn's logistic regression."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kdgan.tagging.arrays import Array


class LinearScores(NamedTuple):
    """Log-odds of K tags from F features: weights `(F, K)` on features standardised by `scaler`, offsets `(K,)`."""

    scaler: StandardScaler
    weights: Array
    offsets: Array

    def __call__(self, features: Array) -> Array:
        """Log-odds `(N, K)` of features `(N, F)`."""
        return np.asarray(self.scaler.transform(features) @ self.weights + self.offsets)


def regression(features: Array, present: Array, c: float, **options: Any) -> tuple[Array, float]:
    """Weights `(F,)` and offset of the logistic regression of `present`, bool `(N,)`, on features `(N, F)`.

    Args:
        features: standardised.
        present: which images have the tag; some, and not all.
        c: inverse strength of the L2 penalty.
        options: others of scikit-learn's LogisticRegression.
    """
    model = LogisticRegression(C=c, max_iter=1000, **options).fit(features, present)
    return model.coef_[0], float(model.intercept_[0])


def constant(present: Array) -> float:
    """Log-odds of a tag that all images have, or none, as if half an image were of either kind."""
    return float(np.log((present.sum() + 0.5) / ((~present).sum() + 0.5)))
