//! What a job without a key signed: its certificate, the promise in that, and which entries of a log are its own.

use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode as _, Encode as _};
use x509_cert::ext::Extension;

use super::*;
use crate::formats::sigstore::owned::{OwnEntry, OwnSigner};
use crate::formats::sigstore::promise::{self, PROMISES};

/// By a job without a key: Fulcio's certificate with the promise of a certificate transparency log.
const KEYLESS: &[u8] = include_bytes!("../../../../../tests/data/sigstore/keyless.sigstore.json");
const KEYLESS_RELEASE: &[u8] = include_bytes!("../../../../../tests/data/sigstore/keyless.Release");
const KEYLESS_ROOT: &[u8] = include_bytes!("../../../../../tests/data/sigstore/keyless_root.json");

fn keyless(root: &[u8]) -> Result<Verified, SigstoreError> {
    let subject = "https://git.example/debian/archive//.gitlab-ci.yml@refs/heads/main".to_owned();
    let signer = Signer::Identity { subject, issuer: "http://127.0.0.1:8926/jobs".to_owned() };
    Trust { root: TrustedRoot::parse(root).unwrap(), signer }.verify(KEYLESS_RELEASE, KEYLESS)
}

#[test]
fn a_certificate_needs_the_promise_of_a_log_where_the_root_names_any() {
    assert_eq!(keyless(KEYLESS_ROOT).unwrap().times.len(), 1);
    let says = |pointer: &str, value: Value| keyless(&with(KEYLESS_ROOT, pointer, value)).unwrap_err().to_string();
    assert!(keyless(&with(KEYLESS_ROOT, "/ctlogs", json!([]))).is_ok(), "none is asked for");
    let other = Octets(PublicKey::from_pem(OTHER).unwrap().to_der()).encode();
    assert!(says("/ctlogs/0/publicKey/rawBytes", json!(other)).contains("no certificate transparency log that is trusted promised"));
    // A log whose key is of a kind that is not known promises nothing, and is not passed over either.
    assert!(says("/ctlogs/0/publicKey/rawBytes", json!("AAAA")).contains("no certificate transparency log that is trusted promised"));
    let over = json!({"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"});
    assert!(says("/ctlogs/0/publicKey/validFor", over).contains("at a time when the log's key was not good"));
    // A certificate of the same kind without any promise.
    let ctlogs: Value = serde_json::from_slice::<Value>(KEYLESS_ROOT).unwrap()["ctlogs"].clone();
    let mut asking: Value = serde_json::from_slice(ROOT).unwrap();
    asking["ctlogs"] = ctlogs;
    let asking = Trust { root: TrustedRoot::parse(&serde_json::to_vec(&asking).unwrap()).unwrap(), ..identity(SUBJECT, ISSUER) };
    assert!(refusal(&asking, CERTIFICATE).contains("it has no promise of a certificate transparency log"));
}

#[test]
fn entries_by_certificates_are_ours_where_a_trusted_authority_gave_them() {
    let root = TrustedRoot::parse(KEYLESS_ROOT).unwrap();
    let bundle = Bundle::parse(KEYLESS).unwrap();
    let entry = &bundle.verification_material.tlog_entries[0].canonicalized_body.0;
    let signer = |subject: &str, issuer: &str| Signer::Identity { subject: subject.to_owned(), issuer: issuer.to_owned() };
    let (subject, issuer) = ("https://git.example/debian/archive//.gitlab-ci.yml@refs/heads/main", "http://127.0.0.1:8926/jobs");
    let own = OwnSigner::new(signer(subject, issuer), &[&root]);
    assert_eq!(own.find(entry), Some(OwnEntry::Signed(Sha256::of(KEYLESS_RELEASE))));
    // Another branch, whose name begins the same; another issuer; and a certificate that anybody may have made.
    assert_eq!(OwnSigner::new(signer(&subject[..subject.len() - 1], issuer), &[&root]).find(entry), None);
    assert_eq!(OwnSigner::new(signer(subject, ISSUER), &[&root]).find(entry), None);
    assert_eq!(OwnSigner::new(signer(subject, issuer), &[&super::root()]).find(entry), None);
    let text = String::from_utf8(entry.clone()).unwrap();
    let digest = Octets(Sha256::of(KEYLESS_RELEASE).as_bytes().to_vec()).encode();
    let forged = text.replace(&digest, &Octets(Sha256::of(b"other").as_bytes().to_vec()).encode());
    assert_eq!(own.find(forged.as_bytes()), Some(OwnEntry::Forged(Sha256::of(b"other"))));
    for changed in [text.replace("hashedrekord", "dsse"), text.replace("\"spec\":", "\"spec\": ")] {
        assert_eq!(own.find(changed.as_bytes()), Some(OwnEntry::Other), "{changed}");
    }
    // In PEM, as other clients of Sigstore have it.
    let der = &bundle.verification_material.certificate.as_ref().unwrap().raw_bytes.0;
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap();
    for pem in [pem.clone(), Octets(pem.into_bytes()).encode()] {
        assert_eq!(own.find(json!({"spec": [{"verifier": pem}]}).to_string().as_bytes()), Some(OwnEntry::Other));
    }
}

/// The certificate, with its extensions changed; no signature of it holds any more.
fn remade(change: impl Fn(&mut Vec<Extension>)) -> Certificate {
    let bundle = Bundle::parse(KEYLESS).unwrap();
    let der = &bundle.verification_material.certificate.as_ref().unwrap().raw_bytes.0;
    let mut certificate = x509_cert::Certificate::from_der(der).unwrap();
    change(certificate.tbs_certificate.extensions.as_mut().unwrap());
    Certificate::parse(&certificate.to_der().unwrap()).unwrap()
}

#[test]
fn a_promise_that_its_log_did_not_sign_is_refused() {
    let root = TrustedRoot::parse(KEYLESS_ROOT).unwrap();
    let logs = &root.certificate_logs;
    let leaf = remade(|_| ());
    let issuer = leaf.issuer(&root.certificate_authorities[0]).unwrap();
    promise::check(&leaf, issuer, logs).unwrap();
    let says = |leaf: &Certificate, issuer: &Certificate| promise::check(leaf, issuer, logs).unwrap_err().to_string();
    let not_signed = "a promise in the name of a certificate transparency log is not signed by it";
    assert!(says(&leaf, &leaf).contains(not_signed), "of another issuer");
    // Of a certificate that says something else, or something less.
    assert!(says(&remade(|extensions| drop(extensions.remove(0))), issuer).contains(not_signed));
    assert!(says(&remade(|extensions| extensions.swap(0, 1)), issuer).contains(not_signed));
    let promises = |extensions: &[Extension]| extensions.iter().position(|extension| extension.extn_id == PROMISES).unwrap();
    let changed = remade(|extensions| {
        let at = promises(extensions);
        let mut bytes = extensions[at].extn_value.as_bytes().to_vec();
        // The last byte of the signature.
        *bytes.last_mut().unwrap() ^= 1;
        extensions[at].extn_value = OctetString::new(bytes).unwrap();
    });
    assert!(says(&changed, issuer).contains(not_signed));
    let twice = remade(|extensions| extensions.push(extensions[promises(extensions)].clone()));
    assert!(says(&twice, issuer).contains("it has an extension twice"));
}

#[test]
fn a_certificate_in_another_form_than_der_has_promises_nothing() {
    // An extension that says explicitly that it is not critical: the default, which DER leaves out.
    let leaf = remade(|_| ());
    let usual = leaf.der().to_vec();
    let tlv = |tag: u8, content: &[u8]| {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        let length = if high > 0 {
            vec![0x82, high, low]
        } else if low < 128 {
            vec![low]
        } else {
            vec![0x81, low]
        };
        [&[tag], &length[..], content].concat()
    };
    let whole = x509_cert::Certificate::from_der(&usual).unwrap();
    let own = &whole.tbs_certificate;
    let extensions: Vec<Vec<u8>> = own
        .extensions
        .iter()
        .flatten()
        .map(|extension| {
            let critical: &[u8] = if extension.critical { &[1, 1, 0xff] } else { &[1, 1, 0] };
            tlv(0x30, &[&extension.extn_id.to_der().unwrap(), critical, &extension.extn_value.to_der().unwrap()].concat())
        })
        .collect();
    let version = [0xa0, 3, 2, 1, 2].to_vec();
    let parts = [
        version,
        own.serial_number.to_der().unwrap(),
        own.signature.to_der().unwrap(),
        own.issuer.to_der().unwrap(),
        own.validity.to_der().unwrap(),
        own.subject.to_der().unwrap(),
        own.subject_public_key_info.to_der().unwrap(),
        tlv(0xa3, &tlv(0x30, &extensions.concat())),
    ];
    let signed = tlv(0x30, &parts.concat());
    let der = tlv(0x30, &[signed, whole.signature_algorithm.to_der().unwrap(), whole.signature.to_der().unwrap()].concat());
    let root = TrustedRoot::parse(KEYLESS_ROOT).unwrap();
    let issuer = leaf.issuer(&root.certificate_authorities[0]).unwrap();
    let said = promise::check(&Certificate::parse(&der).unwrap(), issuer, &root.certificate_logs).unwrap_err().to_string();
    assert!(said.contains("not in the one form that DER allows"), "{said}");
}

#[test]
fn a_job_that_calls_another_repositorys_file_has_not_its_name() {
    const REPOSITORY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.12");
    let of = |repository: &str| {
        remade(|extensions| {
            let own = extensions.iter_mut().find(|extension| extension.extn_id == REPOSITORY).unwrap();
            let text = der::asn1::Utf8StringRef::new(repository).unwrap().to_der().unwrap();
            own.extn_value = OctetString::new(text).unwrap();
        })
    };
    assert!(within_repository(&of("https://git.example/debian/archive")).is_ok());
    for other in ["https://git.example/evil/fork", "https://git.example/debian/arch", "https://git.example/debian/archive/sub"] {
        let said = within_repository(&of(other)).unwrap_err().to_string();
        assert!(said.contains(&format!("a job of {other} called")), "{said}");
    }
    assert!(
        within_repository(&remade(|extensions| extensions.retain(|extension| extension.extn_id != REPOSITORY))).is_ok(),
        "people have none"
    );
}

#[test]
fn a_log_that_is_named_twice_counts_in_both_periods_and_must_say_when_it_begins() {
    let mut root: Value = serde_json::from_slice(KEYLESS_ROOT).unwrap();
    for kind in ["tlogs", "ctlogs"] {
        let mut before = root[kind][0].clone();
        before["publicKey"]["validFor"] = json!({"start": "2023-01-01T00:00:00Z", "end": "2024-01-01T00:00:00Z"});
        root[kind].as_array_mut().unwrap().insert(0, before);
    }
    assert_eq!(keyless(&serde_json::to_vec(&root).unwrap()).unwrap().entries.len(), 1);
    for kind in ["tlogs", "ctlogs"] {
        let said = TrustedRoot::parse(&with(KEYLESS_ROOT, &format!("/{kind}/0/publicKey/validFor"), json!({}))).unwrap_err().to_string();
        assert!(said.contains("from when on the key of a log is good"), "{said}");
    }
}

#[test]
fn entries_are_ours_whenever_the_authority_counted_and_are_looked_for_again_when_one_comes() {
    let entry = Bundle::parse(KEYLESS).unwrap().verification_material.tlog_entries[0].canonicalized_body.0.clone();
    let subject = "https://git.example/debian/archive//.gitlab-ci.yml@refs/heads/main".to_owned();
    let signer = Signer::Identity { subject, issuer: "http://127.0.0.1:8926/jobs".to_owned() };
    let later = with(KEYLESS_ROOT, "/certificateAuthorities/0/validFor", json!({"start": "2030-01-01T00:00:00Z"}));
    let (root, later, none) = (TrustedRoot::parse(KEYLESS_ROOT).unwrap(), TrustedRoot::parse(&later).unwrap(), TrustedRoot::default());
    let own = |roots: &[&TrustedRoot]| OwnSigner::new(signer.clone(), roots);
    assert!(own(&[&later]).find(&entry).is_some());
    assert_eq!(own(&[&none]).find(&entry), None);
    let (before, after) = (own(&[&none]).fingerprints(), own(&[&none, &root]).fingerprints());
    assert!(before.iter().all(|print| after.contains(print)) && after.len() == before.len() + 1);
    assert_eq!(own(&[&root, &later]).fingerprints(), own(&[&root]).fingerprints(), "the same certificates");
}
