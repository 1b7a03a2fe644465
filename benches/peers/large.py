"""Archives that only ddb is asked to change: 100,000 pointers, and many architectures with 60,000 records each.

They are written by `git fast-import`, since taking so many packages in would take hours. Pointers, records and objects are such as a
deploy makes them, and publish checks them as ever; only the objects are few and small, and no packages: publish reads none.
"""

import hashlib
import itertools
import re
import shutil
import sys
import time

import client
import corpora
import tools
from measure import settle
from rows import Rows

NAMES = ("amd64", "arm64", "armel", "armhf", "i386", "loong64", "mips64el", "ppc64el", "riscv64", "s390x")
#: How many objects all pool files share: a file system allows some ten thousand hard links to one file.
OBJECTS = 64


class Archive(tools.DdbBare):
    """A bare archive repository that is filled by fast-import."""

    def make(self, architectures):
        """An empty one with a key."""
        self.archive = self.bare
        self.work.mkdir(parents=True)
        named = [word for name in architectures for word in ("--architecture", name)]
        self.run(self.program("ddb-deploy"), "init", "--bare", self.archive, "--suite", "trixie", *named, "--origin", "Bench")
        self.published("key", "generate", "--name", "Bench", "--email", "bench@example.org")


class Objects:
    """Some small objects in the archive's store, handed out in turn."""

    def __init__(self, store):
        self.facts = []
        for number in range(OBJECTS):
            data = hashlib.sha512(f"object {number}".encode()).digest() * 8
            oid = hashlib.sha256(data).hexdigest()
            path = store / oid[:2] / oid[2:4] / oid
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o444)
            self.facts.append((oid, hashlib.md5(data).hexdigest(), len(data)))
        self.next = itertools.cycle(self.facts)

    def files(self, control):
        """The pointer and the record of a package that is made up of one of them."""
        oid, md5, size = next(self.next)
        name, version, architecture = corpora.identity(control)
        source = corpora.source(control)
        prefix = source[:4] if source.startswith("lib") else source[:1]
        path = f"pool/main/{prefix}/{source}/{corpora.file_name(name, version, architecture)}"
        yield path, f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()
        record = f"{control.rstrip()}\nFilename: {path}\nSize: {size}\nMD5sum: {md5}\nSHA256: {oid}\n"
        yield f"suites/trixie/main/binary-{architecture}/{prefix}/{source}/{name}_{version.replace(':', '%3a')}", record.encode()


def controls(indices, number):
    """Control paragraphs of so many packages of trixie, one of each name, and those of them that are alone in their source."""
    names = {}
    for part in corpora.paragraphs(indices / "Packages"):
        control = corpora.ARCHIVE_FIELDS.sub("", part)
        names.setdefault(corpora.field(control, "Package"), control)
    chosen = corpora.evenly(sorted(names.values()), number)
    if len(chosen) < number:
        sys.exit(f"peers: trixie has {len(chosen)} packages, not {number}")
    return chosen, corpora.unlike(corpora.changeable(chosen))


def of(control, architecture):
    """The same for another architecture."""
    return re.sub(r"^Architecture: .*$", f"Architecture: {architecture}", control, count=1, flags=re.M)


def of_all(control, names, objects):
    """Pointers and records of a package for these architectures; records after each other, so that Git packs them as alike."""
    return sorted((file for name in names for file in objects.files(of(control, name))), key=lambda file: file[0].split("/")[0])


def write_out(folder, control, architectures):
    """A build output: the package for each of the architectures."""
    folder.mkdir()
    for architecture in architectures:
        built = of(control, architecture)
        (folder / corpora.file_name(*corpora.identity(built))).write_bytes(corpora.deb(built))
    return folder


def pointers(work, arguments):
    """One package more in an archive of many pointers, by a process of its own: `ddb-deploy commit`."""
    rows = Rows(f"{arguments.pointers} pointers")
    tool = Archive(work / "pointers", arguments)
    shutil.rmtree(tool.work, ignore_errors=True)
    tool.make(NAMES[:2])
    objects = Objects(tool.git_folder / "lfs/objects")
    chosen, changeable = controls(arguments.indices, (arguments.pointers + 1) // 2)
    parts = [of(control, architecture) for control in chosen for architecture in NAMES[:2]][: arguments.pointers]
    tool.fill((file for part in parts for file in objects.files(part)), "Fill the archive.")
    for number, control in enumerate(changeable[: arguments.changes]):
        out = write_out(tool.work / f"out{number}", corpora.newer(control), NAMES[:1])
        settle(tool.work)
        rows.add("one package committed, bare repository", tool.ingest(out))
    if not arguments.keep:
        shutil.rmtree(tool.work)
    return rows.medians()


def architectures(work, arguments):
    """Many architectures, one change in each: one source is deployed for all of them, and published."""
    number, records = map(int, arguments.architectures.split("x"))
    names = NAMES[:number]
    rows = Rows(arguments.architectures)
    tool = Archive(work / "architectures", arguments)
    shutil.rmtree(tool.work, ignore_errors=True)
    tool.make(names)
    objects = Objects(tool.git_folder / "lfs/objects")
    chosen, changeable = controls(arguments.indices, records)
    tool.fill((file for control in chosen for file in of_all(control, names, objects)), "Fill the archive.")
    settle(tool.work)
    rows.add("first publish", tool.publish())
    expected = {name: {corpora.identity(of(control, name)) for control in chosen} for name in names}
    for count, control in enumerate(changeable[: arguments.changes]):
        out = write_out(tool.work / f"out{count}", corpora.newer(control), names)
        for name in names:
            expected[name] -= {corpora.identity(of(control, name))}
            expected[name] |= {corpora.identity(of(corpora.newer(control), name))}
        settle(tool.work)
        time.sleep(1.1)
        ingest, publish = tool.ingest(out), tool.publish()
        sync = settle(tool.work)
        rows.add("one change in each", ingest + publish, ingest=ingest.wall, publish=publish.wall, sync=sync)
    rows.add("nothing changed", tool.publish())
    check(tool, names, expected)
    if not arguments.keep:
        shutil.rmtree(tool.work)
    return rows.medians()


def check(tool, names, expected):
    """apt knows the packages of every architecture as they were published."""
    apt = client.Client(tool.work / "apt", tool.tree(), tool.keyring(), False, architectures=names)
    apt.update()
    found = sorted(apt.identities())
    apt.stop()
    if found != sorted(one for packages in expected.values() for one in packages):
        sys.exit(f"peers: apt found {len(found)} packages of {len(names)} architectures, other than those published")
