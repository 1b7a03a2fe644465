//! The `git` program, as ddb starts it: with nothing of what a hook or a script around ddb says about another repository.

use std::process::Command;

/// What `git rev-parse --local-env-vars` names, apart from configuration, and what else turns a command to other objects or refs.
const OF_ANOTHER_REPOSITORY: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_QUARANTINE_PATH",
];

/// Returns `git` without arguments. Settings that the environment brings (`GIT_CONFIG_COUNT`, …) stay.
pub(super) fn git() -> Command {
    let mut command = Command::new("git");
    for name in OF_ANOTHER_REPOSITORY {
        command.env_remove(name);
    }
    command
}
