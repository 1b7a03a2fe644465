//! Debian's own indices, taken apart to records and rendered again: the same bytes must come out.
//!
//! The cache's `corpus/` has Packages, Packages of the installer, Sources and Translation-en of each component. A paragraph
//! of Packages gives its record when the long description of Translation-en takes the place of the short one; one of Sources
//! when the .dsc's own entries are taken out of its lists. Any folder with files of these names will do, such as Debian's
//! whole indices: `DDB_TEST_INDICES=folder`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ddb::formats::index::overrides::Overrides;
use ddb::formats::index::select::{Offer, select};
use ddb::formats::index::{Style, order, packages, sources, translation};
use ddb::formats::pool::path::PoolPath;
use ddb::formats::suite::place::IndexName;
use ddb::formats::suite::record::{Placement, Record, write_binary, write_source};
use ddb::words::archive::{Archive, ExtraDigest};
use ddb::words::deb822::{Paragraph, paragraphs};
use ddb::words::digest::FileFacts;
use ddb::words::name::{Architecture, Component};

const COMPONENTS: [&str; 4] = ["main", "contrib", "non-free", "non-free-firmware"];

/// What the archive adds to a control file, beside the long description.
const ADDED: [&str; 7] = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5"];

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("DDB_TEST_INDICES") {
        return folder.into();
    }
    let cache =
        std::env::var_os("DDB_TEST_CACHE").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache"), PathBuf::from);
    let folder = cache.join("corpus");
    assert!(folder.is_dir(), "{} is missing: run tests/prepare.sh", folder.display());
    folder
}

/// Returns a file of the corpus; empty where it is missing, which `compared` notices if all are.
fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_default()
}

/// Names of a component's Packages: one file, or one for each architecture (`Packages.main.arm64`), which Translation-en needs.
fn binary_indices(component: &str) -> Vec<String> {
    let begin = format!("Packages.{component}");
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_one =
        |name: &String| name.strip_prefix(&begin).is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && rest != ".udeb"));
    let names: BTreeSet<String> = names.filter(is_one).collect();
    names.into_iter().collect()
}

/// Whole descriptions by package and md5.
fn descriptions(translation: &str) -> BTreeMap<(&str, &str), &str> {
    let entry = |text| {
        let paragraph = Paragraph::of_checked(text);
        let get = |field| paragraph.get(field).unwrap();
        let text = paragraph.field("Description-en").unwrap().raw.strip_prefix(' ').unwrap();
        ((get("Package"), get("Description-md5")), text)
    };
    paragraphs(translation).map(entry).collect()
}

fn facts(paragraph: &Paragraph<'_>) -> FileFacts {
    let get = |field| paragraph.get(field).unwrap();
    FileFacts {
        size: get("Size").parse().unwrap(),
        md5: paragraph.get("MD5sum").unwrap_or("00000000000000000000000000000000").parse().unwrap(),
        sha256: get("SHA256").parse().unwrap(),
        sha1: None,
        sha512: None,
    }
}

/// Returns the record that a paragraph of Packages was made of; without its description the short one is all there is.
fn binary_record(paragraph: &Paragraph<'_>, description: Option<&str>, control: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut text = String::new();
    // Turned round, so that the order of the output owes nothing to the order of the input.
    for field in paragraph.fields().iter().rev().filter(|field| !ADDED.contains(&field.name)) {
        let value = match field.name {
            "Description" => description.map_or(field.raw.to_owned(), |text| format!(" {text}")),
            _ => field.raw.to_owned(),
        };
        if let Some(value) = control(field.name, &value) {
            text.push_str(&format!("{}:{value}\n", field.name));
        }
    }
    let path: PoolPath = paragraph.get("Filename").unwrap().parse().unwrap();
    write_binary(&text, &path, &facts(paragraph))
}

/// Returns the record that a paragraph of Sources was made of.
fn source_record(paragraph: &Paragraph<'_>) -> String {
    let mut text = String::new();
    let mut own = BTreeMap::new();
    for field in paragraph.fields().iter().rev().filter(|field| !["Directory", "Priority", "Section"].contains(&field.name)) {
        match field.name {
            "Package" => text.push_str(&format!("Source:{}\n", field.raw)),
            "Files" | "Checksums-Sha1" | "Checksums-Sha256" => {
                let (first, rest) = field.raw.trim_start_matches('\n').split_once('\n').unwrap();
                own.insert(field.name, first.split_whitespace().collect::<Vec<_>>());
                text.push_str(&format!("{}:\n{rest}\n", field.name));
            }
            _ => text.push_str(&format!("{}:{}\n", field.name, field.raw)),
        }
    }
    let [sha256, size, file] = own.get("Checksums-Sha256").unwrap().as_slice() else { panic!("{own:?}") };
    let facts = FileFacts {
        size: size.parse().unwrap(),
        md5: own.get("Files").map_or("00000000000000000000000000000000", |files| files.first().unwrap()).parse().unwrap(),
        sha256: sha256.parse().unwrap(),
        sha1: own.get("Checksums-Sha1").map(|list| list.first().unwrap().parse().unwrap()),
        sha512: None,
    };
    let get = |field| paragraph.get(field).map(str::to_owned);
    let path = format!("{}/{file}", get("Directory").unwrap()).parse().unwrap();
    write_source(&text, &path, &facts, &Placement { section: get("Section"), priority: get("Priority") })
}

/// Debian lists MD5 in stable suites only.
fn style(index: &str) -> Style {
    let mut style = Style::debian();
    if !index.contains("\nMD5sum: ") && !index.contains("\nFiles:\n") {
        style.digests.remove(&ExtraDigest::Md5);
    }
    style
}

/// Compares paragraph by paragraph, so that the first difference is readable, and then the whole text.
fn same(name: &str, mut rendered: Vec<(order::SortKey, String)>, debians: &str) -> usize {
    let count = rendered.len();
    rendered.reverse();
    let text = order::join(rendered);
    for (ours, theirs) in paragraphs(&text).zip(paragraphs(debians)) {
        assert_eq!(ours, theirs, "{name}");
    }
    assert!(text == debians, "{name}: number of paragraphs or empty lines");
    println!("{name}: {count} of {} paragraphs identical, {} bytes", paragraphs(debians).count(), text.len());
    count
}

#[test]
fn debians_packages_and_translations_come_out_of_their_records_byte_for_byte() {
    let mut compared = 0;
    for component in COMPONENTS {
        let translation = read(&format!("Translation-en.{component}"));
        let descriptions = descriptions(&translation);
        let mut entries = Vec::new();
        for name in binary_indices(component) {
            let index = read(&name);
            let style = style(&index);
            let render = |text| {
                let paragraph = Paragraph::of_checked(text);
                let key = (paragraph.get("Package").unwrap(), paragraph.get("Description-md5").unwrap());
                let description = descriptions.get(&key).unwrap_or_else(|| panic!("no description of {key:?}"));
                let record = binary_record(&paragraph, Some(description), |_, value| Some(value.to_owned()));
                let record = Record::parse(record.as_bytes()).unwrap();
                entries.extend(translation::entry(&record, &style).unwrap());
                (packages::sort_key(&record).unwrap(), packages::render(&record, &style, None).unwrap())
            };
            let rendered = paragraphs(&index).map(render).collect();
            compared += same(&name, rendered, &index);
        }
        // Debian translates a few packages of other components too: those that an override file of this one still names.
        let known: BTreeSet<String> = entries.iter().map(|(key, _): &(order::SortKey, String)| key.name.clone()).collect();
        let debians = paragraphs(&translation).filter(|text| known.contains(Paragraph::of_checked(text).get("Package").unwrap()));
        let mut debians: Vec<&str> = debians.collect();
        entries.sort();
        entries.dedup();
        let rendered = order::join(entries);
        // Debian sorts by the first source, which is not in the text; ddb by package and digest alone.
        let mut ours: Vec<&str> = paragraphs(&rendered).collect();
        debians.sort_unstable();
        ours.sort_unstable();
        for (ours, theirs) in ours.iter().zip(&debians) {
            assert_eq!(ours, theirs, "Translation-en.{component}");
        }
        assert_eq!(ours.len(), debians.len(), "Translation-en.{component}: number of entries");
        let (ours, all) = (paragraphs(&rendered).count(), paragraphs(&translation).count());
        println!("Translation-en.{component}: {ours} of {all} entries identical, the others' packages are not in Packages");
    }
    assert!(compared >= 60, "only {compared} paragraphs in {}", folder().display());
}

#[test]
fn debians_installer_packages_come_out_of_their_records_but_for_the_md5_of_texts_that_no_index_has() {
    let mut compared = 0;
    for component in COMPONENTS {
        let index = read(&format!("Packages.{component}.udeb"));
        let style = style(&index);
        let without_md5 = |text: &str| -> String {
            text.lines().filter(|line| !line.starts_with("Description-md5: ")).map(|line| format!("{line}\n")).collect()
        };
        let render = |text| {
            let record = binary_record(&Paragraph::of_checked(text), None, |_, value| Some(value.to_owned()));
            let record = Record::parse(record.as_bytes()).unwrap();
            assert_eq!(translation::entry(&record, &style).unwrap(), None);
            (packages::sort_key(&record).unwrap(), without_md5(&packages::render(&record, &style, None).unwrap()))
        };
        let rendered: Vec<_> = paragraphs(&index).map(render).collect();
        let debians: String = paragraphs(&index).map(|text| format!("{}\n", without_md5(text))).collect();
        compared += same(&format!("Packages.{component}.udeb"), rendered, &debians);
    }
    assert!(compared >= 5, "only {compared} paragraphs in {}", folder().display());
}

#[test]
fn debians_sources_come_out_of_their_records_byte_for_byte() {
    let mut compared = 0;
    for component in COMPONENTS {
        let index = read(&format!("Sources.{component}"));
        let style = style(&index);
        let render = |text| {
            let record = source_record(&Paragraph::of_checked(text));
            let record = Record::parse(record.as_bytes()).unwrap();
            (sources::sort_key(&record).unwrap(), sources::render(&record, &style, None).unwrap())
        };
        let rendered: Vec<_> = paragraphs(&index).map(render).collect();
        compared += same(&format!("Sources.{component}"), rendered, &index);
    }
    assert!(compared >= 10, "only {compared} paragraphs in {}", folder().display());
}

#[test]
fn debians_choice_of_packages_is_ours() {
    let mut offers = Vec::new();
    let mut debians: BTreeMap<(Component, IndexName), BTreeSet<usize>> = BTreeMap::new();
    let amd64: Architecture = "amd64".parse().unwrap();
    for component in COMPONENTS {
        let mut known = BTreeMap::new();
        // Where there is a binary-all index it may have more than amd64's.
        for (name, listed) in [(format!("Packages.{component}"), true), (format!("Packages.{component}.all"), false)] {
            for text in paragraphs(&read(&name)) {
                let paragraph = Paragraph::of_checked(text);
                let record = binary_record(&paragraph, None, |_, value| Some(value.to_owned()));
                let offer = offer(&Record::parse(record.as_bytes()).unwrap());
                let at = *known.entry(offer.clone()).or_insert_with(|| {
                    offers.push(offer.clone());
                    offers.len() - 1
                });
                if listed {
                    debians.entry((offer.component, IndexName::Binary(amd64.clone()))).or_default().insert(at);
                }
            }
        }
    }
    let suite = format!("[suites.trixie]\narchitectures = [\"amd64\"]\ncomponents = {COMPONENTS:?}\n");
    let suite = Archive::parse(&suite).unwrap().suites.into_values().next().unwrap();
    let selection = select(&offers.iter().collect::<Vec<_>>(), &suite);
    for (index, debian) in &debians {
        let ours: BTreeSet<usize> = selection.listed.get(index).unwrap().iter().copied().collect();
        let differ: Vec<_> = ours.symmetric_difference(debian).map(|at| (ours.contains(at), offers.get(*at))).collect();
        assert!(differ.is_empty(), "{index:?}: {differ:?}");
        println!("{}/{}: the same {} of {} records listed", index.0, index.1, ours.len(), offers.len());
    }
    assert_eq!(selection.dominated, []);
}

fn offer(record: &Record<'_>) -> Offer {
    let (source, source_version) = packages::source_of(record).unwrap();
    Offer {
        component: record.path.component().clone(),
        index: IndexName::Binary(record.get("Architecture").unwrap().parse().unwrap()),
        source,
        source_version,
        package: record.get("Package").unwrap().parse().unwrap(),
        version: record.get("Version").unwrap().parse().unwrap(),
    }
}

#[test]
fn debians_override_files_turn_other_values_into_debians() {
    let mut compared = 0;
    if std::env::var_os("DDB_TEST_INDICES").is_some() && read("override.main").is_empty() {
        println!("no override files in {}", folder().display());
        return;
    }
    for component in COMPONENTS {
        let mut overrides = Overrides::default();
        overrides.read_binary(read(&format!("override.{component}")).as_bytes()).unwrap();
        overrides.read_udeb(read(&format!("override.{component}.udeb")).as_bytes()).unwrap();
        overrides.read_source(read(&format!("override.{component}.src")).as_bytes()).unwrap();
        overrides.read_extra(read(&format!("extra-override.{component}")).as_bytes()).unwrap();
        for name in [format!("Packages.{component}"), format!("Packages.{component}.udeb")] {
            let index = read(&name);
            for text in paragraphs(&index) {
                let paragraph = Paragraph::of_checked(text);
                let without = binary_record(&paragraph, None, |field, value| match field {
                    "Section" | "Priority" => Some(" other".to_owned()),
                    "Tag" | "Task" | "Build-Essential" => None,
                    _ => Some(value.to_owned()),
                });
                let record = Record::parse(without.as_bytes()).unwrap();
                let rendered = packages::render(&record, &style(&index), Some(&overrides)).unwrap();
                assert_eq!(unfolded(&rendered), unfolded(text), "{name}");
                compared += 1;
            }
        }
        let index = read(&format!("Sources.{component}"));
        for text in paragraphs(&index) {
            let record = source_record(&Paragraph::of_checked(text)).replace("\nSection: ", "\nSection: other");
            let record = Record::parse(record.as_bytes()).unwrap();
            let rendered = sources::render(&record, &style(&index), Some(&overrides)).unwrap();
            assert_eq!(rendered.trim_end(), text, "Sources.{component}");
            compared += 1;
        }
    }
    assert!(compared >= 70, "only {compared} paragraphs in {}", folder().display());
}

/// An override file has one line where Debian's index folds Tag; the md5 needs the long description.
fn unfolded(text: &str) -> Vec<(String, String)> {
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let paragraph = Paragraph::of_checked(text);
    let fields = paragraph.fields().iter().filter(|field| field.name != "Description-md5");
    fields.map(|field| (field.name.to_owned(), if field.name == "Tag" { words(field.raw) } else { field.raw.to_owned() })).collect()
}
