"""A stock apt client with a folder of its own, and what counts as lost and broken."""

import functools
import hashlib
import random
import re
import subprocess
import urllib.request


class Client:
    """apt-get with its own configuration, state and keyring."""

    def __init__(self, folder, source, keyring):
        self.folder = folder
        for path in (
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
            "download",
        ):
            (folder / path).mkdir(parents=True)
        (folder / "var/lib/dpkg/status").write_text("")
        (folder / "etc/apt/apt.conf").write_text(
            f'Dir "{folder}";\nDir::State::status "{folder}/var/lib/dpkg/status";\nAPT::Sandbox::User "root";\n'
            'APT::Architecture "amd64";\nAPT::Architectures "amd64";\nAcquire::Languages "none";\nAcquire::Retries "0";\n'
            # A transient failure is a failure too.
            'APT::Update::Error-Mode "any";\nAcquire::GzipIndexes "false";\n'
        )
        (folder / "etc/apt/sources.list.d/race.list").write_text(f"deb [signed-by={keyring}] {source}\n")

    def run(self, *arguments):
        """Runs apt-get; returns None, or what it said when it failed."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "APT_CONFIG": f"{self.folder}/etc/apt/apt.conf", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            cwd=self.folder / "download",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode == 0:
            return None
        said = [line.strip() for line in done.stdout.splitlines() if re.match(r"\s*[EWH]:|\s*(Hash|File has)", line)]
        return said[0] if said else f"exit code {done.returncode}"

    def update(self):
        """Fetches the index; the first time it must work."""
        fault = self.run("update")
        if fault:
            raise RuntimeError(f"apt-get update: {fault}")

    def paragraphs(self):
        """The paragraphs of the newest index, as dictionaries of single-line fields."""
        found = []
        for file in (self.folder / "var/lib/apt/lists").glob("*_Packages"):
            for text in file.read_text().split("\n\n"):
                fields = dict(re.findall(r"^([A-Za-z0-9-]+): ?(.*)$", text, re.M))
                if "Package" in fields:
                    found.append(fields)
        return found

    def index(self):
        """{package: versions} of the newest index."""
        versions = {}
        self.run("update")
        for fields in self.paragraphs():
            versions.setdefault(fields["Package"], set()).add(fields["Version"])
        return versions

    def loop(self, stop, counts):
        """Updates and downloads until told to stop; answers with counts."""
        rounds, updates, downloads, said = 0, 0, 0, {}
        while True:
            last = stop.is_set()
            fault = self.run("update")
            updates += bool(fault)
            if fault:
                said.setdefault(re.sub(r"[0-9a-f]{32,}|\d+", "N", fault), fault)
            names = sorted({fields["Package"] for fields in self.paragraphs()})
            if names:
                fault = self.run("download", *random.sample(names, min(3, len(names))))
                downloads += bool(fault)
                if fault:
                    said.setdefault(re.sub(r"race-\S+|[0-9a-f]{32,}|\d+", "N", fault), fault)
            for file in (self.folder / "download").iterdir():
                file.unlink()
            rounds += 1
            if last:
                break
        counts.put({"rounds": rounds, "update errors": updates, "download errors": downloads, "said": list(said.values())[:5]})


def lost(good, index):
    """The packages of successful deploys that are neither listed nor superseded by a newer one of a successful deploy."""
    landed = {(package, version) for line in good for package, version in line["packages"]}
    missing = []
    for package, version in sorted(landed):
        offered = index.get(package, set())
        newer = {other for other in offered if (package, other) in landed and is_newer(other, version)}
        if version not in offered and not newer:
            missing.append(f"{package} {version}")
    return missing


@functools.lru_cache(maxsize=None)
def is_newer(one, other):
    """Whether one version is newer than the other, by dpkg."""
    return subprocess.run(["dpkg", "--compare-versions", one, "gt", other], check=False).returncode == 0


def broken(base, paragraphs):
    """The listed packages that cannot be downloaded as they are listed."""
    wrong = []
    for fields in paragraphs:
        try:
            with urllib.request.urlopen(f"{base}/{fields['Filename']}") as answer:
                content = answer.read()
        except OSError as fault:
            wrong.append(f"{fields['Package']} {fields['Version']}: {fault}")
            continue
        if hashlib.sha256(content).hexdigest() != fields["SHA256"]:
            wrong.append(f"{fields['Package']} {fields['Version']}: other bytes")
    return wrong
