//! JSON Schemas of `ddb.toml` and of every `--json` answer, made from the types; `schemas/` holds them as files.
//!
//! A test compares the files with these and writes them anew when `DDB_UPDATE_SCHEMAS` is set.

use schemars::{Schema, schema_for};

use super::failure::Failure;
use super::publish::{DistsAnswers, LogAnswers, PromoteAnswers, ServeAnswer};
use crate::formats::manifest::Manifest;
use crate::formats::statement::Statement;
use crate::stories::deploy::CommitAnswer;
use crate::stories::deploy::adopt::AdoptAnswer;
use crate::stories::doctor::DoctorAnswer;
use crate::stories::export::ExportAnswer;
use crate::stories::fsck::FsckAnswer;
use crate::stories::gc::GcAnswer;
use crate::stories::inbox::{InboxAnswer, LandAnswer, WithdrawAnswer};
use crate::stories::init::InitAnswer;
use crate::stories::key::{ExtendAnswer, GenerateAnswer, ShowAnswer};
use crate::stories::lfs::fetch::FetchAnswer;
use crate::stories::lfs::install::InstallAnswer;
use crate::stories::monitor::MonitorAnswer;
use crate::stories::rebuild::RebuildAnswer;
use crate::stories::upload::UploadAnswer;
use crate::verify::VerifyAnswer;
use crate::verify::hook::Installed;
use crate::words::archive::Archive;

/// Returns the schemas by file name.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("apt-verify-hook.json", schema_for!(Installed)),
        ("adopt.json", schema_for!(AdoptAnswer)),
        ("commit.json", schema_for!(CommitAnswer)),
        ("ddb.toml.json", schema_for!(Archive)),
        ("dists.json", schema_for!(DistsAnswers)),
        ("export.json", schema_for!(ExportAnswer)),
        ("doctor.json", schema_for!(DoctorAnswer)),
        ("failure.json", schema_for!(Failure)),
        ("fetch.json", schema_for!(FetchAnswer)),
        ("fsck.json", schema_for!(FsckAnswer)),
        ("gc.json", schema_for!(GcAnswer)),
        ("inbox-land.json", schema_for!(LandAnswer)),
        ("inbox-list.json", schema_for!(InboxAnswer)),
        ("inbox-withdraw.json", schema_for!(WithdrawAnswer)),
        ("init.json", schema_for!(InitAnswer)),
        ("key-extend.json", schema_for!(ExtendAnswer)),
        ("key-generate.json", schema_for!(GenerateAnswer)),
        ("key-show.json", schema_for!(ShowAnswer)),
        ("lfs-agent.json", schema_for!(InstallAnswer)),
        ("log.json", schema_for!(LogAnswers)),
        ("monitor.json", schema_for!(MonitorAnswer)),
        ("manifest.json", schema_for!(Manifest)),
        ("promote.json", schema_for!(PromoteAnswers)),
        ("rebuild.json", schema_for!(RebuildAnswer)),
        ("serve.json", schema_for!(ServeAnswer)),
        ("statement.json", schema_for!(Statement)),
        ("upload.json", schema_for!(UploadAnswer)),
        ("verify.json", schema_for!(VerifyAnswer)),
    ]
}
