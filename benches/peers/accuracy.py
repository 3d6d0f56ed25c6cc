"""Seconds of training until loupe's networks are 98 % and 99 % right: the program time-to-accuracy."""

import json
import subprocess
import sys

from libraries import ROOT, build, pinned

# 0 to 2 were used to find the settings.
FIRST_SEED = 5


def measured(options):
    """The program's lines, of as many seeds as there are rounds."""
    program = build(ROOT / "benches/Cargo.toml", "example", "time-to-accuracy")
    threads = max(map(int, options.threads.split(",")))
    seeds = map(str, range(FIRST_SEED, FIRST_SEED + options.rounds))
    command, environment = pinned([program, "{}", *seeds], threads)
    lines = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    runs = []
    for line in lines.stdout.splitlines():
        print(line, file=sys.stderr)
        runs.append(json.loads(line))
    return {"threads": threads, "runs": runs}
