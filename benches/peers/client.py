"""A stock apt client with a folder of its own, and a web server on the loopback that counts what it sends."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import threading


class Counting(http.server.SimpleHTTPRequestHandler):
    """Serves files and counts bytes of bodies."""

    protocol_version = "HTTP/1.1"

    def copyfile(self, source, outputfile):
        size = os.fstat(source.fileno()).st_size
        super().copyfile(source, outputfile)
        self.server.count(self.path, size)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Serves one folder until it is stopped."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), functools.partial(Counting, directory=str(folder)))
        self.sent = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client hung up

    def count(self, path, size):
        """One answer with a body."""
        with self.lock:
            self.sent[path] = self.sent.get(path, 0) + size

    def url(self):
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self):
        """Ends it."""
        self.shutdown()
        self.server_close()


class Client:
    """apt-get with its own configuration, state and keyring, and the server that it asks.

    It is the machine's, or that of a system in the folder `root`, by chroot; then its own folder must lie in there.
    """

    def __init__(self, folder, tree, keyring, sources, root=None, architectures=("amd64",)):
        self.folder = folder
        self.server = Server(tree)
        #: The folder as apt sees it.
        self.inside = f"/{folder.relative_to(root)}" if root else str(folder)
        self.chroot = ["chroot", str(root)] if root else []
        for path in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "download", "tmp",
                     "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):  # fmt: skip
            (folder / path).mkdir(parents=True)
        (folder / "var/lib/dpkg/status").write_text("")
        listed = " ".join(f'"{architecture}";' for architecture in architectures)
        (folder / "etc/apt/apt.conf").write_text(
            f'Dir "{self.inside}";\nDir::State::status "{self.inside}/var/lib/dpkg/status";\nAPT::Sandbox::User "root";\n'
            f'APT::Architecture "{architectures[0]}";\nAPT::Architectures {{ {listed} }};\nAcquire::Languages "none";\nAcquire::Retries "0";\n'
            'APT::Update::Error-Mode "any";\nAcquire::GzipIndexes "false";\n'
        )
        shutil.copy(keyring, folder / f"keyring{keyring.suffix}")
        line = f"[signed-by={self.inside}/keyring{keyring.suffix}] {self.server.url()} trixie main\n"
        (folder / "etc/apt/sources.list.d/bench.list").write_text(f"deb {line}" + (f"deb-src {line}" if sources else ""))

    def apt(self, *arguments):
        """Runs apt-get; returns what it says."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "APT_CONFIG": f"{self.inside}/etc/apt/apt.conf", "LC_ALL": "C.UTF-8",
                       "TMPDIR": f"{self.inside}/tmp"}  # fmt: skip
        command = [*self.chroot, "/usr/bin/env", "-C", f"{self.inside}/download", "apt-get", "-q", *arguments]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              check=False)  # fmt: skip

    def version(self):
        """apt's version, such as 2.6.1."""
        return self.apt("--version").stdout.split()[1]

    def run(self, *arguments):
        """Runs apt-get; it must work."""
        done = self.apt(*arguments)
        if done.returncode != 0 or re.search(r"^[WE]:", done.stdout, re.M):
            raise RuntimeError(f"apt-get {' '.join(arguments)}:\n{done.stdout[-2000:]}")

    def update(self):
        """Fetches the indices; returns the bytes of each file that came."""
        with self.server.lock:
            self.server.sent.clear()
        self.run("update")
        with self.server.lock:
            return dict(self.server.sent)

    def identities(self, index="Packages"):
        """Name, version and architecture of every package that apt now knows; of sources name and version."""
        found = []
        wanted = ("Package", "Version", "Architecture") if index == "Packages" else ("Package", "Version")
        for path in (self.folder / "var/lib/apt/lists").glob(f"*_{index}"):
            fields = {}
            with open(path, encoding="utf-8") as lines:
                for line in [*lines, "\n"]:
                    name, colon, value = line.partition(": ")
                    if colon and name in wanted:
                        fields[name] = value.rstrip("\n")
                    elif line == "\n" and fields:
                        found.append(tuple(fields[name] for name in wanted))
                        fields = {}
        return found

    def download(self, names):
        """Downloads packages; apt compares their digests with the index."""
        for name, version, _ in names:
            self.run("download", f"{name}={version}")
            if not list((self.folder / "download").glob(f"{name}_*.deb")):
                raise RuntimeError(f"apt-get download {name}={version} brought nothing")

    def stop(self):
        """Ends the server."""
        self.server.stop()
