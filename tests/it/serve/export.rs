//! `ddb-publish export`: a folder that any web server can serve.

use std::os::unix::fs::MetadataExt as _;

use super::{compact, publish};
use crate::client::Apt;
use crate::gateway::read;
use crate::sandbox::Sandbox;
use crate::server::Server;

fn files(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let found = sandbox.run("find", &[folder, "-type", "f", "-printf", "%P\n"]).ok().out;
    let mut files: Vec<String> = found.lines().filter(|path| !path.starts_with(".ddb-")).map(str::to_owned).collect();
    files.sort();
    files
}

#[test]
fn an_export_is_the_published_tree_and_stock_apt_uses_it_from_any_server() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    let server = Server::of(&sandbox.path("exported"));
    let answer = sandbox.publish(&["-C", "archive", "--json", "export", "exported", "--url", &server.url()]).ok().json();
    assert_eq!((&answer["pool_files"], &answer["replaced"]), (&1.into(), &false.into()));
    let mut expected = files(&sandbox, "archive/public");
    expected.push("ddb-export.json".to_owned());
    expected.sort();
    assert_eq!(files(&sandbox, "exported"), expected);
    for path in expected.iter().filter(|path| !["ddb-export.json", "trixie.sources"].contains(&path.as_str())) {
        assert_eq!(read(sandbox.path("exported").join(path)), read(sandbox.public().join(path)), "{path}");
    }
    assert_eq!(sandbox.run("find", &["exported", "-type", "l"]).ok().out, "");
    assert_eq!(sandbox.run("find", &["exported", "-name", ".*"]).ok().out, "");
    assert_eq!(sandbox.run("find", &["exported", "!", "-perm", "-444"]).ok().out, "", "everybody can read it");
    let deb = sandbox.path("exported/pool/main/f/foo/foo_1.0_amd64.deb");
    assert!(std::fs::metadata(deb).unwrap().nlink() > 1 || reflinks(&sandbox), "no copy was made where none is needed");
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&String::from_utf8(read(sandbox.path("exported/trixie.sources"))).unwrap());
        apt.updates();
        apt.get(&["download", "foo"]).ok();
        assert_eq!(read(apt.downloaded("foo_1.0_amd64.deb")), read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb")));
    }
}

fn reflinks(sandbox: &Sandbox) -> bool {
    sandbox.write("reflink", "x");
    sandbox.run("cp", &["--reflink=always", "reflink", "reflink2"]).code == 0
}

#[test]
fn an_export_replaces_an_earlier_one_and_nothing_else() {
    let sandbox = Sandbox::with_archive();
    sandbox.publish(&["-C", "archive", "export", "exported"]).exits(4).says("no Release");
    assert!(!sandbox.path("exported").exists());
    let (commit, date) = publish(&sandbox, "foo", "1.0");
    std::fs::create_dir(sandbox.path("exported")).unwrap();
    sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    publish(&sandbox, "foo", "2.0");
    let pool = || files(&sandbox, "exported/pool");
    assert_eq!(pool(), ["main/f/foo/foo_1.0_amd64.deb"]);
    let again = sandbox.publish(&["-C", "archive", "--json", "export", "exported/"]).ok().json();
    assert_eq!((again["replaced"].as_bool(), pool()), (Some(true), vec!["main/f/foo/foo_2.0_amd64.deb".to_owned()]));
    for id in [&commit, &commit[..9], &compact(&date)] {
        sandbox.publish(&["-C", "archive", "export", "exported", "--snapshot", id]).ok();
        assert_eq!(pool(), ["main/f/foo/foo_1.0_amd64.deb"]);
    }
    sandbox.publish(&["-C", "archive", "export", "exported", "--snapshot", "20010101T000000Z"]).exits(2).says("nothing that was served");
    sandbox.publish(&["-C", "archive", "export", "exported", "--suite", "sid"]).exits(4).says("sid");
    assert_eq!(pool(), ["main/f/foo/foo_1.0_amd64.deb"], "what fails changes nothing");
    sandbox.write("other/file", "mine");
    sandbox.publish(&["-C", "archive", "export", "other"]).exits(2).says("no earlier export");
    assert_eq!(read(sandbox.path("other/file")), b"mine");
    // An object that is gone: nothing is put there, and nothing is left beside it.
    sandbox.run("sh", &["-c", "find archive/.git/lfs/objects -type f -delete"]).ok();
    sandbox.publish(&["-C", "archive", "export", "new"]).exits(1).says("has no object");
    assert!(!sandbox.path("new").exists());
    let left = std::fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with('.')).collect::<Vec<_>>(), [""; 0]);
}
