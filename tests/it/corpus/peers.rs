//! A second opinion: the published pool, indexed by apt-ftparchive and by dpkg-scanpackages and dpkg-scansources.

use std::collections::{BTreeMap, BTreeSet};

use super::paragraph::{Paragraph, read};
use super::{COMPONENTS, Shared, archive, cache, published};
use crate::sandbox::Sandbox;

/// What a peer has otherwise, whatever the package.
type Quirk = (&'static str, &'static str);

/// Digests that Debian's indices do not have and peers make unasked.
const PACKAGES_OF_APT: &[Quirk] = &[("SHA1", "only theirs"), ("SHA512", "only theirs")];
const PACKAGES_OF_DPKG: &[Quirk] = &[("SHA1", "only theirs")];
/// A .dsc names neither Section nor Priority, and peers leave them out.
const SOURCES_OF_APT: &[Quirk] =
    &[("Checksums-Sha1", "only theirs"), ("Checksums-Sha512", "only theirs"), ("Priority", "only ours"), ("Section", "only ours")];
const SOURCES_OF_DPKG: &[Quirk] = &[("Checksums-Sha1", "only theirs"), ("Priority", "only ours"), ("Section", "only ours")];

/// The published corpus, with a build of our own for what Debian's archive does not have: dbgsym packages, a .changes, and
/// the other compressions.
static WITH_BUILDS: Shared = Shared::new(|| {
    let sandbox = archive();
    sandbox.commit(cache("out/two-amd64"), &[]).ok();
    for compression in ["none", "gzip", "xz", "zstd"] {
        sandbox.deb_with("more", &format!("packed-{compression}"), "1:2~rc1+ds-3", "amd64", "", &["-Z", compression]);
    }
    sandbox.commit("more", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox
});

/// Every paragraph of one kind of index, by package, version and architecture.
fn by_identity(paragraphs: impl IntoIterator<Item = Paragraph>) -> BTreeMap<String, Paragraph> {
    let mut table = BTreeMap::new();
    for paragraph in paragraphs {
        let before = table.insert(paragraph.identity(), paragraph);
        assert_eq!(before, None, "twice in one set of indices");
    }
    table
}

fn ours(sandbox: &Sandbox, indices: &[&str]) -> BTreeMap<String, Paragraph> {
    let there = |index: &&String| sandbox.public().join(format!("dists/trixie/{index}.xz")).exists();
    let paths: Vec<String> =
        COMPONENTS.iter().flat_map(|component| indices.iter().map(move |index| format!("{component}/{index}"))).collect();
    by_identity(paths.iter().filter(there).flat_map(|index| read(&published(sandbox, index))))
}

/// What a program says about the pool, run in the published tree so that it finds the same file names.
fn theirs(sandbox: &Sandbox, commands: &[&[&str]]) -> BTreeMap<String, Paragraph> {
    let mut text = String::new();
    for command in commands {
        let script = "cd \"$1\" && shift && exec \"$@\"";
        let mut arguments = vec!["-c", script, "sh", "archive/public"];
        arguments.extend(*command);
        text.push_str(&sandbox.run("sh", &arguments).ok().out);
        text.push('\n');
    }
    by_identity(read(&text))
}

/// Asserts that two sets of paragraphs say the same but for these quirks, each of which really occurs.
#[track_caller]
fn agree(
    ours: &BTreeMap<String, Paragraph>,
    theirs: &BTreeMap<String, Paragraph>,
    quirks: &[Quirk],
    long: &BTreeMap<(String, String), String>,
) {
    let names = |table: &BTreeMap<String, Paragraph>| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(ours), names(theirs), "the same packages");
    let mut found: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for (identity, paragraph) in ours {
        let mut mine = paragraph.trimmed();
        let mut other = theirs[identity].trimmed();
        same_description(identity, &mut mine, &mut other, long);
        for field in mine.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
            let difference = match (mine.get(field), other.get(field)) {
                (Some(mine), Some(other)) if mine == other => continue,
                (Some(mine), Some(other)) => panic!("{field} of {identity}:\n{mine}\n{other}"),
                (Some(_), None) => "only ours",
                (None, _) => "only theirs",
            };
            found.entry((field.clone(), difference)).or_default().push(identity.clone());
        }
    }
    let expected: BTreeSet<_> = quirks.iter().map(|(field, difference)| ((*field).to_owned(), *difference)).collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected, "{found:#?}");
}

/// Peers have the long description in Packages; ours is in Translation-en, found by its digest.
fn same_description(
    identity: &str,
    mine: &mut BTreeMap<String, String>,
    other: &mut BTreeMap<String, String>,
    long: &BTreeMap<(String, String), String>,
) {
    let Some(md5) = mine.remove("Description-md5") else { return };
    let short = mine.remove("Description").unwrap();
    let whole = other.remove("Description").unwrap();
    assert_eq!(Some(short.as_str()), whole.lines().next(), "{identity}");
    if let Some(translated) = long.get(&(mine["Package"].clone(), md5)) {
        assert_eq!(*translated, whole, "{identity}");
    } else {
        assert_eq!(
            mine.get("Section").map(String::as_str),
            Some("debian-installer"),
            "{identity} has its long description in Translation-en"
        );
    }
}

#[test]
fn apt_ftparchive_and_dpkg_scanpackages_agree_on_every_package() {
    let sandbox = WITH_BUILDS.get();
    let ours_all = ours(&sandbox, &["binary-amd64/Packages", "debian-installer/binary-amd64/Packages"]);
    let dbgsyms = ours_all.keys().filter(|identity| identity.contains("-dbgsym ")).count();
    assert!(ours_all.len() >= 180 && dbgsyms > 0, "{} packages, {dbgsyms} dbgsym packages", ours_all.len());
    let translations = COMPONENTS.map(|component| published(&sandbox, &format!("{component}/i18n/Translation-en")));
    let long = translations.iter().flat_map(|text| read(text)).map(|entry| {
        let trimmed = entry.trimmed();
        ((trimmed["Package"].clone(), trimmed["Description-md5"].clone()), trimmed["Description-en"].clone())
    });
    let long = long.collect();
    agree(&ours_all, &theirs(&sandbox, &[&["apt-ftparchive", "packages", "pool"]]), PACKAGES_OF_APT, &long);
    let dpkg = theirs(
        &sandbox,
        &[&["dpkg-scanpackages", "--multiversion", "pool"], &["dpkg-scanpackages", "--multiversion", "--type", "udeb", "pool"]],
    );
    agree(&ours_all, &dpkg, PACKAGES_OF_DPKG, &long);
}

#[test]
fn apt_ftparchive_and_dpkg_scansources_agree_on_every_source() {
    let sandbox = WITH_BUILDS.get();
    let ours = ours(&sandbox, &["source/Sources"]);
    assert!(ours.len() >= 30, "{} sources", ours.len());
    let none = BTreeMap::new();
    agree(&ours, &theirs(&sandbox, &[&["apt-ftparchive", "sources", "pool"]]), SOURCES_OF_APT, &none);
    agree(&ours, &theirs(&sandbox, &[&["dpkg-scansources", "pool"]]), SOURCES_OF_DPKG, &none);
}
