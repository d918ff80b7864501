"""Codistillation in a loop of Accelerate: one backward pass through the sum of `Method.losses`.

    pip install 'kdgan[examples]' && python examples/accelerate_loop.py

Prints the student's accuracy on 797 digits that are held out, and the last losses.
"""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from kdgan import Batch, nets
from kdgan.methods import Codis

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float() / 16, torch.tensor(labels)
loader = DataLoader(TensorDataset(x[:1000], y[:1000]), batch_size=50, shuffle=True)
student, teacher = nets.mlp(64, [32], 10), nets.mlp(64, [256, 256], 10)
optimizer = torch.optim.AdamW([*student.parameters(), *teacher.parameters()], lr=2e-3)

accelerator = Accelerator(cpu=True)
student, teacher, optimizer, loader = accelerator.prepare(student, teacher, optimizer, loader)
method = Codis(student, teacher)  # student and teacher learn from the labels, and from each other
epochs = 20
for epoch in range(epochs):
    for step, (inputs, targets) in enumerate(loader):
        losses = method.losses(Batch(inputs, targets), progress=(epoch + step / len(loader)) / epochs)
        optimizer.zero_grad()
        accelerator.backward(sum(losses.values()))  # each loss reaches its own player alone
        optimizer.step()
student.eval()
right = student(x[1000:].to(accelerator.device)).argmax(1).cpu() == y[1000:]
print(f"accuracy {100 * right.float().mean():.2f}", *(f"{role} {loss:.3f}" for role, loss in losses.items()))
