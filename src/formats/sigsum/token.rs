//! Tokens for logs with a rate limit that were made before, and which of a policy's logs each is for.
//!
//! A token is the signature of a domain's key over one log's key (log.md section 2.3), so it is good at that log alone, and any
//! other that saw it could use it there. `sigsum-token create` prints it as `<domain> <signature>`; who submits to several logs
//! puts the log before each: `<log> <domain> <signature>`, by its key, its key hash or its address.

use std::fmt;

use super::Signature;
use super::policy::Log;

/// What `sigsum-token create` prints before a token, as an HTTP field.
const FIELD: &str = "sigsum-token: ";

/// Why tokens cannot be used. No part of a token is said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not of that form.
    #[error("line {line} is neither \"DOMAIN SIGNATURE\", as `sigsum-token create` prints it, nor \"LOG DOMAIN SIGNATURE\"")]
    Form {
        /// The line, from 1.
        line: usize,
    },
    /// There is none.
    #[error("it holds no token")]
    Empty,
    /// Nobody knows which log it is for.
    #[error(
        "line {line} does not say for which log of the policy its token was made; write \"LOG DOMAIN SIGNATURE\" with the log's key or address"
    )]
    Unnamed {
        /// The line, from 1.
        line: usize,
    },
    /// The log is none of the policy's that have an address.
    #[error("line {line} names {log}, which is no log of the policy that has an address")]
    Unknown {
        /// The line, from 1.
        line: usize,
        /// The log as it is named.
        log: String,
    },
    /// Two for one log.
    #[error("line {line} has another token for the same log")]
    Twice {
        /// The line, from 1.
        line: usize,
    },
}

/// Tokens, each for one log. Their `Debug` form shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

#[derive(Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    /// The log as it is named.
    log: Option<String>,
    /// `<domain> <signature>`
    text: String,
}

impl Token {
    fn is_for(&self, log: &Log) -> bool {
        let Some(name) = &self.log else { return true };
        let address = |url: &str| url.trim_end_matches('/') == name.trim_end_matches('/');
        *name == log.key.to_string() || *name == log.key.hash().to_hex() || log.url.as_deref().is_some_and(address)
    }
}

impl Tokens {
    /// Reads tokens, one a line, for the logs of a policy. One that names no log is for the only log that has an address.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(text: &str, logs: &[Log]) -> Result<Self, TokenError> {
        let logs: Vec<&Log> = logs.iter().filter(|log| log.url.is_some()).collect();
        let mut tokens: Vec<Token> = Vec::new();
        let lines = text.lines().map(str::trim).enumerate().map(|(at, line)| (at + 1, line));
        for (line, words) in lines.filter(|(_, line)| !line.is_empty()) {
            let token = read(line, words)?;
            if token.log.is_none() && logs.len() != 1 {
                return Err(TokenError::Unnamed { line });
            }
            let own = logs.iter().find(|log| token.is_for(log));
            let own = own.ok_or_else(|| TokenError::Unknown { line, log: token.log.clone().unwrap_or_default() })?;
            if tokens.iter().any(|other| other.is_for(own)) {
                return Err(TokenError::Twice { line });
            }
            tokens.push(token);
        }
        if tokens.is_empty() { Err(TokenError::Empty) } else { Ok(Self(tokens)) }
    }

    /// Returns what is sent to a log, `<domain> <signature>`; `None` where there is nothing for it.
    pub fn of(&self, log: &Log) -> Option<&str> {
        self.0.iter().find(|token| token.is_for(log)).map(|token| token.text.as_str())
    }
}

fn read(line: usize, words: &str) -> Result<Token, TokenError> {
    let form = || TokenError::Form { line };
    let words = words.strip_prefix(FIELD).unwrap_or(words);
    let (log, domain, signature) = match words.split(' ').collect::<Vec<_>>().as_slice() {
        [domain, signature] => (None, *domain, *signature),
        [log, domain, signature] => (Some((*log).to_owned()), *domain, *signature),
        _ => return Err(form()),
    };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let whole = plain(domain) && log.as_deref().is_none_or(plain) && signature.parse::<Signature>().is_ok();
    if whole { Ok(Token { line, log, text: format!("{domain} {signature}") }) } else { Err(form()) }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|token| &token.log)).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::formats::sigsum::PublicKey;

    fn log(number: u8, url: Option<&str>) -> Log {
        Log { key: PublicKey::from_bytes([number; 32]), url: url.map(str::to_owned) }
    }

    #[test]
    fn a_token_goes_to_the_log_that_it_was_made_for_and_to_no_other() {
        let logs = [log(1, Some("https://one.example/")), log(2, Some("https://two.example")), log(3, None)];
        let (first, second) = ("11".repeat(64), "22".repeat(64));
        for one in ["https://one.example", "https://one.example/", &logs[0].key.to_string(), &logs[0].key.hash().to_hex()] {
            let text = format!("{one} deb.example.org {first}\n\n  https://two.example deb.example.org {second}\n");
            let tokens = Tokens::parse(&text, &logs).unwrap();
            assert_eq!(tokens.of(&logs[0]), Some(format!("deb.example.org {first}").as_str()));
            assert_eq!(tokens.of(&logs[1]), Some(format!("deb.example.org {second}").as_str()));
            assert_eq!(tokens.of(&logs[2]), None);
            assert!(!format!("{tokens:?}").contains(&first));
            let only = Tokens::parse(&format!("{one} deb.example.org {first}"), &logs).unwrap();
            assert_eq!((only.of(&logs[0]).is_some(), only.of(&logs[1])), (true, None));
        }
        // As the program prints it, where there is no choice.
        let tokens = Tokens::parse(&format!("sigsum-token: deb.example.org {first}\n"), &logs[..1]).unwrap();
        assert_eq!(tokens.of(&logs[0]), Some(format!("deb.example.org {first}").as_str()));
    }

    #[test]
    fn what_could_reach_a_log_that_it_is_not_for_is_refused() {
        let logs = [log(1, Some("https://one.example")), log(2, Some("https://two.example")), log(3, None)];
        let token = format!("deb.example.org {}", "ab".repeat(64));
        let refused = |text: &str| Tokens::parse(text, &logs).unwrap_err();
        assert_eq!(refused(&token), TokenError::Unnamed { line: 1 });
        assert_eq!(refused("\n \n"), TokenError::Empty);
        let [stranger, silent] = [4, 3].map(|number| PublicKey::from_bytes([number; 32]).to_string());
        for log in [stranger, silent, "https://three.example".to_owned()] {
            assert_eq!(refused(&format!("{log} {token}")), TokenError::Unknown { line: 1, log });
        }
        let twice = format!("https://one.example {token}\n{} {token}", logs[0].key);
        assert_eq!(refused(&twice), TokenError::Twice { line: 2 });
        let (short, more, blanks) = (&token[..token.len() - 1], format!("a b {token}"), token.replace(' ', "  "));
        for bad in [short, "deb.example.org", &more, &blanks, &token.replace("ab", "zz")] {
            let fault = refused(bad);
            assert_eq!(fault, TokenError::Form { line: 1 });
            assert!(!fault.to_string().contains("abab"), "{fault}");
        }
    }
}
