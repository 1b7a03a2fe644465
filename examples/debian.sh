# shellcheck shell=bash
# Sourced by quickstart.sh and tests/prepare.sh: what they need of the Debian machine that they run on.
# Packages are installed with the machine's own apt. Everything else that is fetched from Debian goes through a
# private apt with its own configuration, state and keyring; it only learns from the machine which mirror to ask.

shopt -s inherit_errexit

# shellcheck disable=SC2034 # used by those who source this
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf '\n== %s\n' "$*" >&2; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "must be root, or have sudo, to run: $*"
    fi
}

# machine_apt ARGUMENT…: the machine's own apt-get, quiet; fetches package lists and tries once more if that fails.
machine_apt() {
    local command=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300)
    as_root "${command[@]}" "$@" >/dev/null 2>&1 && return
    as_root "${command[@]}" update >&2 && as_root "${command[@]}" "$@" >&2
}

# need_packages PACKAGE…: installs those that are missing; does not call apt-get when none is.
need_packages() {
    local package missing=()
    for package; do
        [[ $(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null) = installed* ]] || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "Installing ${missing[*]}"
    machine_apt install "${missing[@]}" || fail "cannot install ${missing[*]} with apt-get"
}

# debian_mirror: prints the URL of the Debian mirror that the machine's apt uses, or DDB_DEBIAN_MIRROR.
debian_mirror() {
    local site
    site=${DDB_DEBIAN_MIRROR:-$(machine_mirror)}
    if [ -z "$site" ]; then # without package lists apt does not know which of its sources is Debian
        as_root apt-get -qq update >&2
        site=$(machine_mirror)
    fi
    case $site in # Debian's cloud images name a file of mirrors
    mirror+file:*) site=$(grep -m1 -oE 'https?://[^[:space:]]+' "${site#mirror+file:}" || true) ;;
    esac
    [ -n "$site" ] || fail "no Debian mirror among the machine's apt sources: set DDB_DEBIAN_MIRROR to the URL of one"
    printf '%s\n' "${site%/}"
}

machine_mirror() {
    # shellcheck disable=SC2016 # $(SITE) is apt's
    apt-get indextargets --format '$(SITE)' 'Label: Debian' 'Created-By: Packages' |
        grep -m1 -E '^(https?:|mirror\+file:)' || true
}

# private_apt DIR: makes DIR, an absolute path, the home of an apt of its own and exports APT_CONFIG, which every apt
# program then follows instead of /etc/apt. Sources go to DIR/etc/apt/sources.list.d/*.sources.
private_apt() {
    local proxies
    proxies=$(apt-config dump | grep -iE '^Acquire::https?::Proxy' || true)
    mkdir -p "$1"/etc/apt/{apt.conf.d,preferences.d,sources.list.d,trusted.gpg.d} \
        "$1"/var/{lib/apt/lists/partial,cache/apt/archives/partial,lib/dpkg,log/apt}
    : >"$1/var/lib/dpkg/status"
    cat >"$1/etc/apt/apt.conf" <<EOF
Dir "$1";
Dir::State::status "$1/var/lib/dpkg/status";
APT::Sandbox::User "root";
Acquire::Languages "en";
Acquire::Retries "3";
$proxies
EOF
    export APT_CONFIG=$1/etc/apt/apt.conf
}

# private_source FOLDER PACKAGE…: fetches into FOLDER the source of the first PACKAGE of bookworm that is whole on the
# mirror; prints its name.
private_source() {
    local folder=$1 package apt=$1.apt mirror
    mirror=$(debian_mirror)
    (
        private_apt "$apt"
        printf 'Types: deb-src\nURIs: %s\nSuites: bookworm\nComponents: main\nSigned-By: %s\n' \
            "$mirror" "$debian_keyring" >"$apt/etc/apt/sources.list.d/debian.sources"
        apt-get -qq update >&2
        for package in "${@:2}"; do
            mkdir "$folder"
            if (cd "$folder" && apt-get -qq source --download-only "$package" >&2); then
                echo "$package"
                exit
            fi
            rm -r "$folder"
        done
        fail "the Debian mirror lacks files of each of these source packages of bookworm: ${*:2}"
    )
    rm -r "$apt"
}

# build FOLDER [OPTION…]: builds the source package in FOLDER with dpkg-buildpackage; all that it leaves, and its log
# beside the .changes as NAME_VERSION_ARCHITECTURE.build, is in FOLDER.
build() {
    local folder=$1 log=$1/log changes
    (
        cd "$folder" && dpkg-source --no-check --extract ./*.dsc unpacked &&
            cd unpacked && dpkg-buildpackage --no-sign -sa "${@:2}"
    ) >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "dpkg-buildpackage failed in $folder, see $log"
    }
    rm -r "$folder/unpacked"
    changes=$(echo "$folder"/*.changes)
    mv "$log" "${changes%.changes}.build"
}
