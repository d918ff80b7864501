"""README's picture of a report, from the committed figures of its first command; needs Chromium.

    python docs/picture.py

writes docs/report.png: the head of the page that `kdgan compare` writes. Curves are not kept, so that it has none.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from kdgan.experiments.earned import has_teacher
from kdgan.experiments.records import read_records
from kdgan.experiments.report import write_report
from kdgan.experiments.statistics import rows_of

ROOT = Path(__file__).parents[1]
HERE = ROOT / "results" / "digits"
WIDTH, HEIGHT = 1000, 1205
"""Of the picture, in pixels: down to the end of the first figure."""


def main() -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("picture.py: Chromium is not installed")
    records = read_records(HERE / "results.csv")
    with_teacher = {row.name for row in rows_of(records) if has_teacher(row)}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report(page, records, {}, metrics=["accuracy"], self_trained=with_teacher)
        subprocess.run(
            [
                *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"),
                *(f"--screenshot={ROOT / 'docs' / 'report.png'}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()
