"""Methods against each other: comparisons, studies, statistics, tables, figures, pages, the search for settings."""
