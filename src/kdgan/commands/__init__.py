"""The commands, each a dataclass of its options, called to carry it out; they import what they need when called."""
