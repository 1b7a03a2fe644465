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


#: Tools that are ddb, the one that others are compared with first.
OWN = ("ddb", "ddb-bare")


def columns(cells, left=1):
    """Lines of text with the cells under each other; the first so many columns begin at the left."""
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]

    def placed(at, cell):
        return cell.ljust(widths[at]) if at < left else cell.rjust(widths[at])

    return ["  ".join(placed(at, cell) for at, cell in enumerate(line)).rstrip() for line in cells]


def compared(row, figures, rows):
    """How this tool's wall and ddb's wall are to each other."""
    own = next((other["wall"] for other_row, other in rows if other_row["tool"] == "ddb"), None)
    if own is None or row["tool"] == "ddb":
        return ""
    return f"{figures['wall'] / own:.1f}x"


def against_peers(rows):
    """ddb's figures beside those of the best peer, in words."""
    peers = [(row, figures) for row, figures in rows if row["tool"] not in OWN]
    own = next((figures for row, figures in rows if row["tool"] == "ddb"), None)
    said = []
    for heading, name, _ in COLUMNS if own else ():
        against = [(figures[name], row["title"]) for row, figures in peers if figures.get(name)]
        if name in ("wall", "cpu", "peak", "written", "client") and against and own.get(name):
            best, title = min(against)
            said.append(f"{heading.rsplit(' ', 1)[0]} {own[name] / best:.3g} of {title}'s")
    return ["", "ddb against the best peer: " + "; ".join(said)] if said else []


def lines_of(corpus, work):
    """The table of one piece of work."""
    rows = by_work(corpus, work)
    if not rows:
        return []
    cells = [["", *(heading for heading, _, _ in COLUMNS), "wall to ddb's", "runs"]]
    for row, figures in rows:
        shown = [form.format(figures[name]) if figures.get(name) is not None else "-" for _, name, form in COLUMNS]
        cells.append([row["title"], *shown, compared(row, figures, rows), str(figures["repeats"])])
    lines = [f"{work} (medians)", "", *columns(cells), *against_peers(rows)]
    if work.startswith("fresh clone"):
        lines += ["", f"git clone before it: {rows[0][1]['clone']:.2f} s"]
    return [*lines, ""]


def heading(answer):
    """When and on what it was measured."""
    machine = answer["machine"]
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['processor']}, {machine['memory']}, Linux {machine['kernel']}, "
        f"{machine['client']}; load at the start {machine['load']:.1f}"
    )


def table(answer):
    """Everything as text."""
    lines = []
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
    if not answer["corpora"]:
        return ""
    lines += ["What is not equal:", ""]
    for row in answer["corpora"][0]["rows"]:
        lines += [f"  {row['title']}: {caveat}" for caveat in row["caveats"]]
    lines += [
        "  all: packages are in the page cache. ingest and publish are the tool's two steps, where it has two. sync is what `sync` took",
        "  right after; wall is without it. Peak is the largest process's. Client is what apt-get update fetched (cold: the first time).",
        "  Each published tree was read by apt-get update, and name, version and architecture of every package compared; some were downloaded.",
    ]
    return "\n".join(lines) + "\n"


COLOURS = {"ddb": "#c8102e", "ddb-bare": "#e8788a", "apt-ftparchive-tuned": "#3b6ea5", "apt-ftparchive": "#7fa6cc", "reprepro": "#5f8a5f", "aptly": "#b8964a"}


#: Of the plot, in pixels: where bars begin, a decade's width, a bar's height.
LEFT, DECADE, BAR = 195, 110, 16


def plot(answer):
    """Wall seconds as bars with a logarithmic scale and the tool's name at each, as SVG."""
    groups = []
    for corpus in answer["corpora"]:
        for work in WORKS[:3]:
            rows = by_work(corpus, work)
            if rows:
                groups.append((f"{corpus['packages']:,} packages ({corpus['corpus']}): {work}", [(row, figures["wall"]) for row, figures in rows]))
    values = [max(wall, 1e-3) for _, bars in groups for _, wall in bars]
    low, high = (math.floor(math.log10(min(values, default=1))), math.ceil(math.log10(max(values, default=1))))
    high = max(high, low + 1)

    def across(wall):
        # The shortest bar is to be seen too.
        return LEFT + max(DECADE * (math.log10(max(wall, 1e-3)) - low), 2)

    body, top = [], 64
    for title, bars in groups:
        body.append(f'<text x="10" y="{top + 12}" font-weight="bold">{html.escape(title)}</text>')
        top += 20
        for row, wall in bars:
            end = across(wall)
            body.append(f'<text x="{LEFT - 6}" y="{top + BAR - 5}" text-anchor="end">{html.escape(row["title"])}</text>')
            body.append(f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR - 3}" fill="{COLOURS[row["tool"]]}"/>')
            body.append(f'<text x="{end + 5:.1f}" y="{top + BAR - 5}">{wall:.3g} s</text>')
            top += BAR
        top += 12
    marks = []
    for decade in range(low, high + 1):
        x = LEFT + DECADE * (decade - low)
        marks.append(f'<line x1="{x}" y1="52" x2="{x}" y2="{top}" stroke="#ddd"/>')
        marks.append(f'<text x="{x}" y="46" text-anchor="middle">{10**decade:g} s</text>')
    machine = answer["machine"]
    said = html.escape(f"Wall seconds, medians, logarithmic scale; {machine['date']}, {machine['cores']} cores of {machine['processor']}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + DECADE * (high - low) + 70}" height="{top + 10}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n<text x="10" y="20">{said}</text>\n' + "\n".join(marks + body) + "\n</svg>\n"
    )
