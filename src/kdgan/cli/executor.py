"""Options of where runs are carried out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kdgan.cli.options import Name
from kdgan.errors import UsageError
from kdgan.experiments.ray_cluster import EVERYTHING, check_address
from kdgan.extras import check_installed

if TYPE_CHECKING:
    from kdgan.training.execution import Execution


@dataclass(frozen=True)
class ExecutorOptions:
    """Where runs are carried out."""

    executor: Literal["processes", "ray"] = "processes"
    """processes of this machine, or those of a Ray cluster, to which --out must be the same folder on all machines;
    --workers are then at most as many as its CPUs, which is the default."""
    address: Name = None
    """With --executor ray: the cluster, as HOST:PORT of ray start --head; or auto, the one that this machine is in.
    Default: one of this machine alone, for this command."""

    def applied(self, execution: Execution, workers: int | None) -> Execution:
        """The execution with these; `workers` as they were typed.

        Raises:
            UsageError: for an address without Ray, or where nothing listens; or where Ray is missing.
        """
        if self.executor == "processes":
            if self.address is not None:
                raise UsageError("--address is that of a Ray cluster: say --executor ray, too")
            return execution
        check_installed("ray", "scale", "--executor ray")
        if self.address is not None:
            check_address(self.address)
        return dataclasses.replace(
            execution, executor=self.executor, address=self.address, workers=workers or EVERYTHING
        )
