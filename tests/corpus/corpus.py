"""Cuts Debian's indices down to the packages of a list: the corpus that tests compare ddb's output with.

    corpus.py choose LIST INDICES   writes Packages.*, Sources.* and Translation-en.* into the current folder and
                                    prints for every file that they name: its URL path, its place here, its SHA-256
    corpus.py finish                drops what is not whole under files/, writes override files, prints the counts

INDICES/SUITE/COMPONENT/ holds Packages, Packages.udeb, Sources and Translation-en. Paragraphs are copied byte for byte
and stay in Debian's order, which is by source and then by package.
"""

import collections
import hashlib
import heapq
import pathlib
import re
import sys

COMPONENTS = ["main", "contrib", "non-free", "non-free-firmware"]
LEAST = {".deb": 60, ".udeb": 3, ".dsc": 10}
# Fields that Debian's archive software adds from override files; those of the package itself do not count.
EXTERNAL = ["Build-Essential", "Tag", "Task"]


def paragraphs(path):
    text = path.read_bytes().decode() if path.exists() else ""
    return [part for part in text.split("\n\n") if part]


def write(path, parts):
    pathlib.Path(path).write_bytes("".join(part + "\n\n" for part in parts).encode())


def field(paragraph, name):
    """The value as written, continuation lines included, or nothing."""
    found = re.search(rf"^{name}:[ ]?(.*(?:\n[ \t].*)*)", paragraph, re.M)
    return found[1] if found else ""


def package(paragraph):
    return field(paragraph, "Package")


def source(paragraph):
    return field(paragraph, "Source").split(" ")[0] or package(paragraph)


def description(paragraph):
    return package(paragraph), field(paragraph, "Description-md5")


def files(paragraph):
    """Yields the path in the pool and the SHA-256 of each file that a paragraph of Packages or Sources names."""
    if path := field(paragraph, "Filename"):
        yield path, field(paragraph, "SHA256")
    for line in field(paragraph, "Checksums-Sha256").split("\n")[1:]:
        digest, _, name = line.split()
        yield field(paragraph, "Directory") + "/" + name, digest


def local(component, path):
    return pathlib.Path("files") / component / path.rsplit("/", 1)[1]


def wanted(list_file):
    lines = (line.split("#")[0].split() for line in list_file.read_text().splitlines())
    return {tuple(line) for line in lines if line}


def choose(list_file, indices):
    want = wanted(list_file)
    suites = sorted({suite for _, suite, _, _ in want})

    def merged(component, index, choice, order):
        def kept(suite):
            return [p for p in paragraphs(indices / suite / component / index) if choice(suite, p)]

        return list(heapq.merge(*map(kept, suites), key=order))

    for component in COMPONENTS:

        def named(by_name, by_source=None):
            def choice(suite, p):
                keys = {(by_name, suite, component, package(p)), (by_source, suite, component, source(p))}
                # An older source that Debian keeps because something was built with it has no binaries of its own.
                return not want.isdisjoint(keys) and not field(p, "Extra-Source-Only")

            return choice

        packages = merged(component, "Packages", named("deb", "all"), lambda p: (source(p), package(p)))
        udebs = merged(component, "Packages.udeb", named("udeb"), lambda p: (source(p), package(p)))
        sources = merged(component, "Sources", named("source", "all"), package)
        described = {description(p): source(p) for p in packages}
        translations = merged(
            component,
            "Translation-en",
            lambda _, p: description(p) in described,
            lambda p: (described[description(p)], package(p)),
        )
        write(f"Packages.{component}", packages)
        write(f"Packages.{component}.udeb", udebs)
        write(f"Sources.{component}", sources)
        write(f"Translation-en.{component}", dict.fromkeys(translations))
        for paragraph in packages + udebs + sources:
            for path, digest in files(paragraph):
                print(path, local(component, path), digest)


def is_whole(path, digest):
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def finish():
    counts = collections.Counter()
    missing = []
    for component in COMPONENTS:
        named = set()
        kept = {}
        for index in "Packages", "Packages.udeb", "Sources":
            base, _, suffix = index.partition(".")
            name = f"{base}.{component}" + (suffix and "." + suffix)
            whole = []
            for paragraph in paragraphs(pathlib.Path(name)):
                lost = [path for path, digest in files(paragraph) if not is_whole(local(component, path), digest)]
                missing += lost
                if not lost:
                    whole.append(paragraph)
                    named |= {local(component, path) for path, _ in files(paragraph)}
            write(name, whole)
            kept[index] = whole
        described = {description(p) for p in kept["Packages"]}
        translations = pathlib.Path(f"Translation-en.{component}")
        write(translations, [p for p in paragraphs(translations) if description(p) in described])
        for path in pathlib.Path("files", component).iterdir():
            if path in named:
                counts[path.suffix] += 1
            else:
                path.unlink()
        overrides(component, kept)
    pathlib.Path("missing").write_text("".join(f"{path}\n" for path in missing))
    found = ", ".join(f"{counts[suffix]} {suffix}" for suffix in LEAST)
    print(f"corpus: {found}; {len(missing)} files are not on the mirror, see `missing`")
    for suffix, least in LEAST.items():
        if counts[suffix] < least:
            sys.exit(f"corpus: only {counts[suffix]} {suffix} files could be fetched, tests need {least}")


def overrides(component, kept):
    """Writes the override files (apt-ftparchive(1)) that make an archive say what these paragraphs say."""

    def rows(name, lines):
        pathlib.Path(name).write_text("".join(line + "\n" for line in sorted(set(lines))))

    def row(paragraph, *names):
        return "\t".join(field(paragraph, name) for name in ("Package", *names))

    def extra(paragraph, *names):
        for name in names:
            if value := field(paragraph, name):
                yield f"{field(paragraph, 'Package')}\t{name}\t{' '.join(value.split())}"

    rows(f"override.{component}", (row(p, "Priority", "Section") for p in kept["Packages"]))
    rows(f"override.{component}.udeb", (row(p, "Priority", "Section") for p in kept["Packages.udeb"]))
    rows(f"override.{component}.src", (row(p, "Section") for p in kept["Sources"]))
    rows(f"extra-override.{component}", (line for p in kept["Packages"] for line in extra(p, *EXTERNAL)))
    # Debian's format for sources has no column for Priority, though Sources shows one.
    rows(f"extra-override.{component}.src", (line for p in kept["Sources"] for line in extra(p, "Priority")))


if __name__ == "__main__":
    if sys.argv[1:2] == ["choose"]:
        choose(*map(pathlib.Path, sys.argv[2:]))
    else:
        finish()
