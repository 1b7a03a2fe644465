//! Signatures on uploads: who may sign, and what a signature covers.

use super::super::sandbox::cache;
use super::super::specimens::{CONTROL, DEB, Gpg, commit_by_hand, configure, deb, only, patch, relist, write_source};
use super::Watched;

#[test]
fn unsigned_text_around_a_signed_part_is_refused_also_where_no_signature_is_asked_for() {
    let archive = Watched::new();
    let gpg = Gpg::new();
    let key = gpg.key("uploader", "ed25519", "sign", "1y", "");
    let signed = || {
        let out = archive.copy_of("out/small");
        gpg.sign_upload(&key, &out);
        out
    };
    archive.accepts(&signed());
    let (changes, dsc) = ("hostname_3.23+nmu1_amd64.changes", "hostname_3.23+nmu1.dsc");
    for file in [changes, dsc] {
        let tampered = |change: &dyn Fn(String) -> String| {
            let out = signed();
            let text = std::fs::read_to_string(out.join(file)).unwrap();
            std::fs::write(out.join(file), change(text)).unwrap();
            if file == dsc {
                // Signed anew, the .changes lists the tampered .dsc.
                let whole = std::fs::read_to_string(cache("out/small").join(changes)).unwrap();
                std::fs::write(out.join(changes), whole).unwrap();
                relist(&only(&out, ".buildinfo"));
                relist(&out.join(changes));
                gpg.clearsign(&key, &[], &out.join(changes));
            }
            out
        };
        archive.refuses(&tampered(&|text| format!("Source: evil\n\n{text}")), &[(file, "before")]);
        archive.refuses(&tampered(&|text| format!("{text}Source: evil\n")), &[(file, "behind")]);
        archive.refuses(&tampered(&|text| format!("{text}{text}")), &[(file, "behind")]);
        archive.refuses(&tampered(&|text| text.split("-----END").next().unwrap().to_owned()), &[(file, "not terminated")]);
        archive.refuses(&tampered(&|text| text.split("-----BEGIN PGP SIGNATURE").next().unwrap().to_owned()), &[(file, "not terminated")]);
        archive.refuses(&tampered(&|text| text.replace("Hash: ", "Evil ")), &[(file, "armor is malformed")]);
    }
}

#[test]
fn where_uploaders_are_configured_only_their_good_signatures_count() {
    let archive = Watched::new();
    let gpg = Gpg::new();
    let alice = gpg.key("alice", "ed25519", "sign", "1y", "");
    let stranger = gpg.key("stranger", "ed25519", "sign", "1y", "");
    let (expired, then) = gpg.expired_key("expired");
    let out = |key: Option<&str>| {
        let out = archive.copy_of("out/small");
        if let Some(key) = key {
            gpg.sign_upload(key, &out);
        }
        out
    };
    archive.accepts(&out(None));
    archive.sandbox.write("archive/keys/uploaders/alice.asc", gpg.public(&alice));
    archive.sandbox.write("archive/keys/uploaders/expired.asc", gpg.public(&expired));
    configure(&archive.sandbox, "uploaders = [\"keys/uploaders\"]", "");

    let changes = "hostname_3.23+nmu1_amd64.changes";
    archive.refuses(&out(None), &[(changes, "sign")]);
    archive.refuses(&out(Some(&stranger)), &[(changes, &stranger)]);
    let old = archive.copy_of("out/small");
    gpg.clearsign(&expired, &[&then[0], &then[1]], &old.join(changes));
    archive.refuses(&old, &[(changes, "expired on")]);

    let tampered = out(Some(&alice));
    patch(&tampered.join(changes), "Urgency: medium", "Urgency: high");
    archive.refuses(&tampered, &[(changes, "")]);
    let around = out(Some(&alice));
    patch(&around.join(changes), "-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\nUrgency: high\n");
    archive.refuses(&around, &[(changes, "behind")]);
    // A .deb that no signed .changes names came from nobody.
    let smuggled = out(Some(&alice));
    std::fs::write(smuggled.join(DEB), deb(CONTROL)).unwrap();
    archive.refuses(&smuggled, &[(DEB, "")]);
    let alone = archive.out(&[(DEB, &deb(CONTROL))]);
    archive.refuses(&alone, &[(DEB, "")]);
    // Files changed after signing.
    let swapped = out(Some(&alice));
    std::fs::copy(cache("out/two-amd64/nyancat_1.5.2-0.2_amd64.deb"), swapped.join("hostname_3.23+nmu1_amd64.deb")).unwrap();
    archive.refuses(&swapped, &[("hostname_3.23+nmu1_amd64.deb", changes)]);

    // Sources alone may come with a signed .dsc.
    let sources = |key: Option<&str>| {
        let out = archive.out(&[]);
        let dsc = write_source(&out, "hello", "1.0");
        if let Some(key) = key {
            gpg.clearsign(key, &[], &dsc);
        }
        out
    };
    archive.refuses(&sources(None), &[("hello_1.0.dsc", "sign")]);
    archive.refuses(&sources(Some(&stranger)), &[("hello_1.0.dsc", &stranger)]);
    archive.accepts(&sources(Some(&alice)));

    archive.accepts(&out(Some(&alice)));
    let run = archive.run(&out(Some(&alice)), &[]).ok();
    assert!(run.out.contains("landed"), "{}", run.out);
    let message = archive.sandbox.git(&["log", "-1", "--format=%B"]).ok().out;
    assert!(message.contains(&format!("Ddb-Uploader: {alice}")), "{message}");
}

#[test]
fn a_keyring_of_uploaders_that_is_missing_or_holds_a_secret_stops_every_deploy() {
    let archive = Watched::new();
    let gpg = Gpg::new();
    let alice = gpg.key("alice", "ed25519", "sign", "1y", "");
    configure(&archive.sandbox, "uploaders = [\"keys/uploaders\"]", "");
    let out = archive.out(&[(DEB, &deb(CONTROL))]);
    let run = archive.refuses_with(4, &out, &[], &[]);
    assert!(run.err.contains("keys/uploaders"), "{}", run.err);
    archive.sandbox.write("archive/keys/uploaders/alice.asc", gpg.secret(&alice, ""));
    commit_by_hand(&archive.sandbox, "Add a secret key by mistake.");
    let run = archive.refuses_with(4, &out, &[], &[]);
    assert!(run.err.contains("keys/uploaders/alice.asc") && run.err.contains("SECRET"), "{}", run.err);
}
