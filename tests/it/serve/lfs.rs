//! Stock Git-LFS gets objects by the batch API, and only those that the archive names.

use super::publish;
use crate::gateway::{Gateway, curl, read};
use crate::sandbox::{Sandbox, cache};

#[test]
fn a_plain_clone_is_filled_through_the_address_in_lfsconfig() {
    let mut sandbox = Sandbox::with_archive();
    sandbox.environment.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
    sandbox.run("git", &["lfs", "install", "--skip-repo"]).ok();
    sandbox.commit(cache("out/small"), &[]).ok();
    let gateway = Gateway::of(&sandbox, &[]);
    sandbox.write("archive/.lfsconfig", format!("[lfs]\n\turl = {}lfs\n\tlocksverify = false\n", gateway.url()));
    sandbox.git(&["add", ".lfsconfig"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Name the gateway."]).ok();
    // Over file:// git-lfs would take the objects from the repository itself, if the address did not win.
    let origin = format!("file://{}", sandbox.archive().display());
    sandbox.run("git", &["clone", "-q", &origin, "clone"]).ok();
    sandbox.run("git", &["-C", "clone", "lfs", "pull"]).ok();
    let mut filled = 0;
    for entry in std::fs::read_dir(cache("out/small")).unwrap() {
        let original = entry.unwrap().path();
        let name = original.file_name().unwrap().to_str().unwrap();
        let found = sandbox.run("find", &["clone/pool", "-name", name]).ok().out;
        assert_eq!(read(sandbox.path(found.trim())), read(&original), "{name}");
        filled += 1;
    }
    assert!(filled > 3);
    sandbox.run("git", &["-C", "clone", "lfs", "fsck"]).ok();
    assert!(gateway.log().contains("POST /lfs/objects/batch 200"), "{}", gateway.log());
    // Nothing can be put there.
    sandbox.write("clone/pool/new.bin", "new");
    sandbox.run("git", &["-C", "clone", "lfs", "track", "*.bin"]).ok();
    sandbox.run("git", &["-C", "clone", "add", "."]).ok();
    sandbox.run("git", &["-C", "clone", "commit", "-q", "-m", "new"]).ok();
    let pushed = sandbox.run("git", &["-C", "clone", "lfs", "push", "origin", "main"]);
    assert!(pushed.code != 0 && pushed.err.contains("only handed out"), "{pushed:?}");
    gateway.stop();
}

#[test]
fn only_objects_that_kept_commits_name_are_handed_out() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &[]);
    let sum = |path: &str| sandbox.run("sha256sum", &[path]).ok().out.split(' ').next().unwrap().to_owned();
    let batch = |oid: &str, size: u64, more: &[&str]| {
        let question = format!("{{\"operation\":\"download\",\"objects\":[{{\"oid\":\"{oid}\",\"size\":{size}}}]}}");
        let reply =
            gateway.get("/lfs/objects/batch", &[&["-d", &question, "-H", "Content-Type: application/vnd.git-lfs+json"], more].concat());
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/vnd.git-lfs+json")), "{}", reply.text());
        serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["objects"][0].clone()
    };
    let deb = "out-foo-1.0/foo_1.0_amd64.deb";
    let (bytes, oid) = (read(sandbox.path(deb)), sum(deb));
    let object = batch(&oid, bytes.len() as u64, &[]);
    let href = object["actions"]["download"]["href"].as_str().unwrap();
    assert_eq!(href, format!("{}lfs/objects/{oid}", gateway.url()));
    let reply = curl(href, &[]);
    assert_eq!((&reply.body, reply.header("cache-control")), (&bytes, Some("public, max-age=31536000, immutable")));
    let forwarded = batch(&oid, bytes.len() as u64, &["-H", "Host: x.example.org", "-H", "X-Forwarded-Proto: https"]);
    assert_eq!(forwarded["actions"]["download"]["href"], format!("https://x.example.org/lfs/objects/{oid}"));
    // The form that a tree without pool/ names objects by.
    assert_eq!(gateway.body(&format!("/lfs/objects/{}/{}/{oid}?n=/foo_1.0_amd64.deb", &oid[..2], &oid[2..4])), bytes);
    assert_eq!(batch(&oid, 1, &[])["error"]["code"], 404);
    // In the store, and named by no commit of the archive: a build that waits, or another branch's.
    sandbox.write("stranger", "a stranger");
    let oid = sum("stranger");
    let object = format!("archive/.git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]);
    sandbox.write(&object, "a stranger");
    assert_eq!(batch(&oid, 10, &[])["error"]["code"], 404);
    assert_eq!(gateway.status(&format!("/lfs/objects/{oid}")), 404);
    assert_eq!(gateway.status(&format!("/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4])), 404);
    for (question, status) in [("{\"operation\":\"upload\",\"objects\":[]}", 403), ("{", 422), ("", 422)] {
        let reply = gateway.get("/lfs/objects/batch", &["-d", question]);
        assert_eq!(reply.status, status, "{question}");
        assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["message"].is_string());
    }
    assert_eq!(gateway.get("/lfs/locks/verify", &["-d", "{}"]).status, 404);
    gateway.stop();
}
