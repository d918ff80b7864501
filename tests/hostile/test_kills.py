"""A few of the kills of `kills.py`, in real processes; the moments are shares of the whole life of a process."""

from itertools import islice
from pathlib import Path

import pytest

from hostile.kills import COMMANDS, check_same, killed, kills, undisturbed


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it needs /proc")
@pytest.mark.parametrize(("command", "seed"), [("train", 2), ("compare", 7)])
def test_a_command_that_is_killed_leaves_no_process_and_ends_as_an_undisturbed_one(
    tmp_path: Path, command: str, seed: int
) -> None:
    assert command in COMMANDS
    seconds = undisturbed(command, tmp_path / "whole")
    for kill in islice(kills(seed, (command,)), 3):
        killed(kill, tmp_path / "killed", seconds)
    undisturbed(command, tmp_path / "killed")
    check_same(tmp_path / "killed", tmp_path / "whole")
