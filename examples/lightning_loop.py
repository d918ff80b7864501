"""KDGAN in a loop of Lightning: `Method.losses` gives the loss of each player without a step.

pip install lightning && python examples/lightning_loop.py
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from kdgan import Batch, nets
from kdgan.methods import KDGAN


class Distilling(lightning.LightningModule):
    """Three players, each with an optimizer of its own, in the order of Algorithm 1."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.student = nets.mlp(64, [32], 10)
        self.teacher = nets.mlp(64, [256, 256], 10)
        self.discriminator = nets.mlp(64, [256, 256], 10)
        self.game = KDGAN(self.student, self.teacher, self.discriminator, beta=2.0)

    def training_step(self, batch: list[torch.Tensor], index: int) -> None:
        progress = self.global_step / max(self.trainer.estimated_stepping_batches * 3, 1)
        examples = Batch(*batch)
        for role, optimizer in zip(("discriminator", "teacher", "student"), self.optimizers(), strict=True):
            loss = self.game.losses(examples, min(progress, 1.0), roles=[role])[role]
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(role, loss, prog_bar=True)

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        inputs, targets = batch
        self.log("accuracy", (self.student(inputs).argmax(1) == targets).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        players = (self.discriminator, self.teacher, self.student)
        return [torch.optim.AdamW(player.parameters(), lr=1e-3) for player in players]


lightning.seed_everything(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float() / 16, torch.tensor(labels)
trainer = lightning.Trainer(
    max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
)
model = Distilling()
trainer.fit(
    model,
    DataLoader(TensorDataset(x[:1000], y[:1000]), batch_size=50, shuffle=True),
    DataLoader(TensorDataset(x[1000:], y[1000:]), batch_size=500),
)
print({name: round(value.item(), 3) for name, value in trainer.callback_metrics.items()})
