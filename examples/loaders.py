"""Data as they come: a data set of the datasets library, and a DataLoader whose views differ in every pass.

kdgan takes both as they are. What a loader draws depends on the call's seed and the pass alone, so that student and
control see the same views, and a call that is stopped goes on with them.

    pip install 'kdgan[examples]' && python examples/loaders.py

Prints the report of each on 500 digits that are held out.
"""

import datasets
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

import kdgan


class Pixels(torch.nn.Module):
    """Any module does: here one that is called with the columns that are no labels, by their names."""

    def __init__(self, *hidden: int) -> None:
        super().__init__()
        self.layers = kdgan.nets.mlp(64, hidden, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels / 16)


def moved(examples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A batch of views, each moved by up to a pixel across."""
    images = [
        each["pixels"].view(8, 8).roll(torch.randint(-1, 2, ()).item(), dims=1).flatten() for each in examples
    ]
    return {"pixels": torch.stack(images), "labels": torch.stack([each["labels"] for each in examples])}


torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
table = datasets.Dataset.from_dict({"pixels": images.astype("float32"), "labels": labels}).with_format(
    "torch"
)
parts = table.train_test_split(test_size=500, seed=0)
few = parts["train"].select(range(200))

for train in (few, DataLoader(few, batch_size=50, shuffle=True, collate_fn=moved)):
    torch.manual_seed(0)
    result = kdgan.distill(Pixels(32), Pixels(256, 256), train, parts["test"], method="mimic", steps=800)
    print(result.report)
