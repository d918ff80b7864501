"""Networks that read texts beside images."""

import pytest
import torch
from torch import nn

from kdgan.nets import ImageText, TextEncoder, image_tagger
from support import refused


@pytest.mark.parametrize("reader", ["lstm", "bag"])
def test_padding_counts_for_nothing(reader: str) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(10, 6, reader=reader)
    short = torch.tensor([[3, 5, 0], [7, 0, 0], [0, 0, 0]])
    long = torch.cat([short, torch.zeros(3, 4, dtype=torch.long)], 1)
    torch.testing.assert_close(encoder(short), encoder(long))
    assert encoder(short).shape == (3, 6)
    torch.testing.assert_close(encoder(short)[:1], encoder(torch.tensor([[3, 5]])))


def test_only_the_lstm_minds_the_order() -> None:
    torch.manual_seed(0)
    texts = torch.tensor([[3, 5, 2], [2, 3, 5]])
    for reader, same in (("lstm", False), ("bag", True)):
        one, other = TextEncoder(10, 6, reader=reader)(texts)
        assert torch.allclose(one, other) == same


def test_pretrained_embeddings_are_taken_over_and_learn() -> None:
    given = torch.randn(10, 4)
    encoder = TextEncoder(10, 4, reader="bag", embeddings=given)
    torch.testing.assert_close(encoder(torch.tensor([[3, 5]]))[0], given[3] + given[5])
    assert not encoder.embedding.weight[0].any()
    encoder(torch.tensor([[3, 5]])).sum().backward()
    assert encoder.embedding.weight.grad[3].any()
    assert not encoder.embedding.weight.grad[0].any()
    with refused("10", "vocabulary of 9"):
        TextEncoder(9, embeddings=given)
    with refused("'words'"):
        TextEncoder(9, reader="words")


def test_players_have_the_shapes_of_the_paper() -> None:
    text = TextEncoder(50, 100)
    teacher = ImageText(512, text, [1200, 1200], 200)
    student = image_tagger("mlp-800-800", 512, 200)
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
    student = image_tagger("normed-80-60", 512, 20, dropout=0.5).eval()
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


def test_names_of_students() -> None:
    for name in ("lenet-2-2-2", "mlp-0", "normed-x", "-8"):
        with refused(repr(name), "mlp-800-800", "normed-800-800"):
            image_tagger(name, 5, 3)


def test_image_and_text_meet_in_a_product_around_one() -> None:
    """Each counts alone where the other is silent, and either changes what the other brings."""
    torch.manual_seed(0)
    teacher = ImageText(5, TextEncoder(50, 100, reader="bag"), [], 4).eval()
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
        (image_tagger("mlp-8", 5, 4, dropout=0.5), (torch.randn(2, 5),)),
        (image_tagger("normed-8", 5, 4, dropout=0.5), (torch.randn(2, 5),)),
        (ImageText(5, TextEncoder(9), [8], 4, dropout=0.5), (torch.randn(2, 5), torch.tensor([[3], [4]]))),
    ):
        assert not torch.equal(player(*inputs), player(*inputs))
        player.eval()
        assert torch.equal(player(*inputs), player(*inputs))
