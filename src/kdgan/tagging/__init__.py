"""Image tag recommendation: its data, its baselines and its ranking measures."""
