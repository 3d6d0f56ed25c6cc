"""Trains the three networks in PyTorch and writes `fixtures/`, and the table of README.md.

    python make.py

with torch, numpy and safetensors. The same versions on the same CPU write the same bytes.
"""

import copy
import platform
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

STEPS, BATCH, CLASSES, NOISE = 10, 16, 10, 100
KEPT = 40
"""So many outputs after training are kept, at equal distances."""

NUDGED = 8
"""Runs that round otherwise, by which it is measured how much rounding does."""

FOLDER = Path(__file__).resolve().parent
BEGIN, END = "<!-- begin: written by make.py -->\n", "<!-- end: written by make.py -->\n"


class Residual(nn.Module):
    """layers(x) + shortcut(x); without layers in it the shortcut is x."""

    def __init__(self, layers, shortcut=()):
        super().__init__()
        self.layers, self.shortcut = nn.Sequential(*layers), nn.Sequential(*shortcut)

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(200, 32),
        nn.ReLU(),
        nn.Linear(32, 24),
        nn.ReLU(),
        nn.Linear(24, 10),
    )


def block(inputs, outputs, stride):
    layers = [
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if (inputs, stride) == (outputs, 1):
        return Residual(layers)
    return Residual(layers, [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)])


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        block(8, 8, 1),
        nn.ReLU(),
        block(8, 16, 2),
        nn.ReLU(),
        block(16, 24, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


def generator():
    def up(inputs, outputs):
        return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)

    return nn.Sequential(
        nn.ConvTranspose2d(NOISE, 12, 4, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        up(12, 8),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        up(8, 8),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        up(8, 3),
        nn.Tanh(),
    )


def numbers(index):
    """For each index a number in [-1, 1), a multiple of 2^-23."""
    bits = np.asarray(index, np.uint32) * np.uint32(0x9E3779B1)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x85EBCA77)
    bits = (bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE3D)
    bits ^= bits >> np.uint32(16)
    return (bits >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def classified(step, shape):
    """Items of ten classes, each a pattern of its class under noise, and their classes."""
    length = int(np.prod(shape))
    items = np.arange(step * BATCH, (step + 1) * BATCH)[:, None]
    inside = np.arange(length)[None, :]
    pattern = numbers((1 << 24) + items % CLASSES * length + inside)
    inputs = 0.75 * pattern + 0.25 * numbers(items * length + inside)
    return torch.from_numpy(inputs).reshape(BATCH, *shape), torch.from_numpy(items[:, 0] % CLASSES)


def generated(_):
    """Noise, the same in each step, and images to be made of it."""
    noise = numbers(np.arange(BATCH * NOISE)).reshape(BATCH, NOISE, 1, 1)
    images = 0.75 * numbers((1 << 24) + np.arange(BATCH * 3 * 32 * 32))
    return torch.from_numpy(noise), torch.from_numpy(images.reshape(BATCH, 3, 32, 32))


RUNS = {
    "lenet5": (
        lenet5,
        lambda step: classified(step, (1, 28, 28)),
        F.cross_entropy,
        lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-4),
    ),
    "resnet": (
        resnet,
        lambda step: classified(step, (3, 32, 32)),
        lambda y, t: F.cross_entropy(y, t, label_smoothing=0.1),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.05),
    ),
    "generator": (
        generator,
        generated,
        F.mse_loss,
        lambda p: torch.optim.AdamW(p, lr=0.005, betas=(0.5, 0.999), eps=1e-5),
    ),
}


def train(initial, dtype, batch, loss, optimizer, nudge=0):
    """The losses, the model and its outputs by running statistics, all of it computed in `dtype`.

    With a `nudge` the inputs are moved by about 1e-7 of their size, at random: a run that rounds otherwise.
    """
    model = copy.deepcopy(initial).to(dtype).train()
    optimizer = optimizer(model.parameters())
    random = torch.Generator().manual_seed(nudge)

    def cast(step):
        inputs, targets = batch(step)
        if nudge:
            inputs = inputs * (1 + 1e-7 * torch.randn(inputs.shape, generator=random, dtype=inputs.dtype))
        # Numbers with 24 bits, which both types hold.
        inputs = inputs.float().to(dtype)
        return inputs, targets.float().to(dtype) if targets.is_floating_point() else targets

    losses = []
    for step in range(STEPS):
        inputs, targets = cast(step)
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    with torch.no_grad():
        outputs = model.eval()(cast(STEPS)[0])
    return losses, model, outputs


def write(name, initial, losses, model, outputs):
    for what, state in (("initial", initial.state_dict()), ("final", model.state_dict())):
        path = FOLDER / "fixtures" / f"{name}-{what}.safetensors"
        path.write_bytes(save(state, {"format": "pt"}))
    flat = outputs.flatten()
    kept = [flat[i * len(flat) // KEPT].item() for i in range(KEPT)]
    lines = (f"{word} " + " ".join(f"{x:.9g}" for x in values) for word, values in (("losses", losses), ("outputs", kept)))
    (FOLDER / "fixtures" / f"{name}.txt").write_text("\n".join(lines) + "\n")


def distances(single, double):
    """How far f32 is from f64: relative for losses, absolute for parameters and outputs, shares for statistics."""
    losses = max(abs(a - b) / b for a, b in zip(single[0], double[0], strict=True))
    expected = double[1].state_dict()
    parameters = max((p.double() - expected[name]).abs().max().item() for name, p in single[1].named_parameters())
    statistics = [
        ((b.double() - expected[name]).abs().max() / expected[name].abs().max()).item()
        for name, b in single[1].named_buffers()
        if b.is_floating_point()
    ]
    outputs = (single[2].double() - double[2]).abs().max().item()
    return losses, parameters, max(statistics, default=0.0), outputs


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    (FOLDER / "fixtures").mkdir(exist_ok=True)
    lines = [
        f"Written with torch {torch.__version__}, safetensors {safetensors.__version__} and Python "
        f"{platform.python_version()} on {platform.machine()}, by PyTorch's "
        f"{torch.backends.cpu.get_cpu_capability()} kernels on one thread.",
        "",
        "| run | first and last loss | losses | parameters | running statistics | outputs |",
        "|---|---|---|---|---|---|",
    ]
    for name, (network, *how) in RUNS.items():
        torch.manual_seed(0)
        initial = network()
        single, double = (train(initial, dtype, *how) for dtype in (torch.float32, torch.float64))
        write(name, initial, *single)
        nudged = [train(initial, torch.float32, *how, nudge) for nudge in range(1, 1 + NUDGED)]
        found = [distances(run, double) for run in (single, *nudged)]
        cells = [f"{found[0][i]:.1e}, {max(f[i] for f in found):.1e}" for i in range(4)]
        if found[0][2] == 0.0:
            cells[2] = ""
        lines.append(f"| {name} | {single[0][0]:.4f}, {single[0][-1]:.4f} | " + " | ".join(cells) + " |")
        print(lines[-1])
    readme = FOLDER / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    tail = rest.split(END)[1]
    readme.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail)


if __name__ == "__main__":
    main()
