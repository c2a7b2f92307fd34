"""The table, as text for a terminal and as Markdown."""


def shown(value, unit):
    if value is None:
        return "–"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def times(ratio):
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2g}"


def verdict(row):
    if row.met is None:
        return "" if not row.target else "not measured"
    return "met" if row.met else "**missed**"


def cells(row):
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
    beside = "–" if row.floor is None else shown(row.floor, row.unit)
    if row.beside != "floor" and row.floor is not None:
        beside += f" ({row.beside})"
    peers = ", ".join(f"{name} {shown(value, row.unit)} ({times(value / row.ours)} ×)" for name, value in row.peers.items())
    return [row.figure, shown(row.ours, row.unit), beside, ratio, row.target, verdict(row), peers, row.note]


HEAD = ["figure", "authgrant", "floor", "ratio", "target", "", "peers (× authgrant)", "note"]


def plain(row):
    figure, ours, beside, ratio, target, met, peers, note = cells(row)
    first = f"{figure:<58} {ours:>12}  {ratio:>6} × {beside:<42} {target:<30} {met.strip('*')}"
    return first + "".join(f"\n    {more}" for more in (peers, note) if more)


def markdown(rows):
    lines = ["| " + " | ".join(HEAD) + " |", "| --- | --: | --: | --: | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join(lines)
