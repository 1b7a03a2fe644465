"""Shares of CPU time by part, from files of `perf record`: shares.py TITLE=FILE[ FILE…]…"""

import collections
import re
import subprocess
import sys

#: The first that a function's name or its library matches.
PARTS = [
    ("kernel: files, pages, processes", re.compile(r"^\[k\]")),
    ("xz", re.compile(r"lzma|^bt_|^hc_|\brc_|match_find|^mf_")),
    ("gz", re.compile(r"zlib_rs|deflate|flate2")),
    ("unzip Git's objects, and zip them", re.compile(r"inflate|adler32|^crc32|libz\.so|longest_match|_tr_|libz-")),
    ("SHA-256", re.compile(r"sha2::|sha256", re.I)),
    ("SHA-1 (Git)", re.compile(r"sha1|ubc_check", re.I)),
    ("MD5", re.compile(r"md5", re.I)),
    ("Git", re.compile(r"git_|git2::|odb_|pack_|tree_|loose_|^patch_delta|git2_")),
    ("memory", re.compile(r"malloc|_int_free|cfree|realloc|calloc|mi_|memmove|memset|memcpy|memcmp|alloc::")),
    ("signatures", re.compile(r"sequoia|ed25519|curve25519|bignum|num_bigint")),
    ("start of the program", re.compile(r"ld-linux|_dl_")),
    ("ddb: parse, sort, render, edit trees", re.compile(r"ddb::")),
]
FIRST = 8


def samples(path):
    """(share in percent, name with its mark, library), and how many samples there are."""
    command = ["perf", "report", "--input", path, "--no-children", "--stdio", "--sort", "dso,symbol", "--field-separator", "\t", "--show-nr-samples"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        _, number, library, symbol, *_ = (part.strip() for part in line.split("\t"))
        yield int(number), library, symbol


def part_of(library, symbol):
    """The part that a function belongs to."""
    kernel, name = symbol.startswith("[k]"), symbol[4:]
    text = symbol if kernel else f"{name} {library}"
    return next((part for part, pattern in PARTS if pattern.search(text)), "rest")


def main():
    """Prints a table of parts by steps, then the first functions of each step."""
    parts, firsts, totals = {}, {}, {}
    for argument in sys.argv[1:]:
        title, paths = argument.split("=", 1)
        by_part, by_name = collections.Counter(), collections.Counter()
        for path in paths.split():
            for number, library, symbol in samples(path):
                by_part[part_of(library, symbol)] += number
                by_name[symbol[4:] if not symbol.startswith("[k]") else symbol] += number
        parts[title], firsts[title], totals[title] = by_part, by_name.most_common(FIRST), max(by_part.total(), 1)
    print("| share of CPU time, % | " + " | ".join(parts) + " |")
    print("| --- |" + " --- |" * len(parts))
    for name in [*(part for part, _ in PARTS), "rest"]:
        print(f"| {name} | " + " | ".join(f"{100 * parts[title][name] / totals[title]:.1f}" for title in parts) + " |")
    print("| samples at 2 kHz | " + " | ".join(str(totals[title]) for title in parts) + " |")
    for title, first in firsts.items():
        print(f"\n{title}:")
        for name, number in first:
            print(f"  {100 * number / totals[title]:5.1f} %  {name[:120]}")


main()
