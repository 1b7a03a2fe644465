//! What the programs take from their surroundings: the clock, who commits, where secrets lie, what the machine is.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::people::failure::Failure;
use crate::places::cache::Cache;
use crate::places::credentials::{self, Credentials, Secret};
use crate::places::git::{Author, Repository};
use crate::words::date::Timestamp;
use crate::words::name::Architecture;

/// Returns the value of a variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Gives the places the secrets of the environment, and the certificate authorities that it names.
pub fn give_credentials() {
    let secret = |name: &str| variable(name).map(Secret::new);
    credentials::give(Credentials {
        lfs_token: secret("DDB_LFS_TOKEN"),
        git_token: secret("DDB_GIT_TOKEN"),
        authorities: variable("SSL_CERT_FILE").map(PathBuf::from),
    });
}

/// Returns the time: the one given, else the clock's.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now(given: Option<Timestamp>) -> Timestamp {
    given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
        Timestamp(i64::try_from(since).unwrap_or(i64::MAX))
    })
}

/// Returns who commits: as Git would say (`GIT_AUTHOR_*`, `user.name`), else a name that needs no configuration.
pub fn author(folder: &Path, now: Timestamp) -> Author {
    let repository = Repository::discover(folder).ok();
    let setting = |key: &str| repository.as_ref().and_then(|repository| repository.setting(key)).or_else(|| Repository::user_setting(key));
    let pick = |variables: [&str; 2], key: &str, fallback: &str| {
        variables.into_iter().find_map(variable).or_else(|| setting(key)).unwrap_or_else(|| fallback.to_owned())
    };
    Author {
        name: pick(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"], "user.name", "ddb"),
        email: pick(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"], "user.email", "ddb@localhost"),
        time: now.0,
    }
}

/// Returns the folder for secret keys: `$XDG_CONFIG_HOME/ddb/keys`, else `~/.config/ddb/keys`.
pub fn secret_folder() -> Option<PathBuf> {
    let configuration =
        variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")));
    configuration.map(|folder| folder.join("ddb").join("keys"))
}

/// Returns the folder for what is kept between runs: `$XDG_STATE_HOME/ddb`, else `~/.local/state/ddb`.
pub fn state_folder() -> Option<PathBuf> {
    let state =
        variable("XDG_STATE_HOME").map(PathBuf::from).or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    state.map(|folder| folder.join("ddb"))
}

/// Returns the path of the running program.
///
/// # Errors
/// The system does not tell.
pub fn this_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Returns the folder for clones of archives that are named by an address: `$DDB_CACHE`, else `$XDG_CACHE_HOME/ddb`, else
/// `~/.cache/ddb`, else one among the temporary files.
pub fn cache_folder() -> PathBuf {
    variable("DDB_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let caches =
            variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")));
        caches.unwrap_or_else(std::env::temp_dir).join("ddb")
    })
}

/// Bytes that the cache of blocks may hold, unless `$DDB_CACHE_LIMIT` says another number.
const CACHE_LIMIT: u64 = 4 << 30;

/// Returns the cache of the texts and blocks of indices, in the folder of clones; it holds at most `$DDB_CACHE_LIMIT` MiB.
///
/// # Errors
/// The limit is no number.
pub fn block_cache() -> Result<Cache, Failure> {
    let limit = match variable("DDB_CACHE_LIMIT") {
        Some(text) => {
            let wrong = || Failure::usage(&format!("DDB_CACHE_LIMIT is \"{}\", which is no number of MiB", text.escape_debug()));
            text.parse::<u64>().ok().and_then(|limit| limit.checked_mul(1 << 20)).ok_or_else(wrong)?
        }
        None => CACHE_LIMIT,
    };
    Ok(Cache::new(&cache_folder().join("blocks"), limit, now(None)))
}

/// Returns Debian's name of the architecture that this program was built for; `None` where Debian has none.
pub fn host_architecture() -> Option<Architecture> {
    let name = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        "loongarch64" => "loong64",
        "mips64" => "mips64el",
        other => other,
    };
    name.parse().ok()
}
