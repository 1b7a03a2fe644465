#!/usr/bin/env bash
# run.sh [--quick] [OPTION…] [TOOL…]: the same work through ddb and its peers, in turn in one run; prints a table of ratios.
#
# TOOLs: ddb, apt-ftparchive, apt-ftparchive-tuned, reprepro, aptly; default is all of them.
#
#   --quick            500 packages, three repeats: about a minute
#   --corpora LIST     of meta-500, meta-5000, meta-68820, real (default meta-5000,real,meta-68820); meta-N is any number
#   --repeats N        repeats of every measurement, medians are shown (default 3)
#   --changes N        changed packages, one publish for each (default 5)
#   --output FILE      the table (default target/peers.txt; figures beside it as .json, the plot as .svg)
#   --work FOLDER      folder to work in, emptied; not in a Git repository, on a disk (default /var/tmp/ddb-peers)
#   --keep             leave the archives there
#
# Corpora are kept in target/bench-cache, or DDB_BENCH_CACHE; best on the same file system (4 GB for all with the archives).
#
# Installs the peers and what they need from Debian where missing; ddb's programs are taken from target/release, or from DDB_BIN.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=examples/debian.sh
. "$top/examples/debian.sh"
# shellcheck source=examples/mirror.sh
. "$top/examples/mirror.sh"

[ "$(dpkg --print-architecture)" = amd64 ] || fail "the corpora are packages for amd64"
need_packages apt apt-utils aptly debian-archive-keyring dpkg-dev git git-lfs gpg gpg-agent gpgv python3 reprepro xz-utils

cache=${DDB_BENCH_CACHE:-$top/target/bench-cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

corpora=meta-5000,real,meta-68820
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) corpora=meta-500 options+=(--changes 3) ;;
    --corpora) corpora=$2 && shift ;;
    --corpora=*) corpora=${1#*=} ;;
    *) options+=("$1") ;;
    esac
    shift
done

# made NAME COMMAND…: makes CACHE/NAME by COMMAND, in a folder of another name; again when the recipes have changed.
made() {
    local name=$1 recipe
    recipe=$(cat "$here/corpora.py" | sha256sum)
    [ "$(cat "$cache/$name.recipe" 2>/dev/null)" = "$recipe" ] && return
    say "Making $cache/$name"
    rm -rf "$cache/$name.recipe" "$cache/$name.new"
    mkdir "$cache/$name.new"
    "${@:2}" "$cache/$name.new"
    rm -rf "${cache:?}/$name"
    mv "$cache/$name.new" "$cache/$name"
    echo "$recipe" >"$cache/$name.recipe"
}

# Debian's indices are fetched once: all corpora are of one day.
indices=$cache/indices
if [ ! -e "$indices" ]; then
    say "Fetching trixie's indices"
    mirror=$(debian_mirror)
    rm -rf "$indices.new" && mkdir "$indices.new"
    (
        cd "$indices.new"
        private_apt "$PWD/apt"
        release trixie
        index trixie main/binary-amd64/Packages Packages
        index trixie main/source/Sources Sources
        rm -r apt
    )
    mv "$indices.new" "$indices"
fi

meta() { python3 "$here/corpora.py" meta "$indices" "$2" --packages "$1"; }

real() {
    local path digest files=()
    mirror=$(debian_mirror)
    mkdir "$1/out"
    while read -r path digest; do
        files+=("$mirror/$path" "$1/out/${path##*/}" "$digest")
    done < <(python3 "$here/corpora.py" choose "$indices")
    (
        private_apt "$1/apt"
        fetch "${files[@]}"
    )
    rm -r "$1/apt"
    python3 "$here/corpora.py" real "$indices" "$1"
}

folders=()
for corpus in ${corpora//,/ }; do
    case $corpus in
    real) made real real ;;
    # The last is all of main, however many it has today.
    meta-68820) made meta-68820 meta 0 ;;
    meta-[1-9]*) made "$corpus" meta "${corpus#meta-}" ;;
    *) fail "no such corpus: $corpus" ;;
    esac
    folders+=("$cache/$corpus")
done

exec python3 "$here/peers.py" --corpora "${folders[@]}" --bin "${DDB_BIN:-$top/target/release}" --target "$top/target" -- "${options[@]}"
