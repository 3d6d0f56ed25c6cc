"""Which programs are compared, and how they are started."""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SCRIPTS = {"pytorch": "run_pytorch.py", "jax": "run_jax.py", "onnxruntime": "run_onnxruntime.py"}
# Environment of every process; the count stands for {}.
THREADS = {
    name: "{}"
    for name in (
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS",
        "RTEN_NUM_THREADS",
    )
}


def build(manifest, kind, name, **environment):
    """Builds a program, a "bin" or an "example", and says where it is."""
    command = ["cargo", "build", "--release", "--manifest-path", manifest, f"--{kind}", name]
    messages = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.splitlines()
    made = (json.loads(line).get("executable") for line in messages)
    return [path for path in made if path and pathlib.Path(path).stem == name][-1]


def make_venv(path):
    python = pathlib.Path(path or TARGET / "peers-venv") / "bin/python"
    if not path:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        install = [python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
    return str(python)


def libraries(options, wanted):
    """For each library that is wanted (all, if none is named), the command that starts it on {} threads."""
    case = [build(ROOT / "benches/Cargo.toml", "example", "case"), "{}", str(options.seconds)]
    found = {"loupe": case}
    for tier in filter(None, options.tiers.split(",")):
        found[f"loupe {tier}"] = ["env", f"LOUPE_ISA={tier}", *case]
    if not wanted or set(wanted) & set(SCRIPTS):
        python = make_venv(options.venv)
        for name, script in SCRIPTS.items():
            found[name] = [python, str(HERE / script), "{}", str(options.seconds)]
    if options.rust:
        # Some of the peers choose their instructions when they are compiled.
        flags = {"RUSTFLAGS": "-C target-cpu=native", "CARGO_TARGET_DIR": str(TARGET / "peers")}
        peer = build(HERE / "rust/Cargo.toml", "bin", "peer", **flags)
        for name in subprocess.run([peer], check=True, capture_output=True, text=True).stdout.split():
            found[name] = [peer, name, "{}", str(options.seconds)]
    unknown = set(wanted) - set(found)
    if unknown:
        sys.exit(f"no such peers: {', '.join(sorted(unknown))} (those in Rust need --rust)")
    return {n: c for n, c in found.items() if not wanted or n in wanted or n.startswith("loupe")}


def pinned(command, threads):
    """The command on as many cores as there are threads, and its environment."""
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        sys.exit(f"{threads} threads, but {len(cores)} cores")
    count = str(threads)
    taskset = ["taskset", "-c", ",".join(map(str, cores[:threads]))]
    environment = os.environ | {name: value.format(count) for name, value in THREADS.items()}
    return [*taskset, *(part.replace("{}", count) for part in command)], environment


def start(command, threads):
    command, environment = pinned(command, threads)
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
    )
