#!/usr/bin/env bash
# ceph.sh ROOT PORT MONPORT: runs Ceph's S3 gateway on 127.0.0.1:PORT, with what it needs below, from a root folder that has
# radosgw installed (tests/prepare.sh makes it with DDB_SLOW=1). Everything is in memory and ends with this script. Prints
# "ready" when user ddb-writer is there. Needs root, for chroot.
set -euo pipefail
root=$1 port=$2 monitor=$3

# A folder of its own for each run, below the root.
run=$(mktemp -d "$root/run/ddb-ceph-XXXXXX")
trap 'rm -rf "$run"' EXIT
work=${run#"$root"}
mkdir "$run"/{mon,mgr,osd}
cat >"$run/ceph.conf" <<END
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
auth cluster required = none
auth service required = none
auth client required = none
mon host = [v1:127.0.0.1:$monitor]
public network = 127.0.0.0/8
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon data = $work/mon
mgr data = $work/mgr
osd data = $work/osd
mgr initial modules =
run dir = $work
admin socket = $work/\$name.\$pid.asok
log file = $work/\$name.log
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port
END
inside() { chroot "$root" env CEPH_CONF="$work/ceph.conf" "$@"; }
# A daemon in the foreground that is killed when this script ends.
daemon() {
    (exec chroot "$root" env CEPH_CONF="$work/ceph.conf" setpriv --pdeathsig KILL "$@" --foreground >>"$run/daemons.log" 2>&1) &
}

fsid=$(sed -n 's/^fsid = //p' "$run/ceph.conf")
inside monmaptool --create --fsid "$fsid" --addv a "[v1:127.0.0.1:$monitor]" "$work/monmap" >&2
inside ceph-mon --mkfs -i a --monmap "$work/monmap" >&2
daemon ceph-mon -i a
daemon ceph-mgr -i x
inside ceph-osd -i 0 --mkfs >&2
daemon ceph-osd -i 0
# The gateway makes these with more placement groups than one OSD takes.
for pool in .rgw.root default.rgw.{log,control,meta,buckets.index,buckets.data,buckets.non-ec}; do
    # Right after its start the monitor may still refuse.
    for wait in 1 2 4 end; do
        inside ceph osd pool create "$pool" 8 --yes-i-really-mean-it >&2 && break
        sleep "$wait"
    done
done
daemon radosgw -n client.rgw
inside radosgw-admin user create --uid ddb --display-name ddb --access-key ddb-writer --secret-key ddb-writer-secret >&2
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
echo ready
# Until whoever started it goes away.
cat
