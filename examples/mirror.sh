# shellcheck shell=bash
# Sourced after debian.sh by tests/prepare.sh and benches/peers/run.sh: files of a Debian mirror, each checked by its digest, which
# comes from a Release that is signed. $mirror is the mirror's URL (debian_mirror), $cache/fetch.log gets what the downloads say.

# fetch URL FILE SHA256 [URL FILE SHA256]…: what did not come or is not as it should be is left out.
fetch() {
    local words=()
    while [ $# -ge 3 ]; do
        words+=("$1" "$2" "SHA256:$3")
        shift 3
    done
    /usr/lib/apt/apt-helper download-file "${words[@]}" >>"$cache/fetch.log" 2>&1 || true
}

# release SUITE: writes SUITE.Release, after a check of its signature.
release() {
    /usr/lib/apt/apt-helper download-file "$mirror/dists/$1/InRelease" "$1.InRelease" >>"$cache/fetch.log" 2>&1 ||
        fail "cannot fetch dists/$1/InRelease from the Debian mirror, see $cache/fetch.log"
    gpgv --quiet --keyring "$debian_keyring" --output "$1.Release" "$1.InRelease" 2>>"$cache/fetch.log" ||
        fail "dists/$1/InRelease of the Debian mirror is not signed by a key in $debian_keyring"
}

# index SUITE PATH FILE: writes the index at dists/SUITE/PATH, as named in SUITE.Release.
index() {
    local url=$mirror/dists/$1 path=$2 file=$3 digest
    digest=$(sed '1,/^SHA256:/d' "$1.Release" | awk -v path="$path.xz" '$3 == path { print $1 }')
    mkdir -p "$(dirname "$file")"
    fetch "$url/${path%/*}/by-hash/SHA256/$digest" "$file.xz" "$digest"
    [ -e "$file.xz" ] || fetch "$url/$path.xz" "$file.xz" "$digest"
    [ -e "$file.xz" ] || fail "no usable $path of $1 on the Debian mirror, see $cache/fetch.log"
    xz -d "$file.xz"
}
