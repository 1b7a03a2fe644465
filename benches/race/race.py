#!/usr/bin/env python3
"""Many deploy jobs at once into one archive, with one tool after the other, and an apt client that reads all the while.

Every job is a process of its own; all begin at the same moment. A job runs several deploys one after the other; each brings two
packages, and stands for one CI pipeline: it succeeds or fails, and nothing is tried again that the tool's documentation does not
say to try again. Three of four jobs have sources of their own, the others deploy the same sources in different versions.

lost   = packages of deploys that succeeded which the final index lists neither in that version nor in a newer one of another
         deploy that succeeded
stale  = more of these missing for the client that read all the while (an answer "not modified" that is not true)
broken = packages that the final index lists and that cannot be downloaded with the size and digest listed
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import client
import tools


def make_packages(folder, jobs, deploys):
    """Makes all packages with dpkg-deb; returns {(job, deploy): folder}."""
    wanted = {}
    shared = jobs - jobs * 3 // 4
    for job in range(jobs):
        for deploy in range(deploys):
            if job < shared:
                source, version = f"race-shared-{deploy}", f"1.{job}"
            else:
                source, version = f"race-job{job}-{deploy}", "1.0"
            wanted[job, deploy] = (folder / f"{job}" / f"{deploy}", source, version)
    with multiprocessing.Pool() as pool:
        pool.starmap(make_source, wanted.values())
    return {key: out for key, (out, _, _) in wanted.items()}


def make_source(out, source, version):
    """Makes the two packages of one source, unless they are there."""
    for package in (f"{source}-a", f"{source}-b"):
        deb = out / f"{package}_{version}_amd64.deb"
        if deb.exists():
            continue
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as tree:
            tree = Path(tree)
            tree.chmod(0o755)
            (tree / "DEBIAN").mkdir(mode=0o755)
            (tree / "DEBIAN/control").write_text(
                f"Package: {package}\nSource: {source}\nVersion: {version}\nArchitecture: amd64\n"
                "Maintainer: Race <race@example.org>\nSection: misc\nPriority: optional\n"
                f"Description: package of a race\n It says {package} {version}.\n"
            )
            text = tree / f"usr/share/doc/{package}/version"
            text.parent.mkdir(parents=True)
            text.write_text(f"{package} {version}\n")
            subprocess.run(
                ["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, deb.with_suffix(".new")],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        deb.with_suffix(".new").rename(deb)


def run_job(tool, job, outs, start, log):
    """One job: its deploys one after the other. Writes one line of JSON for each."""
    lines = []
    try:
        tool.begin_job(job)
        start.wait()
        for deploy, out in enumerate(outs):
            started = time.monotonic()
            if lines and "TimeoutError" in (lines[-1]["failure"] or ""):
                # The server stands still: a job waits no second time.
                lines.append({**lines[-1], "seconds": 0.0})
                continue
            try:
                failure = tool.deploy(job, deploy, out)
            except Exception as fault:  # the tool's failure in whatever form: a refused connection, a broken answer
                failure = f"{type(fault).__name__}: {fault}"
            line = {"job": job, "packages": [], "seconds": time.monotonic() - started, "failure": failure, "superseded": False}
            if failure is tools.SUPERSEDED:
                line.update(failure=None, superseded=True)
            elif failure is None:
                line["packages"] = [deb.name.split("_")[:2] for deb in sorted(out.glob("*.deb"))]
            lines.append(line)
    finally:
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))


def race(tool, outs, jobs, deploys, work):
    """Runs the workload with one tool; returns the row of the table."""
    tool.prepare()
    reader = client.Client(work / "apt", tool.source_line(), tool.keyring())
    reader.update()
    background = tool.start_background()
    stop = multiprocessing.Event()
    counts = multiprocessing.Queue()
    loop = multiprocessing.Process(target=reader.loop, args=(stop, counts))
    loop.start()

    start = multiprocessing.Barrier(jobs + 1)
    logs = [work / f"job{job}.log" for job in range(jobs)]
    processes = [
        multiprocessing.Process(
            target=run_job, args=(tool, job, [outs[job, deploy] for deploy in range(deploys)], start, logs[job])
        )
        for job in range(jobs)
    ]
    for process in processes:
        process.start()
    start.wait()
    started = time.monotonic()
    for process in processes:
        process.join()
    wall = time.monotonic() - started
    tool.stop_background(background)
    settled = time.monotonic() - started
    stop.set()
    read = counts.get()
    loop.join()

    done = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    if len(done) != jobs * deploys:
        sys.exit(f"race: only {len(done)} of {jobs * deploys} deploys are in the logs of {work}")
    good = [line for line in done if line["failure"] is None]
    # A client that comes for the first time sees what is there; the one that read all the while should see the same.
    fresh = client.Client(work / "apt-fresh", tool.source_line(), tool.keyring())
    lost = client.lost(good, fresh.index())
    broken = client.broken(tool.base_url(), fresh.paragraphs())
    stale = len(client.lost(good, reader.index())) - len(lost)
    again = client.lost(good, fresh.index()) if lost and tool.publish_once_more() else lost
    notes = tool.notes()

    seconds = sorted(line["seconds"] for line in done)
    failures = {}
    for line in done:
        if line["failure"] is not None:
            said = line["failure"].replace(str(work), "").splitlines()
            kind = said[-1][:160] if said else "no message"
            failures.setdefault(tools.kind_of(kind), [0, kind])[0] += 1
    by_job = [sum(line["seconds"] for line in done if line["job"] == job) for job in range(jobs)]
    return {
        "tool": tool.title,
        "succeeded": len(good),
        "superseded": sum(line["superseded"] for line in good),
        "failed": len(done) - len(good),
        "lost": len(lost),
        "lost after one more publish": len(again),
        "stale": stale,
        "broken": len(broken),
        "wall": round(wall, 1),
        "until published": round(settled, 1),
        "rate": round(len(good) / wall, 1),
        "median": round(statistics.median(seconds), 2),
        "slowest": round(seconds[-1], 2),
        "job median": round(statistics.median(by_job), 1),
        "job slowest": round(max(by_job), 1),
        "apt": read,
        "failures": sorted(failures.values(), reverse=True)[:5],
        "notes": notes,
        "lost examples": lost[:4],
        "broken examples": broken[:4],
    }


def table(rows):
    """The rows as text."""
    columns = {
        "tool": lambda row: row["tool"],
        "ok": lambda row: row["succeeded"],
        "older": lambda row: row["superseded"],
        "failed": lambda row: row["failed"],
        "lost": lambda row: row["lost"],
        "lost*": lambda row: row["lost after one more publish"],
        "stale": lambda row: row["stale"],
        "broken": lambda row: row["broken"],
        "wall s": lambda row: row["wall"],
        "ok/s": lambda row: row["rate"],
        "median s": lambda row: row["median"],
        "slowest s": lambda row: row["slowest"],
        "job max/med": lambda row: f"{row['job slowest'] / max(row['job median'], 0.1):.1f}",
        "apt rounds": lambda row: row["apt"]["rounds"],
        "update err": lambda row: row["apt"]["update errors"],
        "download err": lambda row: row["apt"]["download errors"],
    }
    cells = [list(columns)] + [[str(show(row)) for show in columns.values()] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = []
    for line in cells:
        lines.append("  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(line, widths))))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"of {', '.join(tools.ALL)}; default is all")
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--deploys", type=int, default=5)
    parser.add_argument("--output", type=Path, help="file for the table; the figures go beside it as .json")
    parser.add_argument("--work", type=Path, help="folder to work in, kept; default is a temporary one")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--weed", type=Path, required=True)
    arguments = parser.parse_args()
    unknown = [tool for tool in arguments.tools if tool not in tools.ALL]
    if unknown:
        parser.error(f"no such tool: {', '.join(unknown)}")
    output = arguments.output or arguments.cache.parent / "race.txt"

    outs = make_packages(arguments.cache / f"packages-{arguments.jobs}x{arguments.deploys}", arguments.jobs, arguments.deploys)
    rows = []
    for name in arguments.tools or list(tools.ALL):
        work = (arguments.work or Path(tempfile.mkdtemp(prefix="ddb-race-"))) / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        print(f"race: {name} in {work}", file=sys.stderr, flush=True)
        tool = tools.ALL[name](work, arguments)
        try:
            rows.append(race(tool, outs, arguments.jobs, arguments.deploys, work))
        finally:
            tool.stop()
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        if not arguments.work:
            shutil.rmtree(work.parent, ignore_errors=True)

    count = arguments.jobs * arguments.deploys
    text = f"""{arguments.jobs} jobs at once, each {arguments.deploys} deploys of 2 packages ({count} deploys, {count * 2} packages);
{os.cpu_count()} cores, Linux {platform.release()}, {time.strftime("%Y-%m-%d")}

{table(rows)}

ok, failed: deploys that said so.  older: those of ok that said something newer was there.  lost: packages of successful deploys that the final index lacks, superseded ones not counted;
lost*: still so after one more publish.  stale: more of them missed by the client that read all the while.
broken: listed in the final index, but not downloadable as listed.
job max/med: slowest job against the median one.  apt: an apt client that updates and downloads in a loop all the while.
"""
    for row in rows:
        for count, kind in row["failures"]:
            text += f"\n{row['tool']}: {count} failed with: {kind}"
        for note in row["notes"] + [f"lost, for example {row['lost examples']}"] * bool(row["lost"]) + [
            f"apt said: {said}" for said in row["apt"]["said"]
        ]:
            text += f"\n{row['tool']}: {note}"
    print(text)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    output.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
