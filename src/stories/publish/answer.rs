//! What a publish came to, as it is said in text and JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::edition::Edition;
use super::{DistsRequest, Places, stanza};
use crate::places::requests::Requests;
use crate::places::target::plan::{Class, Plan};
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What was published.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DistsAnswer {
    /// The suite.
    pub codename: Codename,
    /// What was done.
    pub outcome: PublishOutcome,
    /// The commit whose records and configuration were folded.
    pub base: String,
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// `Date` of Release.
    pub date: String,
    /// `Valid-Until` of Release.
    pub valid_until: Option<String>,
    /// SHA-256 of Release.
    pub release: Sha256,
    /// Binary packages in the suite.
    pub packages: u64,
    /// Source packages in the suite.
    pub sources: u64,
    /// Pool files that were new to the tree.
    pub pool_files: usize,
    /// Other files that were written.
    pub index_files: usize,
    /// By-hash files that were removed.
    pub removed_files: usize,
    /// The published tree.
    pub target: String,
    /// The deb822 sources stanza for clients.
    pub stanza: String,
    /// Requests to the object store and the published tree, where these lie behind a network.
    pub requests: Requests,
    /// The steps of the plan, in order, for a dry run.
    pub plan: Vec<String>,
    /// The transparency logs whose proofs clients get with it.
    pub logs: Vec<LogKind>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What a publish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublishOutcome {
    /// A new Release is served.
    Published,
    /// Nothing changed and nothing was written.
    Unchanged,
    /// Nothing changed, but files were missing in the tree and are there again.
    Repaired,
    /// Nothing was written because only the plan was asked for.
    Planned,
}

pub(super) fn answer(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    sequence: u64,
    outcome: PublishOutcome,
    steps: &Plan,
) -> DistsAnswer {
    let pool_files = steps.steps().iter().filter(|step| step.class == Class::Pool).count();
    DistsAnswer {
        codename: request.codename.clone(),
        outcome,
        base: edition.base.to_string(),
        sequence,
        date: edition.release.date.iso8601(),
        valid_until: edition.release.valid_until.map(Timestamp::iso8601),
        release: Sha256::of(edition.release.text().as_bytes()),
        packages: edition.fold.record.packages,
        sources: edition.fold.record.sources,
        pool_files,
        index_files: steps.steps().len() - pool_files,
        removed_files: 0,
        target: places.target.describe(),
        stanza: stanza::stanza(request, edition),
        requests: requests(places),
        plan: if outcome == PublishOutcome::Planned { steps.steps().iter().map(ToString::to_string).collect() } else { Vec::new() },
        logs: Vec::new(),
        notes: edition.fold.notes.clone(),
    }
}

pub(super) fn requests(places: &Places<'_>) -> Requests {
    places.store.requests() + places.target.requests()
}
