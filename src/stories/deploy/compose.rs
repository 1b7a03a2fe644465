//! Build output as a statement: which source each file belongs to, where it lies in the pool, and its record.
//!
//! A binary lies in the component that its Section names; a source in that of its .changes, else of its Package-List, else of
//! its binaries. The rules that need only the configuration are checked here, all of them, so that every problem is reported.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::formats::artifact::dsc::Dsc;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::fit::{Problem, check_suite};
use crate::formats::statement::{Binary, Build, PooledFile, SourcePackage, SourcePart, Statement};
use crate::formats::suite::record::{self, Placement};
use crate::places::build_output::{BuildOutput, OutputBinary, OutputEvidence, OutputFile, OutputSource};
use crate::words::archive::Archive;
use crate::words::deb822::Paragraph;
use crate::words::name::{Codename, Component, SourceName};
use crate::words::version::Version;

/// What the CI job says about what it built.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said<'a> {
    /// The source package.
    pub(crate) package: Option<&'a str>,
    /// The version.
    pub(crate) version: Option<&'a str>,
    /// Web address of the job.
    pub(crate) job: Option<&'a str>,
}

type Builds = BTreeMap<(SourceName, Version), Build>;
pub(crate) type Files = BTreeMap<Pointer, PathBuf>;

/// Returns the statement and the file of each object that it names.
pub(crate) fn statement(
    suite: &Codename,
    archive: &Archive,
    output: BuildOutput,
    said: Said<'_>,
) -> Result<(Statement, Files), Vec<Problem>> {
    let mut builds = Builds::new();
    let mut files = Files::new();
    let contents = wants_contents(archive);
    for binary in output.binaries {
        add_binary(&mut builds, &mut files, binary, contents);
    }
    for source in output.sources {
        add_source(&mut builds, &mut files, source)?;
    }
    for evidence in output.evidence {
        add_evidence(&mut builds, &mut files, evidence);
    }
    let statement = Statement {
        suite: suite.clone(),
        builds: builds.into_values().collect(),
        job: said.job.map(str::to_owned),
        signed_by: output.signed_by.into_iter().collect(),
    };
    let mut problems = check_suite(&statement, archive).err().unwrap_or_default();
    problems.extend(check_job(&statement, said));
    if problems.is_empty() { Ok((statement, files)) } else { Err(problems) }
}

fn build_of<'a>(builds: &'a mut Builds, source: &SourceName, version: &Version) -> &'a mut Build {
    builds.entry((source.clone(), version.clone())).or_insert_with(|| Build {
        source: source.clone(),
        version: version.clone(),
        source_package: None,
        binaries: Vec::new(),
        evidence: Vec::new(),
        provenance: Vec::new(),
    })
}

fn pooled(files: &mut Files, component: &Component, source: &SourceName, file: &OutputFile) -> PooledFile {
    files.insert(Pointer::from(&file.facts), file.path.clone());
    PooledFile { path: PoolPath::new(component.clone(), source.clone(), file.name.clone()), facts: file.facts.clone() }
}

/// Tells whether a suite has Contents: then records name file lists, whatever suite they are for, so that they can be promoted.
pub(crate) fn wants_contents(archive: &Archive) -> bool {
    archive.suites.values().any(|suite| suite.contents)
}

fn add_binary(builds: &mut Builds, files: &mut Files, output: OutputBinary, with_list: bool) {
    let OutputBinary { file, binary, contents } = output;
    let pooled = pooled(files, &binary.component, &binary.source, &file);
    let build = build_of(builds, &binary.source, &binary.source_version);
    let record = if with_list {
        record::write_binary_with_list(&binary.control, &pooled.path, &pooled.facts, &contents.digest())
    } else {
        record::write_binary(&binary.control, &pooled.path, &pooled.facts)
    };
    build.binaries.push(Binary {
        package: binary.package,
        version: binary.version,
        architecture: binary.architecture,
        udeb: binary.udeb,
        file: pooled,
        record,
    });
}

fn add_source(builds: &mut Builds, files: &mut Files, output: OutputSource) -> Result<(), Vec<Problem>> {
    let OutputSource { file, dsc, section, priority, parts } = output;
    let component = source_component(builds, &file, &dsc, section.as_deref()).map_err(|problem| vec![problem])?;
    let pooled_dsc = pooled(files, &component, &dsc.source, &file);
    // A .dsc may bring these fields itself; a record must not hold a field twice.
    let paragraph = Paragraph::of_checked(&dsc.text);
    let unless_in_dsc = |field: &str, value: Option<String>| value.filter(|_| paragraph.get(field).is_none());
    let placement = Placement { section: unless_in_dsc("Section", section), priority: unless_in_dsc("Priority", priority) };
    let record = record::write_source(&dsc.text, &pooled_dsc.path, &pooled_dsc.facts, &placement);
    let mut source_parts = Vec::with_capacity(parts.len());
    for part in parts {
        let here = part.here.is_some();
        if let Some(file) = &part.here {
            pooled(files, &component, &dsc.source, file);
        }
        source_parts.push(SourcePart { path: pooled_dsc.path.beside(part.name), size: part.size, sha256: part.sha256, here });
    }
    build_of(builds, &dsc.source, &dsc.version).source_package = Some(SourcePackage { file: pooled_dsc, record, parts: source_parts });
    Ok(())
}

fn source_component(builds: &Builds, file: &OutputFile, dsc: &Dsc, section: Option<&str>) -> Result<Component, Problem> {
    if let Some(section) = section {
        return Component::of_section(section)
            .map_err(|fault| Problem { file: file.name.to_string(), reason: format!("its Section in .changes: {fault}") });
    }
    // As dpkg-dev has no field for a source's own component: main if any package is there, else the first one's.
    let mut listed = dsc.package_list.iter().map(|entry| &entry.component);
    if let Some(component) = listed.clone().find(|component| **component == Component::main()).or_else(|| listed.next()) {
        return Ok(component.clone());
    }
    let build = builds.get(&(dsc.source.clone(), dsc.version.clone()));
    let built: std::collections::BTreeSet<&Component> =
        build.iter().flat_map(|build| &build.binaries).map(|binary| binary.file.path.component()).collect();
    let mut built = built.into_iter();
    match (built.next(), built.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Ok(Component::main()),
    }
}

fn add_evidence(builds: &mut Builds, files: &mut Files, output: OutputEvidence) {
    let OutputEvidence { file, source, source_version, .. } = output;
    let build = build_of(builds, &source, &source_version);
    let component = component_of(build);
    build.evidence.push(pooled(files, &component, &source, &file));
}

/// Returns the component that what is kept about a build lies in.
pub(crate) fn component_of(build: &Build) -> Component {
    let of_source = build.source_package.as_ref().map(|package| package.component().clone());
    of_source.or_else(|| build.binaries.first().map(|binary| binary.file.path.component().clone())).unwrap_or_else(Component::main)
}

/// Checks that the build output is what the CI job says it built.
pub(crate) fn check_job(statement: &Statement, said: Said<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for build in &statement.builds {
        if let Some(package) = said.package.filter(|package| *package != build.source.as_str()) {
            let reason = format!("the job says PACKAGE={package}; unset it, or deploy that package alone");
            problems.push(Problem { file: format!("source package {}", build.source), reason });
        }
        let is_said = |said: &str| {
            let versions = std::iter::once(&build.version).chain(build.binaries.iter().map(|binary| &binary.version));
            versions.into_iter().any(|version| version.as_str() == said || version.without_epoch() == said)
        };
        if let Some(version) = said.version.filter(|version| !is_said(version)) {
            let reason = format!("the job says VERSION={version}; unset it, or deploy that version alone");
            problems.push(Problem { file: format!("source package {} {}", build.source, build.version), reason });
        }
    }
    problems
}
