"""Numbers as people write them."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from kdgan.data.columns import understood


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 999), st.booleans()), min_size=3, max_size=12),
    st.sampled_from(["", "%", "€", "$"]),
    st.sampled_from([("", "."), (",", "."), (".", ","), (" ", ","), ("\u202f", "."), ("’", ".")]),
    st.booleans(),
)
def test_numbers_are_the_same_alone_as_in_their_column(
    numbers: list[tuple[int, int, bool]], sign: str, marks: tuple[str, str], before: bool
) -> None:
    thousands, point = marks

    def cell(whole: int, part: int, minus: bool) -> str:
        number = f"{'-' if minus else ''}{whole:,}".replace(",", thousands) + f"{point}{part:03}"
        return f"{sign}{number}" if before else f"{number} {sign}".strip()

    # One number that leaves no doubt what its marks are.
    cells = [cell(*number) for number in [(1234567, 250, False), *numbers]]
    true = [float(f"{'-' if minus else ''}{whole}.{part:03}") for whole, part, minus in numbers]
    reading, values = understood(pl.Series("a", cells), written=True)
    assert values[1:].tolist() == true
    assert [reading.values(pl.Series("a", [each])).item() for each in cells[1:]] == true
    assert [reading.values(pl.Series("a", [each])).item() for each in true] == true
