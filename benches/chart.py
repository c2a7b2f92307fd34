"""Bar chart of the ratios to the floor, on a logarithmic scale."""

import html
import math

LEFT, WIDTH, ROW_HEIGHT, TOP = 200, 560, 20, 40
OWN_COLOR, PEER_COLOR, TEXT_COLOR = "#1b6e53", "#a9b4bd", "#22282d"


def render_svg(groups):
    """Renders groups, each a title and a list of (name, ratio to the floor), as SVG."""
    values = [value for _, bars in groups for _, value in bars] + [1]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))

    def at(value):
        return LEFT + WIDTH * math.log(value / low) / math.log(high / low)

    parts, y = [], TOP
    for title, bars in groups:
        parts.append(f'<text x="10" y="{y + 14}" font-weight="bold">{html.escape(title)}</text>')
        y += ROW_HEIGHT + 4
        for name, value in bars:
            colour = OWN_COLOR if name == "authgrant" else PEER_COLOR
            left, right = sorted((at(1), at(value)))
            parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>')
            parts.append(f'<rect x="{left:.1f}" y="{y + 3}" width="{max(right - left, 1.5):.1f}" height="{ROW_HEIGHT - 6}" fill="{colour}"/>')
            parts.append(f'<text x="{right + 6:.1f}" y="{y + 13}">{value:.2f}</text>')
            y += ROW_HEIGHT
        y += 10
    grid, step = [], low
    while step <= high:
        stroke = TEXT_COLOR if step == 1 else "#dde2e6"
        grid.append(f'<line x1="{at(step):.1f}" x2="{at(step):.1f}" y1="{TOP - 8}" y2="{y}" stroke="{stroke}"/>')
        grid.append(f'<text x="{at(step):.1f}" y="{TOP - 14}" text-anchor="middle">{step:g} ×</text>')
        step *= 10
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 80}" height="{y + 10}" font-family="sans-serif" '
            f'font-size="12" fill="{TEXT_COLOR}">\n<rect width="100%" height="100%" fill="#ffffff"/>')
    return "\n".join([head, *grid, *parts, "</svg>"]) + "\n"


def chart_groups(rows):
    """Returns the groups for the rows that belong into the chart and have peers."""
    groups = []
    for row in rows:
        if row.peers and row.in_chart:
            bars = [("authgrant", row.ratio)] + [(name, value / row.baseline) for name, value in row.peers.items()]
            groups.append((f"{row.figure} (1 × is {row.baseline_label})", bars))
    return groups
