"""Cases, their inputs and their timing, as in benches/src: case.rs, serve.rs."""

import json
import math
import pathlib
import statistics
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SHAPES = HERE.parent / "shapes"
WEIGHTS = HERE.parent.parent / "model/tests/fixtures"
SHOWN = 64
SLOPE, EPS = 0.02, 1e-5
# Steps of an optimiser after which its parameters are compared.
OPTIM_STEPS = 3


def bits(seed, count):
    """SplitMix64."""
    step = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(seed) + step * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(seed, low, *shape):
    unit = (bits(seed, math.prod(shape)) >> np.uint64(11)).astype(np.float64) / 2.0**53
    return (low + unit * (1.0 - low)).astype(np.float32).reshape(shape)


def signed(seed, *shape):
    return uniform(seed, -1.0, *shape)


def images(batch):
    """Images in [0, 1] and one-hot targets."""
    targets = np.eye(10, dtype=np.float32)[bits(2, batch) % np.uint64(10)]
    return uniform(1, 0.0, batch, 1, 28, 28), targets


def weights(network):
    """The tensors of a safetensors file: length of the header, header, values."""
    data = (WEIGHTS / f"{network}-state-dict.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    types = {"F32": np.float32, "I64": np.int64}
    return {
        name: np.frombuffer(
            data[start:], types[t["dtype"]], math.prod(t["shape"]), t["data_offsets"][0]
        ).reshape(t["shape"]).copy()
        for name, t in header.items()
    }


def lines(name):
    """The lines of a file of shapes, cut into words."""
    text = (SHAPES / name).read_text().splitlines()
    return [words for line in text if (words := line.split("#")[0].split())]


def conv_inputs(name):
    """x, weight, bias, dy, stride and padding."""
    shape = next(words for words in lines("conv.txt") if words[0] == name)
    n, c, h, w, o, k, stride, padding = map(int, shape[1:])
    out = [(size + 2 * padding - k) // stride + 1 for size in (h, w)]
    tensors = signed(1, n, c, h, w), signed(2, o, c, k, k), signed(3, o), signed(4, n, o, *out)
    return *tensors, stride, padding


def norm_inputs(sizes):
    """x, weight, bias, dy."""
    return signed(1, *sizes), signed(2, sizes[1]), signed(3, sizes[1]), signed(4, *sizes)


def check(case, output, expected):
    """Parameters of an optimiser may differ from loupe's by 1e-6; normalised values by 1e-4; other results
    by a thousandth of the largest, or by 1e-3."""
    allowed = {"optim": 1e-6, "norm": 1e-4, "fused": 1e-4}.get(
        case.split()[0], 1e-3 * max(1.0, max(map(abs, expected)))
    )
    # A NaN is not within any distance.
    near = all(abs(a - b) <= allowed for a, b in zip(output, expected))
    if len(output) != len(expected) or not near:
        sys.exit(f"{sys.argv[0]} on {case}: {output}, but loupe has {expected}")


def measure(call, seconds):
    """The median time of a call."""
    warm, started = 0, time.perf_counter()
    while warm < 2 or time.perf_counter() - started < seconds / 5:
        call()
        warm += 1
    calls = max(1, math.ceil(50e-6 * warm / (time.perf_counter() - started)))
    samples, started = [], time.perf_counter()
    while not samples or time.perf_counter() - started < seconds:
        sample = time.perf_counter()
        for _ in range(calls):
            call()
        samples.append((time.perf_counter() - sample) / calls)
    return {
        "seconds": statistics.median(samples),
        "best": min(samples),
        "calls": calls * len(samples),
    }


def run(case, make, expected, seconds):
    """The times of a variant, whose output is right. Nothing of it is left afterwards, such as threads
    that spin."""
    output, call = make()
    output = np.asarray(output, np.float64).ravel()
    shown = min(SHOWN, output.size)
    at = [i * (output.size - 1) // max(1, shown - 1) for i in range(shown)]
    check(case, list(output[at]), expected)
    return measure(call, seconds)


def serve(prepare):
    """Answers lines of standard input by lines of JSON. A line is the name of a case and, behind a tab,
    what loupe has shown of its output.

    `prepare(words)` gives, by variant, functions that make a case ready: they return its output and what
    runs it once. The fastest variant counts.
    """
    seconds = float(sys.argv[2])
    for line in sys.stdin:
        case, _, expected = line.strip().partition("\t")
        variants = prepare(case.split())
        answers = [
            {
                "case": case,
                "variant": variant,
                **run(case, make, json.loads(expected), seconds / len(variants)),
            }
            for variant, make in variants.items()
        ]
        skipped = {"case": case, "skipped": True}
        fastest = min(answers, key=lambda answer: answer["seconds"], default=skipped)
        print(json.dumps(fastest), flush=True)
