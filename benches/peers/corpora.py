#!/usr/bin/env python3
"""Makes the corpora of the comparison from Debian's own indices.

corpora.py meta INDICES FOLDER --packages N   one tiny valid .deb for each of N real paragraphs (0: for all), and new versions of some
corpora.py choose INDICES                     prints path and SHA-256 of the real packages of REAL, one file a line
corpora.py real INDICES FOLDER                drops what did not come whole, makes new versions of some packages

INDICES holds Packages and Sources of trixie's main. Beside the packages FOLDER/ gets `corpus.json` (what is in it) and
`changes/NUMBER/`, each with one .deb: a newer version of a package that is the only one of its source.
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

CHANGES = 24
# Fields that the archive adds, not the package.
ARCHIVE_FIELDS = re.compile(r"^(?:Filename|Size|MD5sum|SHA1|SHA256|SHA512|Description-md5|Tag|Task|Build-Essential):.*\n(?:[ \t].*\n)*", re.M)


def paragraphs(path):
    """The paragraphs of an index, each with a line end at its end."""
    return [part.rstrip("\n") + "\n" for part in path.read_text(encoding="utf-8").split("\n\n") if part.strip()]


def field(paragraph, name):
    """A field's value as written, or nothing."""
    found = re.search(rf"^{name}: ?(.*(?:\n[ \t].*)*)", paragraph, re.M)
    return found[1] if found else ""


def identity(paragraph):
    """Name, version, architecture."""
    return field(paragraph, "Package"), field(paragraph, "Version"), field(paragraph, "Architecture")


def source(paragraph):
    """Name of the source package."""
    return field(paragraph, "Source").split(" ")[0] or field(paragraph, "Package")


def source_version(paragraph):
    """The version of the source that a package was built from."""
    found = re.search(r"\((.*)\)", field(paragraph, "Source"))
    return found[1] if found else field(paragraph, "Version")


def newest(parts):
    """Without what older versions of a source left behind: a deploy of both would keep only the newer one."""
    versions = {}
    for part in parts:
        versions.setdefault(source(part), set()).add(source_version(part))
    older = set()
    for name, several in versions.items():
        best = None
        for version in sorted(several):
            if best is None or subprocess.call(["dpkg", "--compare-versions", version, "gt", best]) == 0:
                best = version
        older.update((name, version) for version in several - {best})
    return [part for part in parts if (source(part), source_version(part)) not in older]


def file_name(name, version, architecture):
    """As dpkg names the file."""
    return f"{name}_{version.split(':')[-1]}_{architecture}.deb"


def evenly(things, number):
    """So many of them, from all over the list."""
    return [things[at * len(things) // number] for at in range(number)] if 0 < number < len(things) else things


def unlike(things):
    """The things in another order, always the same: neighbours in the index do not follow each other."""
    return sorted(things, key=lambda thing: hashlib.sha256(repr(thing).encode()).digest())


# --- .deb files without dpkg-deb: 68,820 processes would take longer than all the peers


def tar(members):
    """A tar archive (ustar) of (name, content); folders have no content."""
    out = bytearray()
    for name, content in members:
        data = content or b""
        header = bytearray(512)
        struct.pack_into("100s8s8s8s12s12s8s1s", header, 0, name.encode(), b"0000755\0" if content is None else b"0000644\0", b"0000000\0",
                         b"0000000\0", b"%011o\0" % len(data), b"00000000000\0", b" " * 8, b"5" if content is None else b"0")  # fmt: skip
        header[257:265] = b"ustar\x0000"
        header[265:269] = header[297:301] = b"root"
        header[148:156] = b"%06o\0 " % sum(header)
        out += header + data + bytes(-len(data) % 512)
    return bytes(out + bytes(1024))


def gzip(data):
    """A gzip member without time and name."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def deb(control):
    """A .deb with this control file and one small text."""
    name = field(control, "Package")
    # Text that hardly compresses, so that the files are about 2 KB, and no two are alike.
    seed = hashlib.sha256(control.encode()).digest()
    text = "".join(hashlib.sha256(seed + bytes([line])).hexdigest() + "\n" for line in range(24)).encode()
    path = f"usr/share/doc/{name}/copyright"
    folders = ["./", "./usr/", "./usr/share/", "./usr/share/doc/", f"./usr/share/doc/{name}/"]
    sums = f"{hashlib.md5(text).hexdigest()}  {path}\n".encode()
    out = b"!<arch>\n"
    for member, data in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", gzip(tar([("./", None), ("./control", control.encode()), ("./md5sums", sums)]))),
        ("data.tar.gz", gzip(tar([*((folder, None) for folder in folders), (f"./{path}", text)]))),
    ):
        out += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def write_deb(work):
    """Writes one .deb; returns its size."""
    path, control = work
    path.parent.mkdir(parents=True, exist_ok=True)
    data = deb(control)
    path.write_bytes(data)
    return len(data)


def newer(control):
    """The control file of the next version."""
    return re.sub(r"^Version: (.*)$", r"Version: \1.1", control, count=1, flags=re.M)


def changeable(parts):
    """Those that are the only package of their source, for one architecture, built from a source of the same version."""
    count = collections.Counter(source(part) for part in parts)
    return [
        part
        for part in parts
        if count[source(part)] == 1 and "(" not in field(part, "Source") and field(part, "Architecture") == "amd64"
        and len(field(part, "Version")) < 40
    ]  # fmt: skip


def describe(folder, parts, changed, sizes, more):
    """Writes corpus.json: what is there, and which packages the changes replace."""
    about = {
        "packages": len(parts),
        "bytes": sum(sizes),
        "identities": sorted(identity(part) for part in parts),
        "changes": [{"from": identity(part), "to": identity(newer(part))} for part in changed],
        **more,
    }
    (folder / "corpus.json").write_text(json.dumps(about))


def make_meta(indices, folder, packages):
    """One tiny package for each paragraph."""
    seen = {}
    for part in paragraphs(indices / "Packages"):
        control = ARCHIVE_FIELDS.sub("", part)
        seen.setdefault(file_name(*identity(control)), control)
    parts = evenly(sorted(newest(list(seen.values())), key=lambda part: (source(part), identity(part))), packages)
    changed = unlike(changeable(parts))[:CHANGES]
    if len(changed) < CHANGES:
        sys.exit(f"corpora: only {len(changed)} packages are the only ones of their source, {CHANGES} are needed")
    work = []
    for part in parts:
        prefix = source(part)[:4] if source(part).startswith("lib") else source(part)[:1]
        work.append((folder / "out" / prefix / file_name(*identity(part)), part))
    for number, part in enumerate(changed):
        part = newer(part)
        work.append((folder / "changes" / str(number) / file_name(*identity(part)), part))
    with multiprocessing.Pool() as pool:
        sizes = pool.map(write_deb, work, chunksize=256)
    describe(folder, parts, changed, sizes[: len(parts)], {"sources": []})


# --- real packages


def source_files(paragraph):
    """Path and SHA-256 of each file of a source package, and their size."""
    folder = field(paragraph, "Directory")
    lines = [line.split() for line in field(paragraph, "Checksums-Sha256").split("\n")[1:]]
    return [(f"{folder}/{name}", digest) for digest, _, name in lines], sum(int(size) for _, size, _ in lines)


def choose_real(indices):
    """250 packages of all kinds and sizes, about 550 MB, and 40 small source packages."""
    packages = [part for part in paragraphs(indices / "Packages") if int(field(part, "Size")) < 60_000_000]
    small = [part for part in packages if int(field(part, "Size")) < 1_000_000]
    large = [part for part in packages if 2_000_000 < int(field(part, "Size"))]
    binaries = unlike(small)[:187] + unlike(large)[:63]
    sources = [part for part in paragraphs(indices / "Sources") if source_files(part)[1] < 3_000_000]
    wanted = []
    taken = {source(part) for part in binaries}
    for part in unlike(sources):
        # A source whose packages are here too would be replaced with them.
        if field(part, "Package") not in taken and not field(part, "Extra-Source-Only") and len(wanted) < 40:
            wanted.append(part)
    return binaries, wanted


def is_whole(path, digest):
    """Tells whether a file is there and as the index says."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def make_real(indices, folder):
    """Drops what is not whole; makes new versions of some packages with dpkg-deb."""
    binaries, sources = choose_real(indices)
    out = folder / "out"
    files, parts, whole = set(), [], []
    for part in binaries:
        path = out / field(part, "Filename").rsplit("/", 1)[1]
        if is_whole(path, field(part, "SHA256")):
            files.add(path)
            parts.append(part)
    for part in sources:
        named = [(out / path.rsplit("/", 1)[1], digest) for path, digest in source_files(part)[0]]
        if all(is_whole(*one) for one in named):
            files.update(path for path, _ in named)
            whole.append((field(part, "Package"), field(part, "Version")))
    for path in out.iterdir():
        if path not in files:
            path.unlink()
    if len(parts) < 100:
        sys.exit(f"corpora: only {len(parts)} real packages could be fetched, 100 are needed")
    changed = [part for part in unlike(changeable(parts)) if int(field(part, "Size")) < 300_000][:CHANGES]
    for number, part in enumerate(changed):
        target = folder / "changes" / str(number)
        target.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as tree:
            old = out / field(part, "Filename").rsplit("/", 1)[1]
            subprocess.run(["dpkg-deb", "--raw-extract", old, f"{tree}/x"], check=True)
            control = Path(tree, "x/DEBIAN/control")
            control.write_text(newer(control.read_text(encoding="utf-8")), encoding="utf-8")
            new = target / file_name(*identity(newer(part)))
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", f"{tree}/x", new], check=True, stdout=subprocess.DEVNULL)
    describe(folder, parts, changed, [path.stat().st_size for path in files], {"sources": sorted(whole)})
    print(f"corpora: REAL has {len(parts)} of {len(binaries)} packages and {len(whole)} of {len(sources)} source packages", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["meta", "choose", "real"])
    parser.add_argument("indices", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--packages", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "choose":
        binaries, sources = choose_real(arguments.indices)
        for part in binaries:
            print(field(part, "Filename"), field(part, "SHA256"))
        for part in sources:
            for path, digest in source_files(part)[0]:
                print(path, digest)
    elif arguments.what == "real":
        shutil.rmtree(arguments.folder / "changes", ignore_errors=True)
        make_real(arguments.indices, arguments.folder)
    else:
        shutil.rmtree(arguments.folder, ignore_errors=True)
        make_meta(arguments.indices, arguments.folder, arguments.packages)


if __name__ == "__main__":
    main()
