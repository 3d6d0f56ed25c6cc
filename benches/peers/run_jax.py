"""JAX on the cases that standard input names. Arguments: threads, seconds."""

import os
import sys

THREADS = int(sys.argv[1])
os.environ["XLA_FLAGS"] = (
    f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'} "
    f"intra_op_parallelism_threads={THREADS}"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import optax

import cases

OPTIMIZER = optax.adam(1e-3)
DIMENSIONS = {
    "NCHW": ("NCHW", "OIHW", "NCHW"),
    "NHWC": ("NHWC", "HWIO", "NHWC"),
}


def convolve(x, w, stride, padding, layout):
    return jax.lax.conv_general_dilated(
        x, w, (stride,) * 2, [(padding,) * 2] * 2, dimension_numbers=DIMENSIONS[layout]
    )


def channels(values, layout):
    return values[None, :, None, None] if layout == "NCHW" else values


def normalise(x, p, layer, axes, spread, moments=None):
    mean, variance = moments or (x.mean(axes, keepdims=True), x.var(axes, keepdims=True))
    scaled = (x - mean) * jax.lax.rsqrt(variance + cases.EPS)
    return scaled * spread(p[f"{layer}.weight"]) + spread(p[f"{layer}.bias"])


def leaky(x):
    return jnp.where(x > 0, x, cases.SLOPE * x)


def logits(name, layout, p, running, x):
    if name == "mlp":
        x = leaky(x.reshape(len(x), -1) @ p["1.weight"].T + p["1.bias"])
        x = normalise(x, p, 3, (1,), lambda v: v)
        return x @ p["4.weight"].T + p["4.bias"]
    spread = lambda v: channels(v, layout)
    axes = (0, 2, 3) if layout == "NCHW" else (0, 1, 2)
    for i in (0, 3):
        w = p[f"{i}.weight"] if layout == "NCHW" else p[f"{i}.weight"].transpose(2, 3, 1, 0)
        x = leaky(convolve(x, w, 2, 0, layout) + spread(p[f"{i}.bias"]))
        bn = i + 2
        moments = running and [spread(running[f"{bn}.running_{s}"]) for s in ("mean", "var")]
        x = normalise(x, p, bn, axes, spread, moments)
    if layout == "NHWC":
        x = x.transpose(0, 3, 1, 2)
    return x.reshape(len(x), -1) @ p["7.weight"].T + p["7.bias"]


def tensors(name):
    values = {key: jnp.asarray(v) for key, v in cases.weights(name).items() if v.ndim}
    running = {key: v for key, v in values.items() if "running" in key}
    return {key: v for key, v in values.items() if key not in running}, running


def inputs(batch, layout):
    x, t = map(jnp.asarray, cases.images(batch))
    return (x if layout == "NCHW" else x.transpose(0, 2, 3, 1)), t


def train(name, batch, layout):
    """Running statistics are not updated, which makes JAX's work a little less."""
    p, _ = tensors(name)
    x, t = inputs(batch, layout)

    def loss_of(p, x, t):
        return optax.sigmoid_binary_cross_entropy(logits(name, layout, p, None, x), t).mean()

    def update(p, state, x, t):
        loss, gradients = jax.value_and_grad(loss_of)(p, x, t)
        updates, state = OPTIMIZER.update(gradients, state, p)
        return optax.apply_updates(p, updates), state, loss

    update = jax.jit(update, donate_argnums=(0, 1))
    now = [p, OPTIMIZER.init(p)]

    def step():
        *now[:], loss = update(*now, x, t)
        return loss.block_until_ready()

    return [float(step()), float(step())], step


def infer(name, batch, layout):
    p, running = tensors(name)
    x, _ = inputs(batch, layout)
    f = jax.jit(lambda p, running, x: jax.nn.sigmoid(logits(name, layout, p, running, x)))
    run = lambda: f(p, running, x).block_until_ready()
    return run(), run


def gemm(m, n, k):
    a, b = jnp.asarray(cases.signed(1, m, k)), jnp.asarray(cases.signed(2, k, n))
    f = jax.jit(jnp.matmul)
    run = lambda: f(a, b).block_until_ready()
    return run(), run


def conv(name, which, layout):
    *values, stride, padding = cases.conv_inputs(name)
    x, w, b, dy = map(jnp.asarray, values)
    if layout == "NHWC":
        x, w, dy = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0), dy.transpose(0, 2, 3, 1)
    plain = lambda x, w: convolve(x, w, stride, padding, layout)
    f, arguments, back = {
        "forward": (
            lambda x, w, b: plain(x, w) + channels(b, layout), (x, w, b), (0, 3, 1, 2)
        ),
        "dX": (
            lambda x, w, dy: jax.vjp(lambda x: plain(x, w), x)[1](dy)[0], (x, w, dy), (0, 3, 1, 2)
        ),
        "dW": (
            lambda x, w, dy: jax.vjp(lambda w: plain(x, w), w)[1](dy)[0], (x, w, dy), (3, 2, 0, 1)
        ),
    }[which]
    f = jax.jit(f)
    run = lambda: f(*arguments).block_until_ready()
    output = run()
    return (output if layout == "NCHW" else output.transpose(back)), run


def block(name, layout):
    x, w, b, _, stride, padding = cases.conv_inputs(name)
    x, w, b = map(jnp.asarray, (x, w, b))
    axes = (0, 2, 3)
    if layout == "NHWC":
        x, w, axes = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0), (0, 1, 2)
    spread = lambda v: channels(v, layout)

    def forward(x, w, b):
        y = leaky(convolve(x, w, stride, padding, layout) + spread(b))
        p = {"n.weight": jnp.ones_like(b), "n.bias": b}
        return normalise(y, p, "n", axes, spread)

    f = jax.jit(forward)
    run = lambda: f(x, w, b).block_until_ready()
    return (run() if layout == "NCHW" else run().transpose(0, 3, 1, 2)), run


def norm(kind, sizes, direction, layout):
    x, w, b, dy = map(jnp.asarray, cases.norm_inputs(sizes))
    axes, spread = (1,), lambda v: v
    if kind == "batch":
        axes, spread = (0, 2, 3), lambda v: channels(v, layout)
        if layout == "NHWC":
            x, dy, axes = x.transpose(0, 2, 3, 1), dy.transpose(0, 2, 3, 1), (0, 1, 2)

    def forward(x, w, b):
        return normalise(x, {"n.weight": w, "n.bias": b}, "n", axes, spread)

    if direction == "forward":
        f = jax.jit(forward)
        run = lambda: f(x, w, b).block_until_ready()
    else:
        # What the forward pass keeps is an input of the backward pass.
        _, back = jax.jit(lambda x, w, b: jax.vjp(forward, x, w, b))(x, w, b)
        f = jax.jit(lambda back, dy: back(dy))
        run = lambda: jax.block_until_ready(f(back, dy))[0]
    return (run().transpose(0, 3, 1, 2) if layout == "NHWC" else run()), run


def optim(rule, size):
    optimizer = OPTIMIZER if rule == "Adam" else optax.sgd(1e-3, momentum=0.9)
    gradient = jnp.asarray(cases.signed(2, size))

    def update(p, state, gradient):
        updates, state = optimizer.update(gradient, state, p)
        return optax.apply_updates(p, updates), state

    update = jax.jit(update, donate_argnums=(0, 1))
    p = jnp.asarray(cases.signed(1, size))
    now = [p, optimizer.init(p)]

    def step():
        now[:] = jax.block_until_ready(update(*now, gradient))

    for _ in range(cases.OPTIM_STEPS):
        step()
    return np.array(now[0]), step


def prepare(words):
    match words:
        case ["mlp", "train", batch]:
            return {"rows": lambda: train("mlp", int(batch), "NCHW")}
        case ["mlp", "infer", batch]:
            return {"rows": lambda: infer("mlp", int(batch), "NCHW")}
        case ["cnn", kind, batch]:
            make = {"train": train, "infer": infer}[kind]
            ready = lambda layout: lambda: make("cnn", int(batch), layout)
        case ["gemm", size]:
            return {"matmul": lambda: gemm(*map(int, size.split("x")))}
        case ["conv", name, which]:
            ready = lambda layout: lambda: conv(name, which, layout)
        case ["fused", name]:
            ready = lambda layout: lambda: block(name, layout)
        case ["norm", kind, sizes, direction]:
            sizes = [int(size) for size in sizes.split("x")]
            ready = lambda layout: lambda: norm(kind, sizes, direction, layout)
            if kind == "layer":
                return {"rows": ready("NCHW")}
        case ["optim", rule, size]:
            return {"optax": lambda: optim(rule, int(size))}
        case _:
            raise ValueError(words)
    return {layout: ready(layout) for layout in DIMENSIONS}


cases.serve(prepare)
