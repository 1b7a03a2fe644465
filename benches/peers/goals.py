"""The table of goals: what the best peer, ddb and the goal are, in the order of the project's goals."""

import report

LARGE = "largest"


def corpus_of(answer, name):
    """A corpus of the answer by its name; LARGE is the one of tiny packages with the most of them."""
    if name == LARGE:
        tiny = [corpus for corpus in answer["corpora"] if corpus["corpus"].startswith("meta-")]
        return max(tiny, key=lambda corpus: corpus["packages"], default=None)
    return next((corpus for corpus in answer["corpora"] if corpus["corpus"] == name), None)


def value(row, work, figure):
    """One median of a tool's row; what clients fetch in kB."""
    found = row["works"].get(work, {}).get(figure)
    return found * 1000 if found and figure == "client" else found


def best(corpus, work, figure):
    """The peers with the two smallest values, as text."""
    rows = [row for row in corpus["rows"] if row["tool"] not in report.OWN and value(row, work, figure)]
    rows.sort(key=lambda row: value(row, work, figure))
    return "; ".join(f"{short(row['title'])} {number(value(row, work, figure))}" for row in rows[:2])


def own(corpus, work, figure):
    """ddb's values, as text."""
    rows = [row for row in corpus["rows"] if row["tool"] in report.OWN and value(row, work, figure) is not None]
    return "; ".join(number(value(row, work, figure)) + (" bare" if row["tool"] == "ddb-bare" else "") for row in rows)


def short(title):
    """A tool without its version."""
    return " ".join(word for word in title.split(" ") if not word[0].isdigit())


def number(figure):
    """Three digits at least."""
    return f"{figure:.3f}" if figure < 10 else f"{figure:.1f}" if figure < 100 else f"{figure:,.0f}"


def compared(answer):
    """Rows that peers have too."""
    wanted = (
        ("one package changed, ingest and publish, s", LARGE, "one changed", "wall", "0.15, never above 0.4"),
        ("of which publish, s", LARGE, "one changed", "wall publish", "0.15, never above 0.4"),
        ("one package changed, ingest and publish, s", "meta-5000", "one changed", "wall", "0.05"),
        ("one package changed, ingest and publish, s", "real", "one changed", "wall", "0.03"),
        ("nothing changed, s", LARGE, "nothing changed", "wall", "0.03"),
        ("cold publish from a fresh clone, s", LARGE, "fresh clone, pool in place", "wall", "7"),
        ("cold ingest and publish, s", LARGE, "cold", "wall", "14"),
        ("cold ingest and publish, s", "real", "cold", "wall", "0.8"),
        ("a client fetches after one change, kB", LARGE, "one changed", "client", "2 beside InRelease"),
        ("peak memory, one package changed, MB", LARGE, "one changed", "peak", "100"),
        ("peak memory, cold ingest and publish, MB", LARGE, "cold", "peak", "100"),
        ("peak memory, cold publish from a fresh clone, MB", LARGE, "fresh clone, pool in place", "peak", "100"),
    )
    for title, name, work, figure, goal in wanted:
        corpus = corpus_of(answer, name)
        if corpus and own(corpus, work, figure):
            packages = f"{corpus['packages']:,} packages" + (f" and {corpus['sources']} sources, real" if corpus["sources"] else "")
            yield [f"{packages}: {title}", best(corpus, work, figure), own(corpus, work, figure), goal]


def alone(answer):
    """Rows that only ddb has."""
    large = corpus_of(answer, LARGE)
    rows = {**(large["alone"] if large else {}), **answer["large"]}
    wanted = (
        ("promote A B --all: ddb-bare", "a suite made from another one and published, bare repository, s", "wall", "0.2"),
        ("promote A B --all: ddb", "the same with a checkout, into which each record is written, s", "wall", "-"),
        ("promote A@1 A --all: ddb-bare", "a suite goes back to its first Release, published, bare repository, s", "wall", "0.2"),
        ("promote A@1 A --all: ddb", "the same with a checkout, s", "wall", "0.2"),
        ("promote A@LAST A --all: ddb-bare", "and forth again, bare repository, s", "wall", "0.2"),
        ("promote A@LAST A --all: ddb", "the same with a checkout, s", "wall", "0.2"),
        ("Packages.xz against xz -6", "Packages.xz against one piece of `xz -6`", "ratio", "1.10"),
        ("Packages.xz against xz -6, after changes", "the same after the changes for the table below", "ratio", "1.10"),
        ("Packages.xz against xz -6, after a repack", "the same after a repack", "ratio", "1.05"),
        ("Packages.xz against xz -6, after a repack", "that repack, s", "wall", "-"),
        ("clone of depth 1", "clone of depth 1, MB of pack", "megabytes", "60"),
        ("clone of depth 1 without blobs", "clone of depth 1 without blobs, MB of pack", "megabytes", "15"),
        ("fsck", "all records and pointers read, objects and published files looked at (fsck), s", "wall", "records alone 0.5"),
        ("one package committed, bare repository", f"one package committed into {answer['pointers']:,} pointers (the process), s", "wall", "0.02"),
        ("one change in each", f"{answer['architectures']} records, one change in each: ingest and publish, s", "wall", "2"),
        ("one change in each", "of which publish, s", "publish", "2"),
        ("one change in each", "peak memory of that, MB", "peak", "-"),
        ("nothing changed", f"{answer['architectures']} records, nothing changed, s", "wall", "-"),
        ("first publish", f"{answer['architectures']} records, first publish, s", "wall", "-"),
        ("first publish", "peak memory of that, MB", "peak", "-"),
    )
    for row, title, figure, goal in wanted:
        if row in rows:
            yield [title, "", number(rows[row][figure]), goal]


def patches(answer):
    """Bytes that a client fetches, by the patches that are kept."""
    large = corpus_of(answer, LARGE)
    found = (large or {}).get("alone", {}).get("patches", {})
    if not found:
        return []
    cells = [["bytes that apt fetches of the largest archive", "after 1 change", "of it InRelease", "Index", "patch", "after 10"]]
    for title, row in found.items():
        part = row["parts after 1"]
        late = f"{row['after 10']:,}" + (" (whole index)" if row["whole after 10"] else "")
        once = f"{row['after 1']:,.0f}" + (f" ({row['whole after 1']} times whole)" if row["whole after 1"] else "")
        cells.append([title, once, f"{part['InRelease']:,}", f"{part['Index']:,}", f"{part['patches']:,}", late])
    return [*report.columns(cells), ""]


def table(answer):
    """The table as text."""
    rows = [*compared(answer), *alone(answer)]
    cells = [["medians", "best two peers", "ddb", "goal"], *rows]
    if not rows:
        return report.heading(answer) + "\n\n"
    return "\n".join([report.heading(answer), "", *report.columns(cells, left=2), "", *patches(answer), ""])
