//! Provenance for `ddb-deploy`: the project's secret key, what a CI job says of itself, and options for where there is none.

use std::path::PathBuf;

use clap::Args;

use super::environment;
use super::exit::Exit;
use super::failure::Failure;
use crate::formats::provenance::claims::{Claims, Image};
use crate::formats::provenance::key::SecretKey;
use crate::stories::deploy::attest::Attestor;

const KEY_VARIABLE: &str = "DDB_PROVENANCE_KEY";

/// What says where files come from.
#[derive(Debug, Clone, Args)]
pub(super) struct ProvenanceOptions {
    /// File with the key that signs provenance, OpenSSH ed25519 or ECDSA P-256 in PEM; DDB_PROVENANCE_KEY goes before it
    #[arg(long, value_name = "FILE")]
    provenance_key_file: Option<PathBuf>,
    /// Who builds, in the provenance: an address that means a runner; default is what GitLab or GitHub says
    #[arg(long, value_name = "URI", env = "DDB_BUILDER")]
    builder: Option<String>,
    /// The image that the build runs in, in the provenance; default is what GitLab says
    #[arg(long, value_name = "NAME[@sha256:…]", env = "DDB_BUILDER_IMAGE")]
    builder_image: Option<String>,
    /// Address of the repository that is built, in the provenance; default is what GitLab or GitHub says
    #[arg(long, value_name = "URL", env = "DDB_SOURCE_REPOSITORY")]
    source_repository: Option<String>,
    /// Its branch or tag, such as refs/heads/main
    #[arg(long, value_name = "REF", env = "DDB_SOURCE_REF")]
    source_ref: Option<String>,
    /// Its commit
    #[arg(long, value_name = "COMMIT", env = "DDB_SOURCE_COMMIT")]
    source_commit: Option<String>,
}

impl ProvenanceOptions {
    /// Returns who says where files come from, `None` where there is nothing to say.
    ///
    /// # Errors
    /// The key is not usable, a value is not, or nobody says who builds.
    pub(super) fn attestor(&self) -> Result<Option<Attestor>, Failure> {
        let key = self.key()?;
        let variable = |name: &str| environment::variable(name).map(|value| without_credentials(&value));
        let job = Claims::of_job(&variable).map_err(|fault| Failure::usage(&format!("{fault}, which does not belong into provenance")))?;
        let given = |value: &Option<String>| value.as_deref().filter(|value| !value.is_empty()).map(without_credentials);
        let image = given(&self.builder_image).map(|image| Image::parse(&image)).transpose();
        let own = Claims {
            builder: given(&self.builder),
            repository: given(&self.source_repository),
            reference: given(&self.source_ref),
            commit: given(&self.source_commit),
            image: image.map_err(|fault| Failure::usage(&format!("--builder-image: {fault}")))?,
            ..Claims::default()
        };
        if key.is_none() && job.is_none() && own == Claims::default() {
            return Ok(None);
        }
        let claims = own.or(job.unwrap_or_default());
        if claims.builder.is_none() && key.is_some() {
            return Err(Failure::usage(
                "provenance is to be signed and nothing says who builds; outside of a CI job, name that with --builder",
            ));
        }
        Ok(Some(Attestor { claims, key }))
    }

    fn key(&self) -> Result<Option<SecretKey>, Failure> {
        let (name, text) = match (environment::variable(KEY_VARIABLE), &self.provenance_key_file) {
            (Some(text), _) => (KEY_VARIABLE.to_owned(), text),
            (None, Some(file)) => {
                let cannot = |fault| Failure::usage(&format!("cannot read --provenance-key-file {}: {fault}", file.display()));
                (file.display().to_string(), std::fs::read_to_string(file).map_err(cannot)?)
            }
            (None, None) => return Ok(None),
        };
        let failed = |fault| Failure::new(&KeyFault { name, fault }, Exit::Key, Vec::new());
        SecretKey::read(&text).map(Some).map_err(failed)
    }
}

/// A key that is not usable, with where it is from.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {fault}")]
struct KeyFault {
    name: String,
    fault: crate::formats::provenance::ProvenanceError,
}

/// Returns an address without user name and password, which do not belong into history.
pub(super) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}
