//! What clients are given to begin with: the keyring's place and the sources stanza.

use super::{DistsRequest, Edition};
use crate::formats::client;
use crate::words::archive::Suite;

/// The keyring's path in the published tree.
pub const KEYRING: &str = "archive-keyring.asc";

/// Returns the sources stanza.
pub(super) fn stanza(request: &DistsRequest, edition: &Edition) -> String {
    let suite = edition.archive.suite(&request.codename);
    suite.map(|suite| stanza_of(request, suite, &edition.keyring)).unwrap_or_default()
}

/// Returns the sources stanza of a suite with this keyring.
pub(super) fn stanza_of(request: &DistsRequest, suite: &Suite, keyring: &str) -> String {
    client::sources_stanza(&request.address, &request.codename, suite, keyring)
}
