//! in-toto statements (attestation framework v1, `statement.md`) with the predicate of SLSA provenance v1: which files were made,
//! from what, by whom.
//!
//! Ours names every file that a build offers, what the CI job says of itself, and the build's evidence as byproducts. Of others' we
//! read what is asked for; as the specification wants it, fields that are not known are passed over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::claims::{Claims, Image};
use super::{LONGEST, ProvenanceError};
use crate::words::digest::Sha256;

/// The type of every statement that is read or written here.
pub const TYPE: &str = "https://in-toto.io/Statement/v1";

/// The predicate of SLSA provenance.
pub const SLSA: &str = "https://slsa.dev/provenance/v1";

/// How ours describes a build.
pub const BUILD_TYPE: &str = "urn:ddb:build-output:v1";

/// What the image that a job ran in is called among the dependencies.
const IMAGE: &str = "builder-image";

/// Where a predicate says what was asked of the build.
const PARAMETERS: &str = "/buildDefinition/externalParameters";

/// What it is called in messages.
const WHAT: &str = "the in-toto statement";

/// Most subjects.
const MOST: usize = 100_000;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The files that it is about.
    pub subjects: Vec<Subject>,
    /// What kind of thing it says about them.
    pub predicate_type: String,
    /// What it says of the build; nothing where the predicate is another one.
    pub claims: Claims,
    /// What was built, where it is one of ours.
    pub built: Option<Built>,
}

/// The source package that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
}

/// A file that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its digest; `None` where only others are given.
    pub sha256: Option<Sha256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementText {
    #[serde(rename = "_type")]
    type_: String,
    subject: Vec<SubjectText>,
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct SubjectText {
    #[serde(default)]
    name: String,
    digest: BTreeMap<String, String>,
}

/// What a build made, as ours is written of it.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The source package.
    pub package: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Files that are offered, by name.
    pub files: &'a BTreeMap<String, Sha256>,
    /// .changes, .buildinfo and logs, by name.
    pub evidence: &'a BTreeMap<String, Sha256>,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// It is none of version 1, longer than any may be, or a digest in it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceError> {
        let wrong = |fault: String| ProvenanceError::malformed(WHAT, fault);
        if bytes.len() > LONGEST {
            return Err(wrong(format!("it has {} bytes, more than {LONGEST}", bytes.len())));
        }
        let text: StatementText = serde_json::from_slice(bytes).map_err(|fault| wrong(fault.to_string()))?;
        if text.type_ != TYPE {
            return Err(wrong(format!("its type is \"{}\", not {TYPE}", text.type_.escape_debug())));
        }
        if !(1..=MOST).contains(&text.subject.len()) {
            return Err(wrong(format!("it is about {} files; 1 to {MOST} are read", text.subject.len())));
        }
        let subject = |subject: SubjectText| -> Result<Subject, ProvenanceError> {
            let sha256 = subject.digest.get("sha256").map(|digest| digest.parse::<Sha256>()).transpose();
            let fault = |fault| wrong(format!("the sha256 of {}: {fault}", subject.name.escape_debug()));
            Ok(Subject { sha256: sha256.map_err(fault)?, name: subject.name.clone() })
        };
        let subjects = text.subject.into_iter().map(subject).collect::<Result<_, ProvenanceError>>()?;
        let is_slsa = text.predicate_type == SLSA;
        let claims = if is_slsa { claims_in(&text.predicate) } else { Claims::default() };
        let built = if is_slsa { built_in(&text.predicate) } else { None };
        Ok(Self { subjects, predicate_type: text.predicate_type, claims, built })
    }

    /// Tells whether it is about a file.
    pub fn names(&self, sha256: &Sha256) -> bool {
        self.subjects.iter().any(|subject| subject.sha256.as_ref() == Some(sha256))
    }
}

/// Writes the statement of a build, in one line. The same build and claims give the same bytes.
pub fn write(made: &Made<'_>, claims: &Claims) -> Vec<u8> {
    let listed = |files: &BTreeMap<String, Sha256>| -> Vec<Value> {
        files.iter().map(|(name, sha256)| json!({"name": name, "digest": {"sha256": sha256.to_hex()}})).collect()
    };
    let mut parameters = json!({"source": {"package": made.package, "version": made.version}});
    put(&mut parameters, "repository", claims.repository.as_deref());
    put(&mut parameters, "ref", claims.reference.as_deref());
    let mut dependencies = Vec::new();
    if let Some(commit) = &claims.commit {
        let mut source = json!({"digest": {"gitCommit": commit}});
        let uri = claims.repository.as_ref().map(|repository| match &claims.reference {
            Some(reference) => format!("git+{repository}@{reference}"),
            None => format!("git+{repository}"),
        });
        put(&mut source, "uri", uri.as_deref());
        dependencies.push(source);
    }
    if let Some(Image { name, sha256 }) = &claims.image {
        let mut image = json!({"name": IMAGE, "uri": format!("docker://{name}")});
        if let (Some(sha256), Some(fields)) = (sha256, image.as_object_mut()) {
            fields.insert("digest".to_owned(), json!({"sha256": sha256.to_hex()}));
        }
        dependencies.push(image);
    }
    let mut metadata = json!({});
    put(&mut metadata, "invocationId", claims.job.as_deref());
    put(&mut metadata, "startedOn", claims.started.as_deref());
    let statement = json!({
        "_type": TYPE,
        "subject": listed(made.files),
        "predicateType": SLSA,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": claims.builder.as_deref().unwrap_or_default()},
                "metadata": metadata,
                "byproducts": listed(made.evidence),
            },
        },
    });
    serde_json::to_vec(&statement).unwrap_or_default()
}

fn put(object: &mut Value, name: &str, value: Option<&str>) {
    if let (Some(value), Some(fields)) = (value, object.as_object_mut()) {
        fields.insert(name.to_owned(), Value::String(value.to_owned()));
    }
}

/// Returns what was built, where the predicate is one of ours.
fn built_in(predicate: &Value) -> Option<Built> {
    let text = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text("/buildDefinition/buildType").filter(|kind| kind == BUILD_TYPE)?;
    let source = |field: &str| text(&format!("{PARAMETERS}/source/{field}"));
    Some(Built { package: source("package")?, version: source("version")? })
}

/// Returns what the predicate of SLSA provenance says, where ours or GitHub's says it.
fn claims_in(predicate: &Value) -> Claims {
    let text = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let either = |one: &str, other: &str| text(one).or_else(|| text(other));
    let dependencies = predicate.pointer("/buildDefinition/resolvedDependencies").and_then(Value::as_array);
    let dependencies = || dependencies.into_iter().flatten();
    let commit = dependencies().find_map(|one| one.pointer("/digest/gitCommit").and_then(Value::as_str)).map(str::to_owned);
    let image = dependencies().find(|one| one.get("name").and_then(Value::as_str) == Some(IMAGE)).and_then(|one| {
        let uri = one.get("uri").and_then(Value::as_str)?;
        let sha256 = one.pointer("/digest/sha256").and_then(Value::as_str).and_then(|text| text.parse().ok());
        Some(Image { name: uri.strip_prefix("docker://").unwrap_or(uri).to_owned(), sha256 })
    });
    Claims {
        builder: text("/runDetails/builder/id"),
        repository: either(&format!("{PARAMETERS}/repository"), &format!("{PARAMETERS}/workflow/repository")),
        reference: either(&format!("{PARAMETERS}/ref"), &format!("{PARAMETERS}/workflow/ref")),
        commit,
        job: text("/runDetails/metadata/invocationId"),
        started: text("/runDetails/metadata/startedOn"),
        image,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A statement about one file.
    pub(crate) fn about(content: &[u8], claims: &Claims) -> Vec<u8> {
        let files = BTreeMap::from([("hello_1_amd64.deb".to_owned(), Sha256::of(content))]);
        write(&Made { package: "hello", version: "1", files: &files, evidence: &BTreeMap::new() }, claims)
    }

    fn claims() -> Claims {
        Claims {
            builder: Some("https://git.example/debian/hello/-/runners/7".to_owned()),
            repository: Some("https://git.example/debian/hello".to_owned()),
            reference: Some("refs/heads/main".to_owned()),
            commit: Some("1234567890123456789012345678901234567890".to_owned()),
            job: Some("https://git.example/debian/hello/-/jobs/9".to_owned()),
            started: Some("2026-11-28T16:00:00Z".to_owned()),
            image: Some(Image { name: "registry.example/build:1".to_owned(), sha256: Some(Sha256::of(b"image")) }),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for claims in [claims(), Claims::default(), Claims { image: None, commit: None, ..claims() }] {
            let statement = Statement::parse(&about(b"a", &claims)).unwrap();
            assert_eq!(statement.claims, claims);
            assert_eq!(statement.built, Some(Built { package: "hello".to_owned(), version: "1".to_owned() }));
            assert_eq!((statement.predicate_type.as_str(), statement.subjects.len()), (SLSA, 1));
            assert!(statement.names(&Sha256::of(b"a")) && !statement.names(&Sha256::of(b"b")));
        }
    }

    #[test]
    fn it_is_as_slsa_wants_it() {
        let statement: Value = serde_json::from_slice(&about(b"a", &claims())).unwrap();
        assert_eq!(statement["_type"], TYPE);
        assert_eq!(statement["subject"][0]["digest"]["sha256"], Sha256::of(b"a").to_hex());
        let predicate = &statement["predicate"];
        assert_eq!(predicate["buildDefinition"]["externalParameters"]["source"], json!({"package": "hello", "version": "1"}));
        assert_eq!(predicate["buildDefinition"]["resolvedDependencies"][0]["uri"], "git+https://git.example/debian/hello@refs/heads/main");
        assert_eq!(predicate["runDetails"]["builder"]["id"], "https://git.example/debian/hello/-/runners/7");
    }

    #[test]
    fn githubs_form_is_understood() {
        let mut statement: Value = serde_json::from_slice(&about(b"a", &Claims::default())).unwrap();
        let workflow = json!({"repository": "https://github.com/a/b", "ref": "refs/heads/main", "path": ".github/workflows/x.yml"});
        statement["predicate"]["buildDefinition"]["externalParameters"] = json!({"workflow": workflow});
        let read = Statement::parse(&serde_json::to_vec(&statement).unwrap()).unwrap().claims;
        assert_eq!((read.repository.as_deref(), read.reference.as_deref()), (Some("https://github.com/a/b"), Some("refs/heads/main")));
        statement["predicateType"] = json!("https://example/other");
        assert_eq!(Statement::parse(&serde_json::to_vec(&statement).unwrap()).unwrap().claims, Claims::default());
    }

    #[test]
    fn others_are_refused() {
        let good: Value = serde_json::from_slice(&about(b"a", &claims())).unwrap();
        let refused = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(Statement::parse(&serde_json::to_vec(&changed).unwrap()).is_err(), "{pointer}");
        };
        refused("/_type", json!("https://in-toto.io/Statement/v0.1"));
        refused("/subject", json!([]));
        refused("/subject/0/digest", json!("x"));
        refused("/subject/0/digest/sha256", json!("abc"));
        refused("/predicateType", json!(1));
        assert!(Statement::parse(b"{}").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = Statement::parse(&bytes);
            let mut good = about(b"a", &claims());
            let at = at.index(good.len());
            good[at] = byte;
            let _ = Statement::parse(&good);
        }

        #[test]
        fn any_names_and_claims_are_read_again(name in "\\PC{0,40}", job in proptest::option::of("[!-~]{1,40}"), commit in proptest::option::of("[0-9a-f]{40}")) {
            let claims = Claims { job, commit, ..Claims::default() };
            let files = BTreeMap::from([(name.clone(), Sha256::of(b"x"))]);
            let bytes = write(&Made { package: "p", version: "1", files: &files, evidence: &BTreeMap::new() }, &claims);
            let read = Statement::parse(&bytes).unwrap();
            prop_assert_eq!((&read.subjects[0].name, read.claims), (&name, claims));
        }
    }
}
