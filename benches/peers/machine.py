"""The machine, and the versions of everything: what a record begins with."""

import datetime
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys

from libraries import HERE, ROOT, THREADS

PACKAGES = {"pytorch": "torch", "jax": "jaxlib", "onnxruntime": "onnxruntime"}


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]


def about(options, commands):
    """The machine and the versions of everything."""
    cpu = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        cpu[key.strip()] = value.strip()
    simd = re.compile(r"^(sse4_2|avx|fma|f16c|amx)")
    lock = (HERE / "rust/Cargo.lock").read_text()
    versions = {"loupe": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty")}
    for name in commands:
        if name in PACKAGES:
            code = f"import importlib.metadata as m; print(m.version('{PACKAGES[name]}'))"
            versions[name] = first_line(commands[name][0], "-c", code)
        elif name.startswith("loupe "):
            versions[name] = versions["loupe"]
        elif name != "loupe":
            package = {"candle": "candle-core", "tract": "tract-onnx"}.get(name, name)
            found = re.search(rf'name = "{package}"\nversion = "(.*?)"', lock)
            versions[name] = found[1] if found else "unknown"
    peak, tier = first_line(commands["loupe"][0], "peak").split()
    return {
        "date": datetime.date.today().isoformat(),
        # Where the peers are installed does not matter.
        "command": re.sub(r" --venv[ =]\S+", "", shlex.join(["compare.py", *sys.argv[1:]])),
        "cpu": cpu.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "simd": [flag for flag in cpu.get("flags", "").split() if simd.match(flag)],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rustc": first_line("rustc", "--version"),
        "peak_gflops": float(peak),
        "tier": tier,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "environment": THREADS,
        "versions": versions,
    }
