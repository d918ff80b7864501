"""Networks that read texts beside images."""

import pytest
import torch

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
    encoder = TextEncoder(10, 6, embeddings=given)
    assert torch.equal(encoder.embedding.weight[1:], given[1:])
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
    student = image_tagger(512, [800, 800], 200)
    features, tokens = torch.randn(3, 512), torch.randint(0, 50, (3, 7))
    assert teacher(features, tokens).shape == student(features).shape == (3, 200)
    # The product of image and text: without either there is nothing left but the head's bias.
    silent = teacher(features, torch.zeros(3, 7, dtype=torch.long))
    torch.testing.assert_close(silent[0], silent[1])
