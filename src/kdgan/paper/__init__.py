"""The paper's own experiments: its tables and figures, what its reviewers asked for, frozen settings."""
