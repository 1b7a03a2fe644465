//! What needs no server: addresses, and the sentences of git and forges.

use super::address::web_host;
use super::*;

#[test]
fn secrets_in_addresses_are_left_out_of_descriptions() {
    assert_eq!(without_secrets("https://user:token@host.example:8443/a/b.git?x=y"), "https://host.example:8443/a/b.git");
    assert_eq!(without_secrets("HTTPS://user@corp:token@host.example/a/b.git"), "HTTPS://host.example/a/b.git");
    assert_eq!(without_secrets("ssh://git:token@host.example:22/a/b.git"), "ssh://git@host.example:22/a/b.git");
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
    for address in ["https://u@corp:secret@h/x", "ssh://u:secret@h", "'https://secret@h:8443/x/'"] {
        let fault = answer::of_push("url", "", &format!("fatal: unable to access {address}: gone\n")).unwrap_err().to_string();
        assert!(!fault.contains("secret") && fault.contains("h"), "{fault}");
    }
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

#[test]
fn refusals_are_told_apart_by_whose_fault_they_are() {
    let refused = |out: &str, err: &str| answer::of_push("url", out, err).unwrap_err();
    let all = "!\t:refs/heads/ddb/inbox/1\t[remote rejected] (pre-receive hook declined)\n\
        !\tabc:refs/heads/main\t[remote rejected] (pre-receive hook declined)\n";
    let fault = refused(all, "remote: Only on weekdays.\n");
    assert!(matches!(&fault, RemoteError::Rejected { reference, .. } if reference == "refs/heads/main"), "{fault}");
    assert!(!fault.lacks_right() && !fault.wants_fast_forward());
    let fault = refused(all, "remote: GitLab: You are not allowed to push code to protected branches on this project.\n");
    assert!(fault.lacks_right() && !fault.wants_fast_forward(), "{fault}");
    let fault = refused(all, "remote: GitLab: You are not allowed to force push code to a protected branch on this project.\n");
    assert!(!fault.lacks_right() && fault.wants_fast_forward(), "{fault}");
    let forced = "!\tabc:refs/heads/ddb/verdicts/main\t[remote rejected] (non-fast-forward)\n\
        !\tabc:refs/heads/main\t[remote rejected] (atomic push failure)\n";
    let fault = refused(forced, "remote: error: denying non-fast-forward refs/heads/ddb/verdicts/main (you should pull first)\n");
    assert!(fault.wants_fast_forward(), "{fault}");
    for words in ["remote: GitLab: Internal API unreachable\n", "remote: fatal: cannot write: No space left on device\n"] {
        let fault = refused(all, words);
        assert!(matches!(fault, RemoteError::Failed { .. }), "{fault}");
    }
}
