"""Dates as numbers."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.data.columns import understood


@given(
    st.lists(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)), min_size=1, max_size=8),
    st.sampled_from(
        ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ", "%d %B %Y", "%d/%m/%Y"]
    ),
)
def test_dates_are_the_same_alone_in_text_and_as_objects(moments: list[datetime], form: str) -> None:
    moments = [datetime.strptime(each.strftime(form), form) for each in [datetime(1999, 12, 31), *moments]]
    cells = [each.strftime(form) for each in moments]
    reading, values = understood(pl.Series("a", cells), written=True)
    for each, text, days in zip(moments, cells, values, strict=True):
        whole = each - datetime(1970, 1, 1)
        assert days == pytest.approx((whole // timedelta(microseconds=1)) / 86_400e6, rel=1e-15)
        assert reading.values(pl.Series("a", [text])).item() == days
        mine = each.replace(tzinfo=UTC) if form.endswith("Z") else each
        assert reading.values(pl.Series("a", [mine])).item() == days


def test_times_and_durations_in_text_are_the_same_as_typed_ones() -> None:
    texts = ["12:30", "00:00:00.1", "23:59:59.123456789", None, "36:00:05"]
    parts = [45_000 * 10**9, 10**8, 86_399_123_456_789, None, 129_605 * 10**9]
    typed = pl.Series("a", parts, pl.Int64).cast(pl.Duration("ns"))
    reading, values = understood(typed, written=False)
    assert reading.values(pl.Series("a", texts)).tobytes() == values.tobytes()
    assert values[:2].tolist() == [45000, 0.1]
