"""Figures of a report on runs draw the numbers that they are given."""

import numpy as np
import pytest
import torch

from kdgan.experiments.run_figures import confusion_figure, labels_figure, reliability_figure
from kdgan.tasks.diagnosis import reliability

COLOURS = {"student": "#0072b2", "teacher": "#d55e00", "control": "#8a8f98", "other": "#000000"}


def test_a_panel_for_each_player_with_a_dot_for_each_full_bin() -> None:
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    found = {name: reliability(logits * scale, torch.arange(50) % 3) for scale, name in enumerate(COLOURS, 1)}
    figure = reliability_figure(found, COLOURS)
    assert len(figure.axes) == 4
    for axes, each in zip(figure.axes, found.values(), strict=True):
        (dots,) = axes.collections
        full = each.count > 0
        expected = 100 * np.stack([each.confidence[full], each.accuracy[full]], 1)
        assert np.asarray(dots.get_offsets()) == pytest.approx(expected)
        assert f"{each.ece:.2f} %" in axes.get_title()


def test_confusions_as_shares_of_rows_with_counts_where_there_is_room() -> None:
    counts = np.array([[3, 1], [0, 0]])
    axes = confusion_figure({"student": counts}, ["cat", "a very long name"]).axes[0]
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(np.array([[0.75, 0.25], [0, 0]]))
    assert [text.get_text() for text in axes.texts] == ["3", "1"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "a very long…"]
    many = np.eye(30, dtype=int)
    assert not confusion_figure({"student": many}, [str(place) for place in range(30)]).axes[0].texts


def test_labels_beside_each_other_and_at_most_thirty() -> None:
    values = np.arange(40.0)
    figure = labels_figure(
        {"student": values, "teacher": values + 1}, [f"tag {place}" for place in range(40)], COLOURS
    )
    first, second = figure.axes[0].lines
    assert np.asarray(first.get_xdata()) == pytest.approx(values[:30])
    assert np.asarray(second.get_xdata()) == pytest.approx(values[:30] + 1)
