//! Signing by a program: gpg with its agent, a hardware module, a remote service.
//!
//! The program gets the text on standard input and one more argument, `clearsign` or `detach`, and writes the clearsigned
//! text, or an armored detached signature, to standard output. What it writes is checked like any other signature. It
//! inherits the environment, and there is no time limit: somebody may have to touch a token.

use std::io::{Read as _, Write as _};
use std::process::{Command, ExitStatus, Stdio};

use super::certificate::PublicCertificate;
use super::{SignError, Signer};
use crate::words::date::Timestamp;

/// Most bytes that a program may write besides the text.
const OUTPUT: usize = 1 << 20;

/// Most characters of the program's complaints that are passed on.
const COMPLAINT: usize = 2000;

/// Signs by running a program.
#[derive(Debug, Clone)]
pub struct CommandSigner {
    program: String,
    arguments: Vec<String>,
    certificates: Vec<PublicCertificate>,
}

impl CommandSigner {
    /// Takes the program with its arguments, and the certificates whose signatures it must make; `None` without a program.
    pub fn new(command: &[String], certificates: Vec<PublicCertificate>) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        Some(Self { program: program.clone(), arguments: arguments.to_vec(), certificates })
    }

    fn run(&self, action: &'static str, text: &[u8]) -> Result<Vec<u8>, SignError> {
        let limit = OUTPUT.saturating_add(text.len().saturating_mul(2));
        let run = self.pipe(action, text, limit).map_err(|source| SignError::Program { program: self.program.clone(), source })?;
        let (status, output, stderr) = run;
        let failed = |status: String| SignError::ProgramFailed { program: self.program.clone(), action, status, stderr };
        if output.len() > limit {
            return Err(failed(format!("it wrote more than {limit} bytes")));
        }
        if status.success() { Ok(output) } else { Err(failed(status.to_string())) }
    }

    fn pipe(&self, action: &str, text: &[u8], limit: usize) -> std::io::Result<(ExitStatus, Vec<u8>, String)> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (output, complaint) = std::thread::scope(|scope| {
            // A program that does not read to the end is judged by what it writes.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(text)));
            let complaint = scope.spawn(move || {
                stderr.map_or(Ok(Vec::new()), |mut stderr| {
                    let beginning = read(&mut stderr, OUTPUT)?;
                    std::io::copy(&mut stderr, &mut std::io::sink()).map(|_| beginning)
                })
            });
            let output = stdout.map_or(Ok(Vec::new()), |mut stdout| read(&mut stdout, limit.saturating_add(1)));
            if output.as_ref().map_or(true, |output| output.len() > limit) {
                let _ = child.kill();
            }
            (output, complaint.join().unwrap_or_else(|_| Ok(Vec::new())))
        });
        let status = child.wait()?;
        let complaint = String::from_utf8_lossy(&complaint?).trim().to_owned();
        let skipped = complaint.chars().count().saturating_sub(COMPLAINT);
        Ok((status, output?, complaint.chars().skip(skipped).collect()))
    }
}

fn read(pipe: &mut impl std::io::Read, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map(|_| bytes)
}

impl Signer for CommandSigner {
    fn certificates(&self) -> Vec<PublicCertificate> {
        self.certificates.clone()
    }

    fn clearsign(&self, text: &[u8], _now: Timestamp) -> Result<Vec<u8>, SignError> {
        // The last line feed is part of the frame, not of the text; programs that sign it add an empty line.
        self.run("clearsign", text.strip_suffix(b"\n").unwrap_or(text))
    }

    fn detach_sign(&self, text: &[u8], _now: Timestamp) -> Result<Vec<u8>, SignError> {
        self.run("detach", text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::super::gnupg::{Gpg, clock};
    use super::super::{SignedRelease, contract};
    use super::*;

    fn shell(script: &str, certificates: &[PublicCertificate]) -> CommandSigner {
        CommandSigner::new(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], certificates.to_vec()).unwrap()
    }

    fn gpg_script(gpg: &Gpg, keys: &[&str]) -> String {
        let users: String = keys.iter().map(|key| format!(" -u {key}")).collect();
        let gpg = format!("gpg --homedir {} --batch --digest-algo SHA512{users}", gpg.home().display());
        format!("case $0 in clearsign) {gpg} --clearsign;; detach) {gpg} --armor --detach-sign;; esac")
    }

    #[test]
    fn gpg_with_one_and_two_keys_keeps_the_contract() {
        let mut gpg = Gpg::new();
        gpg.at(clock());
        let one = gpg.key("one <one@example.org>", "ed25519", "sign", "1y");
        let two = gpg.key("two <two@example.org>", "rsa2048", "sign", "1y");
        let certificates = PublicCertificate::read_all("test", &[gpg.public(&one), gpg.public(&two)].concat()).unwrap();
        contract::check(&shell(&gpg_script(&gpg, &[&one, &two]), &certificates));
        contract::check(&shell(&gpg_script(&gpg, &[&one]), &certificates[..1]));
    }

    #[test]
    fn a_program_that_fails_or_writes_something_else_is_caught() {
        let mut gpg = Gpg::new();
        gpg.at(clock());
        let one = gpg.key("one <one@example.org>", "ed25519", "sign", "1y");
        let certificates = PublicCertificate::read_all("test", &gpg.public(&one)).unwrap();
        let good = gpg_script(&gpg, &[&one]);
        for (script, expected) in [
            ("echo the token is not plugged in >&2; exit 3".to_owned(), "\"clearsign\" (exit status: 3): the token is not plugged in"),
            ("cat".to_owned(), "InRelease does not verify: it does not start with"),
            ("exit 0".to_owned(), "InRelease does not verify: it does not start with"),
            (format!("sed s/x/y/ | ({good})"), "the text in it is not Release"),
            (format!("sed '$ s/$/ /' | ({good})"), "Release.gpg does not verify"),
            (
                good.replace("SHA512", "SHA256 --comment x").replace("--armor --detach", "--detach"),
                "not exactly one armored signature block",
            ),
            (good.replace("--digest-algo SHA512", "--digest-algo SHA224"), "made with SHA224, which is broken"),
            ("exec yes".to_owned(), "it wrote more than 1048592 bytes"),
            ("yes | head -c 3000000; cat".to_owned(), "it wrote more than 1048592 bytes"),
        ] {
            let error = SignedRelease::sign(&shell(&script, &certificates), b"Origin: x", clock()).map(drop);
            assert!(matches!(error, Err(SignError::Text { .. })));
            let error = SignedRelease::sign(&shell(&script, &certificates), b"Origin:x\n", clock()).unwrap_err().to_string();
            assert!(error.contains(expected), "{script}: {error}");
        }
        let missing = CommandSigner::new(&["/nonexistent/signer".to_owned()], certificates).unwrap();
        let error = SignedRelease::sign(&missing, b"x\n", clock()).unwrap_err().to_string();
        assert_eq!(error, "cannot run the signing program /nonexistent/signer");
        assert!(CommandSigner::new(&[], Vec::new()).is_none());
    }
}
