//! Bundles that real logs and a real timestamp authority gave (`tests/data/sigstore`), and what becomes of changed ones.

mod keyless;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::formats::sigstore::Octets;
use crate::formats::sigstore::entry::LogEntry;

const RELEASE: &[u8] = include_bytes!("../../../../tests/data/sigstore/Release");
const ROOT: &[u8] = include_bytes!("../../../../tests/data/sigstore/trusted_root.json");
const KEY: &str = include_str!("../../../../tests/data/sigstore/submit.pub");
const OTHER: &str = include_str!("../../../../tests/data/sigstore/other.pub");
const ANSWER: &[u8] = include_bytes!("../../../../tests/data/sigstore/answer.json");
const SIGNATURE: &[u8] = include_bytes!("../../../../tests/data/sigstore/signature");
const PLAIN: &[u8] = include_bytes!("../../../../tests/data/sigstore/key.sigstore.json");
const STAMPED: &[u8] = include_bytes!("../../../../tests/data/sigstore/key-timestamp.sigstore.json");
const ECDSA_LOG: &[u8] = include_bytes!("../../../../tests/data/sigstore/key-ecdsa-log.sigstore.json");
const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/data/sigstore/certificate.sigstore.json");
const TIMESTAMP: &[u8] = include_bytes!("../../../../tests/data/sigstore/timestamp.tsr");
const TIMESTAMPED: &[u8] = include_bytes!("../../../../tests/data/sigstore/timestamped");

const SUBJECT: &str = "https://gitlab.com/debian/archive//.gitlab-ci.yml@refs/heads/main";
const ISSUER: &str = "https://gitlab.com";

fn root() -> TrustedRoot {
    TrustedRoot::parse(ROOT).unwrap()
}

fn key() -> Trust {
    Trust { root: root(), signer: Signer::Key(PublicKey::from_pem(KEY).unwrap()) }
}

fn identity(subject: &str, issuer: &str) -> Trust {
    Trust { root: root(), signer: Signer::Identity { subject: subject.to_owned(), issuer: issuer.to_owned() } }
}

/// Says what is refused.
fn refusal(trust: &Trust, bundle: &[u8]) -> String {
    trust.verify(RELEASE, bundle).unwrap_err().to_string()
}

/// Returns a bundle with a value changed at a JSON pointer.
fn with(bundle: &[u8], pointer: &str, value: Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(bundle).unwrap();
    *json.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    serde_json::to_vec(&json).unwrap()
}

/// Returns the root with a value changed.
fn root_with(pointer: &str, value: Value) -> TrustedRoot {
    TrustedRoot::parse(&with(ROOT, pointer, value)).unwrap()
}

#[test]
fn what_real_logs_and_authorities_gave_is_accepted() {
    let plain = key().verify(RELEASE, PLAIN).unwrap();
    assert_eq!((plain.entries[0].log.as_str(), plain.entries.len(), plain.times.len()), ("rekor.example", 1, 0));
    assert!(plain.entries[0].size > 20, "the path is not empty");
    let stamped = key().verify(RELEASE, STAMPED).unwrap();
    assert_eq!(stamped.times.len(), 1);
    assert!(stamped.times[0].iso8601().starts_with("2026-11-28T16:2"));
    assert_eq!(key().verify(RELEASE, ECDSA_LOG).unwrap().entries[0].log, "ecdsa.rekor.example");
    let certified = identity(SUBJECT, ISSUER).verify(RELEASE, CERTIFICATE).unwrap();
    assert_eq!(certified.times.len(), 1);
}

#[test]
fn what_is_made_of_an_answer_is_the_bundle_that_was_recorded() {
    let submission = Submission {
        digest: Sha256::of(RELEASE),
        signature: SIGNATURE.to_vec(),
        verifier: Verifier::Key(PublicKey::from_pem(KEY).unwrap()),
    };
    let entry = LogEntry::parse(ANSWER).unwrap();
    assert_eq!(entry.canonicalized_body.0, submission.leaf());
    let made = Bundle::new(&submission, entry, Vec::new()).encode();
    let same = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(same(&made), same(PLAIN));
    assert_eq!(Bundle::parse(&made).unwrap().encode(), made, "it is read as it was written");
    let request: Value = serde_json::from_str(&submission.request()).unwrap();
    assert_eq!(request["hashedRekordRequestV002"]["signature"]["verifier"]["keyDetails"], "PKIX_ECDSA_P256_SHA_256");
}

#[test]
fn other_bytes_another_key_and_another_log_are_refused() {
    for bundle in [PLAIN, STAMPED, ECDSA_LOG] {
        assert!(key().verify(&RELEASE[..RELEASE.len() - 1], bundle).unwrap_err().to_string().starts_with("it is about bytes with"));
        let other = Trust { signer: Signer::Key(PublicKey::from_pem(OTHER).unwrap()), ..key() };
        assert!(refusal(&other, bundle).starts_with("its signature is not one of these bytes by the key"));
        let nobody = Trust { root: TrustedRoot { logs: Vec::new(), ..root() }, ..key() };
        assert!(refusal(&nobody, bundle).starts_with("it comes from a log that is not trusted"));
    }
    let renamed = Trust { root: root_with("/tlogs/0/baseUrl", json!("https://other.example")), ..key() };
    assert!(refusal(&renamed, PLAIN).starts_with("it comes from a log that is not trusted"));
    let key_of_another = json!(serde_json::from_slice::<Value>(ROOT).unwrap()["tlogs"][1]["publicKey"]["rawBytes"]);
    let swapped = Trust { root: root_with("/tlogs/0/publicKey/rawBytes", key_of_another), ..key() };
    assert!(refusal(&swapped, PLAIN).starts_with("it comes from a log that is not trusted"));
    let before = json!("2026-01-01T00:00:00Z");
    let mut ended: Value = serde_json::from_slice(ROOT).unwrap();
    ended["tlogs"][0]["publicKey"]["validFor"]["end"] = before;
    let ended = Trust { root: TrustedRoot::parse(&serde_json::to_vec(&ended).unwrap()).unwrap(), ..key() };
    assert!(refusal(&ended, STAMPED).contains("its key was not good then"));
    // Without a timestamp nothing says that the key was good when it signed: whoever got a retired one could sign today.
    assert!(refusal(&ended, PLAIN).contains("no timestamp of a trusted authority, and the key of its log is good until some time only"));
    let mut ends: Value = serde_json::from_slice(ROOT).unwrap();
    ends["tlogs"][0]["publicKey"]["validFor"]["end"] = json!("2040-01-01T00:00:00Z");
    let ends = Trust { root: TrustedRoot::parse(&serde_json::to_vec(&ends).unwrap()).unwrap(), ..key() };
    ends.verify(RELEASE, STAMPED).unwrap();
    assert!(refusal(&ends, PLAIN).contains("the key of its log is good until some time only"));
}

#[test]
fn an_identity_is_one_name_vouched_for_by_one_issuer_at_a_time_when_the_certificate_was_good() {
    let branch = SUBJECT.replace("main", "evil");
    for (subject, issuer) in
        [(branch.as_str(), ISSUER), (SUBJECT, "https://gitlab.example"), (&SUBJECT[..SUBJECT.len() - 1], ISSUER), ("", "")]
    {
        assert!(refusal(&identity(subject, issuer), CERTIFICATE).starts_with("it was signed by https://gitlab.com/debian/archive"));
    }
    assert!(refusal(&identity(SUBJECT, ISSUER), PLAIN).contains("a key without certificate"));
    assert!(refusal(&key(), CERTIFICATE).contains("a key with a certificate"));
    let without = with(CERTIFICATE, "/verificationMaterial/timestampVerificationData", json!({}));
    assert!(refusal(&identity(SUBJECT, ISSUER), &without).starts_with("it has no timestamp of a trusted authority"));
    let nobody = Trust { root: TrustedRoot { timestamp_authorities: Vec::new(), ..root() }, ..identity(SUBJECT, ISSUER) };
    assert!(refusal(&nobody, CERTIFICATE).starts_with("it has no timestamp of a trusted authority"));
    let nobody = Trust { root: TrustedRoot { certificate_authorities: Vec::new(), ..root() }, ..identity(SUBJECT, ISSUER) };
    assert!(refusal(&nobody, CERTIFICATE).contains("no certificate authority is trusted"));
    // A timestamp authority's certificate is for timestamps alone, and one for code is not for timestamps.
    let TrustedRoot { certificate_authorities, timestamp_authorities, .. } = root();
    let swapped = Trust {
        root: TrustedRoot { certificate_authorities: timestamp_authorities.clone(), timestamp_authorities, ..root() },
        ..identity(SUBJECT, ISSUER)
    };
    assert!(refusal(&swapped, CERTIFICATE).contains("no chain leads from it"));
    let swapped = Trust { root: TrustedRoot { timestamp_authorities: certificate_authorities, ..root() }, ..identity(SUBJECT, ISSUER) };
    assert!(refusal(&swapped, CERTIFICATE).contains("does not hold"));
    // The timestamp of another signature says nothing about this one.
    let other: Value = serde_json::from_slice(STAMPED).unwrap();
    let path = "/verificationMaterial/timestampVerificationData";
    let moved = with(CERTIFICATE, path, other.pointer(path).unwrap().clone());
    assert!(refusal(&identity(SUBJECT, ISSUER), &moved).contains("it is over something else"));
}

#[test]
fn certificates_are_good_only_in_their_time_and_under_the_whole_chain() {
    let authority = &root().certificate_authorities[0];
    let bundle: Value = serde_json::from_slice(CERTIFICATE).unwrap();
    let der = Octets::decode(bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().unwrap()).unwrap().0;
    let leaf = Certificate::parse(&der).unwrap();
    let good: Timestamp = "2026-11-28T16:22:00Z".parse().unwrap();
    assert_eq!((leaf.subject().unwrap(), leaf.vouched_by().unwrap()), (SUBJECT.to_owned(), ISSUER.to_owned()));
    leaf.check(Purpose::CodeSigning, good, authority, &[]).unwrap();
    for time in ["2026-11-28T16:00:00Z", "2026-11-30T00:00:00Z", "2040-01-01T00:00:00Z"] {
        assert!(leaf.check(Purpose::CodeSigning, time.parse().unwrap(), authority, &[]).is_err(), "{time}");
    }
    assert!(leaf.check(Purpose::TimeStamping, good, authority, &[]).is_err());
    let [middle, top] = authority.chain.as_slice() else { panic!("two certificates") };
    let of = |chain: &[&Certificate]| crate::formats::sigstore::trusted_root::Authority {
        chain: chain.iter().copied().cloned().collect(),
        period: authority.period,
    };
    // An intermediate alone can be the trusted one; the root alone leads nowhere, unless the intermediate comes along.
    leaf.check(Purpose::CodeSigning, good, &of(&[middle]), &[]).unwrap();
    assert!(leaf.check(Purpose::CodeSigning, good, &of(&[top]), &[]).is_err());
    leaf.check(Purpose::CodeSigning, good, &of(&[top]), std::slice::from_ref(middle)).unwrap();
    assert!(middle.check(Purpose::CodeSigning, good, &of(&[top]), &[]).is_err(), "an authority signs no code");
    for at in (0..der.len()).step_by(3) {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let checked = Certificate::parse(&changed).and_then(|leaf| leaf.check(Purpose::CodeSigning, good, authority, &[]));
        assert!(checked.is_err(), "byte {at} does not matter");
    }
}

#[test]
fn every_byte_of_a_timestamp_matters_or_says_nothing() {
    let authorities = root().timestamp_authorities;
    let time = timestamp::verify(TIMESTAMP, TIMESTAMPED, &authorities).unwrap();
    assert!(timestamp::verify(TIMESTAMP, RELEASE, &authorities).is_err());
    assert!(timestamp::verify(TIMESTAMP, TIMESTAMPED, &[]).is_err());
    // The signer's certificate comes along, and is not needed where the trusted root has it.
    let along = authorities[0].chain[0].der();
    let begin = TIMESTAMP.windows(along.len()).position(|bytes| bytes == along).unwrap();
    let mut accepted = 0;
    for at in (0..begin).chain(begin + along.len()..TIMESTAMP.len()) {
        for bit in [0, 3, 7] {
            let mut changed = TIMESTAMP.to_vec();
            changed[at] ^= 1 << bit;
            if let Ok(found) = timestamp::verify(&changed, TIMESTAMPED, &authorities) {
                assert_eq!(found, time);
                accepted += 1;
            }
        }
        assert!(timestamp::verify(&TIMESTAMP[..at], TIMESTAMPED, &authorities).is_err());
    }
    // The status (granted, with modifications), versions and the names of the algorithms' list are not signed.
    assert!(accepted < 60, "{accepted}");
}

#[test]
fn a_bundle_in_which_anything_is_left_out_or_added_is_refused() {
    for bundle in [PLAIN, STAMPED, CERTIFICATE] {
        let trust = if bundle == CERTIFICATE { identity(SUBJECT, ISSUER) } else { key() };
        let json: Value = serde_json::from_slice(bundle).unwrap();
        let mut pointers = Vec::new();
        walk(&json, String::new(), &mut pointers);
        assert!(pointers.len() > 20);
        for pointer in &pointers {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut less = json.clone();
            match less.pointer_mut(parent).unwrap() {
                Value::Object(fields) => drop(fields.remove(name)),
                Value::Array(values) => drop(values.remove(name.parse().unwrap())),
                _ => unreachable!(),
            }
            let read = trust.verify(RELEASE, &serde_json::to_vec(&less).unwrap());
            // What a key's bundle says of the key, and when it was signed, are for others.
            let for_others = pointer.ends_with("/hint") || (bundle == STAMPED && pointer.contains("/timestampVerificationData"));
            assert_eq!(read.is_ok(), for_others && read.is_ok(), "without {pointer}");
            let mut more = json.clone();
            if let Value::Object(fields) = more.pointer_mut(parent).unwrap() {
                fields.insert("surprise".to_owned(), json!(1));
                assert!(trust.verify(RELEASE, &serde_json::to_vec(&more).unwrap()).is_err(), "with a surprise in {parent}");
            }
        }
        let twice = [bundle, b"{}"].concat();
        assert!(trust.verify(RELEASE, &twice).is_err());
    }
}

fn walk(value: &Value, path: String, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in children {
        let path = format!("{path}/{name}");
        found.push(path.clone());
        walk(value, path, found);
    }
}

#[test]
fn an_entry_twice_two_kinds_of_signer_and_other_versions_are_refused() {
    let json: Value = serde_json::from_slice(PLAIN).unwrap();
    let entry = json["verificationMaterial"]["tlogEntries"][0].clone();
    let entries = "/verificationMaterial/tlogEntries";
    assert!(refusal(&key(), &with(PLAIN, entries, json!([entry, entry]))).contains("two entries of one log"));
    assert!(refusal(&key(), &with(PLAIN, entries, json!([]))).contains("0 log entries"));
    assert!(refusal(&key(), &with(PLAIN, entries, json!(vec![entry; 33]))).contains("33 log entries"));
    assert!(
        refusal(&key(), &with(PLAIN, "/mediaType", json!("application/vnd.dev.sigstore.bundle+json;version=0.2"))).contains("media type")
    );
    let both = with(CERTIFICATE, "/verificationMaterial", {
        let mut material = serde_json::from_slice::<Value>(CERTIFICATE).unwrap()["verificationMaterial"].clone();
        material["publicKey"] = json!({"hint": ""});
        material
    });
    assert!(refusal(&identity(SUBJECT, ISSUER), &both).contains("one of them"));
    let first = format!("{entries}/0");
    for (pointer, value, expected) in [
        ("/kindVersion/version", json!("0.0.1"), "not a hashedrekord 0.0.2"),
        ("/kindVersion/kind", json!("dsse"), "not a hashedrekord 0.0.2"),
        ("/logIndex", json!("3"), "two numbers"),
        ("/logIndex", json!("-1"), "no whole number"),
        ("/logIndex", json!("9223372036854775808"), "no whole number"),
        ("/inclusionProof/treeSize", json!("1"), "another tree"),
        ("/inclusionProof/treeSize", json!(22), "invalid type"),
        ("/inclusionProof/rootHash", json!("AAAA"), "another tree"),
        ("/inclusionProof/hashes", json!(vec!["AAAA"; 65]), "path is too long"),
        ("/inclusionProof/hashes/0", json!("AAAA"), "no SHA-256"),
        ("/canonicalizedBody", json!("e30="), "something else"),
        ("/canonicalizedBody", json!("e30"), "padding"),
        ("/logId/keyId", json!("AAAA"), "not trusted"),
    ] {
        let said = refusal(&key(), &with(PLAIN, &format!("{first}{pointer}"), value));
        assert!(said.contains(expected), "{pointer}: {said}");
    }
}

proptest! {
    #[test]
    fn a_changed_bundle_is_refused_or_says_the_same(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0usize..4) {
        let bundle = [PLAIN, STAMPED, ECDSA_LOG, CERTIFICATE][which];
        let trust = if which == 3 { identity(SUBJECT, ISSUER) } else { key() };
        let mut changed = bundle.to_vec();
        let at = at.index(changed.len());
        changed[at] = byte;
        if let Ok(found) = trust.verify(RELEASE, &changed) {
            prop_assert_eq!(found, trust.verify(RELEASE, bundle).unwrap());
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,200}", from in any::<prop::sample::Index>()) {
        let _ = Bundle::parse(&bytes);
        let _ = TrustedRoot::parse(&bytes);
        let _ = LogEntry::parse(&bytes);
        let _ = Certificate::parse(&bytes);
        let _ = PublicKey::from_der(&bytes);
        let _ = PublicKey::from_pem(&text);
        let _ = timestamp::verify(&bytes, RELEASE, &root().timestamp_authorities);
        let _ = Checkpoint::parse(&text);
        let _ = crate::formats::sigstore::note::Note::parse(&text);
        let _ = crate::formats::sigstore::signing_config::SigningConfig::parse(&bytes);
        // Real bytes with other ones in the middle come further than random ones.
        for real in [TIMESTAMP, PLAIN, ROOT] {
            let at = from.index(real.len());
            let spliced = [&real[..at], &bytes[..bytes.len().min(8)], &real[(at + bytes.len() % 16).min(real.len())..]].concat();
            let _ = timestamp::verify(&spliced, TIMESTAMPED, &root().timestamp_authorities);
            let _ = Bundle::parse(&spliced);
            let _ = TrustedRoot::parse(&spliced);
        }
    }
}
