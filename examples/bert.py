"""A BERT of the transformers library distilled into a smaller one: inputs by name, in batches of their own length.

Docstrings of four packages that are wherever kdgan is are to be told apart. The tokeniser is trained on them, and both
networks begin with random weights: the teacher learns first, from the same 500 labels. Of 1,900 docstrings more nobody
has looked up where they are from; the student follows the teacher there, too.

    pip install 'kdgan[examples]' && python examples/bert.py [FOLDER]

Prints the report on 400 docstrings that are held out: the student's probabilities are better than the control's by far
(log_loss); its accuracy differs by a few points either way from seed to seed. With FOLDER it goes on where it stopped.
"""

import ast
import importlib.util
import random
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification

import kdgan

PACKAGES = ("numpy", "scipy", "sklearn", "matplotlib")


def docstrings(package: str, count: int) -> list[str]:
    """The beginnings of so many docstrings of a package, without its name."""
    paths = sorted(Path(importlib.util.find_spec(package).origin).parent.rglob("*.py"))
    found = {}
    for path in random.sample(paths, len(paths)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
            if text and len(text) > 60:
                found[text[:200].lower().replace(package, "")] = None
        if len(found) >= count:
            break
    return list(found)[:count]


def network(width: int, layers: int) -> BertForSequenceClassification:
    """A classifier with random weights."""
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers}
    return BertForSequenceClassification(
        BertConfig(vocab_size=2000, num_attention_heads=2, num_labels=len(PACKAGES), **sizes)
    )


def collate(batch: list[tuple[str, int]]) -> dict[str, torch.Tensor]:
    """A batch, padded to its longest text."""
    encoded = tokenizer.encode_batch([text for text, _ in batch])
    return {
        "input_ids": torch.tensor([each.ids for each in encoded]),
        "attention_mask": torch.tensor([each.attention_mask for each in encoded]),
        "labels": torch.tensor([label for _, label in batch]),
    }


torch.manual_seed(0)
torch.set_num_threads(1)
random.seed(0)
examples = [(text, label) for label, package in enumerate(PACKAGES) for text in docstrings(package, 700)]
random.shuffle(examples)
# A WordPiece trained again has other pieces, with which no stopped call could go on.
tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.Whitespace()
tokenizer.train_from_iterator(
    (text for text, _ in examples),
    trainers.BpeTrainer(vocab_size=2000, special_tokens=["[PAD]", "[UNK]"], show_progress=False),
)
tokenizer.enable_padding()
tokenizer.enable_truncation(32)
known, others, held_out = examples[:500], examples[500:2400], examples[2400:]

result = kdgan.distill(
    network(32, 1),
    network(64, 2),
    DataLoader(known, batch_size=32, shuffle=True, collate_fn=collate),
    DataLoader(held_out, batch_size=100, collate_fn=collate),
    # Their labels are not looked at.
    unlabelled=DataLoader(others, batch_size=32, shuffle=True, collate_fn=collate),
    method="mimic",
    steps=250,
    lr=5e-3,
    folder=sys.argv[1] if len(sys.argv) > 1 else None,
)
print(result.report)
