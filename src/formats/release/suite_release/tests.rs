//! A Release is written in Debian's order and read back; other texts are refused.

use super::*;
use crate::words::archive::Archive;
use proptest::prelude::*;

const CONFIGURATION: &str = "[archive]\norigin = \"Example\"\nlabel = \"Ex\"\nsnapshots = \"https://x/@SNAPSHOTID@/\"\n[suites.trixie]\nsuite = \"stable\"\nversion = \"13\"\n\
    description = \"An example\"\nchangelogs = \"https://x/@CHANGEPATH@\"\narchitectures = [\"amd64\", \"all\"]\ncomponents = [\"main\", \"contrib\"]\n\
    valid-for = \"7d\"\nnot-automatic = true\nbut-automatic-upgrades = true\nsigned-by = [\"A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1\", \"B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2\"]\nrelease-digests = [\"md5\"]\n";

fn release(configuration: &str, contents: &[(&str, &str)]) -> Release {
    let archive = Archive::parse(configuration).unwrap();
    let (codename, suite) = archive.suites.first_key_value().unwrap();
    let listed = |content: &str| {
        let mut hasher = hasher(suite);
        hasher.update(content.as_bytes());
        let listed = hasher.finish();
        assert!(suffices(&listed, suite));
        listed
    };
    let files = contents.iter().map(|(path, content)| ((*path).to_owned(), listed(content))).collect();
    Release::new(&archive.archive, codename, suite, Timestamp(1_789_199_741), files)
}

#[test]
fn fields_and_lists_stand_in_debians_order() {
    let text = release(CONFIGURATION, &[("main/source/Sources", ""), ("main/binary-amd64/Packages", "x")]).text();
    let expected = "Origin: Example\nLabel: Ex\nSuite: stable\nVersion: 13\nCodename: trixie\nChangelogs: https://x/@CHANGEPATH@\n\
        Snapshots: https://x/@SNAPSHOTID@/\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nValid-Until: Sat, 19 Sep 2026 07:55:41 UTC\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n\
        Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nSigned-By: A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1, B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2\nArchitectures: all amd64\n\
        Components: main contrib\nDescription: An example\nMD5Sum:\n \
        9dd4e461268c8034f5c8564e155c67a6        1 main/binary-amd64/Packages\n \
        d41d8cd98f00b204e9800998ecf8427e        0 main/source/Sources\nSHA256:\n \
        2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881        1 main/binary-amd64/Packages\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/source/Sources\n";
    assert_eq!(text, expected);
}

#[test]
fn a_small_configuration_makes_a_small_release() {
    let text = release("[suites.x]\narchitectures = [\"amd64\"]\n", &[]).text();
    let expected = "Suite: x\nCodename: x\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\n\
        Architectures: amd64\nComponents: main\nSHA256:\n";
    assert_eq!(text, expected);
    assert_eq!(Release::parse(text.as_bytes()).unwrap().text(), text);
}

#[test]
fn what_is_written_is_read() {
    for digests in ["", "\"md5\"", "\"sha1\", \"sha512\", \"md5\""] {
        let configuration = CONFIGURATION.replace("\"md5\"", digests);
        let release = release(&configuration, &[("main/source/Sources", ""), ("main/binary-amd64/Packages.xz", "x")]);
        assert_eq!(Release::parse(release.text().as_bytes()).unwrap(), release);
    }
}

#[test]
fn content_is_all_but_the_dates() {
    let one = release(CONFIGURATION, &[("a", "x")]);
    let mut later = Release { date: Timestamp(1_789_300_000), valid_until: None, ..one.clone() };
    assert!(one.content_equals(&later));
    later.version = None;
    assert!(!one.content_equals(&later));
    assert!(!one.content_equals(&release(CONFIGURATION, &[("a", "y")])));
}

#[test]
fn other_texts_are_refused() {
    let good = release(CONFIGURATION, &[("a/Packages", "x"), ("b/Packages", "y")]).text();
    let check = |from: &str, to: &str, expected: &str| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let message = Release::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check("Codename: trixie\n", "", "the field Codename is missing");
    check("SHA256:", "X-SHA256:", "the field SHA256 is missing");
    check("12 Sep 2026 07:55:41 UTC", "12 Sep 2026 07:55:41 CEST", "the field Date holds");
    check("Acquire-By-Hash: yes", "Acquire-By-Hash: no", "the field Acquire-By-Hash holds");
    check("Label: Ex\n", "Label: Ex\nUnknown: x\n", "from line 3 on");
    check("Origin: Example\nLabel: Ex\n", "Label: Ex\nOrigin: Example\n", "from line 1 on");
    check("Components: main contrib", "Components: main  contrib", "the field Components holds");
    check(" b/Packages", " ../b/Packages", "the field MD5Sum holds");
    check(" b/Packages", " c/Packages", "does not name the same files");
    check("        1 b/Packages", "        2 b/Packages", "does not name the same files");
    check("        1 b/Packages", " 1 b/Packages", "from line 20 on");
    check("SHA256:\n", "SHA256:\n\n", "not one paragraph");
    let cut = good.get(..good.len() - 1).unwrap();
    assert!(matches!(Release::parse(cut.as_bytes()), Err(ReleaseError::Form { .. })));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Release::parse(&bytes);
    }
}
