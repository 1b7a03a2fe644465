#!/usr/bin/env bash
# run.sh [ARGUMENT…]: installs what the tests need, builds ddb and runs all tests; ARGUMENTs go to `cargo test`.
# Packages and folders that tests share are kept in target/test-cache.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"

export DDB_TEST_CACHE=$top/target/test-cache
tests/prepare.sh "$DDB_TEST_CACHE"

export PATH=$PATH:$HOME/.cargo/bin # where rustup puts cargo
command -v cargo >/dev/null || {
    echo "run.sh: cargo not found: install Rust ($(grep rust-version Cargo.toml) or newer)" >&2
    exit 1
}
cargo build --release --locked --bins

log=$(mktemp)
memory=
# What a server still writes, or root left there, is no fault of the tests; the next run takes it away.
trap 'rm -rf "$log" "$memory" 2>/dev/null || true' EXIT
find /dev/shm -maxdepth 1 -name 'ddb-tests-??????' -user "$(id -un)" -mmin +600 -exec rm -rf {} + 2>/dev/null || true

# Tests mostly wait: for disks, and for servers and logs that take their time. Their folders lie in memory where there is plenty of it,
# and programs may be run there; one of them more runs at once than there are processors. TMPDIR and RUST_TEST_THREADS say otherwise.
plenty=$((6 << 20)) # KiB
if [ -z "${TMPDIR:-}" ] && [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -ge "$plenty" ]; then
    memory=$(mktemp -d /dev/shm/ddb-tests-XXXXXX 2>/dev/null) || memory=
fi
if [ -n "$memory" ]; then
    chmod 755 "$memory" # apt runs its methods as another user
    printf '#!/bin/sh\n' >"$memory/program"
    chmod +x "$memory/program"
    if [ "$(df -k --output=avail "$memory" | tail -n 1)" -ge "$plenty" ] && "$memory/program" 2>/dev/null; then
        export TMPDIR=$memory
    fi
fi
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) + 1))}

status=0
cargo test --release --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

# Each test binary closes with: test result: ok. 12 passed; 0 failed; …
read -r passed failed < <(awk '/^test result:/ { passed += $4; failed += $6 } END { print passed + 0, failed + 0 }' "$log")
printf '\n%d passed, %d failed\n' "$passed" "$failed"
if [ "$status" != 0 ] || [ "$passed" = 0 ] || [ "$failed" != 0 ]; then exit 1; fi
