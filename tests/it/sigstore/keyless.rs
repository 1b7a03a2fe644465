//! Releases that a build job signs without a key of its own: Fulcio's certificate for the job's identity token, with the promise of a
//! certificate transparency log, an entry in a real Rekor and a real timestamp; cosign, with none of its checks left out, agrees.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use ddb::places::transparency::sigstore::Services;
use serde_json::Value;

use super::site::{Authority, Fulcio, Rekor, SUBJECT, configure_keyless, cosign, is_built, keyless_log};
use super::{BUNDLE, RELEASE, read, with_package};
use crate::sandbox::{Run, Sandbox};
use crate::sigsum::suite::contract;
use crate::verify::onlookers::hook;

/// All services of Sigstore, and a sandbox whose archive trusts them.
struct Site<'a> {
    log: Rekor<'a>,
    authority: Authority,
    fulcio: Fulcio,
    sandbox: Sandbox,
}

impl<'a> Site<'a> {
    fn start(keeper: &'a Sandbox) -> Self {
        let log = Rekor::start(keeper, "log");
        let (authority, fulcio) = (Authority::start(keeper, "authority"), Fulcio::start(keeper, "fulcio"));
        let site = Self { log, authority, fulcio, sandbox: with_package() };
        site.configure(&site.trusted(), &site.services());
        site
    }

    fn trusted(&self) -> Vec<String> {
        vec![self.log.trusted(), self.authority.trusted(), self.fulcio.trusted(), self.fulcio.promised()]
    }

    fn services(&self) -> String {
        format!("url = \"{}\"\ntimestamp-url = \"{}\"\nfulcio-url = \"{}/\"\n", self.log.url(), self.authority.url(), self.fulcio.url())
    }

    fn configure(&self, trusted: &[String], lines: &str) {
        configure_keyless(&self.sandbox, trusted, &self.fulcio, lines);
    }

    /// Gives the token of a job of this branch to later commands.
    fn be(&mut self, branch: &str, more: &str) -> String {
        let token = self.fulcio.token(&self.sandbox, branch, more);
        self.sandbox.environment.insert("SIGSTORE_ID_TOKEN".to_owned(), token.clone());
        token
    }

    /// What cosign says of the bundle that clients get.
    fn cosign(&self, subject: &str) -> Run {
        let path = |path: &str| self.sandbox.path(path).display().to_string();
        let (root, bundle, release) = (path("archive/keys/trusted_root.json"), path(BUNDLE), path(RELEASE));
        let issuer = self.fulcio.issuer();
        let who = ["--certificate-identity", subject, "--certificate-oidc-issuer", &issuer];
        cosign(
            &self.sandbox,
            &[&["verify-blob", "--trusted-root", &root, "--bundle", &bundle, "--use-signed-timestamps"], &who[..], &[&release]].concat(),
        )
    }

    /// What `verify` says of the archive.
    fn verify(&self, subject: &str) -> Run {
        self.verify_with(subject, &[])
    }

    fn verify_with(&self, subject: &str, more: &[&str]) -> Run {
        let (public, key) =
            (self.sandbox.public().display().to_string(), self.sandbox.public().join("archive-keyring.asc").display().to_string());
        let root = self.sandbox.path("archive/keys/trusted_root.json").display().to_string();
        let issuer = self.fulcio.issuer();
        let who = ["--sigstore-identity", subject, "--sigstore-issuer", &issuer];
        let what = ["verify", &public, "-s", "trixie", "-k", &key, "--state", "seen", "--sigstore-trusted-root", &root];
        self.sandbox.publish(&[&what[..], &who, more].concat())
    }
}

#[test]
fn a_job_without_a_key_signs_a_release_that_stock_cosign_accepts() {
    if !is_built() {
        return;
    }
    let keeper = Sandbox::new();
    let mut site = Site::start(&keeper);
    site.sandbox.dists(&[]).exits(7).says("there is no identity token").says("SIGSTORE_ID_TOKEN");
    assert_ne!(site.sandbox.git(&["rev-parse", "-q", "--verify", "ddb/releases/trixie"]).code, 0, "nothing is staged");
    let promised = site.fulcio.promised();
    site.configure(&[site.log.trusted(), site.authority.trusted(), promised], &site.services());
    site.sandbox.dists(&[]).exits(4).says("it names no certificate authority");
    site.configure(&site.trusted(), &site.services());
    let token = site.be("main", "");
    for number in 1..=2 {
        let run = site.sandbox.dists(&["--json", "--renew"]).ok();
        assert_eq!(run.json()["suites"][0]["logs"][0], "sigstore");
        assert!(!format!("{}{}", run.out, run.err).contains(token.rsplit('.').next().unwrap()), "the token is in no message");
        site.cosign(SUBJECT).ok();
        assert_ne!(site.cosign(&SUBJECT.replace("main", "other")).code, 0);
        let said = site.verify(SUBJECT).ok().out;
        assert!(said.contains("in the sigstore log") && said.contains("stamped at"), "{said}");
        assert_eq!(site.log.size(), number);
    }
    let said = site.verify(&SUBJECT.replace("main", "other")).exits(23).out;
    assert!(said.contains(&format!("it was signed by {SUBJECT}")), "{said}");
    let bundle: Value = serde_json::from_slice(&read(&site.sandbox.path(BUNDLE))).unwrap();
    assert!(bundle["verificationMaterial"]["publicKey"].is_null());
    site.sandbox.environment.clear();
    assert_eq!(
        site.sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"],
        "unchanged",
        "no token is needed where nothing is logged"
    );
    site.sandbox.publish(&["-C", "archive", "log"]).ok();
    site.sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();

    // A signing configuration names everything itself; a file holds the token.
    let service = |url: &str, version: u32| format!("url={url},api-version={version},start-time=2024-01-01T00:00:00Z,operator=x");
    let config = site.sandbox.path("archive/keys/signing_config.json").display().to_string();
    let services = [
        format!("--rekor={}", service(&site.log.url(), 2)),
        format!("--tsa={}", service(&site.authority.url(), 1)),
        format!("--fulcio={}", service(&site.fulcio.url(), 1)),
        format!("--out={config}"),
    ];
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    cosign(&site.sandbox, &[&["signing-config", "create", "--rekor-config=ANY", "--tsa-config=ANY"], &services[..]].concat()).ok();
    site.configure(&site.trusted(), "signing-config = \"keys/signing_config.json\"\n");
    let file = site.sandbox.write("token", format!("{}\n", site.fulcio.token(&site.sandbox, "main", ""))).display().to_string();
    site.sandbox.dists(&["--renew", "--sigstore-id-token-file", &file]).ok();
    site.cosign(SUBJECT).ok();
    assert_eq!(site.log.size(), 3);
}

#[test]
fn apts_hook_takes_what_the_pinned_job_signed_and_nothing_else() {
    if !is_built() {
        return;
    }
    let keeper = Sandbox::new();
    let mut site = Site::start(&keeper);
    site.configure(&site.trusted(), &format!("{}staple = true\n", site.services()));
    site.be("main", "");
    site.sandbox.dists(&[]).ok();
    let in_release = |site: &Site<'_>| read(&site.sandbox.public().join("dists/trixie/InRelease"));
    let good = in_release(&site);
    std::fs::create_dir(site.sandbox.path("hook.d")).unwrap();
    std::fs::copy(site.sandbox.path("archive/keys/trusted_root.json"), site.sandbox.path("hook.d/root.json")).unwrap();
    let issuer = site.fulcio.issuer();
    let opt_in = |subject: &str, issuer: &str| {
        let pins = format!("Sigstore-Trusted-Root: root.json\nSigstore-Identity: {subject}\nSigstore-Issuer: {issuer}\n");
        site.sandbox.write("hook.d/archive.conf", format!("Origin: Test\n{pins}"));
    };
    opt_in(SUBJECT, &issuer);
    hook(&site.sandbox, &good).ok();
    opt_in(&SUBJECT.replace("main", "feature"), &issuer);
    hook(&site.sandbox, &good).exits(23).says("it was signed by").says(SUBJECT);
    opt_in(SUBJECT, "https://gitlab.com");
    hook(&site.sandbox, &good).exits(23).says("it was signed by");
    opt_in(SUBJECT, &issuer);

    // The archive's OpenPGP key alone, in a job of another branch of the same project.
    let settings = std::fs::read_to_string(site.sandbox.path("archive/ddb.toml")).unwrap();
    site.sandbox.write("archive/ddb.toml", settings.replace("refs/heads/main", "refs/heads/feature"));
    site.sandbox.git(&["commit", "-qam", "Be another job"]).ok();
    site.be("feature", "");
    site.sandbox.dists(&["--renew"]).ok();
    let other = in_release(&site);
    assert_ne!(other, good);
    hook(&site.sandbox, &other).exits(23).says("refs/heads/feature");
    assert!(other.len() - read(&site.sandbox.path(RELEASE)).len() < 14_000, "{}", other.len());
}

#[test]
fn who_is_not_the_pinned_job_logs_nothing() {
    if !is_built() {
        return;
    }
    let keeper = Sandbox::new();
    let mut site = Site::start(&keeper);
    site.be("main", "");
    site.sandbox.dists(&[]).ok();
    let served = read(&site.sandbox.path(RELEASE));
    let refused = |site: &Site<'_>, code: i32, says: &str| {
        let run = site.sandbox.dists(&["--renew"]).exits(code).says(says);
        assert_eq!(site.log.size(), 1, "nothing was logged that cannot be used");
        assert_eq!(read(&site.sandbox.path(RELEASE)), served, "clients keep what they have");
        run
    };
    site.be("feature", "");
    refused(&site, 13, "it was signed by https://git.example/debian/archive//.gitlab-ci.yml@refs/heads/feature");
    // Another project's job that runs the archive's file has its name in the certificate.
    site.be("main", "&project=evil/fork&file=debian/archive");
    refused(&site, 13, "its name is that of another repository's file, which a job of https://git.example/evil/fork called");
    for more in ["&minutes=-5", "&audience=other"] {
        let token = site.be("main", more);
        let run = refused(&site, 13, "it gives no certificate for this job's identity token");
        assert!(!run.err.contains(&token[..40]), "{}", run.err);
    }
    site.sandbox.environment.insert("SIGSTORE_ID_TOKEN".to_owned(), "secret words".to_owned());
    let run = refused(&site, 7, "SIGSTORE_ID_TOKEN: the identity token cannot be read");
    assert!(!run.err.contains("secret words"));

    // Services that are not trusted are not used.
    site.be("main", "");
    let strange = Fulcio::start(&keeper, "strange");
    let (log, stamps, own, promised) = (site.log.trusted(), site.authority.trusted(), site.fulcio.trusted(), site.fulcio.promised());
    site.configure(&[log.clone(), stamps.clone(), strange.trusted(), promised.clone()], &site.services());
    refused(&site, 13, "no chain leads from it to a trusted authority");
    site.configure(&[log.clone(), stamps.clone(), own.clone(), strange.promised()], &site.services());
    refused(&site, 13, "no certificate transparency log that is trusted promised to show it");
    site.configure(&[log.clone(), stamps.clone(), promised.clone()], &site.services());
    refused(&site, 13, "no certificate authority is trusted");
    let other = Authority::start(&keeper, "other");
    site.configure(&[log.clone(), other.trusted(), own.clone(), promised.clone()], &site.services());
    refused(&site, 13, "no chain leads from it to a trusted authority");
    let gone = site.services().replace(&site.fulcio.url(), "http://127.0.0.1:9");
    site.configure(&site.trusted(), &format!("{gone}timeout = \"2s\"\n"));
    refused(&site, 13, "the sigstore certificate authority http://127.0.0.1:9/ does not answer as it should");

    // By best effort clients get it without; a later job completes it. A root without certificate transparency asks for none.
    site.configure(&[log, stamps, own], &format!("{gone}timeout = \"2s\"\nmode = \"best-effort\"\n"));
    site.sandbox.dists(&["--renew"]).ok().says("has no sigstore proof");
    assert!(!site.sandbox.path(BUNDLE).exists());
    site.configure(&[site.log.trusted(), site.authority.trusted(), site.fulcio.trusted()], &site.services());
    site.sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    site.verify(SUBJECT).ok();
    assert_ne!(site.cosign(SUBJECT).code, 0, "cosign asks for the promise unless it is told not to");

    // A Release that is dated later than its timestamp says was made out in advance.
    site.configure(&site.trusted(), &site.services());
    site.sandbox.dists_at("2027-06-01T00:00:00Z", &["--renew"]).ok();
    let said = site.verify_with(SUBJECT, &["--now", "2027-06-01T01:00:00Z"]).exits(21).out;
    assert!(said.contains("it was made out in advance"), "{said}");
}

#[test]
fn a_job_of_githubs_actions_asks_its_forge_for_the_token() {
    if !is_built() {
        return;
    }
    let keeper = Sandbox::new();
    let mut site = Site::start(&keeper);
    let forge = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token?api-version=2.0", forge.local_addr().unwrap());
    let token = site.fulcio.token(&site.sandbox, "main", "");
    let answers = [
        ("401 Unauthorized", format!("{{\"message\":\"{token}\"}}")),
        ("503 Service Unavailable", format!("{{\"message\":\"{token}\"}}")),
        ("200 OK", format!("{{\"count\":1,\"value\":\"{token}\"}}")),
    ];
    let serving = std::thread::spawn(move || {
        answers.map(|(status, body)| {
            let (mut client, _) = forge.accept().unwrap();
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
            let asked: Vec<String> = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            write!(client, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
            let _ = client.read(&mut []);
            asked.join("\n")
        })
    });
    let environment = &mut site.sandbox.environment;
    environment.insert("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), url);
    environment.insert("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), "runner-secret".to_owned());
    let run = site.sandbox.dists(&[]).exits(7).says("the forge gives no identity token").says("status 401");
    assert!(!run.err.contains(&token[..40]) && !run.err.contains("runner-secret"), "{}", run.err);
    site.sandbox.dists(&[]).ok();
    site.cosign(SUBJECT).ok();
    for asked in serving.join().unwrap() {
        let asked = asked.to_lowercase();
        assert!(asked.starts_with("get /token?api-version=2.0&audience=sigstore http"), "{asked}");
        assert!(asked.contains("authorization: bearer runner-secret"), "{asked}");
    }
}

#[test]
fn the_contract_holds_for_who_has_no_key() {
    if !is_built() {
        return;
    }
    let keeper = Sandbox::new();
    let site = Site::start(&keeper);
    let root = site.sandbox.path("archive/keys/trusted_root.json");
    let with = |token: Option<String>| {
        let services = Services {
            logs: vec![site.log.url()],
            timestamp_authorities: vec![site.authority.url()],
            certificate_authorities: vec![site.fulcio.url()],
        };
        keyless_log(services, &site.fulcio, &root, token)
    };
    let token = site.fulcio.token(&site.sandbox, "main", "");
    contract::check(&with(Some(token)), &with(None));
}
