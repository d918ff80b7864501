"""`kdgan report`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from kdgan.cli.options import File, Files, command_line
from kdgan.errors import UsageError, one_line, wrong

PAGE, PAGE_OF_MANY = "report.html", "students.html"
"""Name of the page in the folder of a run, and in that of a comparison, whose own is called report.html."""


@dataclass(frozen=True)
class Report:
    """Show what a student gained and what it takes, beside its teacher and the control.

    Prints metrics with intervals, sizes and speed, and writes an HTML page with figures and examples.
    """

    runs: Annotated[Files, tyro.conf.Positional]
    """Folders of finished runs on the same data (--out of kdgan train, or OUT/runs/...), or the --out of kdgan compare
    or kdgan tags compare. The run of supervised from the same seed that lies beside a run is its control."""
    out: File = None
    """The page. Default: report.html in the folder of a run, students.html in that of a comparison."""
    data_dir: File = None
    """Folder with the files of mnist or cifar10, as in training."""
    trust: bool = False
    """Import what the runs name: metrics, networks and methods of your own. Importing runs code."""
    device: str = "auto"
    """Where players are judged: cpu, cuda, or auto. Speed is measured on the processor."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.training.devices import find_device
        from kdgan.training.display import console
        from kdgan.training.execution import Execution

        if not self.runs:
            raise UsageError("no run was given: expected the folder of a run or of a comparison")
        execution = Execution(find_device(self.device), self.data_dir)
        out = self._page()
        from kdgan.experiments.run_report import FEW, RunReport  # takes a second to import

        report = RunReport.of(self.runs, execution, trust=self.trust, command=command_line())
        terminal = console()
        terminal.print(report.metrics_table(report.gathered.metrics[:FEW]).terminal(report.title))
        terminal.print(report.costs_table().terminal("What the networks take"))
        for line in (*report.sentences, *report.gathered.notes):
            terminal.print(one_line(line), markup=False, highlight=False)
        report.write(out)
        print(one_line(f"page: {out}"))  # noqa: T201

    def _page(self) -> Path:
        """Where the page goes."""
        first = self.runs[0]
        if self.out is None:
            if first.is_dir() and not os.access(first, os.W_OK):
                raise wrong(f"{first} cannot be written into: say where the page should be, --out PAGE.html")
            many = len(self.runs) > 1 or (first / "comparison.json").is_file()
            return first / (PAGE_OF_MANY if many else PAGE)
        if self.out.suffix.lower() not in (".html", ".htm"):
            raise wrong(f"--out {self.out} is no page: expected a name that ends in .html")
        if not self.out.parent.is_dir():
            raise wrong(f"--out {self.out}: there is no folder {self.out.parent}")
        if not os.access(self.out.parent, os.W_OK):  # before everything is measured
            raise wrong(f"--out {self.out}: {self.out.parent} cannot be written into")
        return self.out
