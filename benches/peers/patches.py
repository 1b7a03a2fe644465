"""What clients fetch of indices after changes, by how many patches (pdiffs) the archive keeps."""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import client
import corpora

#: How many publishes a client that comes seldom is behind.
SELDOM = 10


def measure(run, arguments):
    """For each number of patches that are kept: bytes fetched after one change and after SELDOM of them, by each apt; and how many
    changes were published for that."""
    changes = Changes(run)
    answer = {}
    clients = []
    had = 0
    try:
        for kept in [int(kept) for kept in arguments.patches.split(",") if kept]:
            keep(run.tool, kept)
            # Until as many are kept, and all have the newest state.
            changes.publish(max(kept - had, 0))
            had = kept
            always, seldom = ([make(run, arguments, root) for root in (None, arguments.root)] for _ in range(2))
            clients = [*always, *seldom]
            for apt in clients:
                apt.update()
            once = [[] for _ in always]
            for _ in range(SELDOM):
                changes.publish(1)
                for at, apt in enumerate(always):
                    once[at].append(apt.update())
            for at, apt in enumerate(always):
                late = seldom[at].update()
                for reader in (apt, seldom[at]):
                    if sorted(reader.identities()) != run.expected:
                        sys.exit(f"peers: apt {reader.version()} has other packages than those published, with {kept} patches kept")
                row = {"after 1": statistics.median(sum(fetched.values()) for fetched in once[at]),
                       "whole after 1": sum(map(is_whole, once[at])), f"after {SELDOM}": sum(late.values()),
                       f"whole after {SELDOM}": int(is_whole(late)), "parts after 1": parts(once[at][-1])}  # fmt: skip
                answer[f"{kept} kept, apt {apt.version()}"] = row
                print(f"peers: {run.corpus.name} patches: {kept} kept, apt {apt.version()}: {row}", file=sys.stderr, flush=True)
            forget(clients)
            clients = []
    finally:
        forget(clients)
    return answer, changes.made


def make(run, arguments, root):
    """A client of the machine's apt, or of that in a root folder."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=root / "tmp" if root else run.folder))
    return client.Client(folder, run.tool.tree(), run.tool.keyring(), False, root)


def forget(clients):
    """Ends clients and removes their folders."""
    for apt in clients:
        apt.stop()
        subprocess.run(["rm", "-rf", apt.folder], check=True)


def keep(tool, patches):
    """Sets how many patches trixie keeps."""
    path = tool.archive / "ddb.toml"
    text = re.sub(r"^pdiffs = .*\n", "", path.read_text(), flags=re.M)
    heading = '[suites."trixie"]\n'
    if heading not in text:
        sys.exit(f"peers: {path} has no line {heading}")
    path.write_text(text.replace(heading, f"{heading}pdiffs = {patches}\n"))
    tool.run("git", "-C", tool.archive, "commit", "--quiet", "--message", f"Keep {patches} patches.", "ddb.toml")


def is_whole(fetched):
    """Whether an index came, and not what changed in it."""
    return any(re.search(r"/binary-[a-z0-9]+/(?:by-hash/|Packages[^/]*$)", path) for path in fetched)


def parts(fetched):
    """Bytes of InRelease, of the list of patches and of patches."""
    sizes = {"InRelease": 0, "Index": 0, "patches": 0, "other": 0}
    for path, size in fetched.items():
        name = path.rsplit("/", 1)[-1]
        if name == "InRelease":
            sizes["InRelease"] += size
        elif ".diff/Index" in path or ".diff/by-hash/" in path:
            sizes["Index"] += size
        else:
            sizes["patches" if ".diff/" in path else "other"] += size
    return sizes


class Changes:
    """Newer and newer versions of the packages that the corpus has changes of."""

    def __init__(self, run):
        self.run = run
        self.made = 0
        self.controls = []
        for folder in sorted((run.corpus / "changes").iterdir(), key=lambda folder: int(folder.name)):
            package = next(folder.iterdir())
            self.controls.append(subprocess.run(["dpkg-deb", "--field", package], check=True, capture_output=True, text=True).stdout)

    def publish(self, number):
        """So many more publishes of one change each."""
        for _ in range(number):
            at, step = self.made % len(self.controls), self.made // len(self.controls) + 1
            self.made += 1
            control = re.sub(r"^Version: (.*)$", rf"Version: \1.{step}", self.controls[at], count=1, flags=re.M)
            name, version, architecture = corpora.identity(control)
            out = self.run.folder / f"out{self.made}"
            out.mkdir()
            (out / corpora.file_name(name, version, architecture)).write_bytes(corpora.deb(control))
            # Apt asks for what is newer than its copy in whole seconds.
            time.sleep(1.1)
            self.run.tool.ingest(out)
            self.run.tool.publish()
            others = [known for known in self.run.expected if (known[0], known[2]) != (name, architecture)]
            self.run.expected = sorted([*others, (name, version, architecture)])
