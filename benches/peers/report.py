"""A record as Markdown: of times, of memory, of times to accuracy."""

import statistics


def time(seconds):
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def rate(record, case, seconds):
    """Images per second of a network; GB/s where little is computed; else GFLOP/s and their share of the
    peak of the cores in use."""
    if case["images"]:
        return f"{case['images'] / seconds:,.0f} img/s"
    if case["bytes"]:
        return f"{case['bytes'] / seconds / 1e9:.1f} GB/s"
    gflops, peak = case["flop"] / seconds / 1e9, record["peak_gflops"] * case["threads"]
    return f"{gflops:.1f} GFLOP/s" + (f" ({100 * gflops / peak:.0f} %)" if peak else "")


def rows(record, peers):
    """One row per case: what loupe does, how many times as long each peer takes, and the best of them."""
    for case in record["cases"]:
        found = case["libraries"]
        loupe = found["loupe"]["seconds"]
        ratios = {name: found[name]["seconds"] / loupe for name in peers if name in found}
        others = [name for name in ratios if not name.startswith("loupe ")]
        best = min(others, key=ratios.get, default=None)
        cells = [f"{ratios[name]:.2f}" if name in ratios else "" for name in peers]
        last = f"**{ratios[best]:.2f}** {best}" if best else ""
        speed = [time(loupe), rate(record, case, loupe)]
        yield [case["case"], str(case["threads"]), *speed, *cells, last]


def head(record):
    """The machine and the versions."""
    versions = [f"{name} {v}" for name, v in record["versions"].items() if "loupe " not in name]
    return [
        f"# {record['cpu']}, {record['date']}",
        "",
        f"{record['cores']} cores ({', '.join(record['simd'])}); Linux {record['kernel']}, "
        f"{record['rustc']}, Python {record['python']}. {', '.join(versions)}. loupe with "
        f"{record['tier']}; FMA peak of one core: {record['peak_gflops']:.0f} GFLOP/s.",
        "",
    ]


def table(names, rows):
    rows = [names, ["---"] * len(names), *rows]
    return [f"| {' | '.join(row)} |" for row in rows]


def markdown(record):
    peers = [name for name in record["versions"] if name != "loupe"]
    names = ["case", "threads", "loupe", "loupe's rate", *peers, "best peer"]
    return "\n".join(
        [
            *head(record),
            f"`{record['command']}`: medians of {record['rounds']} rounds of {record['seconds']} s, "
            "pinned to as many cores as there are threads; percentages are of the peak of as many cores. "
            "A number below a peer says how many times as long as loupe it takes: above 1, loupe is "
            "faster.",
            "",
            *table(names, rows(record, peers)),
        ]
    )


def memory(record):
    def cells(row):
        for name in ("loupe", "pytorch"):
            yield from (f"{row[name][what] / 1e6:.1f} MB" for what in ("start", "peak"))
        ours, theirs = row["loupe"], row["pytorch"]
        yield f"{theirs['peak'] / ours['peak']:.1f}"
        yield f"{(theirs['peak'] - theirs['start']) / (ours['peak'] - ours['start']):.1f}"

    names = ["run", "threads", "loupe, started", "peak", "pytorch, imported", "peak"]
    names += ["ratio of peaks", "of what is above the start"]
    rows = [[row["run"], str(row["threads"]), *cells(row)] for row in record["memory"]]
    return "\n".join(
        [
            *head(record),
            f"`{record['command']}`: peak resident memory of a process, medians of {record['rounds']} "
            "rounds; files that are mapped count where they were read. `started` is the program that "
            "prints its version, `imported` is Python with `import torch` of the wheel that pip installs by "
            "itself, which is built for GPUs too.",
            "",
            *table(names, rows),
        ]
    )


def spread(values):
    """Mean, standard deviation and range."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    mean, least, most = statistics.mean(values), min(values), max(values)
    return f"{mean:.2f} ± {deviation:.2f} ({least:.2f} – {most:.2f})"


def accuracy(record):
    runs = record["accuracy"]["runs"]
    rows = []
    for setting in dict.fromkeys(run["setting"] for run in runs):
        of = [run for run in runs if run["setting"] == setting]

        def reached(level):
            found = [run["reached"][level]["seconds"] for run in of if run["reached"][level]]
            if not found:
                return "never"
            some = "" if len(found) == len(of) else f", {len(found)} of {len(of)} seeds"
            return f"{spread(found)} s{some}"

        rows.append(
            [
                f"{setting}: {of[0]['recipe']}", f"{of[0]['digits']:,}", reached("0.98"), reached("0.99"),
                f"{spread([100 * run['accuracy'] for run in of])} %",
                f"{statistics.mean(run['seconds'] for run in of):.2f} s",
            ]
        )
    seeds = sorted({run["seed"] for run in runs})
    layers = dict.fromkeys(f"{run['setting']}: {run['layers']}." for run in runs)
    load = statistics.mean(run["load"] for run in runs)
    return "\n".join(
        [
            *head(record),
            f"`{record['command']}`: MNIST, {record['accuracy']['threads']} thread(s), seeds "
            f"{seeds[0]} to {seeds[-1]}, random order; mean ± standard deviation (range) over the seeds. "
            "Seconds of training; unpacking the data took "
            f"{load:.2g} s, scoring is not counted either. All test digits are scored, by running "
            "statistics, about every 2,000 training digits, and steer nothing; the settings were found "
            "by test scores of other seeds, which flatters them a little.",
            "",
            *table(
                ["network and setting", "digits", "98 % first", "99 % first", "accuracy at the end", "all"],
                rows,
            ),
            "",
            *layers,
        ]
    )
