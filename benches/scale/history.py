#!/usr/bin/env python3
"""history.py POINTERS STORE: writes a git fast-import stream of an archive repository with so many packages to stdout.

Every package has a Git-LFS pointer below pool/ and a record below suites/trixie/, in the places where ddb puts them; their bytes
exist nowhere, which a deploy never asks for. STORE is the folder that ddb.toml names as object store.
"""

import hashlib
import sys

pointers, store = int(sys.argv[1]), sys.argv[2]
out = sys.stdout.buffer
marks = []


def blob(text):
    data = text.encode()
    out.write(b"blob\nmark :%d\ndata %d\n%s\n" % (len(marks) + 1, len(data), data))
    marks.append(text)
    return len(marks)


toml = f"""[archive]
origin = "Scale"
label = "Scale"

[store]
path = "{store}"
shared = true

[suites.trixie]
components = ["main"]
architectures = ["amd64", "all"]
"""
files = [("ddb.toml", blob(toml)), (".gitattributes", blob("pool/** filter=lfs diff=lfs merge=lfs -text\n"))]
for number in range(pointers):
    # Six packages a source, as in Debian's main about.
    source = f"{chr(97 + number // 6 % 26)}{chr(97 + number // 156 % 26)}source{number // 6}"
    package, version = f"{source}-part{number % 6}", f"1.{number % 97}-1"
    oid, size = hashlib.sha256(package.encode()).hexdigest(), 10000 + number
    path = f"pool/main/{source[0]}/{source}/{package}_{version}_amd64.deb"
    files.append((path, blob(f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")))
    record = (
        f"Package: {package}\nSource: {source}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Scale <scale@example.org>\n"
        f"Installed-Size: {size // 1024 * 3}\nDepends: libc6 (>= 2.38), {source}-part0\nSection: misc\nPriority: optional\n"
        f"Description: package number {number} of a large archive\n It has a long description of one line, number {number}.\n"
        f"Filename: {path}\nSize: {size}\nMD5sum: {hashlib.md5(package.encode()).hexdigest()}\nSHA256: {oid}\n"
    )
    files.append((f"suites/trixie/main/binary-amd64/{source[0]}/{source}/{package}_{version}", blob(record)))
message = b"Make an archive.\n"
out.write(b"commit refs/heads/main\ncommitter Scale <scale@example.org> 1700000000 +0000\ndata %d\n%s" % (len(message), message))
for path, mark in files:
    out.write(f"M 100644 :{mark} {path}\n".encode())
out.write(b"\ndone\n")
