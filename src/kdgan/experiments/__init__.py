"""Studies: what to run and how to judge it."""
