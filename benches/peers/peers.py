#!/usr/bin/env python3
"""Runs the same work through ddb and its peers, in turn, and checks with a stock apt what each has published.

For each corpus: cold (take all packages in and publish; a fresh archive for each repeat), one package changed (a newer version of
another package each time), nothing changed, and for ddb alone a publish from a fresh clone without caches. The tools take turns
within each repeat, so that a machine that slows down slows all of them. Then what only ddb does (`alone.py`), in the archive of the
largest corpus of tiny packages, and in larger archives made for that (`large.py`).
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import alone
import client
import goals
import large
import report
import tools
from measure import settle


#: Tools that need more seconds than this for one change are not made to do it more often than the repeats say.
SLOW = 10


class Key:
    """A signing key for GnuPG, made for this run."""

    def __init__(self, home):
        self.home = home
        self.public = home / "public.gpg"
        home.mkdir(mode=0o700, parents=True)
        self.gpg("--passphrase", "", "--quick-generate-key", "Bench <bench@example.org>", "ed25519", "sign", "never")
        listing = self.gpg("--with-colons", "--list-keys")
        self.fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        self.gpg("--output", self.public, "--export")

    def gpg(self, *words):
        """Runs gpg; returns what it prints."""
        command = ["gpg", "--homedir", self.home, "--batch", *words]
        return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout

    def close(self):
        """Ends the agent that gpg has started."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False)


def dists(tree):
    """Every file below dists/ by inode: what it was last written as, and its size. Links count once."""
    files = {}
    for folder, _, names in os.walk(tree / "dists"):
        for name in names:
            facts = os.lstat(os.path.join(folder, name))
            files[facts.st_ino] = (facts.st_mtime_ns, facts.st_size)
    return files


def new_bytes(before, after):
    """Bytes of the files that were written between."""
    return sum(facts[1] for inode, facts in after.items() if before.get(inode) != facts)


class Run:
    """One tool with one corpus."""

    def __init__(self, tool_class, corpus, folder, arguments):
        self.tool_class, self.corpus, self.folder, self.arguments = tool_class, corpus, folder, arguments
        self.about = json.loads((corpus / "corpus.json").read_text())
        self.samples = {}
        self.tool = self.client = None
        self.expected = []

    def sample(self, work, parts, sync, **more):
        """Keeps the figures of one measurement: of each part, and of all parts together."""
        total = sum(parts.values(), start=tools.Cost())
        figures = {**total.figures(), "sync": sync, **more, **{f"wall {part}": cost.wall for part, cost in parts.items()}}
        self.samples.setdefault(work, []).append(figures)
        print(f"peers: {self.corpus.name} {work}: {self.tool.name} {total.wall:.2f} s, CPU {total.cpu:.2f} s", file=sys.stderr, flush=True)

    def cold(self):
        """A fresh archive that takes in and publishes everything; the one of the last repeat stays."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        work = self.folder / "work"
        work.mkdir(parents=True)
        self.tool = self.tool_class(work, self.arguments)
        self.tool.prepare()
        self.tool.bring(self.corpus / "out")
        settle(work)
        parts = {"ingest": self.tool.ingest(self.corpus / "out"), "publish": self.tool.publish()}
        sync = settle(work)
        sizes = {}
        for ending in "gz", "xz":
            path = self.tool.tree() / f"dists/trixie/main/binary-amd64/Packages.{ending}"
            sizes[f"Packages.{ending}"] = path.stat().st_size / 1e6 if path.exists() else None
        self.client = client.Client(self.folder / "apt", self.tool.tree(), self.tool.keyring(), bool(self.about["sources"]))
        fetched = self.client.update()
        self.expected = sorted(map(tuple, self.about["identities"]))
        self.check()
        self.client.download(self.expected[:: len(self.expected) // 4][:4])
        self.sample("cold", parts, sync, tree=sum(facts[1] for facts in dists(self.tool.tree()).values()) / 1e6,
                    client=sum(fetched.values()) / 1e6, **sizes)  # fmt: skip

    def change(self, number):
        """One package in a newer version."""
        folder = self.corpus / "changes" / str(number)
        change = self.about["changes"][number]
        self.tool.bring(folder)
        before = dists(self.tool.tree())
        settle(self.folder)
        # Apt asks for what is newer than its copy in whole seconds.
        time.sleep(1.1)
        parts = {"ingest": self.tool.ingest(folder), "publish": self.tool.publish()}
        sync = settle(self.folder)
        fetched = self.client.update()
        if not self.tool.keeps_older:
            self.expected.remove(tuple(change["from"]))
        self.expected = sorted([*self.expected, tuple(change["to"])])
        self.check()
        self.client.download([change["to"]])
        self.sample("one changed", parts, sync, tree=new_bytes(before, dists(self.tool.tree())) / 1e6,
                    client=sum(fetched.values()) / 1e6, fetched={path.rsplit("dists/trixie/", 1)[-1]: size for path, size in fetched.items()})  # fmt: skip

    def nothing(self):
        """A publish where nothing changed."""
        before = dists(self.tool.tree())
        settle(self.folder)
        parts = {"publish": self.tool.publish_again()}
        sync = settle(self.folder)
        self.sample("nothing changed", parts, sync, tree=new_bytes(before, dists(self.tool.tree())) / 1e6)

    def clone(self, number):
        """Publishes from a fresh clone: into a tree that has the pool already, as peers have it, and into an empty one."""
        if self.tool.name != "ddb":
            return
        for work, with_pool in (("fresh clone, pool in place", True), ("fresh clone, empty tree", False)):
            name = f"{number}{'p' if with_pool else 'e'}"
            tree = self.tool.work / f"tree{name}"
            if with_pool:
                tree.mkdir()
                subprocess.run(["cp", "-al", self.tool.tree() / "pool", tree / "pool"], check=True)
            clone, cloning = self.tool.fresh_clone(name)
            settle(self.folder)
            parts = {"publish": self.tool.publish_clone(clone, name, tree)}
            sync = settle(self.folder)
            reader = client.Client(self.folder / f"apt{name}", tree, self.tool.keyring(), bool(self.about["sources"]))
            reader.update()
            if sorted(reader.identities()) != self.expected:
                sys.exit(f"peers: the tree from a fresh clone lists other packages, see {tree}")
            reader.stop()
            self.sample(work, parts, sync, clone=cloning.wall)
            for path in (tree, clone, self.folder / f"apt{name}"):
                shutil.rmtree(path)

    def check(self):
        """What apt knows now is what was published, each stanza."""
        found = sorted(self.client.identities())
        if found != self.expected:
            missing = set(self.expected) - set(found)
            more = set(found) - set(self.expected)
            sys.exit(f"peers: {self.tool.name} published {len(found)} packages, {len(self.expected)} are expected; "
                     f"missing {sorted(missing)[:3]}, not expected {sorted(more)[:3]}")  # fmt: skip
        if self.about["sources"]:
            sources = {(name, version) for name, version in map(tuple, self.about["sources"])}
            if set(self.client.identities("Sources")) != sources:
                sys.exit(f"peers: {self.tool.name} published other source packages than it was given")

    def is_slow(self):
        """Whether one change takes so long that no more than the repeats of a cold start are made."""
        changes = self.samples.get("one changed", [])
        return len(changes) >= self.arguments.repeats and statistics.median(sample["wall"] for sample in changes) > SLOW

    def close(self):
        """Ends what was started."""
        if self.client:
            self.client.stop()

    def row(self):
        """Medians of everything that was measured."""
        works = {}
        for work, samples in self.samples.items():
            names = [name for name, value in samples[0].items() if isinstance(value, (int, float))]
            works[work] = {name: statistics.median(sample[name] for sample in samples) for name in names}
            works[work]["repeats"] = len(samples)
        return {"tool": self.tool.name, "title": self.tool.version(self.arguments), "caveats": self.tool.caveats, "works": works,
                "samples": self.samples}  # fmt: skip


def measure(corpus, chosen, work, arguments, with_alone, keep):
    """All tools with one corpus, in turn; `keep` gets the answer, which then gets more, where that is wanted: what ddb does alone."""
    runs = [Run(tool, corpus, work / corpus.name / tool.name, arguments) for tool in chosen]
    try:
        for repeat in range(arguments.repeats):
            # Another one begins each time.
            for run in runs[repeat % len(runs) :] + runs[: repeat % len(runs)]:
                run.cold()
        for number in range(arguments.changes):
            for run in [run for run in runs if not run.is_slow()]:
                run.change(number)
        for number in range(max(arguments.repeats, arguments.changes)):
            for run in [run for run in runs if number < arguments.repeats or not run.is_slow()]:
                run.nothing()
        for number in range(arguments.repeats):
            for run in runs:
                run.clone(number)
        about = runs[0].about
        answer = {"corpus": corpus.name, "packages": about["packages"], "sources": len(about["sources"]), "bytes": about["bytes"],
                  "rows": [run.row() for run in runs], "alone": {}}  # fmt: skip
        keep(answer)
        if with_alone and runs[0].tool.name == "ddb":
            answer["alone"] = alone.measure([run for run in runs if run.tool.name in report.OWN], arguments)
    finally:
        for run in runs:
            run.close()
    if not arguments.keep:
        shutil.rmtree(work / corpus.name)


def machine():
    """What this was measured on."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    apt = subprocess.run(["apt-get", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    return {"date": time.strftime("%Y-%m-%d"), "processor": model, "cores": os.cpu_count(), "memory": f"{memory:.0f} GiB",
            "kernel": platform.release(), "client": f"apt {apt}", "load": os.getloadavg()[0]}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, nargs="+", required=True)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="OPTION")
    given = parser.parse_args()
    parser = argparse.ArgumentParser(prog="run.sh")
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"of {', '.join(tools.ALL)}; default is all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--changes", type=int, default=5)
    parser.add_argument("--rows", default="peers,alone,architectures,pointers")
    parser.add_argument("--architectures", default="10x60000", metavar="NUMBERxRECORDS")
    parser.add_argument("--pointers", type=int, default=100_000)
    parser.add_argument("--patches", default="8,24,56")
    parser.add_argument("--output", type=Path, default=given.target / "peers.txt")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/ddb-peers"))
    parser.add_argument("--keep", action="store_true", help="leave the archives in the folder to work in")
    arguments = parser.parse_args([word for word in given.words if word != "--"])
    unknown = [tool for tool in arguments.tools if tool not in tools.ALL]
    if unknown:
        parser.error(f"no such tool: {', '.join(unknown)}")
    rows = set(arguments.rows.split(","))
    if unknown := rows - {"peers", "alone", "architectures", "pointers"}:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    arguments.bin, arguments.root = given.bin.resolve(), given.root.resolve()
    arguments.indices = given.corpora[0].resolve().parent / "indices"
    work = arguments.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    # The path of gpg's socket must be short.
    arguments.key = Key(Path(f"/tmp/ddb-peers-{os.getpid()}"))
    answer = {"machine": machine(), "corpora": [], "large": {}, "pointers": arguments.pointers, "architectures": arguments.architectures}

    def keep():
        """Writes what there is, so that a run that is stopped has not been for nothing."""
        arguments.output.with_suffix(".json").write_text(json.dumps(answer, indent=1))
        arguments.output.write_text(goals.table(answer) + report.table(answer))
        arguments.output.with_suffix(".svg").write_text(report.plot(answer))

    def with_corpus(one):
        answer["corpora"].append(one)
        keep()

    try:
        tiny = [corpus for corpus in given.corpora if corpus.name.startswith("meta-")]
        largest = max(tiny, key=lambda corpus: int(corpus.name.split("-")[1]), default=None)
        if rows == {"alone"} and not largest:
            parser.error("--rows alone is measured on a corpus meta-N: name one with --corpora")
        chosen = [tools.ALL[name] for name in (arguments.tools or tools.ALL if "peers" in rows else report.OWN)]
        for corpus in given.corpora if "peers" in rows else [largest] if "alone" in rows and largest else []:
            measure(corpus, chosen, work, arguments, "alone" in rows and corpus == largest, with_corpus)
            keep()
        for name, measured in (("pointers", large.pointers), ("architectures", large.architectures)):
            if name in rows:
                answer["large"].update(measured(work, arguments))
                keep()
    finally:
        arguments.key.close()
        shutil.rmtree(arguments.key.home, ignore_errors=True)
    print(arguments.output.read_text(), end="")


if __name__ == "__main__":
    main()
