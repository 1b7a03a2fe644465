//! The store against a small server that keeps the API, and against servers that do not.
//!
//! What a real server does is in `tests/it/lfs_store.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::places::store::contract;

/// A request as the server got it.
#[derive(Clone, Debug)]
struct Got {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What a server sends.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Closes the connection after this many bytes of the body.
    cut: Option<usize>,
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into(), cut: None }
}

fn answers(value: &Value) -> Reply {
    reply(200, value.to_string())
}

type Log = Arc<Mutex<Vec<Got>>>;

/// Serves on a free port; the port's address is given to the one who answers.
fn serve(answer: impl Fn(&str, &Got) -> Reply + Send + Sync + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (own, log, answer) = (address.clone(), Log::default(), Arc::new(answer));
    let seen = Arc::clone(&log);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (own, seen, answer) = (own.clone(), Arc::clone(&seen), Arc::clone(&answer));
            std::thread::spawn(move || connection(&stream, &own, &seen, answer.as_ref()));
        }
    });
    (address, log)
}

fn connection(stream: &TcpStream, own: &str, log: &Log, answer: &(dyn Fn(&str, &Got) -> Reply + Send + Sync)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let body = if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
            chunks(&mut reader)?
        } else {
            let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            body
        };
        let got = Got { method, path, headers, body };
        let reply = answer(own, &got);
        log.lock().unwrap().push(got);
        let mut text = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
        reply.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        let sent = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
        (&mut &*stream).write_all(&[text.as_bytes(), b"\r\n", sent].concat()).ok()?;
        if reply.cut.is_some() {
            stream.shutdown(std::net::Shutdown::Both).ok()?;
            return None;
        }
    }
}

fn chunks(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(&chunk[..length]);
    }
}

type Kept = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A server that keeps the API, for whoever has this header.
fn good(kept: &Kept, authorization: Option<&'static str>) -> impl Fn(&str, &Got) -> Reply + Send + Sync + 'static {
    let kept = Arc::clone(kept);
    move |own, got| {
        if got.path == "/objects/batch"
            && authorization.is_some_and(|wanted| got.headers.get("authorization").map(String::as_str) != Some(wanted))
        {
            return reply(401, "{\"message\":\"who are you\"}");
        }
        let oid = got.path.rsplit('/').next().unwrap().to_owned();
        match (got.method.as_str(), got.path.as_str()) {
            ("POST", "/objects/batch") => batch(own, &kept.lock().unwrap(), &serde_json::from_slice(&got.body).unwrap()),
            ("POST", "/verify") => {
                let asked: Value = serde_json::from_slice(&got.body).unwrap();
                let there =
                    kept.lock().unwrap().get(asked["oid"].as_str().unwrap()).is_some_and(|bytes| bytes.len() as u64 == asked["size"]);
                reply(if there { 200 } else { 404 }, "")
            }
            ("PUT", _) => {
                kept.lock().unwrap().insert(oid, got.body.clone());
                reply(200, "")
            }
            _ => match kept.lock().unwrap().get(&oid) {
                Some(bytes) => ranged(bytes, got.headers.get("range")),
                None => reply(404, ""),
            },
        }
    }
}

fn batch(own: &str, kept: &BTreeMap<String, Vec<u8>>, asked: &Value) -> Reply {
    let upload = asked["operation"] == "upload";
    let objects: Vec<Value> = asked["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            let oid = object["oid"].as_str().unwrap();
            let action = |path: &str| json!({ "href": format!("{own}/{path}"), "header": { "X-Key": "k" }, "expires_in": 100 });
            match (upload, kept.contains_key(oid)) {
                (true, true) => json!({ "oid": oid, "size": object["size"] }),
                (true, false) => json!({ "oid": oid, "size": object["size"], "actions": { "upload": action(&format!("o/{oid}")), "verify": action("verify") } }),
                (false, true) => json!({ "oid": oid, "size": object["size"], "actions": { "download": action(&format!("o/{oid}")) } }),
                (false, false) => json!({ "oid": oid, "size": object["size"], "error": { "code": 404, "message": "no such object" } }),
            }
        })
        .collect();
    answers(&json!({ "transfer": "basic", "objects": objects }))
}

fn ranged(bytes: &[u8], range: Option<&String>) -> Reply {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else { return reply(200, bytes) };
    let first: usize = first.parse().unwrap();
    if first >= bytes.len() {
        return reply(416, "");
    }
    let end = last.parse::<usize>().map_or(bytes.len(), |last| bytes.len().min(last + 1));
    let mut answer = reply(206, &bytes[first..end]);
    answer.headers.push(("Content-Range".to_owned(), format!("bytes {first}-{}/{}", end - 1, bytes.len())));
    answer
}

fn store_of(url: &str, token: Option<&str>) -> LfsStore {
    let patience =
        Patience { tries: 3, pause: Duration::from_millis(5), longest_pause: Duration::from_secs(2), silence: Duration::from_secs(2) };
    let folder = tempfile::tempdir().unwrap();
    LfsStore::new(LfsOptions {
        url: format!("{url}/"),
        token: token.map(|token| Secret::new(token.to_owned())),
        authorities: None,
        git_dir: folder.path().to_owned(),
        sizes: Box::new(BTreeMap::new),
        patience,
    })
    .unwrap()
}

fn pointer(bytes: &[u8]) -> Pointer {
    Pointer { oid: ObjectId::of(bytes), size: bytes.len() as u64 }
}

#[track_caller]
fn fails<T>(result: Result<T, StoreError>, said: &str) -> String {
    let Err(fault) = result else { panic!("no error that says \"{said}\"") };
    let message = fault.to_string();
    assert!(message.contains(said), "{message}");
    message
}

#[test]
fn keeps_the_contract_of_stores_as_far_as_the_api_goes() {
    let (url, log) = serve(good(&Kept::default(), None));
    let store = store_of(&url, None);
    contract::check_unlisted(&store);
    fails(store.list(), "cannot be listed");
    fails(store.remove(&ObjectId::of(b"some bytes")), "removes nothing");
    let log = log.lock().unwrap();
    assert!(
        log.iter().filter(|got| got.path != "/objects/batch").all(|got| got.headers["x-key"] == "k"),
        "headers of actions are passed on"
    );
    assert_eq!(store.requests().total(), log.len() as u64);
}

#[test]
fn announced_objects_are_asked_for_in_batches_of_a_hundred() {
    let (url, log) = serve(good(&Kept::default(), None));
    let store = store_of(&url, None);
    let bytes: Vec<Vec<u8>> = (0..150).map(|number| format!("object {number}").into_bytes()).collect();
    let pointers: Vec<Pointer> = bytes.iter().map(|bytes| pointer(bytes)).collect();
    store.announce(Intent::Put, &pointers).unwrap();
    for (pointer, bytes) in pointers.iter().zip(&bytes) {
        assert_eq!(store.put(pointer, Source::Bytes(bytes)).unwrap(), Put::New);
    }
    let uploads = log.lock().unwrap().iter().filter(|got| String::from_utf8_lossy(&got.body).contains("\"upload\"")).count();
    assert_eq!(uploads, 2);
    log.lock().unwrap().clear();
    let store = store_of(&url, None);
    store.announce(Intent::Open, &pointers).unwrap();
    store.announce(Intent::Open, &pointers).unwrap();
    assert!(pointers.iter().all(|pointer| store.size(&pointer.oid).unwrap() == Some(pointer.size)));
    assert_eq!(log.lock().unwrap().len(), 2 + 150);
}

#[test]
fn the_token_goes_to_its_own_host_and_to_no_other() {
    let kept = Kept::default();
    let (elsewhere, strange) = serve(good(&kept, None));
    let basic = "Basic b2F1dGgyOnNlc2FtZQ==";
    let own = good(&kept, Some(basic));
    let (url, log) = serve(move |own_url, got| match got.path.strip_prefix("/o/") {
        Some(oid) => Reply { headers: vec![("Location".to_owned(), format!("{elsewhere}/{oid}"))], ..reply(307, "") },
        None => own(own_url, got),
    });
    let store = store_of(&url, Some("sesame"));
    store.put(&pointer(b"bytes"), Source::Bytes(b"bytes")).unwrap();
    store.open(&ObjectId::of(b"bytes")).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let strange = strange.lock().unwrap();
    assert!(strange.len() >= 2, "redirects were followed");
    for got in strange.iter() {
        assert!(!got.headers.contains_key("authorization") && !got.headers.contains_key("x-key"), "{got:?}");
    }
    let own = |got: &Got| got.headers.get("authorization").map(String::as_str) == Some(basic);
    assert!(log.lock().unwrap().iter().all(own), "the action's host is the API's own");
    // A wrong token is refused with words that help and do not repeat it; none at all too.
    let message = fails(store_of(&url, Some("user:wrong")).size(&ObjectId::of(b"bytes")), "wrong, expired");
    assert!(!message.contains("user") && !message.contains("OndF"), "{message}");
    fails(store_of(&url, None).size(&ObjectId::of(b"bytes")), "DDB_LFS_TOKEN");
}

#[test]
fn passing_errors_are_tried_again_and_lasting_ones_are_not() {
    for (status, header) in [(500, None), (502, None), (503, Some("0")), (429, Some("1"))] {
        let count = AtomicUsize::new(0);
        let healthy = good(&Kept::default(), None);
        let (url, _) = serve(move |own, got| {
            if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                let headers = header.map(|value: &str| ("Retry-After".to_owned(), value.to_owned()));
                return Reply { headers: headers.into_iter().collect(), ..reply(status, "busy") };
            }
            healthy(own, got)
        });
        let started = Instant::now();
        store_of(&url, None).put(&pointer(b"bytes"), Source::Bytes(b"bytes")).unwrap();
        assert!(header != Some("1") || started.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    }
    let tries = |reply_of: fn() -> Reply, said: &str| {
        let (url, log) = serve(move |_, _| reply_of());
        fails(store_of(&url, None).put(&pointer(b"bytes"), Source::Bytes(b"bytes")), said);
        let log = log.lock().unwrap();
        log.len()
    };
    assert_eq!(tries(|| reply(500, "{\"message\":\"on fire\"}"), "answers 500: on fire"), 3);
    assert_eq!(tries(|| reply(507, ""), "answers 507"), 1);
    assert_eq!(tries(|| reply(403, "{\"message\":\"read only\"}"), "answers 403: read only"), 2);
    assert_eq!(tries(|| reply(200, "<html>"), "no answer of a Git-LFS batch API"), 1);
    assert_eq!(tries(|| reply(302, ""), "answers 302"), 1);
    let long = || Reply { headers: vec![("Retry-After".to_owned(), "3600".to_owned())], ..reply(429, "") };
    assert_eq!(tries(long, "3600 s of patience"), 1);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fails(store_of(&format!("http://{closed}"), None).size(&ObjectId::of(b"x")), "3 times");
    // A server that says nothing is not waited for for ever.
    let (url, _) = serve(|_, _| {
        std::thread::sleep(Duration::from_secs(10));
        reply(200, "")
    });
    let mut options = store_of(&url, None);
    let inner = Arc::get_mut(&mut options.0).unwrap();
    let patience = Patience { tries: 2, silence: Duration::from_millis(100), ..inner.options.patience };
    inner.client = Client::new(None, patience).unwrap();
    fails(options.size(&ObjectId::of(b"x")), "2 times");
}

#[test]
fn a_download_that_breaks_is_continued_and_wrong_bytes_are_an_error() {
    let bytes = vec![7; 100_000];
    let kept = Kept::default();
    kept.lock().unwrap().insert(ObjectId::of(&bytes).to_hex(), bytes.clone());
    for ranges in [true, false] {
        let healthy = good(&kept, None);
        let broken = AtomicUsize::new(0);
        let (url, log) = serve(move |own, got| {
            let mut got = got.clone();
            if !ranges {
                got.headers.remove("range");
            }
            let reply = healthy(own, &got);
            let cut = got.path.starts_with("/o/") && broken.fetch_add(1, Ordering::Relaxed) < 2;
            Reply { cut: cut.then_some(reply.body.len() / 2), ..reply }
        });
        let mut read = Vec::new();
        store_of(&url, None).open(&ObjectId::of(&bytes)).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        let asked: Vec<Option<String>> =
            log.lock().unwrap().iter().filter(|got| got.method == "GET").map(|got| got.headers.get("range").cloned()).collect();
        assert_eq!(asked[0], None);
        assert!(asked[1].is_some() && asked[2].is_some(), "{asked:?}");
    }
    // Always cut off, cut off with a length that fits, longer than it should be, other bytes.
    for (found, cut, said) in [
        (bytes.clone(), Some(10), "only 10 bytes"),
        (bytes[..10].to_vec(), None, "instead of object"),
        ([&bytes[..], b"more"].concat(), None, "instead of object"),
        (vec![8; 100_000], None, "instead of object"),
    ] {
        let healthy = good(&kept, None);
        let (url, _) = serve(move |own, got| match got.path.starts_with("/o/") {
            true => Reply { cut, ..reply(200, found.clone()) },
            false => healthy(own, got),
        });
        let fault = store_of(&url, None).open(&ObjectId::of(&bytes)).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(fault.to_string().contains(said), "{fault}");
    }
}

#[test]
fn an_upload_that_the_server_did_not_keep_is_an_error() {
    let bytes = b"bytes";
    let failing = |spoil: fn(&Got) -> Option<Reply>, keep: bool| {
        let kept = Kept::default();
        let healthy = good(&kept, None);
        let (url, _) = serve(move |own, got| {
            if let Some(reply) = spoil(got) {
                return reply;
            }
            let answer = healthy(own, got);
            if !keep {
                kept.lock().unwrap().clear();
            }
            answer
        });
        store_of(&url, None).put(&pointer(bytes), Source::Bytes(bytes))
    };
    fails(failing(|got| (got.method == "PUT").then(|| reply(200, "")), true), "answers 404");
    fails(failing(|got| (got.path == "/verify").then(|| reply(200, "")), false), "has no such object");
    fails(failing(|got| (got.path == "/verify").then(|| reply(422, "{\"message\":\"wrong size\"}")), true), "422: wrong size");
    fails(failing(|got| (got.method == "PUT").then(|| reply(413, "too large")), true), "413: too large");
    let odd = failing(
        |got| (got.method == "GET").then(|| Reply { headers: vec![("Content-Range".into(), "bytes 0-0/4".into())], ..reply(206, "b") }),
        true,
    );
    fails(odd, "4 bytes there instead of 5");
    // "There already" is not believed either.
    let oid = ObjectId::of(bytes);
    let (url, _) = serve(move |_, got| match String::from_utf8_lossy(&got.body).contains("\"upload\"") {
        true => answers(&json!({ "objects": [{ "oid": oid.to_hex(), "size": 5 }] })),
        false => answers(&json!({ "objects": [{ "oid": oid.to_hex(), "size": 5, "error": { "code": 404, "message": "no" } }] })),
    });
    fails(store_of(&url, None).put(&pointer(bytes), Source::Bytes(bytes)), "has no such object");
}

#[test]
fn errors_about_single_objects_are_said_in_the_servers_words() {
    let object = |code: u16| {
        let (url, _) = serve(move |_, _| {
            let error = json!({ "code": code, "message": "some\u{1b}[31m words" });
            answers(&json!({ "objects": [{ "oid": ObjectId::of(b"x").to_hex(), "size": 1, "error": error }] }))
        });
        store_of(&url, None)
    };
    assert_eq!(object(404).size(&ObjectId::of(b"x")).unwrap(), None);
    assert_eq!(object(410).size(&ObjectId::of(b"x")).unwrap(), None);
    fails(object(422).size(&ObjectId::of(b"x")), "of another size: some");
    let message = fails(object(507).put(&pointer(b"x"), Source::Bytes(b"x")), "507 for this object: some");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn a_stale_address_is_asked_for_again() {
    let bytes = b"bytes";
    let kept = Kept::default();
    let healthy = good(&kept, None);
    let refused = AtomicUsize::new(0);
    let (url, _) = serve(move |own, got| match got.path.starts_with("/o/") && refused.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        true => reply(403, "expired"),
        false => healthy(own, got),
    });
    let store = store_of(&url, None);
    store.put(&pointer(bytes), Source::Bytes(bytes)).unwrap();
    let mut read = Vec::new();
    store.open(&ObjectId::of(bytes)).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
}

#[test]
fn chunked_uploads_are_sent_where_the_server_wants_them() {
    let kept = Kept::default();
    let healthy = good(&kept, None);
    let (url, log) = serve(move |own, got| {
        let mut answer = healthy(own, got);
        answer.body = String::from_utf8_lossy(&answer.body).replace("\"X-Key\":\"k\"", "\"Transfer-Encoding\":\"chunked\"").into_bytes();
        answer
    });
    store_of(&url, None).put(&pointer(b"bytes"), Source::Bytes(b"bytes")).unwrap();
    let put = log.lock().unwrap().iter().find(|got| got.method == "PUT").cloned().unwrap();
    assert!(put.headers.contains_key("transfer-encoding") && !put.headers.contains_key("content-length"), "{put:?}");
    assert_eq!(put.headers["content-type"], "application/octet-stream");
    assert_eq!(put.body, b"bytes");
}
