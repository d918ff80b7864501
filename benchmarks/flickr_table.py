"""The Flickr photos of the project's data as the table that `kdgan tags` reads: features, and tags by column number."""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="flickr.npz")
    parser.add_argument("table", type=Path, help="the Parquet file to write")
    given = parser.parse_args()
    with np.load(given.source, allow_pickle=False) as arrays:
        features, start, columns = (
            arrays["features"].astype(np.float32),
            arrays["tag_indptr"],
            arrays["tag_indices"],
        )
    tags = [[f"t{tag}" for tag in columns[a:b]] for a, b in pairwise(start)]
    table = pl.DataFrame(
        {"photo": [str(row) for row in range(len(features))], "features": features, "tags": tags},
        schema={
            "photo": pl.String,
            "features": pl.Array(pl.Float32, features.shape[1]),
            "tags": pl.List(pl.String),
        },
    )
    table.write_parquet(given.table)
    print(table)


if __name__ == "__main__":
    main()
