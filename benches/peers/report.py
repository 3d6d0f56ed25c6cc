"""The record of a comparison as Markdown."""


def time(seconds):
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def rate(record, case, seconds):
    """Images per second of a network; else GFLOP/s and their share of the peak of the cores in use."""
    if case["images"]:
        return f"{case['images'] / seconds:,.0f} img/s"
    gflops, peak = case["flop"] / seconds / 1e9, record["peak_gflops"] * case["threads"]
    return f"{gflops:.1f} GFLOP/s" + (f" ({100 * gflops / peak:.0f} %)" if peak else "")


def rows(record, peers):
    """One row per case: what loupe does, how many times as long each peer takes, and the best of them."""
    for case in record["cases"]:
        found = case["libraries"]
        loupe = found["loupe"]["seconds"]
        ratios = {name: found[name]["seconds"] / loupe for name in peers if name in found}
        best = min(ratios, key=ratios.get, default=None)
        cells = [f"{ratios[name]:.2f}" if name in ratios else "" for name in peers]
        last = f"**{ratios[best]:.2f}** {best}" if best else ""
        speed = [time(loupe), rate(record, case, loupe)]
        yield [case["case"], str(case["threads"]), *speed, *cells, last]


def markdown(record):
    peers = [name for name in record["versions"] if name != "loupe"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    head = ["case", "threads", "loupe", "loupe's rate", *peers, "best peer"]
    table = [head, ["---"] * len(head), *rows(record, peers)]
    return "\n".join(
        [
            f"# {record['cpu']}, {record['date']}",
            "",
            f"{record['cores']} cores ({', '.join(record['simd'])}); Linux {record['kernel']}, "
            f"{record['rustc']}, Python {record['python']}. {versions}. FMA peak of one core: "
            f"{record['peak_gflops']:.0f} GFLOP/s; percentages are of as many cores as there are threads.",
            "",
            f"`{record['command']}`: medians of {record['rounds']} rounds of {record['seconds']} s, "
            "pinned to as many cores as there are threads. A number below a peer says how many times as "
            "long as loupe it takes: above 1, loupe is faster.",
            "",
            *(f"| {' | '.join(row)} |" for row in table),
        ]
    )
