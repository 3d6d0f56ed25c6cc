#!/usr/bin/env python3
"""Times loupe and its peers on the same cases, in turn, and prints the ratios.

    python3 benches/peers/compare.py --rounds 5 --seconds 1 --record

Needs Rust, taskset, and Python 3.11 or later with venv; the peers in Python go into target/peers-venv, in
the versions of requirements.txt. With --rust also those of benches/peers/rust (minutes to build).

A round starts one process for each library and each number of threads, pinned to as many cores. A case is
run in all of them, one after the other, before the next case begins; a process that is not asked waits for
its standard input. A library's time of a case is the median of its medians in the rounds, in its fastest
variant (layout of images, form of the optimiser). All compute with the same numbers, and a result that
differs from loupe's is an error.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time

import report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SCRIPTS = {"pytorch": "run_pytorch.py", "jax": "run_jax.py", "onnxruntime": "run_onnxruntime.py"}
PACKAGES = {"pytorch": "torch", "jax": "jaxlib", "onnxruntime": "onnxruntime"}
# Environment of every process; the count stands for {}.
THREADS = {
    name: "{}"
    for name in (
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS",
        "RTEN_NUM_THREADS",
    )
}
# What is written of each answer.
KEPT = ("seconds", "best", "calls", "variant")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="for a case in a round")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="of the names of cases")
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--peers", default="", metavar="NAMES", help="of the peers, by commas")
    parser.add_argument("--rust", action="store_true", help="also the peers in Rust")
    parser.add_argument("--json", metavar="FILE", help="write all numbers")
    parser.add_argument("--record", action="store_true", help="write them to benches/results")
    parser.add_argument("--venv", metavar="PATH", help="one that has the requirements already")
    return parser.parse_args()


def lines(name):
    text = (HERE.parent / "shapes" / name).read_text().splitlines()
    return [words for line in text if (words := line.split("#")[0].split())]


def all_cases():
    networks = [f"{n} {kind} {b}" for n, kind, *batches in lines("network.txt") for b in batches]
    products = [f"gemm {'x'.join(size)}" for size in lines("gemm.txt")]
    convolutions = [f"conv {w[0]} {p}" for w in lines("conv.txt") for p in ("forward", "dX", "dW")]
    return networks + products + convolutions


def build(manifest, binary, **environment):
    """Builds a program and says where it is."""
    command = ["cargo", "build", "--release", "--manifest-path", manifest, "--bin", binary]
    messages = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.splitlines()
    made = (json.loads(line).get("executable") for line in messages)
    return [path for path in made if path and pathlib.Path(path).stem == binary][-1]


def make_venv(path):
    python = pathlib.Path(path or TARGET / "peers-venv") / "bin/python"
    if not path:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        install = [python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
    return str(python)


def libraries(options):
    """For each library, the command that starts it on {threads} threads."""
    found = {"loupe": [build(ROOT / "benches/Cargo.toml", "case"), "{}", str(options.seconds)]}
    wanted = [name for name in options.peers.split(",") if name]
    if not wanted or set(wanted) & set(SCRIPTS):
        python = make_venv(options.venv)
        for name, script in SCRIPTS.items():
            found[name] = [python, str(HERE / script), "{}", str(options.seconds)]
    if options.rust:
        # Some of the peers choose their instructions when they are compiled.
        flags = {"RUSTFLAGS": "-C target-cpu=native", "CARGO_TARGET_DIR": str(TARGET / "peers")}
        peer = build(HERE / "rust/Cargo.toml", "peer", **flags)
        for name in subprocess.run([peer], check=True, capture_output=True, text=True).stdout.split():
            found[name] = [peer, name, "{}", str(options.seconds)]
    unknown = set(wanted) - set(found)
    if unknown:
        sys.exit(f"no such peers: {', '.join(sorted(unknown))} (those in Rust need --rust)")
    return {n: c for n, c in found.items() if not wanted or n in wanted or n == "loupe"}


def start(command, threads):
    """Pinned to as many cores as there are threads."""
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        sys.exit(f"{threads} threads, but {len(cores)} cores")
    pinned = ["taskset", "-c", ",".join(map(str, cores[:threads]))]
    return subprocess.Popen(
        [*pinned, *(part.replace("{}", str(threads)) for part in command)],
        env=os.environ | {name: value.format(threads) for name, value in THREADS.items()},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE,
    )


def ask(process, name, case):
    # Threads of the library before may wait for work in a loop for a while.
    time.sleep(0.02)
    process.stdin.write(case + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"{name} failed on {case}")
    return json.loads(answer)


def check(name, case, answer, expected):
    """Outputs may differ from loupe's by a thousandth of the largest."""
    allowed = 1e-3 * max(1.0, max(map(abs, expected)))
    output = answer["output"]
    # A NaN is not within any distance.
    near = all(abs(a - b) <= allowed for a, b in zip(output, expected))
    if len(output) != len(expected) or not near:
        sys.exit(f"{name} on {case}: {output}, but loupe has {expected}")


def measure(commands, cases, counts, rounds):
    """Answers by case, number of threads and library."""
    results = {}
    for number in range(rounds):
        for threads in counts:
            processes = {name: start(command, threads) for name, command in commands.items()}
            for case in cases:
                print(f"round {number + 1}/{rounds}, {threads} thread(s): {case}", file=sys.stderr)
                expected = None
                for name, process in processes.items():
                    answer = ask(process, name, case)
                    if "skipped" in answer:
                        continue
                    expected = expected or answer["output"]
                    check(name, case, answer, expected)
                    results.setdefault((case, threads), {}).setdefault(name, []).append(answer)
            for process in processes.values():
                process.stdin.close()
                process.wait()
    return results


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
        elif name != "loupe":
            package = {"candle": "candle-core", "tract": "tract-onnx"}.get(name, name)
            found = re.search(rf'name = "{package}"\nversion = "(.*?)"', lock)
            versions[name] = found[1] if found else "unknown"
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
        "peak_gflops": float(first_line(commands["loupe"][0], "peak")),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "environment": THREADS,
        "versions": versions,
    }


def main():
    options = arguments()
    cases = [case for case in all_cases() if options.only in case]
    if not cases:
        sys.exit(f"no case has {options.only} in its name")
    counts = [int(count) for count in options.threads.split(",")]
    commands = libraries(options)
    results = measure(commands, cases, counts, options.rounds)
    record = about(options, commands) | {
        "cases": [
            {
                "case": case,
                "threads": threads,
                "flop": by_library["loupe"][0]["flop"],
                "images": by_library["loupe"][0]["images"],
                "libraries": {
                    name: {
                        "seconds": statistics.median(answer["seconds"] for answer in answers),
                        "rounds": [{key: answer[key] for key in KEPT} for answer in answers],
                    }
                    for name, answers in by_library.items()
                },
            }
            for (case, threads), by_library in results.items()
        ]
    }
    text = json.dumps(record, indent=1) + "\n"
    table = report.markdown(record)
    print(table)
    if options.json:
        pathlib.Path(options.json).write_text(text)
    if options.record:
        folder = HERE.parent / "results"
        folder.mkdir(exist_ok=True)
        part = re.sub(r"[^a-z0-9]+", "-", f" {options.only}".rstrip()) if options.only else ""
        cpu = re.sub(r"[^a-z0-9]+", "-", record["cpu"].lower()).strip("-")
        for suffix, content in ((".json", text), (".md", table + "\n")):
            (folder / f"{record['date']}-{cpu}{part}{suffix}").write_text(content)


if __name__ == "__main__":
    main()
