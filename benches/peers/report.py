"""The record of a comparison as Markdown."""


def time(seconds):
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def rows(record, peers):
    """One row per case: loupe's time, how many times as long each peer takes, and the best of them."""
    for case in record["cases"]:
        found = case["libraries"]
        loupe = found["loupe"]["seconds"]
        ratios = {name: found[name]["seconds"] / loupe for name in peers if name in found}
        best = min(ratios, key=ratios.get, default=None)
        cells = [f"{ratios[name]:.2f}" if name in ratios else "" for name in peers]
        last = f"**{ratios[best]:.2f}** {best}" if best else ""
        yield [case["case"], str(case["threads"]), time(loupe), *cells, last]


def markdown(record):
    peers = [name for name in record["versions"] if name != "loupe"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    head = ["case", "threads", "loupe", *peers, "best peer"]
    table = [head, ["---"] * len(head), *rows(record, peers)]
    return "\n".join(
        [
            f"# {record['cpu']}, {record['date']}",
            "",
            f"{record['cores']} cores ({', '.join(record['simd'])}); Linux {record['kernel']}, "
            f"{record['rustc']}, Python {record['python']}. {versions}.",
            "",
            f"`{record['command']}`: medians of {record['rounds']} rounds of {record['seconds']} s, "
            "pinned to as many cores as there are threads. A number below a peer says how many times as "
            "long as loupe it takes: above 1, loupe is faster.",
            "",
            *(f"| {' | '.join(row)} |" for row in table),
        ]
    )
