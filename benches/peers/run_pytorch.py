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


def inference(run):
    with torch.inference_mode():
        return run()


def block(name, layout):
    x, w, b, _, stride, padding = cases.conv_inputs(name)
    x, w = (tensor(v).contiguous(memory_format=layout) for v in (x, w))
    b, ones = tensor(b), torch.ones(len(b))

    def forward():
        y = F.leaky_relu(F.conv2d(x, w, b, stride, padding), cases.SLOPE)
        return F.batch_norm(y, None, None, ones, b, training=True, eps=cases.EPS)

    run = lambda: inference(forward)
    return run().contiguous().numpy().copy(), run


def batch_norm(sizes, direction, layout):
    x, w, b, dy = map(tensor, cases.norm_inputs(sizes))
    x, dy = (v.contiguous(memory_format=layout) for v in (x, dy))
    aten = torch.ops.aten
    if direction == "forward":
        forward = lambda: F.batch_norm(x, None, None, w, b, training=True, eps=cases.EPS)
        run = lambda: inference(forward)
    else:
        _, mean, deviation = aten.native_batch_norm(x, w, b, None, None, True, 0.1, cases.EPS)
        run = lambda: aten.native_batch_norm_backward(
            dy, x, w, None, None, mean, deviation, True, cases.EPS, [True] * 3
        )[0]
    return run().contiguous().numpy().copy(), run


def layer_norm(sizes, direction):
    x, w, b, dy = map(tensor, cases.norm_inputs(sizes))
    aten = torch.ops.aten
    if direction == "forward":
        run = lambda: inference(lambda: F.layer_norm(x, w.shape, w, b, cases.EPS))
    else:
        _, mean, deviation = aten.native_layer_norm(x, w.shape, w, b, cases.EPS)
        run = lambda: aten.native_layer_norm_backward(
            dy, x, w.shape, mean, deviation, w, b, [True] * 3
        )[0]
    return run().numpy().copy(), run


def optim(rule, size, fused):
    parameters = torch.nn.Parameter(tensor(cases.signed(1, size)))
    parameters.grad = tensor(cases.signed(2, size))
    if rule == "Adam":
        optimizer = torch.optim.Adam([parameters], fused=fused)
    else:
        optimizer = torch.optim.SGD([parameters], lr=1e-3, momentum=0.9, fused=fused)
    for _ in range(cases.OPTIM_STEPS):
        optimizer.step()
    return parameters.detach().numpy().copy(), optimizer.step


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
        case ["fused", name]:
            make = lambda layout: lambda: block(name, layout)
            return {name: make(layout) for name, layout in layouts.items()}
        case ["norm", kind, sizes, direction]:
            sizes = [int(size) for size in sizes.split("x")]
            if kind == "layer":
                return {"rows": lambda: layer_norm(sizes, direction)}
            make = lambda layout: lambda: batch_norm(sizes, direction, layout)
            return {name: make(layout) for name, layout in layouts.items()}
        case ["optim", rule, size]:
            make = lambda fused: lambda: optim(rule, int(size), fused)
            return {"fused": make(True), "not fused": make(None)}
    raise ValueError(words)


cases.serve(prepare)
