"""Formats the table as text for a terminal and as Markdown."""


def format_value(value, unit):
    if value is None:
        return "–"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def format_ratio(ratio):
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2g}"


def target_status(row):
    if row.met is None:
        return "" if not row.target else "not measured"
    return "met" if row.met else "**missed**"


def row_cells(row):
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
    baseline = "–" if row.baseline is None else format_value(row.baseline, row.unit)
    if row.baseline_label != "floor" and row.baseline is not None:
        baseline += f" ({row.baseline_label})"
    peers = ", ".join(f"{name} {format_value(value, row.unit)} ({format_ratio(value / row.ours)} ×)" for name, value in row.peers.items())
    return [row.figure, format_value(row.ours, row.unit), baseline, ratio, row.target, target_status(row), peers, row.note]


TABLE_HEADER = ["figure", "authgrant", "floor", "ratio", "target", "", "peers (× authgrant)", "note"]


def format_row(row):
    figure, ours, baseline, ratio, target, met, peers, note = row_cells(row)
    first = f"{figure:<58} {ours:>12}  {ratio:>6} × {baseline:<42} {target:<30} {met.strip('*')}"
    return first + "".join(f"\n    {detail}" for detail in (peers, note) if detail)


def format_markdown(rows):
    lines = ["| " + " | ".join(TABLE_HEADER) + " |", "| --- | --: | --: | --: | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row_cells(row)) + " |" for row in rows]
    return "\n".join(lines)
