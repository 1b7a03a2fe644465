//! `ddb-publish`: its command line, one file a command.

mod apt_verify_hook;
mod dists;
mod export;
mod log;
mod monitor;
mod promote;
mod rebuild;
mod serve;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::deploy::Common;
use super::{environment, exit, keys};

pub use dists::DistsAnswers;
pub use log::LogAnswers;
pub use promote::PromoteAnswers;
pub use serve::ServeAnswer;

/// Publish an apt archive from Git
#[derive(Debug, Parser)]
#[command(name = "ddb-publish", version, arg_required_else_help = true, after_help = exit::HELP)]
pub struct Publish {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate, sign and write Packages, Sources, Release and InRelease of suites
    #[command(after_help = "\
Clients see a whole old or a whole new archive at any moment; a run that was stopped is finished by the next one. Where \
nothing changed since the last publish, nothing is written, and of a tree in S3 nothing but InRelease is read: files that somebody \
removed there are found by `ddb-deploy fsck` and come back with --repair. The signing key is DDB_SIGNING_KEY (the key itself, for a \
masked CI variable), else --key-file, else ~/.config/ddb/keys. Its passphrase is in DDB_SIGNING_KEY_PASSPHRASE, else in \
--passphrase-file. Where ddb.toml names transparency logs, a new Release is logged before clients see it; the key that submits to \
Sigsum is DDB_SIGSUM_KEY, else --sigsum-key-file, else in the ssh agent, that for Sigstore is DDB_SIGSTORE_KEY, else \
--sigstore-key-file; where a build job's name signs in place of a key, its identity token is SIGSTORE_ID_TOKEN, else in \
--sigstore-id-token-file, else asked of GitHub's actions. When a required log gives no proof nothing is served \
(exit code 13), and the next run goes on with the same Release.

Examples:
  $ ddb-publish -C archive dists trixie --dry-run
  $ ddb-publish -C archive dists trixie
  $ ddb-publish -C archive dists trixie --renew-before 2d --json
  $ ddb-publish -C archive dists trixie --repair")]
    Dists(Box<dists::Dists>),
    /// Make a suite offer what another suite offers, or what it offered at an older state, and publish it
    #[command(after_help = "\
FROM and TO are suites of ddb.toml. FROM may be an older state, as clients got it: SUITE@NUMBER of a Release, SUITE@TIME such as \
trixie@20261125T084413Z, or SUITE@COMMIT. PACKAGE is a source package: what TO offered of it goes, what FROM offers of it comes, \
and an older version never displaces a newer one (exit code 6) unless --downgrade is given. With --all, TO offers exactly what FROM \
offers: that costs the same for ten packages and for 70,000, and with an older state of TO itself it is the rollback. Pool files \
that were removed since come back if the object store still has them. One commit is made, which `git revert` undoes.

Examples:
  $ ddb-publish -C archive promote trixie trixie-stable hostname --dry-run
  $ ddb-publish -C archive promote trixie trixie-stable hostname
  $ ddb-publish -C archive promote trixie trixie-stable --all --json
  $ ddb-publish -C archive promote trixie@1 trixie --all")]
    Promote(Box<promote::Promote>),
    /// Put what was published into a folder of plain files, for any web server, for file: or for rsync
    #[command(after_help = "\
The folder holds dists/ and pool/ of every suite as clients see them now, or saw them at --snapshot. It is made beside its \
place and renamed into it. Package files share the bytes of the object store where the file system can do that.

Examples:
  $ ddb-publish -C archive export exported
  $ ddb-publish -C archive export exported --suite trixie --json")]
    Export(export::Export),
    /// Answer apt, Git-LFS and browsers over HTTP, read-only, from the repository or a published folder
    #[command(after_help = "\
What is served is the newest Release of each suite that `dists` published; new ones are seen while it runs, and nothing that \
was not published is shown. Package files come from the object store. Every older state stays at snapshots/ID/, where ID is a \
commit of the archive or a time such as 20261125T084413Z. The Git-LFS batch API is at /lfs, for `lfs.url` in .lfsconfig. It \
speaks plain HTTP: a reverse proxy before it does TLS. SIGTERM or SIGINT lets running answers finish and ends it with exit \
code 0. With -v every request is a line on standard error.

Examples:
  $ ddb-publish -C archive serve --listen 127.0.0.1:0
  $ ddb-publish serve --tree archive/public --listen 127.0.0.1:0")]
    Serve(serve::Serve),
    /// Show whether the served Releases are in the transparency logs, and get proofs that are missing
    #[command(after_help = "\
Looks at the newest served Release of each suite and checks its proofs offline. With --pending, logs are asked for those that are \
missing (a log of mode best-effort did not answer, or was configured later) or do not hold any more by what ddb.toml trusts now. The \
Release stays as it is; the proof goes beside it and into the armor of its signatures. Where a required proof is missing or not good \
in the end, the exit code is 13.

Examples:
  $ ddb-publish -C archive log
  $ ddb-publish -C archive log trixie --pending --json")]
    Log(Box<log::Log>),
    /// Follow the transparency logs and compare them with what was staged and served, for a scheduled job
    #[command(after_help = "\
Reads every log of the policy and the trusted root that ddb.toml names: the tree must be signed, cosigned as the policy asks, and hold the \
one that was seen last, and all leaves are read and must be those of the tree. A leaf with the archive's key that is about no Release of \
the branches ddb/releases/* means that somebody else has the key; a served Release that is in no log, that somebody served whom the \
repository does not know. Sites must serve what the branches say, without going back or staying behind; branches must keep their history; \
Releases and keys must not end soon. What ddb.toml says to watch and whom to trust must not change unless somebody says that it was meant. \
What was seen is remembered in --state, which is to be kept from run to run; the first run needs --first and believes what it sees. Exits \
with 30 where there is an alarm, else with 31 where a log or site was not reached. An alarm comes again until its cause is gone or \
--acknowledge names it. Needs a whole clone, or -C URL.
Examples:
  $ ddb-publish -C archive monitor trixie --site archive/public --first
  $ ddb-publish -C archive monitor --no-site --state monitor.json --first --json
  $ ddb-publish -C archive monitor --no-site --state monitor.json --json")]
    Monitor(Box<monitor::Monitor>),
    /// Check an archive from outside, from the signature to the bytes of a package, believing nothing but what is pinned
    #[command(after_help = "\
The signature must be by a certificate of --keyring, the Release fresh and not older than what was seen before (it is remembered), \
every index as Release lists it in every form, and InRelease the same as Release with Release.gpg. --pool, --package and --deb go \
on to the packages. A folder is verified offline. Where several things are wrong, the lowest exit code of 20 to 27 is returned.

Examples:
  $ ddb-publish verify archive/public --suite trixie --keyring archive/keys
  $ ddb-publish verify archive/public -s trixie -k archive/keys --pool --json
  $ ddb-publish verify archive/public -s trixie -k archive/keys --max-age 7d")]
    Verify(Box<verify::Verify>),
    /// Make a published Release again from the repository alone, and compare
    #[command(after_help = "\
RELEASE is a suite, for its newest served Release; SUITE@NUMBER, SUITE@TIME or SUITE@COMMIT, for an older one; a commit on a branch \
ddb/releases/*; or the SHA-256 of a Release. Any clone that has these branches and the commit that the Release was made from will do, \
bare and partial ones too. The suite is folded from its records, without caches and kept blocks, and every file that Release lists \
must come out with the same bytes, or, where another version of a compressor made it, with the same text. The signatures must be \
by the keys of that commit. Only Contents need the object store. What differs is named to the package and field, where the published \
bytes are at hand: in the store of an archive whose blocks can be read, or by --site. The commit must stand in the history of the \
archive's branch (HEAD's, or --branch). Exits with 35 where anything differs, and with 36 where nothing does and some files were not \
looked at, unless --accept says that this will do.

Examples:
  $ ddb-publish -C archive rebuild trixie
  $ ddb-publish -C archive rebuild trixie@1 --output rebuilt --json
  $ ddb-publish -C archive rebuild trixie --site archive/public")]
    Rebuild(rebuild::Rebuild),
    /// Check for apt that a Release of an opted-in archive has a proof of a transparency log, and let all others pass
    #[command(after_help = "\
Two commands, as root, make apt refuse an archive's Release that is in no log, also when its signing key was stolen:

  apt install gpgv
  ddb-publish apt-verify-hook --install --keyring example.asc \\
    --origin Example --sigsum-key example.pub --sigsum-policy example.policy

For an archive that uses Sigstore, and has staple = true in [logs.sigstore], these take the place of the last two options, or stand \
beside them:

  --sigstore-trusted-root trusted_root.json --sigstore-key example.pem
  --sigstore-trusted-root trusted_root.json \\
    --sigstore-identity IDENTITY --sigstore-issuer https://gitlab.com

With both kinds each Release needs both proofs. The files come from the archive's owner, on another way than its packages. An archive is recognised by a signature that names a \
key of the keyring, and by --origin, the Origin in its Release, so that it is known again when it signs with another key; another \
archive of that Origin needs a proof as well. Each archive has a --name of its own. Everything is offline: proofs stand in the armor of InRelease. A configuration that \
cannot be used or is gone lets nothing pass, nor does a signature of which it is not certain who made it. Where the package apt-verify is installed, this becomes one of its plugins; else, as with apt 3, \
which conflicts with it, apt calls a script that calls this and then gpgv.

Examples:
  $ ddb-publish apt-verify-hook --install --root root
  $ ddb-publish apt-verify-hook --config root/etc/ddb/verify.d -- --dump-options")]
    AptVerifyHook(apt_verify_hook::AptVerifyHook),
    /// Make, show and extend the archive's signing keys
    Key(keys::Key),
}

/// Runs `ddb-publish`.
pub fn main() -> ExitCode {
    let arguments = Publish::parse();
    environment::give_credentials();
    let common = arguments.common;
    let done = match arguments.command {
        Command::Dists(options) => dists::run(&common, *options),
        Command::Export(options) => export::run(&common, options),
        Command::Log(options) => log::run(&common, *options),
        Command::Monitor(options) => monitor::run(&common, *options),
        Command::Promote(options) => promote::run(&common, *options),
        Command::Rebuild(options) => rebuild::run(&common, options),
        Command::Serve(options) => serve::run(&common, options),
        Command::Verify(options) => verify::run(&common, *options),
        Command::AptVerifyHook(options) => apt_verify_hook::run(&common, options),
        Command::Key(options) => keys::run(&common, options).map(ExitCode::from),
    };
    match done {
        Ok(exit) => exit,
        Err(failure) => failure.report(common.json),
    }
}
