//! Single files: headers, conditions, ranges, what is shown and what is not.

use super::{compact, configure, publish, shows};
use crate::gateway::{Gateway, curl, read, until};
use crate::sandbox::{Sandbox, cache};

const DEB: &str = "/pool/main/f/foo/foo_1.0_amd64.deb";

#[test]
fn every_file_of_the_published_tree_is_served_with_the_same_bytes() {
    let sandbox = Sandbox::with_archive();
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.deb("odd", "odd+name", "1:2.0~rc1+dfsg-1+b2", "all", "Source: odd+name (1:2.0~rc1+dfsg-1)\n");
    sandbox.commit("odd", &[]).ok();
    sandbox.dists(&[]).ok();
    let gateway = Gateway::of(&sandbox, &["--url", &format!("file://{}", sandbox.public().display())]);
    let mut folders = vec![sandbox.public()];
    let (mut files, mut kinds) = (0, std::collections::BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(sandbox.public()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !below.starts_with(".ddb-") {
                let reply = gateway.get(&format!("/{}", below.replace('+', "%2b").replace('~', "%7E")), &[]);
                assert_eq!((reply.status, reply.body == read(&path)), (200, true), "{below}: {}", gateway.log());
                kinds.insert((reply.header("content-type").unwrap().to_owned(), reply.header("cache-control").unwrap().to_owned()));
                files += 1;
            }
        }
    }
    assert!(files > 20, "{files}");
    for kind in [
        ("application/vnd.debian.binary-package", "public, max-age=86400"),
        ("application/octet-stream", "public, max-age=31536000, immutable"),
        ("application/x-xz", "public, max-age=60, must-revalidate"),
        ("application/pgp-keys", "public, max-age=60, must-revalidate"),
        ("text/plain; charset=utf-8", "public, max-age=60, must-revalidate"),
    ] {
        assert!(kinds.contains(&(kind.0.to_owned(), kind.1.to_owned())), "{kind:?} is not among {kinds:?}");
    }
    gateway.stop();
}

#[test]
fn a_client_gets_the_part_that_it_lacks_and_nothing_where_it_has_all() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &[]);
    let whole = read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb"));
    for (path, bytes) in [(DEB, &whole), ("/dists/trixie/InRelease", &read(sandbox.public().join("dists/trixie/InRelease")))] {
        let first = gateway.get(path, &[]);
        assert_eq!(first.body, *bytes);
        let (etag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
        let head = gateway.get(path, &["--head"]);
        assert_eq!((head.status, head.header("content-length")), (200, Some(&*bytes.len().to_string())));
        let ask = |fields: &[&str]| gateway.get(path, &fields.iter().flat_map(|field| ["-H", field]).collect::<Vec<_>>());
        for fields in [format!("If-None-Match: {etag}"), format!("If-Modified-Since: {date}")] {
            let reply = ask(&[&fields]);
            assert_eq!((reply.status, reply.body.len(), reply.header("etag")), (304, 0, Some(etag)), "{fields}");
        }
        let modified = ask(&["If-None-Match: \"x\"", &format!("If-Modified-Since: {date}")]);
        assert_eq!((modified.status, modified.body), (200, bytes.clone()));
        for (range, from, to) in [("0-9", 0, 10), ("100-", 100, bytes.len()), ("-7", bytes.len() - 7, bytes.len())] {
            let reply = ask(&[&format!("Range: bytes={range}")]);
            assert_eq!((reply.status, &reply.body[..]), (206, &bytes[from..to]));
            assert_eq!(reply.header("content-range"), Some(&*format!("bytes {from}-{}/{}", to - 1, bytes.len())));
        }
        for (condition, status) in [(etag, 206), (date, 206), ("\"other\"", 200), ("Sat, 12 Sep 2026 07:55:41 GMT", 200)] {
            let reply = ask(&["Range: bytes=5-", &format!("If-Range: {condition}")]);
            assert_eq!(reply.status, status, "{condition}");
            assert_eq!(reply.body, if status == 206 { &bytes[5..] } else { &bytes[..] });
        }
        let beyond = ask(&["Range: bytes=99999999-"]);
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(&*format!("bytes */{}", bytes.len()))));
    }
    gateway.stop();
}

#[test]
fn new_releases_are_seen_and_files_of_kept_ones_stay() {
    let sandbox = Sandbox::with_archive();
    let gateway = Gateway::of(&sandbox, &[]);
    assert!(gateway.get("/", &[]).text().contains("Nothing has been published yet"));
    assert_eq!(gateway.status("/dists/trixie/InRelease"), 404);
    let (_, date) = publish(&sandbox, "foo", "1.0");
    shows(&gateway, &date);
    let release = gateway.get("/dists/trixie/Release", &[]).text();
    let digest = release.lines().rev().find(|line| line.ends_with("main/binary-amd64/Packages.xz")).unwrap();
    let by_hash = format!("/dists/trixie/main/binary-amd64/by-hash/SHA256/{}", digest.split_whitespace().next().unwrap());
    let old = gateway.body(&by_hash);
    // What is deployed and not published is not shown, neither as a file nor as an object.
    let deb = sandbox.deb("new", "foo", "2.0", "amd64", "");
    sandbox.commit("new", &[]).ok();
    assert_eq!(gateway.status("/pool/main/f/foo/foo_2.0_amd64.deb"), 404);
    let answer = sandbox.dists(&["--json"]).ok().json();
    shows(&gateway, answer["suites"][0]["date"].as_str().unwrap());
    assert_eq!(gateway.body("/pool/main/f/foo/foo_2.0_amd64.deb"), read(deb));
    // A client in the middle of the Release before finds everything.
    assert_eq!(gateway.body(&by_hash), old);
    assert_eq!(gateway.body(DEB), read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb")));
    assert_ne!(gateway.body("/dists/trixie/main/binary-amd64/Packages.xz"), old);
    for nothing in ["/dists/trixie/main/binary-amd64/Packages", "/dists/sid/InRelease", "/pool/main/f/foo/", "/dists", "/x", "/ddb.toml"] {
        assert_eq!(gateway.status(nothing), 404, "{nothing}");
    }
    gateway.stop();
}

#[test]
fn the_page_says_what_this_is_and_takes_no_markup_from_the_configuration() {
    let sandbox = Sandbox::with_archive();
    configure(&sandbox, |text| format!("{text}description = \"<script>x</script> & more\"\n"));
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &[]);
    let reply = gateway.get("/", &["-H", "Host: <b>\"x"]);
    let page = reply.text();
    assert!(reply.header("content-type").unwrap().starts_with("text/html"));
    for part in [
        "apt archive",
        "trixie",
        "Types: deb deb-src",
        "URIs: http://localhost/",
        "snapshots/",
        "&lt;script&gt;x&lt;/script&gt; &amp; more",
    ] {
        assert!(page.contains(part), "\"{part}\" is not in {page}");
    }
    assert!(!page.contains("<script>") && !page.contains("<b>"));
    // The address that clients use goes into the stanza; what the client said of itself is not for a cache.
    let stanza = gateway.get("/trixie.sources", &["-H", "Host: deb.example.org"]);
    assert!(stanza.text().contains("URIs: http://deb.example.org/\n"));
    assert_eq!(stanza.header("cache-control"), Some("no-store"));
    let behind = gateway.get("/trixie.sources", &["-H", "Host: deb.example.org", "-H", "X-Forwarded-Proto: https"]);
    assert!(behind.text().contains("URIs: https://deb.example.org/\n"));
    let named = Gateway::of(&sandbox, &["--url", "https://named.example.org"]);
    let stanza = named.get("/trixie.sources", &["-H", "Host: deb.example.org"]);
    assert!(stanza.text().contains("URIs: https://named.example.org/\n"));
    assert_eq!(stanza.header("cache-control"), Some("public, max-age=60, must-revalidate"));
    gateway.stop();
}

#[test]
fn a_snapshot_is_named_by_a_commit_or_a_time() {
    let sandbox = Sandbox::with_archive();
    let states = ["1.0", "2.0", "3.0"].map(|version| (version, publish(&sandbox, "foo", version)));
    sandbox.deb("later", "bar", "1.0", "amd64", "");
    sandbox.commit("later", &[]).ok();
    let tip = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    let first = sandbox.git(&["rev-list", "--max-parents=0", "HEAD"]).ok().out.trim().to_owned();
    let gateway = Gateway::of(&sandbox, &[]);
    let date_of = |id: &str| {
        let reply = gateway.get(&format!("/snapshots/{id}/dists/trixie/Release"), &[]);
        let date = reply.text().lines().find_map(|line| line.strip_prefix("Date: ").map(str::to_owned));
        date.map_or(Err((reply.status, reply.text())), |date| Ok(ddb::words::date::Timestamp::parse_rfc1123(&date).unwrap().iso8601()))
    };
    for (version, (commit, date)) in &states {
        for id in [commit, &commit[..7], &commit.to_uppercase()[..12], &compact(date), date, &date.replace('Z', "%2b00:00")] {
            assert_eq!(date_of(id).as_ref(), Ok(date), "{id}");
        }
        let pooled = format!("/snapshots/{commit}/pool/main/f/foo/foo_{version}_amd64.deb");
        assert_eq!(gateway.body(&pooled), read(sandbox.path(format!("out-foo-{version}/foo_{version}_amd64.deb"))));
    }
    let [(_, oldest), (_, middle), (_, newest)] = &states;
    // A commit that was never published means what was newest at it; one before the first Release means nothing.
    assert_eq!(date_of(&tip).as_ref(), Ok(&newest.1));
    assert_eq!(date_of("29991231T235959Z").as_ref(), Ok(&newest.1));
    for (id, said) in [
        (&*first, "nothing that was served is as old"),
        ("20010101T000000Z", "nothing that was served is as old"),
        ("0000000", "no commit of this archive"),
        ("abc", "names no snapshot"),
        ("main", "names no snapshot"),
    ] {
        let (status, text) = date_of(id).unwrap_err();
        assert!(status == 404 && text.contains(said), "{id}: {status} {text}");
    }
    // A snapshot has what it had, and not what came later.
    assert_eq!(gateway.status(&format!("/snapshots/{}/pool/main/f/foo/foo_3.0_amd64.deb", middle.0)), 404);
    // The stretch between two Releases belongs to the earlier one.
    let before = |date: &str| ddb::words::date::Timestamp(date.parse::<ddb::words::date::Timestamp>().unwrap().0 - 1).compact();
    assert_eq!(date_of(&before(&middle.1)).as_ref(), Ok(&oldest.1));
    gateway.stop();
}

#[test]
fn a_published_folder_is_served_without_its_repository() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    std::fs::rename(sandbox.public(), sandbox.path("tree")).unwrap();
    sandbox.write("secret", "secret");
    std::os::unix::fs::symlink("../secret", sandbox.path("tree/outside")).unwrap();
    std::os::unix::fs::symlink("trixie", sandbox.path("tree/dists/stable")).unwrap();
    std::os::unix::fs::symlink(".ddb-lock", sandbox.path("tree/lock")).unwrap();
    sandbox.run("mkfifo", &["tree/fifo"]).ok();
    let command = sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &["serve", "--tree", "tree", "--listen", "127.0.0.1:0"]);
    let gateway = Gateway::start(&sandbox, command);
    let in_release = read(sandbox.path("tree/dists/trixie/InRelease"));
    let reply = gateway.get("/dists/trixie/InRelease", &[]);
    assert_eq!((&reply.body, reply.header("cache-control")), (&in_release, Some("public, max-age=60, must-revalidate")));
    assert_eq!(gateway.body("/dists/stable/InRelease"), in_release);
    let since = format!("If-Modified-Since: {}", reply.header("last-modified").unwrap());
    assert_eq!(gateway.get("/dists/trixie/InRelease", &["-H", &since]).status, 304);
    let part = gateway.get(DEB, &["-r", "8-11"]);
    assert_eq!((part.status, &part.body[..]), (206, &read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb"))[8..12]));
    for nothing in ["/outside", "/lock", "/fifo", "/dists", "/dists/trixie/", "/secret", "/nosuch"] {
        assert_eq!(gateway.status(nothing), 404, "{nothing}");
    }
    assert_eq!(gateway.status("/.ddb-lock"), 400);
    assert_eq!(gateway.get("/dists/trixie/InRelease", &["-d", "x"]).status, 405);
    assert!(gateway.get("/", &[]).text().contains("dists/trixie/InRelease"));
    gateway.stop();
    sandbox.publish(&["serve", "--tree", "nowhere", "--listen", "127.0.0.1:0"]).exits(1).says("nowhere");
}

#[test]
fn a_stopped_server_finishes_what_runs_and_takes_nothing_new() {
    let sandbox = Sandbox::with_archive();
    let file = sandbox.write("tree/pool/large", vec![7; 24 << 20]);
    let command = sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &["serve", "-v", "--tree", "tree", "--listen", "127.0.0.1:0"]);
    let mut gateway = Gateway::start(&sandbox, command);
    let url = format!("{}pool/large", gateway.url());
    let download = std::thread::spawn(move || curl(&url, &["--limit-rate", "12M"]));
    until("the download began", || gateway.log().contains("/pool/large 200"));
    gateway.signal("TERM");
    until("nothing new is taken", || std::net::TcpStream::connect(gateway.address()).is_err());
    assert_eq!(download.join().unwrap().body, read(file));
    assert_eq!(gateway.ends(std::time::Duration::from_secs(5)).code(), Some(0));
    // The port is free again at once, and another program cannot take it while it is served.
    let again = Gateway::at(&sandbox, gateway.address(), &[]);
    sandbox.publish(&["-C", "archive", "serve", "--listen", again.address()]).exits(1).says(again.address());
    again.signal("INT");
    let mut again = again;
    assert_eq!(again.ends(std::time::Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_client_that_takes_longer_than_the_grace_time_is_cut_off() {
    let sandbox = Sandbox::with_archive();
    sandbox.write("tree/pool/large", vec![7; 24 << 20]);
    let arguments = ["serve", "-v", "--tree", "tree", "--listen", "127.0.0.1:0", "--grace", "1s"];
    let mut gateway = Gateway::start(&sandbox, sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &arguments));
    let url = format!("{}pool/large", gateway.url());
    let download = std::thread::spawn(move || curl(&url, &["--limit-rate", "2M"]));
    until("the download began", || gateway.log().contains("/pool/large 200"));
    gateway.signal("TERM");
    assert_eq!(gateway.ends(std::time::Duration::from_secs(5)).code(), Some(0));
    assert!(download.join().unwrap().body.len() < 24 << 20);
}

#[test]
fn a_repository_without_a_work_tree_is_served_too() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    sandbox.run("mv", &["archive/.git", "bare.git"]).ok();
    sandbox.run("git", &["-C", "bare.git", "config", "core.bare", "true"]).ok();
    let command = sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &["-C", "bare.git", "serve", "--listen", "127.0.0.1:0"]);
    let gateway = Gateway::start(&sandbox, command);
    assert_eq!(gateway.body("/dists/trixie/InRelease"), read(sandbox.public().join("dists/trixie/InRelease")));
    assert_eq!(gateway.body(DEB), read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb")));
    gateway.stop();
    sandbox.publish(&["-C", "home", "serve"]).exits(4).says("home");
}
