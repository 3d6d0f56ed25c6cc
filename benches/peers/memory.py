"""Peak resident memory of whole training runs: `loupe train`, and PyTorch doing the same (train_pytorch.py).

Each run is a process of its own, pinned like the timed ones. PyTorch takes 2,000 of the tutorial's 180,000
steps, since its memory does not grow after the first, and reads the unpacked files; loupe maps the ones
that it has unpacked into its cache folder.
"""

import ctypes
import gzip
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from libraries import HERE, ROOT, build, pinned

PR_SET_CHILD_SUBREAPER = 36
# Name, batch size, epochs of loupe, steps of PyTorch.
RUNS = (("tutorial, batch 1, 3 epochs", 1, 3, 2000), ("batch 1024, 1 epoch", 1024, 1, 59))
# Prints the number of the process that will be the command, which waits for a line of the input.
SHELL = 'exec 3<&0; { read line <&3; exec "$@" > /dev/null 3<&-; } & echo $!'


def peak(command, threads):
    """Bytes. What a process had before it became another program counts, so a shell forks it, not this
    Python. It begins when the shell has left it to this process, which alone may wait for it then."""
    command, environment = pinned(command, threads)
    shell = subprocess.Popen(
        ["sh", "-c", SHELL, "sh", *command],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )
    child = int(shell.stdout.readline())
    shell.wait()
    shell.stdin.write("\n")
    shell.stdin.close()
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return usage.ru_maxrss * 1024


def unpack(folder):
    for packed in (ROOT / "data/mnist").glob("*.gz"):
        with gzip.open(packed) as source, open(folder / packed.stem, "wb") as target:
            shutil.copyfileobj(source, target)


def measured(options, commands):
    """Rows as they are recorded."""
    loupe, python = build(ROOT / "cli/Cargo.toml", "bin", "loupe"), commands["pytorch"][0]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    imported = [python, "-c", "import torch; torch.set_num_threads({})"]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        unpack(folder)
        for run, batch, epochs, steps in RUNS:
            for threads in map(int, options.threads.split(",")):
                train = [loupe, "train", "--threads", "{}", "--batch-size", str(batch)]
                train += ["--epochs", str(epochs), "--out"]
                script = [python, str(HERE / "train_pytorch.py"), str(batch), "{}", str(steps), name]
                found = {"loupe": [], "pytorch": []}
                for number in range(options.rounds):
                    print(f"round {number + 1}, {threads} thread(s): {run}", file=sys.stderr)
                    out = str(folder / f"{batch}-{threads}-{number}")
                    found["loupe"].append(
                        {"start": peak([loupe, "--version"], threads), "peak": peak([*train, out], threads)}
                    )
                    found["pytorch"].append(
                        {"start": peak(imported, threads), "peak": peak(script, threads)}
                    )
                medians = {
                    name: {
                        what: statistics.median(round[what] for round in rounds)
                        for what in ("start", "peak")
                    }
                    | {"rounds": rounds}
                    for name, rounds in found.items()
                }
                rows.append({"run": run, "threads": threads} | medians)
    return rows
