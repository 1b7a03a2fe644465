"""The table and the plot of a comparison, made from its figures."""

import html
import math

WORKS = ("cold", "one changed", "nothing changed", "fresh clone, pool in place", "fresh clone, empty tree")
# Columns: heading, name of the figure, its form.
COLUMNS = (
    ("wall s", "wall", "{:.3f}"),
    ("ingest s", "wall ingest", "{:.3f}"),
    ("publish s", "wall publish", "{:.3f}"),
    ("sync s", "sync", "{:.3f}"),
    ("CPU s", "cpu", "{:.2f}"),
    ("peak MB", "peak", "{:.0f}"),
    ("written MB", "written", "{:.1f}"),
    ("of it dists/ MB", "tree", "{:.3f}"),
    ("client MB", "client", "{:.4f}"),
)


def by_work(corpus, work):
    """The rows that have figures for some work, with these figures."""
    return [(row, row["works"][work]) for row in corpus["rows"] if work in row["works"]]


def compared(row, figures, rows):
    """How this tool's wall and ddb's wall are to each other."""
    own = next((other["wall"] for other_row, other in rows if other_row["tool"] == "ddb"), None)
    if own is None or row["tool"] == "ddb":
        return ""
    return f"{figures['wall'] / own:.1f}x"


def lines_of(corpus, work):
    """The table of one piece of work."""
    rows = by_work(corpus, work)
    if not rows:
        return []
    repeats = rows[0][1]["repeats"]
    lines = [f"{work} (medians of {repeats})" if repeats > 1 else f"{work} (ONE run: no median)", ""]
    cells = [["", *(heading for heading, _, _ in COLUMNS), "wall to ddb's"]]
    for row, figures in rows:
        shown = [form.format(figures[name]) if figures.get(name) is not None else "-" for _, name, form in COLUMNS]
        cells.append([row["title"], *shown, compared(row, figures, rows)])
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    lines += ["  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths))).rstrip()
              for line in cells]  # fmt: skip
    peers = [(row, figures) for row, figures in rows if row["tool"] != "ddb"]
    own = next((figures for row, figures in rows if row["tool"] == "ddb"), None)
    if own and peers:
        said = []
        for heading, name, _ in COLUMNS:
            against = [(figures[name], row["title"]) for row, figures in peers if figures.get(name)]
            if name in ("wall", "cpu", "peak", "written", "client") and against and own.get(name):
                best, title = min(against)
                said.append(f"{heading.rsplit(' ', 1)[0]} {own[name] / best:.3g} of {title}'s")
        lines += ["", "ddb against the best peer: " + "; ".join(said)]
    if work.startswith("fresh clone"):
        lines += ["", f"git clone before it: {rows[0][1]['clone']:.2f} s"]
    return [*lines, ""]


def table(answer):
    """Everything as text."""
    machine = answer["machine"]
    lines = [
        f"{machine['date']}, {machine['cores']} cores of {machine['processor']}, {machine['memory']}, Linux {machine['kernel']}, "
        f"{machine['client']}; load at the start {machine['load']:.1f}",
        "",
    ]
    for corpus in answer["corpora"]:
        lines += [f"== {corpus['corpus']}: {corpus['packages']} packages, {corpus['sources']} source packages, {corpus['bytes'] / 1e6:.0f} MB", ""]
        for work in WORKS:
            lines += lines_of(corpus, work)
        sizes = []
        for row in corpus["rows"]:
            cold = row["works"]["cold"]
            shown = [f"{cold[name]:.3f} {name[9:]}" for name in ("Packages.gz", "Packages.xz") if cold.get(name)]
            sizes.append(f"{row['title']}: {', '.join(shown)}")
        lines += ["Packages in MB: " + "; ".join(sizes), ""]
    lines += ["What is not equal:", ""]
    for row in answer["corpora"][0]["rows"]:
        lines += [f"  {row['title']}: {caveat}" for caveat in row["caveats"]]
    lines += [
        "  all: packages are in the page cache. ingest and publish are the tool's two steps, where it has two. sync is what `sync` took",
        "  right after; wall is without it. Peak is the largest process's. Client is what apt-get update fetched (cold: the first time).",
        "  Each published tree was read by apt-get update, and name, version and architecture of every package compared; some were downloaded.",
    ]
    return "\n".join(lines) + "\n"


COLOURS = {"ddb": "#c8102e", "apt-ftparchive-tuned": "#3b6ea5", "apt-ftparchive": "#7fa6cc", "reprepro": "#5f8a5f", "aptly": "#b8964a"}


def plot(answer):
    """Wall seconds as bars with a logarithmic scale, as SVG."""
    groups = []
    for corpus in answer["corpora"]:
        for work in WORKS[:3]:
            rows = by_work(corpus, work)
            if rows:
                groups.append((f"{corpus['corpus']}: {work}", [(row, max(figures["wall"], 1e-3)) for row, figures in rows]))
    values = [wall for _, bars in groups for _, wall in bars]
    low, high = 0.01, 1.0
    while low > min(values):
        low /= 10
    while high < max(values):
        high *= 10
    decades = round(math.log10(high / low))
    left, width, bar, right = 230, 520, 16, 90

    def across(value):
        return left + width * math.log10(value / low) / decades

    body, top = [], 40
    for title, bars in groups:
        body.append(f'<text x="{left - 10}" y="{top + bar * len(bars) / 2 + 4:.0f}" text-anchor="end" font-weight="bold">{html.escape(title)}</text>')
        for row, wall in bars:
            end = max(across(wall), left + 1)
            body.append(f'<rect x="{left}" y="{top}" width="{end - left:.1f}" height="{bar - 3}" fill="{COLOURS[row["tool"]]}"/>')
            body.append(f'<text x="{end + 5:.1f}" y="{top + bar - 5}">{wall:.3g} s</text>')
            top += bar
        top += 14
    marks = []
    for decade in range(decades + 1):
        x = left + width * decade / decades
        marks.append(f'<line x1="{x:.0f}" y1="34" x2="{x:.0f}" y2="{top}" stroke="#ddd"/>')
        marks.append(f'<text x="{x:.0f}" y="28" text-anchor="middle">{low * 10**decade:g} s</text>')
    legend, x = [], left
    names = {row["tool"]: row["title"] for corpus in answer["corpora"] for row in corpus["rows"]}
    for tool, title in names.items():
        legend.append(f'<rect x="{x}" y="{top + 8}" width="11" height="11" fill="{COLOURS[tool]}"/><text x="{x + 15}" y="{top + 18}">{html.escape(title)}</text>')
        x += 30 + 7 * len(title)
    said = html.escape(f"Wall seconds, medians, logarithmic; {answer['machine']['date']}, {answer['machine']['cores']} cores")
    wide = max(left + width + right, x + 10)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{top + 32}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n<text x="10" y="14">{said}</text>\n' + "\n".join(marks + body + legend) + "\n</svg>\n"
    )
