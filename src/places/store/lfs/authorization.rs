//! Who we are for the API: the token, or what a credential helper of Git knows.

use base64::Engine as _;

use super::http::{self, Fault, same_origin};
use super::{Inner, lock};
use crate::formats::git_lfs::batch::{Action, AnsweredObject};
use crate::places::credentials::Secret;
use crate::places::git::credential::{self, Credential};

/// Who we are for the API.
#[derive(Clone, Default)]
pub(super) enum Authorization {
    /// Nobody was asked yet.
    #[default]
    Unasked,
    /// A header, from the environment.
    Given(Secret),
    /// A header, from a credential helper.
    Filled(Secret),
    /// Nobody knows.
    Nobody,
}

impl Inner {
    /// Returns who we are; where nobody was asked and it is needed, the credential helpers are.
    pub(super) fn authorization(&self, needed: bool) -> Authorization {
        let mut authorization = lock(&self.authorization);
        if needed && matches!(*authorization, Authorization::Unasked) {
            let filled = credential::fill(&self.options.git_dir, &self.options.url);
            *authorization = filled
                .map_or(Authorization::Nobody, |Credential { user, password }| Authorization::Filled(basic(&user, password.expose())));
        }
        authorization.clone()
    }

    pub(super) fn unauthorized(&self, asked: &Authorization) -> Fault {
        let hint = match asked {
            Authorization::Given(_) => "refuses the token: it is wrong, expired, or may not use Git-LFS here",
            Authorization::Filled(_) => {
                "refuses what Git's credential helper knows; let it forget that with `git credential reject`, or set DDB_LFS_TOKEN"
            }
            Authorization::Unasked | Authorization::Nobody => {
                "wants to know who we are; set DDB_LFS_TOKEN, or configure a Git credential helper"
            }
        };
        Fault::Unauthorized { host: http::host_of(&self.options.url), hint }
    }

    /// Returns an action's headers, and our own credentials where the action has none and is on the API's host.
    pub(super) fn headers_of(&self, action: &Action, object: &AnsweredObject) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = action.header.clone().into_iter().collect();
        let has = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if !has && object.authenticated != Some(true) && same_origin(&action.href, &self.options.url) {
            let own = header(&self.authorization(false)).map(|secret| ("Authorization".to_owned(), secret.expose().to_owned()));
            headers.extend(own);
        }
        headers
    }
}

pub(super) fn basic(user: &str, password: &str) -> Secret {
    Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))))
}

pub(super) fn header(authorization: &Authorization) -> Option<&Secret> {
    match authorization {
        Authorization::Given(secret) | Authorization::Filled(secret) => Some(secret),
        Authorization::Unasked | Authorization::Nobody => None,
    }
}
