"""The commands of tag recommendation: `kdgan tags prepare`, `features`, `compare`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from kdgan.cli.tags.compare import CompareTags
from kdgan.cli.tags.features import Features
from kdgan.cli.tags.prepare import Prepare

TAGS: dict[str, Any] = {
    "prepare": Prepare,
    "features": Features,
    "compare": CompareTags,
}


@dataclass(frozen=True)
class Tags:
    """Tag recommendation: kdgan tags prepare, features, compare; and kdgan predict."""

    def __call__(self) -> None:
        """Show what there is."""
        print("\n".join(f"kdgan tags {name}" for name in TAGS), file=sys.stderr)  # noqa: T201
