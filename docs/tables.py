"""Writes every table in the documents from the committed result files; `--check` only says whether they agree.

A table stands between `<!-- table: results/FOLDER/results.csv -->` and `<!-- end -->`.
"""

import re
import sys
from pathlib import Path

from kdgan.studies.statistics import read_results, summarise
from kdgan.studies.tables import markdown_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "results/README.md")
BLOCK = re.compile(r"(<!-- table: (results/[\w/.-]+\.csv) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str) -> str:
    """The document with every table made anew."""

    def fill(match: re.Match[str]) -> str:
        table = markdown_table(summarise(read_results(ROOT / match[2])))
        return f"{match[1]}\n{table}\n{match[3]}"

    return BLOCK.sub(fill, text)


def main() -> None:
    """Write, or check."""
    stale = []
    for name in DOCUMENTS:
        document = ROOT / name
        before = document.read_text(encoding="utf-8")
        after = written(before)
        if after != before:
            stale.append(name)
            if "--check" not in sys.argv:
                document.write_text(after, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"{', '.join(stale)}: tables differ from the result files; run python docs/tables.py")


if __name__ == "__main__":
    main()
