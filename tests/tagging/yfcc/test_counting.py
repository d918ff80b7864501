"""How often tags are used, counted in bounded memory, and which of them are chosen."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kdgan.tagging.yfcc.counting import TagCounts, choose


@given(st.lists(st.integers(0, 30), max_size=400), st.integers(1, 8))
def test_counts_are_never_too_high_and_too_low_by_what_is_said(uses, keep):
    counts = TagCounts(keep)
    for use in uses:
        counts.add([str(use)])
        assert len(counts.items()) <= 2 * keep
    true = Counter(map(str, uses))
    found = dict(counts.items())
    for tag, count in true.items():
        assert found.get(tag, 0) <= count <= counts.most(tag)
    if len(true) <= 2 * keep:
        assert found == true


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=300),
    st.integers(1, 6),
    st.sampled_from(["popular", "random"]),
)
def test_a_choice_that_is_called_exact_is_that_of_exact_counts(uses, keep, how):
    bounded, unbounded = TagCounts(keep), TagCounts(10**6)
    for use in uses:
        bounded.add([str(use)])
        unbounded.add([str(use)])
    wanted = {"how": how, "count": 1, "minimum": 2, "seed": 0}
    try:
        found, is_exact = choose(bounded, lambda tag: tag == "0", **wanted)
    except ValueError:
        return  # too few have the minimum
    if is_exact:
        assert found == choose(unbounded, lambda tag: tag == "0", **wanted)[0]


def test_what_is_rare_does_not_disturb_what_is_frequent():
    chance = random.Random(0)
    counts, true = TagCounts(200), Counter()
    for _ in range(20_000):
        tags = {f"t{int(chance.paretovariate(0.7))}" for _ in range(3)}
        counts.add(tags)
        true.update(tags)
    assert len(true) > 1_000
    found, is_exact = choose(counts, lambda _: False, how="popular", count=20, minimum=1, seed=0)
    assert is_exact
    assert set(found) == {tag for tag, _ in true.most_common(20)}
