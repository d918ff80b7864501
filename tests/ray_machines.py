"""Two machines of a Ray cluster, as two sets of processes on this one: `python ray_machines.py CPUS`.

Prints the address, then the process of each machine's raylet as they are asked for, one line of stdin each: `kill`
kills the second machine at once, as a power cut does; `add` has another one join; the end of stdin ends all.
"""

import os
import signal
import sys
import tempfile

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}

from ray.cluster_utils import Cluster


def main() -> None:
    """Serves until stdin ends."""
    options = {"num_cpus": int(sys.argv[1]), "include_dashboard": False, "object_store_memory": 100_000_000}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(True, head_node_args={**options, "temp_dir": folder})
        machine = cluster.add_node(**options)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "kill":
                # Its workers end with it: Ray sees to that.
                os.kill(machine.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            else:
                machine = cluster.add_node(**options)
            print("done", flush=True)
        cluster.shutdown()


if __name__ == "__main__":
    main()
