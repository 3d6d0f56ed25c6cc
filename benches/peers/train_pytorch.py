"""The tutorial's training in PyTorch, for its memory. Arguments: batch size, threads, steps, data folder.

Images stay bytes until a batch needs them. Every test digit is scored by itself afterwards, as in the
tutorial.
"""

import pathlib
import sys

import numpy as np
import torch
from torch import nn

BATCH, THREADS, STEPS = map(int, sys.argv[1:4])
FOLDER = pathlib.Path(sys.argv[4])
torch.set_num_threads(THREADS)


def digits(split):
    images = np.fromfile(FOLDER / f"{split}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
    return images, np.fromfile(FOLDER / f"{split}-labels-idx1-ubyte", np.uint8)[8:]


def tensor(images):
    return torch.from_numpy(images.astype(np.float32) / 255)


model = nn.Sequential(
    nn.Conv2d(1, 10, 5, stride=2), nn.LeakyReLU(0.02), nn.BatchNorm2d(10),
    nn.Conv2d(10, 10, 3, stride=2), nn.LeakyReLU(0.02), nn.BatchNorm2d(10),
    nn.Flatten(), nn.Linear(250, 10), nn.Sigmoid(),
)
loss_of, optimizer = nn.BCELoss(), torch.optim.Adam(model.parameters())
images, labels = digits("train")
for first in range(0, min(STEPS * BATCH, len(labels)), BATCH):
    targets = torch.eye(10)[torch.from_numpy(labels[first : first + BATCH].astype(np.int64))]
    loss = loss_of(model(tensor(images[first : first + BATCH])), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

images, labels = digits("t10k")
with torch.no_grad():
    right = sum(
        int(model(tensor(images[i : i + 1])).argmax()) == label for i, label in enumerate(labels)
    )
print(right, len(labels))
