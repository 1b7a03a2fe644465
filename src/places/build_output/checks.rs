//! What the files of a build output say about each other: a list of small rules, each with its own problem.
//!
//! Nothing is read here. Every rule runs on every file, so that all problems come together; what cannot be judged because
//! another file was refused is left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::reading::{Content, ReadFile, Unread};
use super::walk::Kind;
use super::{
    BuildOutput, EvidenceKind, OutputBinary, OutputEvidence, OutputFile, OutputPart, OutputProvenance, OutputSource, Problem, ReadOptions,
};
use crate::formats::artifact::changes::Changes;
use crate::formats::artifact::dsc::Dsc;
use crate::formats::artifact::listing::Listed;
use crate::words::digest::{ExtraDigests, FileFacts};
use crate::words::name::{FileName, SourceName};
use crate::words::version::Version;

type Files = BTreeMap<FileName, ReadFile>;
type Refuse<'a> = dyn FnMut(&ReadFile, String) + 'a;

/// Checks the files against each other and returns them as a build output, which counts only where no problem was added.
pub(super) fn check(read: Vec<Result<ReadFile, Unread>>, options: &ReadOptions<'_>, problems: &mut Vec<Problem>) -> BuildOutput {
    let mut refused: BTreeSet<FileName> = BTreeSet::new();
    let mut good = Vec::new();
    for file in read {
        match file {
            Ok(file) => good.push(file),
            Err(Unread { path, name, reason }) => {
                refused.insert(name);
                problems.push(Problem { file: path, reason });
            }
        }
    }
    let mut refuse = |file: &ReadFile, reason: String| problems.push(Problem { file: file.path.clone(), reason });
    let files = one_of_each(good, &mut refuse);
    for file in files.values() {
        if let Err(reason) = &file.content {
            refused.insert(file.name.clone());
            refuse(file, reason.clone());
        }
    }
    check_listed(&files, &mut refuse);
    check_uploads(&files, &refused, &mut refuse);
    check_known(&files, &refused, &mut refuse);
    if options.uploaders.is_some() {
        check_signatures(&files, &mut refuse);
    }
    let builds = builds(&files);
    let mut output = BuildOutput::default();
    for file in files.values() {
        add(&mut output, file, &files, &builds, options.extra, &mut refuse);
    }
    output.binaries = files.into_values().filter_map(|file| binary(file, options.extra)).collect();
    by_path(&mut output);
    output
}

/// Keeps one file of each name; the same name with other bytes is a problem.
fn one_of_each(read: Vec<ReadFile>, refuse: &mut Refuse<'_>) -> Files {
    let mut files = Files::new();
    for file in read {
        match files.get(&file.name) {
            Some(first) if first.facts.sha256 == file.facts.sha256 => {}
            Some(first) => refuse(&file, format!("holds other bytes than {}; keep one of them", first.path.display())),
            None => {
                files.insert(file.name.clone(), file);
            }
        }
    }
    files
}

/// Returns the files whose description was understood.
fn contents(files: &Files) -> impl Iterator<Item = (&ReadFile, &Content)> {
    files.values().filter_map(|file| file.content.as_ref().ok().map(|content| (file, content)))
}

fn uploads(files: &Files) -> impl Iterator<Item = (&ReadFile, &Changes)> {
    contents(files).filter_map(|(file, content)| match content {
        Content::Changes { changes, .. } => Some((file, changes.as_ref())),
        _ => None,
    })
}

/// Sizes and digests that a .dsc, .changes or .buildinfo lists must be those of the files.
fn check_listed(files: &Files, refuse: &mut Refuse<'_>) {
    for (lister, content) in contents(files) {
        for listed in content.listed() {
            if let Some(file) = files.get(&listed.name)
                && let Err(difference) = listed.compare(&file.facts)
            {
                refuse(file, format!("{difference} in {}", lister.path.display()));
            }
        }
    }
}

/// What a .changes lists must be there, and belong to its source.
fn check_uploads(files: &Files, refused: &BTreeSet<FileName>, refuse: &mut Refuse<'_>) {
    for (upload, changes) in uploads(files) {
        for listed in &changes.files {
            match files.get(&listed.name) {
                Some(file) => check_source_of(file, upload, changes, refuse),
                None if refused.contains(&listed.name) => {}
                None => refuse(upload, format!("lists {}, which is not there", listed.name)),
            }
        }
    }
}

fn check_source_of(file: &ReadFile, upload: &ReadFile, changes: &Changes, refuse: &mut Refuse<'_>) {
    let (source, version) = match &file.content {
        Ok(Content::Binary { binary, .. }) => (&binary.source, &binary.source_version),
        Ok(Content::Dsc { dsc, .. }) => (&dsc.source, &dsc.version),
        Ok(Content::Buildinfo(build)) => (&build.source, &build.source_version),
        _ => return,
    };
    if (source, version) != (&changes.source, &changes.source_version) {
        let reason = format!(
            "is of source {source} {version}, but listed in {} of source {} {}",
            upload.path.display(),
            changes.source,
            changes.source_version
        );
        refuse(file, reason);
    }
}

/// Every file must be something that is understood, or be listed by a .dsc.
fn check_known(files: &Files, refused: &BTreeSet<FileName>, refuse: &mut Refuse<'_>) {
    let parts: BTreeSet<&FileName> = descriptions(files).flat_map(|(_, dsc)| &dsc.files).map(|listed| &listed.name).collect();
    let stem = |name: &FileName| name.as_str().split('_').next().unwrap_or_default().to_owned();
    let refused_sources: BTreeSet<String> = refused.iter().filter(|name| name.as_str().ends_with(".dsc")).map(stem).collect();
    for file in files.values().filter(|file| file.kind == Kind::Other) {
        if !parts.contains(&file.name) && !refused_sources.contains(&stem(&file.name)) {
            let reason = "is no package, description or log, and no .dsc here lists it; remove it, or add the .dsc that it belongs to";
            refuse(file, reason.to_owned());
        }
    }
}

fn descriptions(files: &Files) -> impl Iterator<Item = (&ReadFile, &Dsc)> {
    contents(files).filter_map(|(file, content)| match content {
        Content::Dsc { dsc, .. } => Some((file, dsc.as_ref())),
        _ => None,
    })
}

/// Every .changes must be signed, and every package be listed in one of them or in its own signed .dsc.
fn check_signatures(files: &Files, refuse: &mut Refuse<'_>) {
    let mut covered: BTreeSet<&FileName> = BTreeSet::new();
    for (file, content) in contents(files) {
        if let Content::Changes { changes, signer: Some(signer) } = content {
            match signer {
                Ok(_) => covered.extend(changes.files.iter().map(|listed| &listed.name)),
                Err(reason) => refuse(file, reason.clone()),
            }
        }
    }
    // Of a refused .changes it is not known what it would have covered: only its own problem is reported.
    let unknown = files.values().any(|file| file.kind == Kind::Changes && !is_signed(file));
    for file in files.values().filter(|file| !covered.contains(&file.name)) {
        match &file.content {
            Ok(Content::Dsc { signer: Some(Err(reason)), .. }) if !unknown => {
                refuse(file, format!("{reason} (no signed .changes lists it, so it must be signed itself)"));
            }
            Ok(Content::Binary { .. }) if !unknown => {
                refuse(file, "is listed in no signed .changes, and this archive takes signed uploads only".to_owned());
            }
            _ => {}
        }
    }
}

fn is_signed(file: &ReadFile) -> bool {
    matches!(&file.content, Ok(Content::Changes { signer: Some(Ok(_)), .. }))
}

/// The sources that were built, each with the versions that its log may have in its name.
type Builds = BTreeMap<(SourceName, Version), BTreeSet<String>>;

fn builds(files: &Files) -> Builds {
    let mut builds = Builds::new();
    for (_, content) in contents(files) {
        let (source, source_version, version) = match content {
            Content::Binary { binary, .. } => (&binary.source, &binary.source_version, &binary.source_version),
            Content::Dsc { dsc, .. } => (&dsc.source, &dsc.version, &dsc.version),
            Content::Changes { changes, .. } => (&changes.source, &changes.source_version, &changes.version),
            Content::Buildinfo(build) => (&build.source, &build.source_version, &build.version),
            Content::Log | Content::Provenance { .. } | Content::Other => continue,
        };
        let versions = builds.entry((source.clone(), source_version.clone())).or_default();
        versions.extend([source_version, version].map(|version| version.without_epoch().to_owned()));
    }
    builds
}

/// Returns the source that a log is about: by its name `SOURCE_VERSION…`, else the only one.
fn source_of_log<'a>(name: &FileName, builds: &'a Builds) -> Option<&'a (SourceName, Version)> {
    let named = |((source, _), versions): &(&(SourceName, Version), &BTreeSet<String>)| {
        let rest = name.as_str().strip_prefix(source.as_str()).and_then(|rest| rest.strip_prefix('_')).unwrap_or_default();
        let ends = |rest: &str| rest.starts_with('_') || rest.starts_with(".log") || rest.starts_with(".build");
        versions.iter().any(|version| rest.strip_prefix(version.as_str()).is_some_and(ends))
    };
    let mut matching = builds.iter().filter(named).map(|(build, _)| build);
    match (matching.next(), matching.next()) {
        (Some(only), None) => Some(only),
        (None, _) if builds.len() == 1 => builds.keys().next(),
        _ => None,
    }
}

/// Puts a source or a piece of evidence into the output.
fn add(output: &mut BuildOutput, read: &ReadFile, files: &Files, builds: &Builds, extra: ExtraDigests, refuse: &mut Refuse<'_>) {
    let file = output_file(read, extra);
    let evidence = |file, kind, source: &SourceName, source_version: &Version| OutputEvidence {
        file,
        kind,
        source: source.clone(),
        source_version: source_version.clone(),
    };
    match &read.content {
        Ok(Content::Dsc { dsc, signer }) => {
            output.signed_by.extend(signer.iter().flatten().cloned());
            let listed = uploads(files).flat_map(|(_, changes)| &changes.files).find(|listed| listed.name == read.name);
            output.sources.push(OutputSource {
                file,
                section: listed.and_then(|listed| listed.section.clone()),
                priority: listed.and_then(|listed| listed.priority.clone()),
                parts: dsc.files.iter().map(|listed| part(listed, files, extra)).collect(),
                dsc: dsc.as_ref().clone(),
            });
        }
        Ok(Content::Changes { changes, signer }) => {
            output.signed_by.extend(signer.iter().flatten().cloned());
            output.distributions.insert(changes.distribution.clone());
            output.evidence.push(evidence(file, EvidenceKind::Changes, &changes.source, &changes.source_version));
        }
        Ok(Content::Buildinfo(build)) => {
            output.evidence.push(evidence(file, EvidenceKind::Buildinfo, &build.source, &build.source_version));
        }
        Ok(Content::Log) => match source_of_log(&read.name, builds) {
            Some((source, version)) => output.evidence.push(evidence(file, EvidenceKind::Log, source, version)),
            // Where everything else was refused, that is what has to be mended first.
            None if builds.is_empty() && files.values().any(|file| file.content.is_err()) => {}
            None => refuse(read, "is a log of an unknown build; begin its name with SOURCE_VERSION, or remove it".to_owned()),
        },
        Ok(Content::Provenance { subjects, signed }) => {
            output.provenance.push(OutputProvenance { file, subjects: subjects.clone(), signed: *signed });
        }
        Ok(Content::Binary { .. } | Content::Other) | Err(_) => {}
    }
}

/// Returns a binary package, moving its list of files.
fn binary(read: ReadFile, extra: ExtraDigests) -> Option<OutputBinary> {
    let file = output_file(&read, extra);
    match read.content {
        Ok(Content::Binary { binary, files }) => Some(OutputBinary { file, binary: *binary, contents: files }),
        _ => None,
    }
}

fn part(listed: &Listed, files: &Files, extra: ExtraDigests) -> OutputPart {
    OutputPart {
        name: listed.name.clone(),
        size: listed.size,
        md5: listed.md5,
        sha256: listed.sha256,
        here: files.get(&listed.name).map(|file| output_file(file, extra)),
    }
}

/// Returns the file without the digests that were made only for checks.
fn output_file(read: &ReadFile, extra: ExtraDigests) -> OutputFile {
    let facts = FileFacts {
        sha1: read.facts.sha1.filter(|_| extra.sha1),
        sha512: read.facts.sha512.filter(|_| extra.sha512),
        ..read.facts.clone()
    };
    OutputFile { path: read.full_path.clone(), name: read.name.clone(), facts }
}

fn by_path(output: &mut BuildOutput) {
    output.binaries.sort_by(|left, right| left.file.path.cmp(&right.file.path));
    output.sources.sort_by(|left, right| left.file.path.cmp(&right.file.path));
    output.evidence.sort_by(|left, right| left.file.path.cmp(&right.file.path));
    output.provenance.sort_by(|left, right| left.file.path.cmp(&right.file.path));
}
