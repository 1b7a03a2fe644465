"""The tools that race: how each is set up, and what one deploy does with it.

A tool is used as its documentation says, with nothing retried that it does not say to retry.
"""

import functools
import http.server
import json
import multiprocessing
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid


# Seconds after which a request has failed, and the job gives up.
PATIENCE = 120

# What a deploy answers that worked, and changed nothing because the suite offers something newer.
SUPERSEDED = "superseded"


def kind_of(message):
    """A message without what differs from one failure to the next."""
    return re.sub(r"/\S+|[0-9a-f]{8,}|\d+|race-\S+", "N", message)


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, seconds=30):
    """Waits until something answers at a URL."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


class QuietServer(http.server.SimpleHTTPRequestHandler):
    """A static web server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


class ThreadingServer(http.server.ThreadingHTTPServer):
    """Without a word when a client hangs up."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def serve(folder, port):
    """Serves a folder until it is ended."""
    handler = functools.partial(QuietServer, directory=str(folder))
    ThreadingServer(("127.0.0.1", port), handler).serve_forever()


class Tool:
    """What all have: a folder, a signing key for GnuPG, a web server."""

    title = ""

    def __init__(self, work, arguments):
        self.work = work
        self.arguments = arguments
        self.gnupg = work / "gnupg"
        self.web_port = free_port()
        self.children = []

    def environment(self):
        """What the tool's programs get to see."""
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        return {**kept, "HOME": str(self.work), "GNUPGHOME": str(self.gnupg), "LC_ALL": "C.UTF-8"}

    def run(self, *command, check=True):
        """Runs a program; its output is in the answer."""
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment(),
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stdout}")
        return done

    def start(self, *command):
        """Starts a program that runs until the end; what it says is in `work/NAME.log`."""
        with open(self.work / f"{os.path.basename(str(command[0]))}.log", "wb") as log:
            child = subprocess.Popen(
                [str(word) for word in command], env=self.environment(), cwd=self.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.children.append(child)
        return child

    def start_web(self, folder):
        """Serves a folder to apt."""
        folder.mkdir(parents=True, exist_ok=True)
        child = multiprocessing.Process(target=serve, args=(folder, self.web_port))
        child.start()
        self.children.append(child)
        wait_for(self.base_url())

    def make_key(self):
        """Makes the archive's key; returns its fingerprint."""
        self.gnupg.mkdir(mode=0o700)
        self.run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "Race <race@example.org>", "rsa2048", "sign", "never")
        listing = self.run("gpg", "--batch", "--with-colons", "--list-keys").stdout
        self.run("gpg", "--batch", "--output", self.keyring(), "--export")
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))

    def keyring(self):
        """The file with the archive's public key."""
        return self.work / "keyring.gpg"

    def base_url(self):
        """Where clients find the archive."""
        return f"http://127.0.0.1:{self.web_port}"

    def source_line(self):
        """What comes after `deb` in sources.list."""
        return f"{self.base_url()} trixie main"

    def prepare(self):
        """Sets up an empty archive that clients can read."""
        raise NotImplementedError

    def begin_job(self, job):
        """What a job does before the start."""

    def deploy(self, job, number, out):
        """Deploys the packages in a folder; returns None, SUPERSEDED, or the message of the failure."""
        raise NotImplementedError

    def start_background(self):
        """Starts what runs beside the jobs."""

    def stop_background(self, background):
        """Ends it."""

    def publish_once_more(self):
        """Publishes after all jobs have ended; returns whether the tool has such a step."""
        return False

    def notes(self):
        """What else is to be said, after all is done."""
        return []

    def stop(self):
        """Ends what was started."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.join() if isinstance(child, multiprocessing.Process) else child.wait()
        if self.gnupg.exists():
            self.run("gpgconf", "--kill", "all", check=False)


class Aptly(Tool):
    """One aptly server; a job uploads, adds and updates the publication, each by its own request."""

    program = "/usr/bin/aptly"
    query = ""
    name = "aptly"

    def __init__(self, work, arguments):
        super().__init__(work, arguments)
        self.api_port = free_port()
        version = self.run(self.path(), "version").stdout.split()[-1].split("+")[0]
        self.title = f"{self.name} {version}{' _async' if self.query else ''}"
        self.signing = {}

    def path(self):
        """The program."""
        return self.program

    def call(self, method, path, body=None, content_type="application/json"):
        """One request to the API; the answer's JSON."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}/api/{path}", method=method, data=body)
        request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def prepare(self):
        fingerprint = self.make_key()
        self.signing = {"Batch": True, "GpgKey": fingerprint}
        config = {"rootDir": str(self.work / "aptly"), "architectures": ["amd64"], "gpgProvider": "gpg2"}
        (self.work / "aptly.conf").write_text(json.dumps(config))
        self.start(self.path(), f"-config={self.work}/aptly.conf", "api", "serve", f"-listen=127.0.0.1:{self.api_port}")
        wait_for(f"http://127.0.0.1:{self.api_port}/api/version")
        self.call("POST", "repos", json.dumps({"Name": "race", "DefaultDistribution": "trixie", "DefaultComponent": "main"}).encode())
        publication = {
            "SourceKind": "local",
            "Sources": [{"Name": "race"}],
            "Distribution": "trixie",
            "Architectures": ["amd64"],
            "AcquireByHash": True,
            "Signing": self.signing,
        }
        self.call("POST", "publish/:.", json.dumps(publication).encode())
        self.start_web(self.work / "aptly/public")

    def upload(self, folder, out):
        """POST /api/files/FOLDER with all files in one form."""
        boundary = uuid.uuid4().hex
        parts = b""
        for deb in sorted(out.glob("*.deb")):
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{deb.name}"\r\n'
            parts += f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + deb.read_bytes() + b"\r\n"
        parts += f"--{boundary}--\r\n".encode()
        self.call("POST", f"files/{folder}", parts, f"multipart/form-data; boundary={boundary}")

    def step(self, what, method, path, body=None):
        """One step that changes the archive; returns None or the failure."""
        try:
            answer = self.call(method, path + self.query, body)
            if self.query:
                task = answer["ID"]
                done = self.call("GET", f"tasks/{task}/wait")
                output = self.call("GET", f"tasks/{task}/output")
                if done["State"] != 2:  # 2 is "succeeded"
                    return f"{what}: {str(output).strip()[-300:]}"
                answer = self.call("GET", f"tasks/{task}/return_value") if what == "add" else None
        except urllib.error.HTTPError as fault:
            return f"{what}: HTTP {fault.code} {fault.read().decode(errors='replace').strip()[-300:]}"
        if what == "add" and isinstance(answer, dict) and answer.get("FailedFiles"):
            return f"add: failed files {answer['FailedFiles']} {answer.get('Report')}"
        return None

    def deploy(self, job, number, out):
        folder = f"job{job}-{number}"
        self.upload(folder, out)
        update = json.dumps({"Signing": self.signing}).encode()
        return self.step("add", "POST", f"repos/race/file/{folder}") or self.step("publish", "PUT", "publish/:./trixie", update)

    def publish_once_more(self):
        # Whether it fails is of no interest here: what clients see is counted again.
        self.step("publish", "PUT", "publish/:./trixie", json.dumps({"Signing": self.signing}).encode())
        return True


class AptlyAsync(Aptly):
    """Every change as a task, as the API's documentation offers it; the job waits for its task."""

    query = "?_async=true"


class NewAptly(Aptly):
    """Debian sid's aptly."""

    def path(self):
        return self.arguments.cache / "aptly/usr/bin/aptly"


class NewAptlyAsync(NewAptly):
    """The same, every change as a task."""

    query = "?_async=true"


class Reprepro(Tool):
    """Processes of reprepro on one repository."""

    options = ()

    def __init__(self, work, arguments):
        super().__init__(work, arguments)
        version = self.run("dpkg-query", "-Wf", "${Version}", "reprepro").stdout
        self.title = " ".join([f"reprepro {version.split('-')[0]}", *self.options[:1]])

    def prepare(self):
        fingerprint = self.make_key()
        conf = self.work / "repository/conf"
        conf.mkdir(parents=True)
        (conf / "distributions").write_text(
            f"Origin: Race\nCodename: trixie\nArchitectures: amd64\nComponents: main\nSignWith: {fingerprint}\n"
        )
        self.run("reprepro", "-b", self.work / "repository", "export")
        self.start_web(self.work / "repository")

    def deploy(self, job, number, out):
        debs = sorted(out.glob("*.deb"))
        done = self.run("reprepro", "-b", self.work / "repository", *self.options, "includedeb", "trixie", *debs, check=False)
        if done.returncode == 0:
            return None
        said = [line for line in done.stdout.splitlines() if "rror" in line or "lock" in line]
        return said[0] if said else f"exit code {done.returncode}: {done.stdout[-200:]}"


class RepreproWaiting(Reprepro):
    """Each waits for the lock: looks for it again every ten seconds."""

    options = ("--waitforlock", "1000")


class Ddb(Tool):
    """`ddb-deploy commit` by address, each job with a clone of its own; objects and published tree in one bucket."""

    PUBLISHERS = 2
    title = "ddb"
    server = ("race-writer", "race-writer-secret")

    def __init__(self, work, arguments):
        super().__init__(work, arguments)
        self.s3_port = free_port()
        self.remote = f"file://{work}/archive.git"

    def environment(self):
        access, secret = self.server
        return {
            **super().environment(),
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def program(self, name):
        """One of ddb's programs."""
        return self.arguments.bin / name

    def start_store(self):
        """SeaweedFS with a bucket that anybody may read."""
        access, secret = self.server
        writer = {"name": "writer", "credentials": [{"accessKey": access, "secretKey": secret}], "actions": ["Admin"]}
        anybody = {"name": "anonymous", "actions": ["Read:race"]}
        (self.work / "s3.json").write_text(json.dumps({"identities": [writer, anybody]}))
        (self.work / "seaweed").mkdir()
        ports = [self.s3_port]
        while len(ports) < 4:
            port = free_port()
            # gRPC listens 10,000 above.
            if port < 50000 and port not in ports:
                ports.append(port)
        _, master, volume, filer = ports
        self.start(
            self.arguments.weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.work}/seaweed",
            "-s3", f"-s3.port={self.s3_port}", f"-s3.config={self.work}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-master.port={master}", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
            f"-volume.port={volume}", "-volume.max=300", f"-filer.port={filer}",
        )  # fmt: skip
        wait_for(f"http://127.0.0.1:{self.s3_port}/", 60)
        until = time.monotonic() + 60
        while True:
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{filer}/buckets/race/ready", method="PUT", data=b"ready")
                urllib.request.urlopen(request).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def prepare(self):
        self.start_store()
        bucket = f'bucket = "race"\nendpoint = "http://127.0.0.1:{self.s3_port}"\nregion = "us-east-1"\n'
        self.run("git", "init", "--quiet", "--bare", "--initial-branch=main", "archive.git")
        self.run("git", "-C", "archive.git", "config", "uploadpack.allowFilter", "true")
        self.run(self.program("ddb-deploy"), "init", "seed", "--suite", "trixie", "--architecture", "amd64", "--origin", "Race")
        self.run(self.program("ddb-publish"), "-C", "seed", "key", "generate", "--name", "Race", "--email", "race@example.org")
        with open(self.work / "seed/ddb.toml", "a", encoding="ascii") as toml:
            toml.write(f'\n[store.s3]\n{bucket}prefix = "public/lfs/objects"\n\n[target.s3]\n{bucket}prefix = "public"\n')
            toml.write("\n[inbox]\nprotected = true\n")
        self.run("git", "-C", "seed", "-c", "user.name=Race", "-c", "user.email=race@example.org", "commit", "-qam", "Name the places.")
        self.run("git", "-C", "seed", "push", "--quiet", self.remote, "main")
        for key in (self.work / "seed/keys").glob("*.asc"):
            self.keyring().with_suffix(".asc").write_bytes(key.read_bytes())
        self.publish(0)

    def keyring(self):
        return self.work / "keyring.asc"

    def base_url(self):
        return f"http://127.0.0.1:{self.s3_port}/race/public"

    def publish(self, number):
        """One publish, by the publisher of this number."""
        command = ["env", f"DDB_CACHE={self.work}/publisher{number}", self.program("ddb-publish"), "-C", self.remote, "dists", "trixie"]
        return self.run(*command, check=number == 0)

    def deploy(self, job, number, out):
        command = ["env", f"DDB_CACHE={self.work}/clone{job}", self.program("ddb-deploy"), "-C", self.remote, "commit", out]
        done = self.run(*command, check=False)
        if done.returncode == 6:
            return SUPERSEDED
        if done.returncode == 0:
            return None
        return f"exit code {done.returncode}: {done.stdout.strip()[-300:]}"

    def publish_in_a_loop(self, number, stop, log):
        """A publisher that begins again as soon as it is done; once more after it is told to stop."""
        codes = []
        while True:
            last = stop.is_set()
            done = self.publish(number)
            codes.append(done.returncode)
            if done.returncode not in (0, 9):
                log.with_suffix(".failed").write_text(done.stdout)
            if last:
                break
        log.write_text(json.dumps(codes))

    def start_background(self):
        stop = multiprocessing.Event()
        logs = [self.work / f"publisher{number}.log" for number in range(1, self.PUBLISHERS + 1)]
        processes = [
            multiprocessing.Process(target=self.publish_in_a_loop, args=(number, stop, log)) for number, log in enumerate(logs, 1)
        ]
        for process in processes:
            process.start()
        return stop, processes, logs

    def stop_background(self, background):
        stop, processes, _ = background
        stop.set()
        for process in processes:
            process.join()

    def notes(self):
        notes = []
        for number in range(1, self.PUBLISHERS + 1):
            codes = json.loads((self.work / f"publisher{number}.log").read_text())
            failed = [code for code in codes if code not in (0, 9)]
            notes.append(f"publisher {number}: {len(codes)} publishes, {codes.count(9)} gave way to the other, {len(failed)} failed")
            said = self.work / f"publisher{number}.failed"
            if said.exists():
                notes.append(f"publisher {number} said: {said.read_text().strip()[-300:]}")
        done = self.run(
            "env", f"DDB_CACHE={self.work}/fsck", self.program("ddb-deploy"), "-C", self.remote, "fsck", "--full", check=False
        )
        notes.append(f"fsck --full: exit code {done.returncode}, {done.stdout.strip().splitlines()[-1][:200]}")
        return notes


ALL = {
    "aptly": Aptly,
    "aptly-async": AptlyAsync,
    "aptly-new": NewAptly,
    "aptly-new-async": NewAptlyAsync,
    "reprepro": Reprepro,
    "reprepro-wait": RepreproWaiting,
    "ddb": Ddb,
}
