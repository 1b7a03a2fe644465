//! Files that cannot be read, or say nonsense, on the branch of Releases: they stop nobody.

use super::*;

#[test]
fn what_cannot_be_read_is_left_behind_and_the_next_publish_goes_on() {
    let sandbox = published();
    sandbox.deb("two", "two", "1", "amd64", "");
    sandbox.commit("two", &[]).ok();
    sandbox.dists(&[]).ok();
    let mut number = 2;
    for file in ["Release", "inputs.json", "fold.json", "served.json", "InRelease", "recorded.asc", INDEX, "sheets"] {
        for bytes in [Some("garbage"), Some(""), None] {
            if (file, bytes) == ("sheets", None) {
                continue;
            }
            let mut planted = Plant::on(&sandbox, BRANCH);
            if file == "sheets" {
                planted.recorded().iter().filter(|path| path.starts_with("sheets/")).for_each(|path| planted.remove(path));
            }
            match bytes {
                Some(bytes) => planted.put(file, bytes),
                None => planted.remove(file),
            }
            planted.commit(&[BRANCH, "HEAD"]);
            if file == "served.json" && bytes.is_none() {
                // A Release that waits to be served, to all appearance: it is served again as it is.
                sandbox.dists(&[]).ok();
                continue;
            }
            number += 1;
            let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
            assert_eq!(sequence(&run), number, "{file}: {bytes:?}");
        }
    }
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!((run.json()["suites"][0]["outcome"].clone(), run.err.as_str()), ("unchanged".into(), ""));
    assert_eq!(packages(&sandbox).matches("Package: ").count(), 2);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    sandbox.publish(&["-C", "archive", "rebuild", "trixie"]).ok();
}

#[test]
fn a_date_or_number_that_nobody_signed_is_not_followed() {
    let sandbox = published();
    let mut planted = Plant::on(&sandbox, BRANCH);
    let release = String::from_utf8(planted.file("Release")).unwrap();
    let date = release.lines().find(|line| line.starts_with("Date: ")).unwrap();
    planted.put("Release", release.replacen(date, "Date: Sun, 01 Jan 2096 00:00:00 UTC", 1));
    planted.edit("inputs.json", |inputs| {
        inputs["date"] = 3_976_214_400_i64.into();
        inputs["sequence"] = u64::MAX.into();
    });
    planted.commit(&[BRANCH, "HEAD"]);
    let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
    assert_eq!(sequence(&run), 2);
    assert!(sandbox.dists(&[]).ok().err.is_empty());
}

#[test]
fn the_same_where_no_key_vouches_for_anything_before() {
    let sandbox = published();
    // As older programs left it, with nonsense after it.
    let mut planted = Plant::on(&sandbox, BRANCH);
    planted.remove("recorded.asc");
    planted.commit(&["HEAD"]);
    for file in ["Release", "inputs.json", "fold.json"] {
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.put(file, "garbage");
        planted.commit(&[BRANCH]);
    }
    let run = sandbox.dists(&["--json"]).ok().says("everything is made from the records");
    assert_eq!(sequence(&run), 2);
    assert!(sandbox.dists(&[]).ok().err.is_empty());
    assert_eq!(packages(&sandbox).matches("Package: ").count(), 1);
}
