#!/usr/bin/env python3
"""Times loupe and its peers on the same cases, in turn, and prints the ratios.

    python3 benches/peers/compare.py --rounds 5 --seconds 1 --record

Needs Rust, taskset, and Python 3.11 or later with venv; the peers in Python go into target/peers-venv, in
the versions of requirements.txt. With --rust also those of benches/peers/rust (minutes to build).

A round starts one process for each library and each number of threads, pinned to as many cores. A case is
run in all of them, one after the other, before the next case begins; a process that is not asked waits for
its standard input. A library's time of a case is the median of its medians in the rounds, in its fastest
variant (layout of images, form of the optimiser). All compute with the same numbers; before a variant is
timed, its result is compared, in Rust with the oracle of loupe's tests, in Python with what loupe has
computed. A result that differs is an error.

With --memory, the peak resident memory of training runs, of loupe and PyTorch (memory.py). With --accuracy, how
long loupe trains until its network is 98 % and 99 % right, on the largest number of threads (accuracy.py).
"""

import argparse
import json
import pathlib
import re
import statistics
import sys
import time

import accuracy
import machine
import memory
import report
from libraries import HERE, libraries, start

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
    parser.add_argument(
        "--tiers", default="", metavar="NAMES", help="of loupe's instructions, each beside the best"
    )
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--accuracy", action="store_true", help="time to accuracy, by as many seeds as rounds")
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
    blocks = [f"fused {name}" for (name,) in lines("fused.txt")]
    norms = [
        f"norm {kind} {'x'.join(sizes)} {direction}"
        for kind, *sizes in lines("norm.txt") for direction in ("forward", "backward")
    ]
    optimisers = [f"optim {rule} {n}" for (n,) in lines("optim.txt") for rule in ("Adam", "SGD")]
    return networks + products + convolutions + blocks + norms + optimisers


def ask(process, name, case, expected):
    """The answer on a case, of which a first library's answer may be there to compare with."""
    # Threads of the library before may wait for work in a loop for a while.
    time.sleep(0.02)
    process.stdin.write(f"{case}\t{json.dumps(expected)}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"{name} failed on {case}")
    return json.loads(answer)


def answers(processes, case):
    """The answers of all libraries that run the case, one after the other."""
    found = {}
    expected = None
    for name, process in processes.items():
        answer = ask(process, name, case, expected)
        if "skipped" not in answer:
            expected = expected or answer["output"]
            found[name] = answer
    return found


def measure(commands, cases, counts, rounds):
    """Answers by case, number of threads and library."""
    results = {}
    for number in range(rounds):
        for threads in counts:
            processes = {name: start(command, threads) for name, command in commands.items()}
            # A process that is still importing its library would take a core from the one that is timed. Who
            # has answered has started.
            answers(processes, cases[0])
            for case in cases:
                print(f"round {number + 1}/{rounds}, {threads} thread(s): {case}", file=sys.stderr)
                for name, answer in answers(processes, case).items():
                    results.setdefault((case, threads), {}).setdefault(name, []).append(answer)
            for process in processes.values():
                process.stdin.close()
                process.wait()
    return results


def timed(options, commands):
    """Times of the cases, as they are recorded."""
    cases = [case for case in all_cases() if options.only in case]
    if not cases:
        sys.exit(f"no case has {options.only} in its name")
    counts = [int(count) for count in options.threads.split(",")]
    results = measure(commands, cases, counts, options.rounds)
    return [
        {
            "case": case,
            "threads": threads,
            **{key: by_library["loupe"][0][key] for key in ("flop", "images", "bytes")},
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


def main():
    options = arguments()
    if options.memory:
        commands = libraries(options, ["pytorch"])
        record = machine.about(options, commands) | {"memory": memory.measured(options, commands)}
        table = report.memory(record)
    elif options.accuracy:
        commands = libraries(options, ["loupe"])
        record = machine.about(options, commands) | {"accuracy": accuracy.measured(options)}
        table = report.accuracy(record)
    else:
        commands = libraries(options, [name for name in options.peers.split(",") if name])
        record = machine.about(options, commands) | {"cases": timed(options, commands)}
        table = report.markdown(record)
    text = json.dumps(record, indent=1) + "\n"
    print(table)
    if options.json:
        pathlib.Path(options.json).write_text(text)
    if options.record:
        folder = HERE.parent / "results"
        folder.mkdir(exist_ok=True)
        part = options.only
        for mode in ("memory", "accuracy"):
            part = mode if getattr(options, mode) else part
        words = [part, options.tiers]
        cpu = re.sub(r"[^a-z0-9]+", "-", " ".join([record["cpu"].lower(), *words]))
        for suffix, content in ((".json", text), (".md", table + "\n")):
            (folder / f"{record['date']}-{cpu.strip('-')}{suffix}").write_text(content)


if __name__ == "__main__":
    main()
