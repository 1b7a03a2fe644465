"""ddb and its peers: how each takes packages in and publishes them.

All sign with an ed25519 key made for the run. `ingest` takes a folder of packages, `publish` makes the tree that clients read;
where a tool does both at once, it is in `ingest` or `publish`, and the other costs nothing.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from measure import Cost, run

HASHES = {"default": ("MD5", "SHA1", "SHA256", "SHA512"), "tuned": ("MD5", "SHA256")}


class Tool:
    """What all have: a folder of their own and a key."""

    name = title = ""
    #: What is not equal to ddb's work.
    caveats = ()
    #: Whether an older version of a changed package stays in the index.
    keeps_older = False

    def __init__(self, work, arguments):
        self.work = work
        self.arguments = arguments
        self.key = arguments.key

    @classmethod
    def version(cls, arguments):
        """What the table calls it."""
        return cls.title

    def environment(self):
        """What the tool's programs get to see."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.work), "GNUPGHOME": str(self.key.home), "LC_ALL": "C.UTF-8"}

    def run(self, *command, env=None):
        """Runs one program; returns its cost."""
        return run(command, {**self.environment(), **(env or {})}, self.work)

    def prepare(self):
        """Sets up an empty archive; not measured."""

    def bring(self, folder):
        """Puts packages where the tool expects them; not measured."""
        del folder

    def ingest(self, folder):
        """Takes packages in."""
        raise NotImplementedError

    def publish(self):
        """Publishes what was taken in."""
        raise NotImplementedError

    def publish_again(self):
        """Publishes where nothing changed."""
        return self.publish()

    def tree(self):
        """The published tree."""
        raise NotImplementedError

    def keyring(self):
        """The public key that signed it."""
        return self.key.public


class Ddb(Tool):
    """An archive repository in a folder with a checkout, objects in its .git, no remote."""

    name = "ddb"
    title = "ddb, checkout"
    caveats = (
        "ingest keeps an object of each package and makes a Git commit; publish syncs what it writes. As the peers it reads the control"
        " member alone (check-packages = \"control\"); by default ddb unpacks data.tar too, and refuses what dpkg could not unpack",
        "writes gz and xz made of blocks (see their sizes), by-hash, and pdiffs where they are on",
        "has no binary-all beside binary-amd64, as the peers have none: `all` is taken out of the suite's architectures",
        "a deploy writes the pointers and records of its packages into the checkout",
    )

    def __init__(self, work, arguments):
        super().__init__(work, arguments)
        self.archive = work / "archive"
        #: Git's own folder.
        self.git_folder = self.archive / ".git"

    def program(self, name):
        """One of the two."""
        return self.arguments.bin / name

    def environment(self):
        return {
            **super().environment(),
            "DDB_CACHE": str(self.work / "cache"),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.org"))},
        }

    def deploy(self, *words, env=None):
        """Runs ddb-deploy on the archive; returns the cost."""
        return self.run(self.program("ddb-deploy"), "-C", self.archive, *words, env=env)

    def published(self, *words, env=None):
        """Runs ddb-publish on the archive; returns the cost."""
        return self.run(self.program("ddb-publish"), "-C", self.archive, *words, env=env)

    def prepare(self):
        self.run(self.program("ddb-deploy"), "init", self.archive, "--suite", "trixie", "--architecture", "amd64", "--origin", "Bench")
        self.published("key", "generate", "--name", "Bench", "--email", "bench@example.org")
        # As the peers: whole descriptions in Packages. (The default is Debian's way: the long text in Translation-en.)
        # And no binary-all, which repeats all that binary-amd64 has of arch:all: none of the peers writes that.
        settings = self.archive / "ddb.toml"
        text = settings.read_text(encoding="ascii")
        without = text.replace('architectures = ["amd64", "all"]', 'architectures = ["amd64"]')
        if without == text:
            raise RuntimeError(f"{settings} has no architectures to change")
        # And the data of packages unpacked by nobody.
        settings.write_text('check-packages = "control"\n' + without, encoding="ascii")
        self.configure('descriptions = "long"\n', "Keep descriptions whole, leave binary-all out, unpack no data.")

    def configure(self, more, message):
        """Appends to ddb.toml and commits that."""
        with open(self.archive / "ddb.toml", "a", encoding="ascii") as settings:
            settings.write(more)
        self.run("git", "-C", self.archive, "commit", "--quiet", "--message", message, "ddb.toml")

    def ingest(self, folder):
        return self.deploy("commit", "--suite", "trixie", folder)

    def publish(self):
        return self.published("dists", "trixie")

    def tree(self):
        return self.archive / "public"

    def keyring(self):
        return self.tree() / "archive-keyring.asc"

    def fresh_clone(self, number):
        """A clone of the records and pointers, without Releases, caches or a published tree; it reaches the objects."""
        clone = self.work / f"clone{number}"
        # A bare one: neither program needs a checkout.
        cost = self.run("git", "clone", "--quiet", "--bare", "--single-branch", "--branch", "main", f"file://{self.archive}", clone)
        self.run("git", "-C", clone, "remote", "remove", "origin")
        (clone / "lfs").symlink_to(self.git_folder / "lfs")
        return clone, cost

    def publish_clone(self, clone, number, tree):
        """A publish from such a clone, which has no Release yet."""
        command = [self.program("ddb-publish"), "-C", clone, "dists", "trixie", "--target", tree]
        return self.run(*command, env={"DDB_CACHE": str(self.work / f"cache{number}")})


class DdbBare(Ddb):
    """The same without a checkout."""

    name = "ddb-bare"
    title = "ddb, bare repository"
    caveats = ()

    def __init__(self, work, arguments):
        super().__init__(work, arguments)
        self.bare = self.git_folder = work / "archive.git"

    def prepare(self):
        super().prepare()
        self.run("git", "clone", "--quiet", "--bare", self.archive, self.bare)
        self.run("git", "-C", self.bare, "remote", "remove", "origin")
        shutil.rmtree(self.archive)
        self.archive = self.bare

    def configure(self, more, message):
        if self.archive != self.bare:
            return super().configure(more, message)
        text = subprocess.run(["git", "-C", self.bare, "show", "main:ddb.toml"], check=True, capture_output=True).stdout
        return self.fill([("ddb.toml", text + more.encode())], message)

    def fill(self, files, message):
        """Commits files, (path, bytes), as they are."""
        command = ["git", "-C", str(self.archive), "fast-import", "--quiet", "--done"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=self.environment()) as child:
            out, said = child.stdin, message.encode()
            out.write(b"commit refs/heads/main\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata %d\n%s\nfrom refs/heads/main^0\n"
                      % (len(said), said))  # fmt: skip
            for path, content in files:
                out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content))
            out.write(b"\ndone\n")
        if child.returncode != 0:
            raise RuntimeError(f"git fast-import failed in {self.archive}")


class AptFtparchive(Tool):
    """`apt-ftparchive generate` with its cache DB, then Release and signatures by a few lines of shell."""

    name = "apt-ftparchive"
    style = "default"
    caveats = ("indexes packages in place: it keeps no copy of them and no history, and syncs nothing; by-hash is its own option",)

    @classmethod
    def version(cls, arguments):
        return f"apt-ftparchive {installed('apt-utils')}{' tuned' if cls.style == 'tuned' else ''}"

    def prepare(self):
        (self.work / "cache").mkdir()
        for folder in ("binary-amd64", "source"):
            (self.tree() / "dists/trixie/main" / folder).mkdir(parents=True)
        (self.tree() / "pool/main").mkdir(parents=True)
        off = "".join(f'APT::FTPArchive::{where}{name} "false";\n' for name in ("SHA1", "SHA512") if name not in HASHES[self.style]
                      for where in ("", "Packages::", "Sources::", "Release::"))  # fmt: skip
        (self.work / "apt.conf").write_text(
            f'Dir {{ ArchiveDir "{self.tree()}"; CacheDir "{self.work}/cache"; }};\n'
            'Default { Packages::Compress ". gzip xz"; Sources::Compress ". gzip xz"; Contents::Compress "gzip"; };\n'
            'APT::FTPArchive::Contents "false";\n'
            'BinDirectory "pool/main" { Packages "dists/trixie/main/binary-amd64/Packages"; BinCacheDB "packages.db";\n'
            '  Sources "dists/trixie/main/source/Sources"; SrcCacheDB "sources.db"; };\n' + off
        )
        (self.work / "release.conf").write_text(
            "APT::FTPArchive::Release { " + "".join(f'{name} "{value}"; ' for name, value in (
                ("Origin", "Bench"), ("Suite", "trixie"), ("Codename", "trixie"), ("Architectures", "amd64"), ("Components", "main"))) + "};\n"
            'APT::FTPArchive::DoByHash "true";\n' + off
        )  # fmt: skip
        (self.work / "publish.sh").write_text(
            "set -e\napt-ftparchive -c apt.conf generate apt.conf\ncd tree/dists/trixie\n"
            "apt-ftparchive -c ../../../release.conf release . >../Release.new\nmv ../Release.new Release\n"
            f"gpg --batch --yes --local-user {self.key.fingerprint} --clearsign -o InRelease.new Release\n"
            f"gpg --batch --yes --local-user {self.key.fingerprint} --armor --detach-sign -o Release.gpg Release\nmv InRelease.new InRelease\n"
        )

    def bring(self, folder):
        for path in packages_in(folder):
            place = self.tree() / "pool/main" / path.name.split("_")[0][:4]
            place.mkdir(exist_ok=True)
            # An older version goes: apt-ftparchive lists all that is there.
            for older in place.glob(f"{path.name.split('_')[0]}_*{path.suffix}") if folder.parent.name == "changes" else ():
                older.unlink()
            try:
                os.link(path, place / path.name)
            except OSError:  # another file system
                shutil.copy(path, place / path.name)

    def ingest(self, folder):
        return Cost()

    def publish(self):
        return self.run("sh", "publish.sh")

    def tree(self):
        return self.work / "tree"


class TunedAptFtparchive(AptFtparchive):
    """The same with the digests that Debian's indices have."""

    name = "apt-ftparchive-tuned"
    style = "tuned"


class Reprepro(Tool):
    """`reprepro includedeb`, and `export` in the end."""

    name = "reprepro"
    caveats = (
        "no by-hash; has SHA1 beside MD5sum and SHA256; taking a package in publishes at once; syncs its database, not what it publishes",
        "nothing changed: `reprepro export` writes everything anew; taking a package in that it has already would write nothing",
    )

    @classmethod
    def version(cls, arguments):
        return f"reprepro {installed('reprepro')}"

    def prepare(self):
        conf = self.work / "conf"
        conf.mkdir()
        (conf / "distributions").write_text(
            f"Origin: Bench\nCodename: trixie\nSuite: trixie\nArchitectures: amd64 source\nComponents: main\nSignWith: {self.key.fingerprint}\n"
            "DebIndices: Packages Release . .gz .xz\nDscIndices: Sources Release . .gz .xz\n"
        )
        (conf / "options").write_text(f"outdir {self.tree()}\n")

    def ingest(self, folder):
        cost = Cost()
        # A program's arguments are limited to some megabytes.
        debs = [path for path in packages_in(folder) if path.suffix == ".deb"]
        dscs = [path for path in packages_in(folder) if path.suffix == ".dsc"]
        batches = [debs[at : at + 5000] for at in range(0, len(debs), 5000)]
        common = ["reprepro", "-b", self.work, "--section", "misc", "--priority", "optional", "--component", "main"]
        for batch in batches:
            export = "normal" if len(batches) == 1 and not dscs else "silent-never"
            cost += self.run(*common, f"--export={export}", "includedeb", "trixie", *batch)
        for dsc in dscs:
            cost += self.run(*common, "--export=silent-never", "includedsc", "trixie", dsc)
        if len(batches) > 1 or dscs:
            cost += self.run("reprepro", "-b", self.work, "export", "trixie")
        return cost

    def publish(self):
        return Cost()

    def publish_again(self):
        return self.run("reprepro", "-b", self.work, "export", "trixie")

    def tree(self):
        return self.work / "tree"


class Aptly(Tool):
    """A local repository and its publication."""

    name = "aptly"
    keeps_older = True
    caveats = (
        "writes gz only, no xz; has SHA1 and SHA512 beside MD5sum and SHA256; syncs its indices",
        "keeps the older version of a changed package in its index: dropping it would be a step more",
    )

    @classmethod
    def version(cls, arguments):
        return f"aptly {installed('aptly').split('+')[0]}"

    def prepare(self):
        config = {
            "rootDir": str(self.work / "aptly"),
            "architectures": ["amd64", "source"],
            "gpgProvider": "gpg2",
            "skipContentsPublishing": True,
        }
        (self.work / "aptly.conf").write_text(json.dumps(config))
        self.aptly("repo", "create", "-distribution=trixie", "-component=main", "bench")

    def aptly(self, *words):
        """Runs it; returns the cost."""
        return self.run("aptly", f"-config={self.work}/aptly.conf", *words)

    def ingest(self, folder):
        return self.aptly("repo", "add", "bench", folder)

    def publish(self):
        signing = ["-batch", f"-gpg-key={self.key.fingerprint}", "-skip-contents", "-skip-bz2"]
        if self.tree().exists():
            return self.aptly("publish", "update", *signing, "trixie")
        return self.aptly("publish", "repo", *signing, "-acquire-by-hash", "-architectures=amd64,source", "-origin=Bench", "bench")

    def tree(self):
        return self.work / "aptly/public"


def packages_in(folder):
    """All files below a folder of packages, in order."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def installed(package):
    """Version of a Debian package, without its revision."""
    version = subprocess.run(["dpkg-query", "-Wf", "${Version}", package], check=True, capture_output=True, text=True).stdout
    return version.split("-")[0]


ALL = {tool.name: tool for tool in (Ddb, DdbBare, TunedAptFtparchive, AptFtparchive, Reprepro, Aptly)}
