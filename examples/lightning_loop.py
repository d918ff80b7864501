"""KDGAN in a loop of Lightning: `Method.losses` gives the loss of each player, and Lightning makes the steps.

Each loss reaches its own player alone. This asks for one at a time, to keep the order of Algorithm 1; where that does
not matter, one optimizer of all players and automatic optimization do, with `return sum(losses.values())`.

    pip install 'kdgan[examples]' && python examples/lightning_loop.py

Prints the last losses, and the student's accuracy on 797 digits that are held out.
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from kdgan import Batch, nets
from kdgan.methods import KDGAN


class Distilling(lightning.LightningModule):
    """Three players, each with an optimizer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        sizes = {"discriminator": [256], "teacher": [256], "student": [32]}
        self.players = nn.ModuleDict({role: nets.mlp(64, hidden, 10) for role, hidden in sizes.items()})

    def on_fit_start(self) -> None:
        """Begins the game where the players are by now: what it draws, it draws on their device."""
        self.game = KDGAN(*(self.players[role] for role in KDGAN.roles), beta=2.0)

    def training_step(self, batch: list[Tensor], index: int) -> None:
        progress = self.current_epoch / self.trainer.max_epochs
        for role, optimizer in zip(self.players, self.optimizers(), strict=True):
            loss = self.game.losses(Batch(*batch), progress, roles=[role])[role]
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(role, loss)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        inputs, targets = batch
        self.log("accuracy", 100 * (self.players["student"](inputs).argmax(1) == targets).float().mean())

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(player.parameters(), lr=2e-3) for player in self.players.values()]


lightning.seed_everything(0, verbose=False)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float() / 16, torch.tensor(labels)
trainer = lightning.Trainer(
    max_epochs=30,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(
    Distilling(),
    DataLoader(TensorDataset(x[:1000], y[:1000]), batch_size=50, shuffle=True),
    DataLoader(TensorDataset(x[1000:], y[1000:]), batch_size=797),
)
print(" ".join(f"{name} {value:.2f}" for name, value in trainer.callback_metrics.items()))
