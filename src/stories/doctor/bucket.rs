//! What a bucket honours: rights, conditions, checksums, ranges, signed addresses, the clock.

use std::io::Read as _;

use super::{Checks, Clock, Outcome};
use crate::places::s3::{Client, Condition, Failed, Headers, S3Error, Stranger, Wrong};

const BYTES: &[u8] = b"ddb-deploy doctor";

/// How far the server's clock may be off until it is said: signatures are refused from 15 minutes on.
const SKEW: i64 = 60;

/// Tries a bucket below its prefix and removes what was written.
pub(super) fn check(checks: &mut Checks<'_>, client: &Client, clock: Clock) {
    let folder = format!("ddb-doctor-{:016x}", fastrand::u64(..));
    let key = |name: &str| format!("{folder}/{name}");
    if !may_write(checks, client, &key("object"), clock) {
        return without_writing(checks, client, &folder);
    }
    reading(checks, client, &folder);
    create(checks, client, &key("created"));
    replace(checks, client, &key("replaced"));
    checksums(checks, client, &key("wrong"));
    strangers(checks, client, &key("object"));
    removing(checks, client, &folder);
}

const AFTER_WRITE: [&str; 6] =
    ["conditional create", "conditional replace", "SHA-256 verified", "Content-MD5 verified", "signed addresses", "remove"];

fn may_write(checks: &mut Checks<'_>, client: &Client, key: &str, clock: Clock) -> bool {
    let before = clock.now().0;
    let written = client.put(key, BYTES, Headers::default(), Condition::Always).and_then(|_| client.head(key));
    let fault = match written {
        Ok(Some(head)) if head.size == BYTES.len() as u64 => {
            checks.ok("write", format!("wrote below {}", client.describe()));
            skew(checks, head.modified.0, before, clock.now().0);
            return true;
        }
        Ok(_) => {
            checks.add(
                "write",
                Outcome::Failed,
                "the server took an object and does not have it as it was sent",
                "this server cannot keep an archive",
            );
            return false;
        }
        Err(fault) => fault,
    };
    let follows = match fault.failed {
        Failed::Denied => "this identity cannot deploy or publish into the bucket; enough for jobs that only read",
        _ => "",
    };
    checks.add("write", Outcome::Failed, fault.to_string(), follows);
    false
}

fn skew(checks: &mut Checks<'_>, server: i64, before: i64, after: i64) {
    let off = if server < before { server - before } else { (server - after).max(0) };
    if off.abs() <= SKEW {
        checks.ok("clock", "the server's clock and this machine's agree");
    } else {
        checks.add(
            "clock",
            Outcome::Warning,
            format!("the server's clock is {off} seconds off this machine's"),
            "from 15 minutes on requests are refused, and clients refuse a Release from the future; set the clock",
        );
    }
}

/// The checks that a read-only identity, or a server that does not answer, leaves.
fn without_writing(checks: &mut Checks<'_>, client: &Client, folder: &str) {
    let read = client.head(&format!("{folder}/object")).map(drop).and_then(|()| client.list(&format!("{folder}/")).map(drop));
    match read {
        Ok(()) => checks.ok("read", "reads and lists"),
        Err(fault) => checks.failed("read", &fault),
    }
    for name in AFTER_WRITE {
        checks.skip(name, "nothing could be written");
    }
}

fn reading(checks: &mut Checks<'_>, client: &Client, folder: &str) {
    let key = format!("{folder}/object");
    let read = |range| -> Result<Vec<u8>, String> {
        let body = match range {
            None => client.get(&key),
            Some(range) => client.get_range(&key, range),
        };
        let mut body = body.map_err(|fault| fault.to_string())?.ok_or("the object is not there")?;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(|fault| fault.to_string())?;
        Ok(bytes)
    };
    match read(None) {
        Ok(bytes) if bytes == BYTES => checks.ok("read", "reads what was written"),
        Ok(bytes) => checks.add(
            "read",
            Outcome::Failed,
            format!("{} bytes came that are not those written", bytes.len()),
            "this server cannot keep an archive",
        ),
        Err(fault) => checks.add("read", Outcome::Failed, fault, ""),
    }
    match read(Some(2..5)) {
        Ok(bytes) if Some(bytes.as_slice()) == BYTES.get(2..5) => checks.ok("ranges", "sends the part that is asked for"),
        Ok(_) => checks.add("ranges", Outcome::Warning, "sends more than the part that is asked for", RANGES),
        Err(fault) => checks.add("ranges", Outcome::Warning, fault, RANGES),
    }
    match client.list(&format!("{folder}/")) {
        Ok(entries) if entries.iter().any(|entry| entry.key == key) => checks.ok("list", "lists what was written"),
        Ok(_) => checks.add(
            "list",
            Outcome::Warning,
            "does not list what was just written",
            "`fsck` and `gc` may overlook objects; deploying and publishing do not list",
        ),
        Err(fault) => checks.add(
            "list",
            Outcome::Warning,
            fault.to_string(),
            "`fsck` and `gc` need the right to list; deploying and publishing do not",
        ),
    }
}

const RANGES: &str = "downloads that break off cannot go on, and clients cannot resume";

/// What came of a write with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    Written,
    Declined,
    Fault(String),
}

fn try_put(client: &Client, key: &str, text: &str, condition: Condition<'_>) -> Came {
    match client.put(key, text.as_bytes().to_vec(), Headers::default(), condition) {
        Ok(_) => Came::Written,
        Err(S3Error { failed: Failed::Condition, .. }) => Came::Declined,
        Err(fault) => Came::Fault(fault.to_string()),
    }
}

const GUARD: &str =
    "the moved Git branch stays the only guard between publishers, which is enough; two jobs may write the same bytes twice";

fn create(checks: &mut Checks<'_>, client: &Client, key: &str) {
    let came = (try_put(client, key, "first", Condition::Absent), try_put(client, key, "second", Condition::Absent));
    match came {
        (Came::Written, Came::Declined) => checks.ok("conditional create", "If-None-Match is honoured"),
        (Came::Written, Came::Written) => checks.add(
            "conditional create",
            Outcome::Warning,
            "none: the server answers 200 and overwrites in spite of If-None-Match",
            GUARD,
        ),
        (Came::Fault(fault), _) | (_, Came::Fault(fault)) => {
            checks.add("conditional create", Outcome::Warning, format!("none: {fault}"), GUARD);
        }
        (Came::Declined, _) => checks.add("conditional create", Outcome::Warning, "none: declined although the key is new", GUARD),
    }
}

/// How If-Match with one form of the ETag is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Taken {
    Honoured,
    Ignored,
    AlwaysDeclined,
    Fault(String),
}

fn replace_with(client: &Client, key: &str, form: impl Fn(&str) -> String) -> Taken {
    let write = |text: &str| client.put(key, text.as_bytes().to_vec(), Headers::default(), Condition::Always);
    let etags = write("first").and_then(|stale| Ok((stale, write("second")?)));
    let (stale, good) = match etags {
        Ok(etags) => etags,
        Err(fault) => return Taken::Fault(fault.to_string()),
    };
    let with_stale = try_put(client, key, "third", Condition::Unchanged(&form(&stale)));
    let with_good = match with_stale {
        Came::Written => return Taken::Ignored,
        _ => try_put(client, key, "fourth", Condition::Unchanged(&form(&good))),
    };
    match (with_stale, with_good) {
        (Came::Declined, Came::Written) => Taken::Honoured,
        (Came::Declined, Came::Declined) => Taken::AlwaysDeclined,
        (Came::Fault(fault), _) | (_, Came::Fault(fault)) => Taken::Fault(fault),
        (Came::Written, _) => Taken::Ignored,
    }
}

fn replace(checks: &mut Checks<'_>, client: &Client, key: &str) {
    let bare = replace_with(client, key, str::to_owned);
    let quoted = replace_with(client, key, |etag| format!("\"{etag}\""));
    let name = "conditional replace";
    match (bare, quoted) {
        (Taken::Honoured, Taken::Honoured) => checks.ok(name, "If-Match is honoured, with the ETag quoted or not"),
        (Taken::Honoured, _) => checks.ok(name, "If-Match is honoured, with an unquoted ETag only"),
        (_, Taken::Honoured) => checks.ok(name, "If-Match is honoured, with a quoted ETag only"),
        (Taken::Fault(fault), _) | (_, Taken::Fault(fault)) => {
            checks.add(name, Outcome::Warning, format!("none: {fault}"), GUARD);
        }
        (Taken::Ignored, _) | (_, Taken::Ignored) => {
            checks.add(name, Outcome::Warning, "none: the server answers 200 and overwrites in spite of If-Match with a stale ETag", GUARD)
        }
        (Taken::AlwaysDeclined, Taken::AlwaysDeclined) => {
            checks.add(name, Outcome::Warning, "none: If-Match is declined with the right ETag too", GUARD);
        }
    }
}

fn checksums(checks: &mut Checks<'_>, client: &Client, key: &str) {
    let mut one = |name, wrong, other: &str| match client.refuses_wrong(key, BYTES, wrong) {
        Ok(true) => {
            checks.ok(name, "bytes with another digest are refused");
            true
        }
        Ok(false) => {
            let follows = format!("bytes that are damaged on their way are found by {other} alone, or by `fsck --full`");
            checks.add(name, Outcome::Warning, "bytes with another digest are accepted", follows);
            false
        }
        Err(fault) => {
            checks.add(name, Outcome::Warning, fault.to_string(), "");
            false
        }
    };
    one("SHA-256 verified", Wrong::Sha256, "Content-MD5");
    one("Content-MD5 verified", Wrong::Md5, "SHA-256");
}

fn strangers(checks: &mut Checks<'_>, client: &Client, key: &str) {
    let name = "signed addresses";
    match (client.read_as(Stranger::Signed, key), client.read_as(Stranger::Forged, key)) {
        (Ok((200 | 206, _)), Ok((200 | 206, _))) => checks.add(
            name,
            Outcome::Warning,
            "an address with a forged signature is answered too",
            "whoever knows a key's name can read it; where that is meant, set store.url",
        ),
        (Ok((206, bytes)), Ok(_)) if Some(bytes.as_slice()) == BYTES.get(2..5) => {
            checks.ok(name, "answered, ranges too; a forged signature is refused");
        }
        (Ok((200, bytes)), Ok(_)) if bytes == BYTES => {
            checks.add(name, Outcome::Warning, "answered, but a range is not: the whole object comes", RANGES);
        }
        (Ok((status, _)), Ok(_)) => checks.add(
            name,
            Outcome::Warning,
            format!("answered with status {status}"),
            "a private bucket cannot be read through `ddb-publish serve` or the Git-LFS agent by redirects",
        ),
        (Err(fault), _) | (_, Err(fault)) => checks.add(name, Outcome::Warning, fault.to_string(), ""),
    }
    match client.read_as(Stranger::Anonymous, key) {
        Ok((200 | 206, _)) => checks.ok("public", "anybody can read; apt can use the bucket's address"),
        Ok((status, _)) => {
            checks.ok("public", format!("strangers get status {status}: the bucket is private; apt needs the gateway or a public address"));
        }
        Err(fault) => checks.add("public", Outcome::Warning, fault.to_string(), ""),
    }
}

fn removing(checks: &mut Checks<'_>, client: &Client, folder: &str) {
    let names = ["object", "created", "replaced", "wrong"].map(|name| format!("{folder}/{name}"));
    let removed = names.iter().try_for_each(|key| client.delete(key));
    let left = removed.and_then(|()| names.iter().try_fold(false, |left, key| Ok(left || client.head(key)?.is_some())));
    match left {
        Ok(false) => checks.ok("remove", "what was written for these checks is gone again"),
        Ok(true) => checks.add("remove", Outcome::Warning, format!("{folder} is still there although it was removed"), REMOVE),
        Err(fault) => checks.add("remove", Outcome::Warning, format!("{fault}; {folder} is left behind"), REMOVE),
    }
}

const REMOVE: &str = "`gc` and the removal of old index files need the right to remove";
