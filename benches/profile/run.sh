#!/usr/bin/env bash
# run.sh [PACKAGES]: where the time goes. Takes a tiny .deb for each of PACKAGES (default: all) paragraphs of trixie main amd64 into a
# bare archive, publishes it, brings a newer version of one package (three times) and publishes that, and publishes from a fresh clone
# with nothing cached; each under `perf record`. Prints the shares of CPU time by part, and the first functions of each step.
#
# Needs a kernel that lets perf sample (kernel.perf_event_paranoid). The corpus is that of benches/peers, kept in target/bench-cache or
# DDB_BENCH_CACHE; ddb's programs are taken from target/release, or from DDB_BIN.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=examples/debian.sh
. "$top/examples/debian.sh"
need_packages git linux-perf python3

corpus=meta-${1:-68820}
"$here/../peers/run.sh" --prepare --corpora "$corpus"
corpus=${DDB_BENCH_CACHE:-$top/target/bench-cache}/$corpus
bin=$(cd "${DDB_BIN:-$top/target/release}" && pwd)
work=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$work"' EXIT
cd "$work"

export HOME=$work DDB_CACHE=$work/cache GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Bench GIT_AUTHOR_EMAIL=bench@example.org GIT_COMMITTER_NAME=Bench GIT_COMMITTER_EMAIL=bench@example.org

"$bin/ddb-deploy" init first --suite trixie --architecture amd64 --origin Bench >>log
"$bin/ddb-publish" -C first key generate --name Bench --email bench@example.org >>log
printf 'descriptions = "long"\n' >>first/ddb.toml
git -C first commit --quiet --message "Keep descriptions whole." ddb.toml
git clone --quiet --bare first archive.git
git -C archive.git remote remove origin
rm -rf first

# sampled NAME COMMAND…: runs it, its samples go to NAME.perf
sampled() {
    perf record --quiet --freq 2000 --output "$1.perf" -- "${@:2}" >>log 2>&1 || { cat log >&2 && fail "$1 failed"; }
}

sampled deploy "$bin/ddb-deploy" -C archive.git commit --suite trixie "$corpus/out"
sampled publish "$bin/ddb-publish" -C archive.git dists trixie
for change in 0 1 2; do
    sleep 1 # A Release is dated by the second.
    sampled "change-deploy-$change" "$bin/ddb-deploy" -C archive.git commit --suite trixie "$corpus/changes/$change"
    sampled "change-publish-$change" "$bin/ddb-publish" -C archive.git dists trixie
done
git clone --quiet --bare --single-branch --branch main "file://$work/archive.git" clone.git
git -C clone.git remote remove origin
ln -s "$work/archive.git/lfs" clone.git/lfs
export DDB_CACHE=$work/cold
sampled fresh-clone "$bin/ddb-publish" -C clone.git dists trixie --target "$work/tree"

python3 "$here/shares.py" \
    "first deploy=deploy.perf" "first publish=publish.perf" "publish from a fresh clone=fresh-clone.perf" \
    "one more deployed=$(echo change-deploy-*.perf)" "one more published=$(echo change-publish-*.perf)"
