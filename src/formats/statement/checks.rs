//! Whether a statement that was read from outside agrees with itself: its records with its files, its names with each other.
//!
//! A statement that ddb made always does. One that came from an inbox or a manifest is checked before it is replayed, also
//! where a trusted key signed it: what lands must be what ddb could have written.

use std::collections::BTreeMap;

use super::{Binary, Build, SourcePackage, Statement, source_version_of};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::checks::files_named;
use crate::formats::suite::record::{CLAIMS, PROVENANCE, Record};
use crate::words::deb822::Paragraph;
use crate::words::name::{Codename, SourceName};

/// Longest address of a job in bytes.
const JOB: usize = 2000;

/// Checks a statement.
///
/// # Errors
/// The first contradiction, as a sentence without its end.
pub fn check(statement: &Statement) -> Result<(), String> {
    if statement.job.as_ref().is_some_and(|job| job.len() > JOB || job.chars().any(char::is_control)) {
        return Err("its job is no web address in one line".to_owned());
    }
    let is_fingerprint = |text: &String| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !statement.signed_by.iter().all(is_fingerprint) {
        return Err("what it names as signers are no fingerprints".to_owned());
    }
    let mut names = statement.builds.iter().map(|build| (&build.source, &build.version)).collect::<Vec<_>>();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(pair.first().map(|(source, version)| format!("it has two builds of {source} {version}")).unwrap_or_default());
    }
    statement.builds.iter().try_for_each(|build| check_build(&statement.suite, build))
}

fn check_build(suite: &Codename, build: &Build) -> Result<(), String> {
    build.binaries.iter().try_for_each(|binary| check_binary(build, binary))?;
    build.source_package.iter().try_for_each(|source| check_source(suite, build, source))?;
    build.evidence.iter().chain(&build.provenance).try_for_each(|file| belongs(&file.path, &build.source))?;
    build.records().try_for_each(|(file, record)| check_provenance(build, &file.path, record))
}

/// What a record says of provenance must come with the statement.
fn check_provenance(build: &Build, path: &PoolPath, record: &str) -> Result<(), String> {
    let record = read(path, record)?;
    let comes = |object: &Pointer| build.provenance.iter().any(|file| Pointer::from(&file.facts) == *object);
    match record.provenance.iter().chain(&record.claims).find(|object| !comes(object)) {
        Some(object) => Err(format!("the record of {path} names provenance {}, which does not come with it", object.oid)),
        None => Ok(()),
    }
}

fn belongs(path: &PoolPath, source: &SourceName) -> Result<(), String> {
    if path.source() == source { Ok(()) } else { Err(format!("{path} is not a file of source {source}")) }
}

fn check_binary(build: &Build, binary: &Binary) -> Result<(), String> {
    let path = &binary.file.path;
    belongs(path, &build.source)?;
    let record = read(path, &binary.record)?;
    if (&record.path, &record.facts) != (path, &binary.file.facts) {
        return Err(format!("the record of {path} names another file"));
    }
    let is = |field: &str, value: &str| record.get(field) == Some(value);
    if !is("Package", binary.package.as_str())
        || !is("Version", binary.version.as_str())
        || !is("Architecture", binary.architecture.as_str())
    {
        return Err(format!("the record of {path} is of another package, version or architecture"));
    }
    let paragraph = Paragraph::of_checked(&binary.record);
    let source = record.get("Source").map_or(binary.package.as_str(), |source| source.split([' ', '(']).next().unwrap_or_default());
    if source != build.source.as_str() || source_version_of(&paragraph).as_ref() != Some(&build.version) {
        return Err(format!("the record of {path} is of another source than {} {}", build.source, build.version));
    }
    Ok(())
}

fn check_source(suite: &Codename, build: &Build, source: &SourcePackage) -> Result<(), String> {
    let path = &source.file.path;
    belongs(path, &build.source)?;
    let record = read(path, &source.record)?;
    if (&record.path, &record.facts) != (path, &source.file.facts) {
        return Err(format!("the record of {path} names another file"));
    }
    let named = record.get("Source").or_else(|| record.get("Package"));
    if named != Some(build.source.as_str()) || record.get("Version") != Some(build.version.as_str()) {
        return Err(format!("the record of {path} is of another source than {} {}", build.source, build.version));
    }
    if let Some(part) = source.parts.iter().find(|part| path.beside(part.path.file().clone()) != part.path) {
        return Err(format!("{} does not lie beside {path}", part.path));
    }
    let named = files_named(&source.place(suite, build), &record).map_err(|problem| format!("the record of {path}: {}", problem.fault))?;
    let named: BTreeMap<PoolPath, Pointer> = named.into_iter().filter(|(named, _)| named != path).collect();
    let parts = source.parts.iter().map(|part| (part.path.clone(), Pointer { oid: part.sha256, size: part.size }));
    if parts.collect::<BTreeMap<_, _>>() != named {
        return Err(format!("the files that come with {path} are not those of its Checksums-Sha256"));
    }
    Ok(())
}

/// Reads a record, in which only ddb's own part may name provenance, and says nothing that ddb does not say there.
fn read<'a>(path: &PoolPath, record: &'a str) -> Result<Record<'a>, String> {
    let record = Record::parse(record.as_bytes()).map_err(|fault| format!("the record of {path}: {fault}"))?;
    if let Some(field) = record.foreign(path.file().as_str().ends_with(".dsc")) {
        return Err(format!("the record of {path}: {field} stands behind Filename, among ddb's own fields"));
    }
    match [PROVENANCE, CLAIMS].into_iter().find(|field| record.get(field).is_some()) {
        Some(field) => Err(format!("the record of {path}: {field} stands in front of Filename, among the package's own fields")),
        None => Ok(record),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(crate) mod tests {
    use super::*;
    use crate::formats::statement::{PooledFile, SourcePart};
    use crate::formats::suite::record;
    use crate::words::digest::{ExtraDigests, FileFacts, Sha256};

    /// A statement with a binary package and a log.
    pub(crate) fn statement() -> Statement {
        let file = |name: &str| PooledFile {
            path: format!("pool/main/h/hello/{name}").parse().unwrap(),
            facts: FileFacts::of(name.as_bytes(), ExtraDigests::default()),
        };
        let control = "Package: hello\nVersion: 1\nArchitecture: amd64\nSection: misc\nDescription: x\n";
        let deb = file("hello_1_amd64.deb");
        let binary = Binary {
            package: "hello".parse().unwrap(),
            version: "1".parse().unwrap(),
            architecture: "amd64".parse().unwrap(),
            udeb: false,
            record: record::write_binary(control, &deb.path, &deb.facts),
            file: deb,
        };
        let build = Build {
            source: "hello".parse().unwrap(),
            version: "1".parse().unwrap(),
            source_package: None,
            binaries: vec![binary],
            evidence: vec![file("hello_1.log")],
            provenance: Vec::new(),
        };
        Statement { suite: "trixie".parse().unwrap(), builds: vec![build], job: None, signed_by: Vec::new() }
    }

    /// The same with a source package, whose .dsc names one file.
    fn with_source() -> Statement {
        let mut statement = statement();
        let file = |name: &str| format!("pool/main/h/hello/{name}").parse().unwrap();
        let facts = FileFacts::of(b"dsc", ExtraDigests::default());
        let (dsc, part) = (file("hello_1.dsc"), file("hello_1.tar.xz"));
        let text = format!("Source: hello\nVersion: 1\nChecksums-Sha256:\n {} 3 hello_1.tar.xz\n", Sha256::of(b"tar"));
        let record = record::write_source(&text, &dsc, &facts, &record::Placement::default());
        let parts = vec![SourcePart { path: part, size: 3, sha256: Sha256::of(b"tar"), here: true }];
        statement.builds[0].source_package = Some(SourcePackage { file: PooledFile { path: dsc, facts }, record, parts });
        statement
    }

    #[test]
    fn the_files_of_a_source_are_those_of_its_dsc() {
        assert_eq!(check(&with_source()), Ok(()));
        let refused = |change: &dyn Fn(&mut SourcePackage)| {
            let mut changed = with_source();
            change(changed.builds[0].source_package.as_mut().unwrap());
            let fault = check(&changed).unwrap_err();
            assert!(fault.contains("are not those of its Checksums-Sha256"), "{fault}");
        };
        refused(&|source| source.parts[0].sha256 = Sha256::of(b"another"));
        refused(&|source| source.parts[0].size = 4);
        refused(&|source| source.parts.clear());
        refused(&|source| {
            let more = SourcePart { path: "pool/main/h/hello/hello_1.orig.tar.xz".parse().unwrap(), ..source.parts[0].clone() };
            source.parts.push(more);
        });
    }

    #[test]
    fn contradictions_are_found() {
        assert_eq!(check(&statement()), Ok(()));
        let mut twice = statement();
        twice.builds.push(twice.builds[0].clone());
        let refused = |expected: &str, change: &dyn Fn(&mut Statement)| {
            let mut changed = statement();
            change(&mut changed);
            let fault = check(&changed).unwrap_err();
            assert!(fault.contains(expected), "{expected}: {fault}");
        };
        refused("two builds", &|statement| *statement = twice.clone());
        refused("its job", &|statement| statement.job = Some("https://x\nDdb-Uploader: evil".to_owned()));
        refused("no fingerprints", &|statement| statement.signed_by = vec!["me\n".to_owned()]);
        refused("another package", &|statement| statement.builds[0].binaries[0].package = "other".parse().unwrap());
        refused("another package", &|statement| statement.builds[0].binaries[0].version = "2".parse().unwrap());
        refused("another file", &|statement| statement.builds[0].binaries[0].file.facts.size = 1);
        refused("another source", &|statement| statement.builds[0].version = "2".parse().unwrap());
        refused("not a file of source", &|statement| {
            statement.builds[0].evidence[0].path = "pool/main/b/bash/hello_1.log".parse().unwrap();
        });
        refused("names provenance", &|statement| {
            let record = &mut statement.builds[0].binaries[0].record;
            record::add_object(record, record::PROVENANCE, &Pointer { oid: Sha256::of(b"x"), size: 1 });
        });
        refused("Provenance stands in front of Filename", &|statement| {
            let record = &mut statement.builds[0].binaries[0].record;
            *record = record.replace("Filename:", &format!("Provenance: {} 1\nFilename:", Sha256::of(b"x")));
        });
        refused("Source stands behind Filename", &|statement| {
            statement.builds[0].binaries[0].record.push_str("Source: hello (9)\n");
        });
        let said = format!("{}Source: hello (9)\n", statement().builds[0].binaries[0].record);
        assert_eq!(source_version_of(&Paragraph::of_checked(&said)), "1".parse().ok(), "the package says which source");
        refused("Filename is missing", &|statement| statement.builds[0].binaries[0].record = "Package: hello\n".to_owned());
    }
}
