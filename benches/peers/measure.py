"""What a program costs: seconds, CPU, memory and bytes written, as the kernel counts them for it and all that it starts.

Run as a program, `measure.py LOG COMMAND…` runs the command and prints its cost as JSON. That is a small process of its own because
the kernel counts the memory of who starts a program as the program's.
"""

import json
import os
import signal
import subprocess
import sys
import time


class Cost:
    """The cost of one or several programs that ran one after the other."""

    def __init__(self, wall=0.0, cpu=0.0, peak=0.0, written=0.0):
        self.wall, self.cpu, self.peak, self.written = wall, cpu, peak, written

    def __add__(self, other):
        # Of two programs after each other, the larger one's memory.
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak), self.written + other.written)

    def figures(self):
        """As values of a table: seconds, seconds, MB, MB."""
        return {"wall": self.wall, "cpu": self.cpu, "peak": self.peak / 1e6, "written": self.written / 1e6}


def run(command, environment, folder):
    """Runs a program to its end; returns its cost. What it says is shown if it fails."""
    log = folder / "log"
    words = [sys.executable, "-I", "-S", __file__, log, *command]
    child = subprocess.Popen([str(word) for word in words], env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, start_new_session=True)  # fmt: skip
    try:
        answer, _ = child.communicate()
    except BaseException:
        os.killpg(child.pid, signal.SIGTERM)
        raise
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))[:300]} failed:\n{log.read_text(errors='replace')[-3000:]}")
    return Cost(*json.loads(answer))


def settle(folder):
    """Waits until everything on the file system of a folder is on the disk; returns the seconds."""
    begun = time.monotonic()
    subprocess.run(["sync", "-f", folder], check=True)
    return time.monotonic() - begun


def main():
    with open(sys.argv[1], "wb") as said:
        begun = time.monotonic()
        child = subprocess.Popen(sys.argv[2:], stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
    # The kernel counts written blocks of 512 bytes, when pages become dirty.
    print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, usage.ru_oublock * 512]))
    sys.exit(os.waitstatus_to_exitcode(status) != 0)


if __name__ == "__main__":
    main()
