"""PyTorch on the cases that standard input names. Arguments: threads, seconds.

`torch.compile` is left out: it takes up to half a minute for each case and these steps do not become faster.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

import cases

torch.set_num_threads(int(sys.argv[1]))
tensor = torch.from_numpy


def network(name):
    if name == "cnn":
        model = nn.Sequential(
            nn.Conv2d(1, 10, 5, stride=2), nn.LeakyReLU(0.02), nn.BatchNorm2d(10),
            nn.Conv2d(10, 10, 3, stride=2), nn.LeakyReLU(0.02), nn.BatchNorm2d(10),
            nn.Flatten(), nn.Linear(250, 10), nn.Sigmoid(),
        )
    else:
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 200), nn.LeakyReLU(0.02), nn.LayerNorm(200),
            nn.Linear(200, 10), nn.Sigmoid(),
        )
    model.load_state_dict({name: tensor(values) for name, values in cases.weights(name).items()})
    return model


def train(name, batch, layout, **adam):
    model = network(name).to(memory_format=layout)
    x, t = map(tensor, cases.images(batch))
    x, loss_of = x.contiguous(memory_format=layout), nn.BCELoss()
    optimizer = torch.optim.Adam(model.parameters(), **adam)

    def step():
        loss = loss_of(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return [step().item(), step().item()], step


def infer(name, batch, layout):
    model = network(name).eval().to(memory_format=layout)
    x = tensor(cases.images(batch)[0]).contiguous(memory_format=layout)

    def run():
        with torch.inference_mode():
            return model(x)

    return run().numpy(), run


def gemm(m, n, k):
    a, b = tensor(cases.signed(1, m, k)), tensor(cases.signed(2, k, n))
    c = torch.empty(m, n)

    def run():
        return torch.mm(a, b, out=c)

    return run().numpy().copy(), run


def conv(name, which, layout):
    x, w, b, dy, stride, padding = cases.conv_inputs(name)
    x, w, dy = (tensor(v).contiguous(memory_format=layout) for v in (x, w, dy))
    b = tensor(b)

    def forward():
        with torch.inference_mode():
            return F.conv2d(x, w, b, stride, padding)

    def backward(mask):
        return torch.ops.aten.convolution_backward(
            dy, x, w, [len(b)], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask
        )

    run = {
        "forward": forward,
        "dX": lambda: backward([True, False, False])[0],
        "dW": lambda: backward([False, True, True])[1],
    }[which]
    return run().contiguous().numpy().copy(), run


def prepare(words):
    layouts = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
    match words:
        case [name, "train", batch]:
            make = lambda layout, **adam: lambda: train(name, int(batch), layout, **adam)
            variants = {
                "NCHW, fused Adam": make(torch.contiguous_format, fused=True),
                "NCHW": make(torch.contiguous_format),
            }
            if name == "cnn":
                variants["channels_last, fused Adam"] = make(torch.channels_last, fused=True)
            return variants
        case [name, "infer", batch]:
            if name == "mlp":
                layouts.pop("channels_last")
            make = lambda layout: lambda: infer(name, int(batch), layout)
            return {name: make(layout) for name, layout in layouts.items()}
        case ["gemm", size]:
            return {"mm": lambda: gemm(*map(int, size.split("x")))}
        case ["conv", name, which]:
            make = lambda layout: lambda: conv(name, which, layout)
            return {name: make(layout) for name, layout in layouts.items()}
    raise ValueError(words)


cases.serve(prepare)
