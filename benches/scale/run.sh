#!/usr/bin/env bash
# run.sh [POINTERS [RUNS]]: one package deployed into an archive of POINTERS (100000) packages from a fresh CI runner, by ddb and by
# stock git and git-lfs, over http; prints medians of RUNS (3) of wall seconds, bytes from and to the server, and disk.
#
# ddb's programs are taken from target/release, or from DDB_BIN.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=examples/debian.sh
. "$top/examples/debian.sh"
need_packages git git-lfs python3 curl dpkg-dev

pointers=${1:-100000} runs=${2:-3}
bin=${DDB_BIN:-$top/target/release}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work/home GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_LFS_SKIP_SMUDGE=1
export GIT_AUTHOR_NAME=Scale GIT_AUTHOR_EMAIL=scale@example.org GIT_COMMITTER_NAME=Scale GIT_COMMITTER_EMAIL=scale@example.org
mkdir home objects
git lfs install --skip-repo >/dev/null

git init --quiet --bare --initial-branch=main archive.git
git -C archive.git config http.receivepack true
git -C archive.git config uploadpack.allowFilter true
python3 "$here/history.py" "$pointers" "$work/objects" | git -C archive.git fast-import --quiet --done
git -C archive.git repack -adq
python3 "$here/backend.py" "$work" "$work/port" &
server=$!
until [ -s port ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port)

# deb NUMBER: a package that the archive has not, in out-NUMBER/
deb() {
    mkdir -p "tree/DEBIAN"
    printf 'Package: fresh%s\nVersion: 1\nArchitecture: amd64\nMaintainer: Scale <scale@example.org>\nDescription: x\n' "$1" >tree/DEBIAN/control
    mkdir "out-$1"
    dpkg-deb -Znone --root-owner-group -b tree "out-$1/fresh$1_1_amd64.deb" >/dev/null
}

# measure NAME FOLDER COMMAND…: appends NAME, seconds, bytes from the server, bytes to it, disk of FOLDER in bytes
measure() {
    local name=$1 folder=$2 begun ended
    shift 2
    curl -s "$url/bytes" >/dev/null
    begun=$(date +%s.%N)
    "$@" >>log 2>&1 || { cat log >&2 && fail "$name failed"; }
    ended=$(date +%s.%N)
    printf '%s\t%s\t%s\t%s\n' "$name" "$(echo "$ended - $begun" | bc)" "$(curl -s "$url/bytes" | tr ' ' '\t')" \
        "$(du -sb "$folder" | cut -f1)" >>results
}

by_ddb() { DDB_CACHE=$1 "$bin/ddb-deploy" -C "$url/archive.git" commit "$2"; }

by_git() { # clone with a checkout of pointers, as `git lfs track; git add; git commit; git push` needs
    git clone --quiet --depth 1 "$url/archive.git" "$1"
    git -C "$1" config lfs.locksverify false
    mkdir -p "$1/pool/main/f/fresh"
    cp "$2"/*.deb "$1/pool/main/f/fresh/"
    git -C "$1" lfs track 'pool/**'
    git -C "$1" add .gitattributes pool/main/f/fresh
    git -C "$1" commit --quiet -m "Add a package."
    git -C "$1" push --quiet --no-verify origin main
}

command -v bc >/dev/null || need_packages bc
for run in $(seq "$runs"); do
    deb "$run" && deb "warm$run" && deb "git$run"
    measure "ddb-deploy, fresh runner" "cache$run" by_ddb "cache$run" "out-$run"
    measure "ddb-deploy, clone in the cache" "cache$run" by_ddb "cache$run" "out-warm$run"
    measure "git clone, lfs track, add, commit, push" "clone$run" by_git "clone$run" "out-git$run"
    rm -rf "clone$run"
done

python3 - "$pointers" "$runs" <<'PYTHON'
import statistics
import sys

rows = {}
for line in open("results", encoding="ascii"):
    name, *figures = line.rstrip("\n").split("\t")
    rows.setdefault(name, []).append([float(figure) for figure in figures])
print(f"one package into {sys.argv[1]} packages, medians of {sys.argv[2]} runs")
print(f"{'':42}{'seconds':>9}{'received':>14}{'sent':>10}{'disk':>14}")
for name, figures in rows.items():
    seconds, received, sent, disk = (statistics.median(column) for column in zip(*figures))
    print(f"{name:42}{seconds:9.2f}{received:14,.0f}{sent:10,.0f}{disk:14,.0f}")
PYTHON
