"""The measurements of tumours that come with scikit-learn: a table with privileged columns, and nothing to download."""

from __future__ import annotations

from kdgan.data.source import Source
from kdgan.data.table import table_of

INPUTS = 10
"""Of the thirty columns: the mean of each measurement over the nuclei of a cell."""


def read_breast_cancer() -> Source:
    """569 rows of two classes: ten means are the inputs, their standard errors and worst values privileged.

    A fixed stratified fifth is for testing. Source: W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer
    Wisconsin (Diagnostic), UCI (1995), as bundled by `sklearn.datasets.load_breast_cancer`.
    """
    import polars as pl
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    columns = dict(zip(names, bunch.data.T, strict=True))
    frame = pl.DataFrame({**columns, "diagnosis": bunch.target_names[bunch.target].tolist()})
    return table_of(frame, name="breast-cancer", target="diagnosis", privileged=names[INPUTS:])
