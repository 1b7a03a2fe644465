//! What needs no server: addresses, and the sentences of git and forges.

use super::*;

#[test]
fn secrets_in_addresses_are_left_out_of_descriptions() {
    assert_eq!(without_secrets("https://user:token@host.example:8443/a/b.git?x=y"), "https://host.example:8443/a/b.git");
    assert_eq!(without_secrets("git@host:a/b.git"), "git@host:a/b.git");
    assert_eq!(without_secrets("/srv/a.git"), "/srv/a.git");
    assert_eq!(web_host("https://u:p@h/x").as_deref(), Some("https://h"));
    assert_eq!(web_host("ssh://u@h/x"), None);
}

#[test]
fn what_git_says_about_a_push_is_told_apart() {
    let lost = [
        "!\tabc:refs/heads/main\t[rejected] (stale info)\n",
        "!\tabc:refs/heads/main\t[rejected] (fetch first)\n",
        "!\tabc:refs/heads/main\t[remote rejected] (failed to update ref)\n",
        "!\tabc:refs/heads/main\t[remote rejected] (incorrect old value provided)\n!\tabc:refs/heads/x\t[rejected] (atomic push failed)\n",
    ];
    for out in lost {
        assert_eq!(answer::of_push("url", out, "").unwrap(), Pushed::Lost, "{out}");
    }
    let hook = answer::of_push(
        "url",
        "!\tabc:refs/heads/main\t[remote rejected] (pre-receive hook declined)\n",
        "remote: GitLab: LFS objects are missing. Ensure LFS is properly set up\n",
    );
    let fault = hook.unwrap_err().to_string();
    assert!(fault.contains("pre-receive hook declined: GitLab: LFS objects") && fault.contains("lfs_enabled=false"), "{fault}");
    let fault = answer::of_push("url", "", "fatal: could not read Username for 'https://h': terminal prompts disabled\n").unwrap_err();
    assert!(matches!(fault, RemoteError::NoCredential { .. }), "{fault}");
    let fault =
        answer::of_push("url", "", "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://u:p@h/x'\n").unwrap_err();
    assert!(matches!(fault, RemoteError::Denied { .. }) && !fault.to_string().contains("u:p"), "{fault}");
    let fault = answer::of_push("url", "", "fatal: the remote end hung up unexpectedly\n").unwrap_err();
    assert!(matches!(fault, RemoteError::Failed { .. }), "{fault}");
}

#[test]
fn folders_are_no_addresses() {
    for address in ["https://h/x", "file:///x", "git@h:x", "ssh://h/x"] {
        assert!(is_address(address), "{address}");
    }
    for folder in [".", "archive", "/srv/archive", "./a:b/c"] {
        assert!(!is_address(folder), "{folder}");
    }
}
