"""Networks that read texts beside images."""

import pytest
import torch
from torch import nn

from kdgan.nets import ImageText, TextEncoder, normed, projected
from support import refused


@pytest.mark.parametrize("kind", ["lstm", "bag"])
def test_padding_counts_for_nothing(kind: str) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(10, 6, kind=kind)
    short = torch.tensor([[3, 5, 0], [7, 0, 0], [0, 0, 0]])
    long = torch.cat([short, torch.zeros(3, 4, dtype=torch.long)], 1)
    torch.testing.assert_close(encoder(short), encoder(long))
    assert encoder(short).shape == (3, 6)
    torch.testing.assert_close(encoder(short)[:1], encoder(torch.tensor([[3, 5]])))


def test_only_the_lstm_minds_the_order() -> None:
    torch.manual_seed(0)
    texts = torch.tensor([[3, 5, 2], [2, 3, 5]])
    for kind, same in (("lstm", False), ("bag", True)):
        one, other = TextEncoder(10, 6, kind=kind)(texts)
        assert torch.allclose(one, other) == same


def test_pretrained_embeddings_are_taken_over_and_learn() -> None:
    given = torch.randn(10, 4)
    encoder = TextEncoder(10, 4, kind="bag", embeddings=given)
    torch.testing.assert_close(encoder(torch.tensor([[3, 5]]))[0], given[3] + given[5])
    assert not encoder.embedding.weight[0].any()
    encoder(torch.tensor([[3, 5]])).sum().backward()
    assert encoder.embedding.weight.grad[3].any()
    assert not encoder.embedding.weight.grad[0].any()
    with refused("10", "vocabulary of 9"):
        TextEncoder(9, embeddings=given)
    with refused("'words'"):
        TextEncoder(9, kind="words")


def test_players_have_the_shapes_of_the_paper() -> None:
    text = TextEncoder(50, 100)
    teacher = ImageText(512, text, [1200, 1200], 200)
    student = projected(512, [800, 800], 200)
    features, tokens = torch.randn(3, 512), torch.randint(0, 50, (3, 7))
    assert teacher(features, tokens).shape == student(features).shape == (3, 200)
    assert [tuple(w.shape) for w in student.parameters() if w.ndim == 2] == [
        (100, 512),
        (800, 100),
        (800, 800),
        (200, 800),
    ]


def test_a_normed_student_takes_all_features_and_normalises_its_hidden_layers() -> None:
    torch.manual_seed(0)
    student = normed(512, [80, 60], 20, dropout=0.5).eval()
    matrices = [tuple(w.shape) for w in student.parameters() if w.ndim == 2]
    assert matrices == [(80, 512), (60, 80), (20, 60)]
    hidden = []
    for layer in student:
        if isinstance(layer, nn.LayerNorm):
            layer.register_forward_hook(lambda layer, given, result: hidden.append(result))
    # Features of any size come out of a normalised layer alike.
    student(100 * torch.randn(3, 512))
    assert [h.shape for h in hidden] == [(3, 80), (3, 60)]
    for h in hidden:
        torch.testing.assert_close(h.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(h.var(1, correction=0), torch.ones(3), atol=1e-2, rtol=0)


@pytest.mark.parametrize("hidden", [[], [6], [6, 7]])
def test_a_normed_student_by_hand(hidden: list[int]) -> None:
    """Linear, normalised, ReLU; then the labels."""
    torch.manual_seed(0)
    student, x = normed(5, hidden, 3).double(), torch.randn(4, 5, dtype=torch.float64)
    for weight in student.parameters():
        nn.init.normal_(weight)
    layers = [layer for layer in student.modules() if isinstance(layer, nn.Linear | nn.LayerNorm)]
    y = x
    for linear, norm in zip(layers[:-1:2], layers[1:-1:2], strict=True):
        y = y @ linear.weight.T + linear.bias
        y = (y - y.mean(1, keepdim=True)) / (y.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        y = (y * norm.weight + norm.bias).clamp_min(0)
    assert len(layers) == 2 * len(hidden) + 1
    torch.testing.assert_close(student(x), y @ layers[-1].weight.T + layers[-1].bias)


def test_a_projected_student_by_hand() -> None:
    """A linear map to 100 numbers, without a ReLU, then an MLP."""
    torch.manual_seed(0)
    student, x = projected(5, [6], 3).double(), torch.randn(4, 5, dtype=torch.float64)
    first, hidden, last = (layer for layer in student.modules() if isinstance(layer, nn.Linear))
    y = x @ first.weight.T + first.bias
    y = (y @ hidden.weight.T + hidden.bias).clamp_min(0)
    torch.testing.assert_close(student(x), y @ last.weight.T + last.bias)


def test_image_and_text_meet_in_a_product_around_one() -> None:
    """Each counts alone where the other is silent, and either changes what the other brings."""
    torch.manual_seed(0)
    teacher = ImageText(5, TextEncoder(50, 100, kind="bag"), [], 4).eval()
    features, tokens = torch.randn(1, 5), torch.tensor([[3, 7]])
    silent = torch.zeros(1, 2, dtype=torch.long)
    bias = teacher.image[1].bias
    with torch.no_grad():
        bias.zero_()
        neither = teacher(torch.zeros(1, 5), silent)
        image, text = teacher(features, silent) - neither, teacher(torch.zeros(1, 5), tokens) - neither
        both = teacher(features, tokens) - neither - image - text
    assert image.abs().min() > 0 < text.abs().min()
    assert both.abs().min() > 0


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    for player, inputs in (
        (projected(5, [8], 4, dropout=0.5), (torch.randn(2, 5),)),
        (normed(5, [8], 4, dropout=0.5), (torch.randn(2, 5),)),
        (ImageText(5, TextEncoder(9), [8], 4, dropout=0.5), (torch.randn(2, 5), torch.tensor([[3], [4]]))),
    ):
        assert not torch.equal(player(*inputs), player(*inputs))
        player.eval()
        assert torch.equal(player(*inputs), player(*inputs))
