#!/usr/bin/env bash
# run.sh [--quick] [OPTION…] [TOOL…]: the same work through ddb and its peers, in turn in one run, then what ddb alone does; prints the
# table of goals and a table for each piece of work.
#
# TOOLs: ddb, ddb-bare, apt-ftparchive, apt-ftparchive-tuned, reprepro, aptly; default is all of them.
#
#   --quick            500 packages and small archives: some minutes, to see that all works; says nothing of the goals
#   --corpora LIST     of meta-500, meta-5000, meta-68820, real (default meta-5000,real,meta-68820); meta-N is any number
#   --rows LIST        of peers, alone, architectures, pointers (default all of them)
#   --repeats N        repeats of cold starts and of what ddb alone does, medians are shown (default 3)
#   --changes N        changed packages, one publish for each (default 5; a tool that needs over 10 s for one: as many as repeats)
#   --patches LIST     how many patches are kept, for the table of what clients fetch (default 8,24,56)
#   --architectures AxR  architectures and records in each (default 10x60000)
#   --pointers N       packages of the archive that one more is committed into (default 100000)
#   --output FILE      the table (default target/peers.txt; figures beside it as .json, the plot as .svg)
#   --work FOLDER      folder to work in, emptied; not in a Git repository, on a disk (default /var/tmp/ddb-peers)
#   --keep             leave the archives there
#   --prepare          make the corpora and install what is needed, measure nothing
#
# Run it as root: apt 3 runs in a root folder of trixie, by chroot. Or leave the clients' table out, by --patches "".
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

corpora=meta-5000,real,meta-68820 measure=true
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) corpora=meta-500 options+=(--changes 3 --repeats 2 --patches "2,4" --architectures 3x500 --pointers 2000) ;;
    --corpora) corpora=$2 && shift ;;
    --corpora=*) corpora=${1#*=} ;;
    --prepare) measure=false ;;
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
# apt 3: the root folder that the tests have, or one like it.
root=${DDB_TEST_CACHE:-$top/target/test-cache}/trixie
if [ ! -d "$root" ]; then
    root=$cache/trixie
    if [ ! -d "$root" ]; then
        need_packages debootstrap
        say "Making $root, for apt 3"
        rm -rf --one-file-system "$root.new"
        as_root debootstrap --variant=minbase --keyring="$debian_keyring" trixie "$root.new" "$(debian_mirror)" >"$cache/debootstrap.log" 2>&1 ||
            fail "debootstrap of trixie failed, see $cache/debootstrap.log"
        mv "$root.new" "$root"
    fi
fi

$measure || exit 0

exec python3 "$here/peers.py" --corpora "${folders[@]}" --bin "${DDB_BIN:-$top/target/release}" --target "$top/target" --root "$root" -- "${options[@]}"
