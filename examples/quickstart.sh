#!/usr/bin/env bash
# quickstart.sh [--keep FOLDER]: from the source of a small Debian package to an apt archive that stock apt installs it
# from. Everything happens in one folder, which is removed at the end unless --keep names it; of the machine itself only
# missing packages are installed.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=examples/debian.sh
. "$top/examples/debian.sh"

case ${1:-} in
--keep)
    folder=${2:?--keep needs a folder}
    mkdir -p "$folder"
    [ -z "$(ls -A "$folder")" ] || fail "$folder is not empty"
    folder=$(cd "$folder" && pwd)
    ;;
'')
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    ;;
*) fail "usage: quickstart.sh [--keep FOLDER]" ;;
esac

say "1. Build ddb"
need_packages build-essential dpkg-dev debhelper fakeroot git gpgv debian-archive-keyring
export PATH=$PATH:$HOME/.cargo/bin # where rustup puts cargo
command -v cargo >/dev/null || fail "cargo not found: install Rust ($(grep rust-version "$top/Cargo.toml") or newer)"
(cd "$top" && cargo build --release --locked --bins)
PATH=$(cd "$top" && cd "${CARGO_TARGET_DIR:-target}/release" && pwd):$PATH

say "2. Build a Debian package: this is what a build job leaves in out/"
package=$(private_source "$folder/out" tree hostname) # they need nothing but debhelper, and know --version
build "$folder/out"
ls -lh "$folder/out"

say "3. Make an archive and a key to sign it with"
export HOME=$folder/home XDG_CONFIG_HOME=$folder/home/.config
unset CI_JOB_URL PACKAGE VERSION DDB_SUITE # a CI job would say with them what it has built
mkdir "$HOME"
git config --global user.name Quickstart
git config --global user.email quickstart@example.org
archive=$folder/archive
ddb-deploy init "$archive" --suite trixie
ddb-publish -C "$archive" key generate --name "Quickstart archive" --email quickstart@example.org

say "4. Deploy the build and publish the suite"
ddb-deploy -C "$archive" commit "$folder/out" --suite trixie
ddb-publish -C "$archive" dists trixie

say "5. Let stock apt use it"
private_apt "$folder/apt"
cp "$archive/public/trixie.sources" "$folder/apt/etc/apt/sources.list.d/"
mkdir "$folder/installed" "$folder/source"
cd "$folder/installed"
apt-get update
apt-get download "$package"
dpkg-deb -x "$package"_*.deb .
program=$(find . -type f -name "$package" -path '*bin/*')
"$program" --version
cd "$folder/source"
apt-get source "$package"

say "Made from the source of $package"
du -sh --apparent-size "$folder/out" "$archive/.git" "$archive/public" | sed "s|$folder/||"
git -C "$archive" log --oneline
echo "The archive's sources stanza:"
cat "$archive/public/trixie.sources"
[ "${1:-}" != --keep ] || echo "Everything is in $folder"
