"""What only ddb does, in the archive that a comparison leaves: fsck, another suite by promotion, going back, clones, patches, a repack."""

import lzma
import re
import subprocess
import sys
import time

import patches
from measure import settle
from rows import Rows

PACKAGES = "main/binary-amd64/Packages"


def packages(tool, suite):
    """The text of a suite's Packages."""
    return lzma.decompress((tool.tree() / f"dists/{suite}/{PACKAGES}.xz").read_bytes())


def measure(runs, arguments):
    """All of it in the archive of the first of the runs, promotions in those of all; returns rows by title. The archives are others then."""
    run = runs[0]
    rows = Rows(f"{run.corpus.name} alone")
    for _ in range(arguments.repeats):
        rows.add("fsck", run.tool.deploy("fsck"))
    sizes = Sizes(run)
    rows.add("Packages.xz against xz -6", ratio=sizes.ratio())
    for one in runs:
        promotions(one, arguments.repeats, rows)
    clones(run, arguments.repeats, rows)
    rows.rows["patches"], changed = patches.measure(run, arguments)
    rows.add("Packages.xz against xz -6, after changes", ratio=sizes.ratio(), changes=changed)
    repack(run, sizes, rows)
    return rows.medians()


def promotions(run, repeats, rows):
    """A suite made from another one, and a suite that goes back to its first Release and forth again; publishing included."""
    tool = run.tool
    names = [f"copy{number}" for number in range(repeats)]
    tool.configure("".join(f'\n[suites.{name}]\narchitectures = ["amd64"]\ndescriptions = "long"\n' for name in names), "Add suites.")
    before = packages(tool, "trixie")
    last = sequence(tool)
    for name in names:
        rows.add(f"promote A B --all: {tool.name}", promoted(run, "trixie", name))
        if packages(tool, name) != before:
            sys.exit(f"peers: {name} is a copy of trixie and lists other packages")
    cold, now = sorted(map(tuple, run.about["identities"])), run.expected
    for _ in range(repeats):
        for work, release, expected in (("promote A@1 A --all", 1, cold), ("promote A@LAST A --all", last, now)):
            rows.add(f"{work}: {tool.name}", promoted(run, f"trixie@{release}", "trixie"))
            run.client.update()
            run.expected = expected
            run.check()


def promoted(run, origin, suite):
    """One promotion of everything; returns its cost."""
    settle(run.folder)
    # What follows a publish within a second waits for the next one.
    time.sleep(1.1)
    return run.tool.published("promote", origin, suite, "--all")


def sequence(tool):
    """The number of the newest Release of trixie."""
    text = subprocess.run(["git", "-C", tool.git_folder, "log", "--first-parent", "-n", "2", "--format=%s", "ddb/releases/trixie"],
                          check=True, capture_output=True, text=True).stdout  # fmt: skip
    found = re.search(r"Release (\d+)", text)
    if not found:
        sys.exit(f"peers: no number of a Release in the history of ddb/releases/trixie:\n{text}")
    return int(found[1])


def clones(run, repeats, rows):
    """What a fresh clone of the newest commit costs, from a repository that is packed as a forge packs it."""
    tool = run.tool
    server = tool.work / "server.git"
    tool.run("git", "clone", "--quiet", "--bare", "--single-branch", "--branch", "main", f"file://{tool.archive}", server)
    tool.run("git", "-C", server, "config", "uploadpack.allowFilter", "true")
    tool.run("git", "-C", server, "repack", "-adq")
    for number in range(repeats):
        for work, more in (("clone of depth 1", []), ("clone of depth 1 without blobs", ["--filter=blob:none"])):
            clone = tool.work / f"depth{number}"
            cost = tool.run("git", "clone", "--quiet", "--depth", "1", "--no-checkout", *more, f"file://{server}", clone)
            rows.add(work, cost, megabytes=sum(path.stat().st_size for path in (clone / ".git/objects/pack").glob("*.pack")) / 1e6)
            subprocess.run(["rm", "-rf", clone], check=True)
    subprocess.run(["rm", "-rf", server], check=True)


class Sizes:
    """How large Packages.xz of trixie is against `xz -6` in one piece."""

    def __init__(self, run):
        self.run = run
        self.text, self.whole = b"", 0

    def ratio(self):
        """Its size now as a multiple."""
        text = packages(self.run.tool, "trixie")
        if text != self.text:
            self.text, self.whole = text, len(subprocess.run(["xz", "-6", "-T1", "-c"], input=text, check=True, capture_output=True).stdout)
        return (self.run.tool.tree() / f"dists/trixie/{PACKAGES}.xz").stat().st_size / self.whole


def repack(run, sizes, rows):
    """Everything compressed anew."""
    time.sleep(1.1)
    cost = run.tool.published("dists", "trixie", "--repack")
    run.client.update()
    run.check()
    rows.add("Packages.xz against xz -6, after a repack", cost, ratio=sizes.ratio())
