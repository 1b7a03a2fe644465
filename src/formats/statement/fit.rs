//! Whether a suite takes a statement at all: it must have every component and architecture that the statement names.

use super::Statement;
use crate::words::archive::Archive;

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name, or what else is wrong.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Checks that the suite has every component and architecture that the statement needs.
///
/// # Errors
/// One entry for each file that the suite does not take.
pub fn check_suite(statement: &Statement, archive: &Archive) -> Result<(), Vec<Problem>> {
    let name = &statement.suite;
    let Some(suite) = archive.suite(name) else {
        return Err(vec![Problem { file: "ddb.toml".to_owned(), reason: format!("it has no suite {name} any more") }]);
    };
    let mut problems = Vec::new();
    for build in &statement.builds {
        let offered =
            build.binaries.iter().map(|binary| &binary.file.path).chain(build.source_package.iter().map(|source| &source.file.path));
        for path in offered.filter(|path| !suite.components.contains(path.component())) {
            let reason = format!(
                "it belongs to the component {component}, which suite {name} does not have; add \"{component}\" to suites.{name}.components of ddb.toml",
                component = path.component()
            );
            problems.push(Problem { file: path.file().to_string(), reason });
        }
        for binary in
            build.binaries.iter().filter(|binary| !binary.architecture.is_all() && !suite.architectures.contains(&binary.architecture))
        {
            let reason = format!(
                "suite {name} has no architecture {architecture}; add \"{architecture}\" to suites.{name}.architectures of ddb.toml",
                architecture = binary.architecture
            );
            problems.push(Problem { file: binary.file.path.file().to_string(), reason });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
