//! Certificates as Fulcio gives them to build jobs, by a certificate authority and a timestamp authority that openssl plays here, and a
//! log of two entries. cosign judges the same bundles with the same trusted root.

use ddb::formats::merkle;
use ddb::formats::sigstore::checkpoint::LogKey;
use ddb::formats::sigstore::public_key::PublicKey;
use ed25519_dalek::Signer as _;

use super::*;
use crate::sigstore::site::trusted_root;

pub const ISSUER: &str = "https://git.example";
const SUBJECT: &str = "https://git.example/debian/hello//.gitlab-ci.yml@refs/heads/main";
const LOG: &str = "rekor.example";

/// What a certificate says.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    authority: &'a str,
    days: &'a str,
    issuer: &'a str,
    repository: &'a str,
    reference: &'a str,
    purpose: &'a str,
}

pub const GOOD: Job<'_> =
    Job { authority: "fulcio", days: "1", issuer: ISSUER, repository: REPOSITORY, reference: "refs/heads/main", purpose: "codeSigning" };

/// A sandbox with two certificate authorities, `fulcio` and `other`, two timestamp authorities, `tsa` and `othertsa`, and a package.
pub struct Site {
    pub sandbox: Sandbox,
    pub deb: Vec<u8>,
}

impl Site {
    pub fn new() -> Self {
        let sandbox = Sandbox::with_archive();
        let deb = std::fs::read(sandbox.deb("out", "hello", "1", "amd64", "")).unwrap();
        let site = Self { sandbox, deb };
        for name in ["fulcio", "other", "tsaroot", "othertsaroot"] {
            let extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
            let subject = format!("/O=Test/CN={name}");
            site.openssl(
                &[
                    &["req", "-x509", "-nodes", "-days", "3650", "-subj", &subject],
                    NEW_KEY,
                    &["-keyout", &site.file(&format!("{name}.key")), "-out", &site.file(&format!("{name}.crt"))],
                    &extensions,
                ]
                .concat(),
            );
        }
        for (name, root) in [("tsa", "tsaroot"), ("othertsa", "othertsaroot")] {
            site.certificate(name, root, "365", "/CN=tsa", "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n");
            let text = format!(
                "[own]\nserial = {serial}\nsigner_cert = {name}.crt\nsigner_key = {name}.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\ness_cert_id_alg = sha256\n",
                serial = site.file("serial"),
                name = site.file(name),
            );
            site.sandbox.write(format!("{name}.cnf"), text);
            let chain = [format!("{name}.crt"), format!("{root}.crt")].map(|file| std::fs::read(site.sandbox.path(file)).unwrap()).concat();
            site.sandbox.write(format!("{name}.pem"), chain);
        }
        site
    }

    fn file(&self, name: &str) -> String {
        self.sandbox.path(name).display().to_string()
    }

    fn openssl(&self, arguments: &[&str]) {
        self.sandbox.run("openssl", arguments).ok();
    }

    /// Makes `<name>.key` and `<name>.crt`.
    fn certificate(&self, name: &str, authority: &str, days: &str, subject: &str, extensions: &str) {
        let [key, request, certificate] = ["key", "csr", "crt"].map(|ending| self.file(&format!("{name}.{ending}")));
        self.openssl(&[&["req", "-new", "-nodes", "-subj", subject], NEW_KEY, &["-keyout", &key, "-out", &request]].concat());
        let extensions = self.sandbox.write("extensions", extensions).display().to_string();
        let [issuer, issuer_key] = ["crt", "key"].map(|ending| self.file(&format!("{authority}.{ending}")));
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &issuer,
            "-CAkey",
            &issuer_key,
            "-set_serial",
            "77",
            "-days",
            days,
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
    }

    /// Makes `job.key` and `job.crt`, a certificate as Fulcio gives it.
    pub fn job(&self, job: Job<'_>) {
        let Job { authority, days, issuer, repository, reference, purpose } = job;
        let said = [("8", issuer), ("12", repository), ("14", reference)];
        let said: String = said.iter().map(|(arc, text)| format!("1.3.6.1.4.1.57264.1.{arc}=ASN1:UTF8String:{text}\n")).collect();
        let usual = format!("keyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\nsubjectAltName=critical,URI:{SUBJECT}\n");
        self.certificate("job", authority, days, "/", &(usual + &said));
    }

    fn der(&self, name: &str) -> Vec<u8> {
        let der = self.file("der");
        self.openssl(&["x509", "-in", &self.file(&format!("{name}.crt")), "-outform", "DER", "-out", &der]);
        std::fs::read(der).unwrap()
    }

    /// An answer of a timestamp authority about these bytes.
    fn stamp(&self, authority: &str, bytes: &[u8]) -> String {
        let (data, query, answer) = (self.sandbox.write("stamped", bytes).display().to_string(), self.file("tsq"), self.file("tsr"));
        self.openssl(&["ts", "-query", "-data", &data, "-sha256", "-cert", "-out", &query]);
        let settings = self.file(&format!("{authority}.cnf"));
        self.openssl(&["ts", "-reply", "-config", &settings, "-section", "own", "-queryfile", &query, "-out", &answer]);
        STANDARD.encode(std::fs::read(answer).unwrap())
    }

    /// A bundle by the job, with a timestamp of this authority.
    pub fn bundle(&self, authority: Option<&str>) -> Value {
        let envelope = sign(&self.sandbox, &statement(&self.deb, json!({})), "job.key");
        let signature = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        let timestamps: Vec<Value> =
            authority.iter().map(|authority| json!({"signedTimestamp": self.stamp(authority, &signature)})).collect();
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(self.der("job"))},
                "tlogEntries": [],
                "timestampVerificationData": {"rfc3161Timestamps": timestamps},
            },
            "dsseEnvelope": envelope,
        })
    }

    fn leave(&self, bundle: &Value) {
        self.sandbox.write("out/hello.sigstore.json", serde_json::to_vec(bundle).unwrap());
    }

    /// Commits whom the archive trusts.
    pub fn trust(&self, more: &[String]) {
        let services = [
            format!("--fulcio=url=https://fulcio.example,certificate-chain={},start-time=2024-01-01T00:00:00Z", self.file("fulcio.crt")),
            format!("--tsa=url=https://tsa.example,certificate-chain={},start-time=2024-01-01T00:00:00Z", self.file("tsa.pem")),
        ];
        trusted_root(&self.sandbox, &[&services[..], more].concat(), "archive/keys/root.json");
        policy(
            &self.sandbox,
            &format!(
                "require-provenance = true\n[provenance.projects.hello]\nsources = [\"hello\"]\nrepository = \"{REPOSITORY}\"\n\
                 refs = [\"refs/heads/main\"]\nissuer = \"{ISSUER}\"\ntrusted-root = \"keys/root.json\"\n"
            ),
        );
    }

    #[track_caller]
    fn refused(&self, says: &str) {
        self.sandbox.commit("out", &["--dry-run"]).exits(3).says("hello_1_amd64.deb: ").says(says);
        assert_ne!(self.cosign("--insecure-ignore-tlog").code, 0, "cosign accepts it");
    }

    /// What cosign says of the bundle that was left.
    fn cosign(&self, more: &str) -> Run {
        self.cosign_of("out/hello.sigstore.json", "out/hello_1_amd64.deb", &[more])
    }

    /// What cosign says of a bundle about a file.
    pub fn cosign_of(&self, bundle: &str, file: &str, more: &[&str]) -> Run {
        let [root, bundle, file] = ["archive/keys/root.json", bundle, file].map(|path| self.file(path));
        let who = ["--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER];
        let what =
            ["verify-blob-attestation", "--trusted-root", &root, "--bundle", &bundle, "--type", "slsaprovenance1", "--insecure-ignore-sct"];
        cosign(&self.sandbox, &[&what[..], &["--use-signed-timestamps"], &who, more, &[&file]].concat())
    }
}

const NEW_KEY: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn a_job_with_a_certificate_of_the_pinned_authority_needs_no_key() {
    let site = Site::new();
    site.trust(&[]);
    site.job(GOOD);
    site.leave(&site.bundle(Some("tsa")));
    site.sandbox.commit("out", &[]).ok();
    site.cosign("--insecure-ignore-tlog").ok();
    site.sandbox.dists(&[]).ok();
    let said = provenance_of(&site.sandbox, "out/hello_1_amd64.deb");
    assert_eq!((&said["project"], &said["signed_by"]), (&json!("hello"), &json!(format!("{SUBJECT} ({ISSUER})"))), "{said}");
}

#[test]
fn another_root_repository_branch_issuer_time_and_purpose_are_refused() {
    let site = Site::new();
    site.trust(&[]);
    // cosign compares the name alone: these two say it, and something else beside it.
    for (job, says) in [
        (Job { repository: "https://git.example/fork/hello", ..GOOD }, "its repository is https://git.example/fork/hello"),
        (Job { reference: "refs/heads/evil", ..GOOD }, "its branch or tag is refs/heads/evil"),
    ] {
        site.job(job);
        site.leave(&site.bundle(Some("tsa")));
        site.sandbox.commit("out", &["--dry-run"]).exits(3).says("hello_1_amd64.deb: ").says(says);
    }
    for (job, says) in [
        (Job { authority: "other", ..GOOD }, "no chain leads from it to a trusted authority"),
        (Job { issuer: "https://evil.example", ..GOOD }, "its issuer is https://evil.example"),
        (Job { days: "-1", ..GOOD }, "one of its chain is not good at"),
        (Job { purpose: "emailProtection", ..GOOD }, "its key is for something else"),
    ] {
        site.job(job);
        site.leave(&site.bundle(Some("tsa")));
        site.refused(says);
    }
    site.job(GOOD);
    site.leave(&site.bundle(None));
    site.refused("it has no timestamp of a trusted authority");
    site.leave(&site.bundle(Some("othertsa")));
    site.refused("no chain leads from it to a trusted authority");
    // The timestamp of another signature.
    let (good, mut moved) = (site.bundle(Some("tsa")), site.bundle(Some("tsa")));
    let path = "/verificationMaterial/timestampVerificationData";
    *moved.pointer_mut(path).unwrap() = good.pointer(path).unwrap().clone();
    site.leave(&moved);
    site.refused("it is over something else");
    // The certificate of one and the signature of another.
    let other = site.bundle(Some("tsa"));
    site.job(GOOD);
    let mut mixed = site.bundle(Some("tsa"));
    *mixed.pointer_mut("/verificationMaterial/certificate").unwrap() = other.pointer("/verificationMaterial/certificate").unwrap().clone();
    site.leave(&mixed);
    site.refused("its signature is not one of these bytes");
    // A key of nobody.
    let mut alone = good;
    *alone.pointer_mut("/verificationMaterial").unwrap() = json!({"publicKey": {"hint": ""}});
    site.leave(&alone);
    site.sandbox.commit("out", &["--dry-run"]).exits(3).says("a job with a certificate for which https://git.example vouches");
}

/// A log of two entries, with an ed25519 key.
pub fn logged(site: &Site, bundle: &Value) -> (Value, String) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let public = PublicKey::Ed25519(key.verifying_key());
    site.sandbox.write("log.pub", format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(public.to_der())));
    let log = LogKey::new(LOG, public).unwrap();
    let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len());
    let digest = Sha256::of(&[head.as_bytes(), &payload].concat());
    // As Rekor writes it: JSON with sorted keys and without blanks, which is how this program's maps are written.
    let leaf = json!({
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(digest.as_bytes())},
            "signature": {
                "content": bundle["dsseEnvelope"]["signatures"][0]["sig"],
                "verifier": {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "x509Certificate": {"rawBytes": bundle["verificationMaterial"]["certificate"]["rawBytes"]},
                },
            },
        }},
    });
    let leaf = serde_json::to_vec(&leaf).unwrap();
    let beside = merkle::leaf_hash(b"another entry");
    let root = merkle::node_hash(&beside, &merkle::leaf_hash(&leaf));
    let text = format!("{LOG}\n2\n{}\n", STANDARD.encode(root.as_bytes()));
    let signature = [&log.short_id()[..], &key.sign(text.as_bytes()).to_bytes()].concat();
    let envelope = format!("{text}\n— {LOG} {}\n", STANDARD.encode(signature));
    let entry = json!({
        "logIndex": "1",
        "logId": {"keyId": STANDARD.encode(log.id())},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "integratedTime": "0",
        "inclusionProof": {
            "logIndex": "1",
            "rootHash": STANDARD.encode(root.as_bytes()),
            "treeSize": "2",
            "hashes": [STANDARD.encode(beside.as_bytes())],
            "checkpoint": {"envelope": envelope},
        },
        "canonicalizedBody": STANDARD.encode(leaf),
    });
    let service = format!("--rekor=url=https://{LOG},public-key={},start-time=2024-01-01T00:00:00Z,origin={LOG}", site.file("log.pub"));
    (entry, service)
}

#[test]
fn where_a_log_is_trusted_an_entry_of_this_envelope_is_needed() {
    let site = Site::new();
    site.job(GOOD);
    let mut bundle = site.bundle(Some("tsa"));
    let (entry, service) = logged(&site, &bundle);
    site.trust(&[service]);
    site.leave(&bundle);
    site.sandbox.commit("out", &["--dry-run"]).exits(3).says("it comes from a log that is not trusted: none");
    let other = site.bundle(Some("tsa"));
    let (other, _) = logged(&site, &other);
    let entries = "/verificationMaterial/tlogEntries";
    *bundle.pointer_mut(entries).unwrap() = json!([other]);
    site.leave(&bundle);
    site.sandbox.commit("out", &["--dry-run"]).exits(3).says("the log's entry is about something else");
    assert_ne!(site.cosign("--new-bundle-format").code, 0);
    *bundle.pointer_mut(entries).unwrap() = json!([entry]);
    site.leave(&bundle);
    site.sandbox.commit("out", &[]).ok();
    site.cosign("--new-bundle-format").ok();
}
