//! Policy files: which logs and witnesses are trusted, and how many of them must agree.
//!
//! policy.md of Sigsum: lines `log <key> [url]`, `witness <name> <key> [url]`, `group <name> all|any|<number> <member>…` and
//! `quorum <name>|none`, in an order in which names are made before they are used. As strict as sigsum-go since 0.13: no
//! control characters, nothing twice, a member belongs to one group.

use std::collections::{BTreeMap, BTreeSet};

use super::tree_head::CosignedTreeHead;
use super::{PublicKey, VerifyError};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// Largest policy in bytes.
const LIMIT: usize = 256 << 10;

/// The name of the quorum that asks for no cosignature.
const NONE: &str = "none";

/// Policies that are known by name, as sigsum-go 0.14 ships them.
const BUILT_IN: [(&str, &str); 1] = [(
    "sigsum-generic-2025-1",
    "log 0ec7e16843119b120377a73913ac6acbc2d03d82432e2c36b841b09a95841f25 https://seasalp.glasklar.is
log f00c159663d09bbda6131ee1816863b6adcacfe80b0b288000b11aba8fe38314 https://ginkgo.tlog.mullvad.net
witness witness.glasklar.is b2106db9065ec97f25e09c18839216751a6e26d8ed8b41e485a563d3d1498536
witness witness.mullvad.net 15d6d0141543247b74bab3c1076372d9c894f619c376d64b29aa312cc00f61ad
witness tillitis.se/tillitis-witness-1 076be8c9ee7ea60916f0df3608c945d7730082ecb37749dad2c9ed339fea770c
group quorum-rule 2 witness.glasklar.is witness.mullvad.net tillitis.se/tillitis-witness-1
quorum quorum-rule
",
)];

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line that is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is no quorum line.
    #[error("it has no line \"quorum …\"")]
    NoQuorum,
    /// Not a text of this kind at all.
    #[error("it is no text of at most {LIMIT} bytes")]
    Text,
    /// No such built-in policy.
    #[error("there is no built-in policy \"{name}\"; known: {}", known())]
    Unknown {
        /// The name.
        name: String,
    },
}

fn known() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

/// A log of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its key.
    pub key: PublicKey,
    /// Where it answers.
    pub url: Option<String>,
}

/// A witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name in the policy.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
}

/// What must have cosigned. Members of a group stand before it, so that nothing here recurs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Witness(Sha256),
    /// So many of these, by their places among the rules.
    Group(usize, Vec<usize>),
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    rules: Vec<Rule>,
    quorum: Quorum,
}

/// The quorum's name, and its place among the rules; none asks for nothing.
type Quorum = (String, Option<usize>);

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The first line that is wrong, or a line that is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = str::from_utf8(bytes).ok().filter(|text| text.len() <= LIMIT).ok_or(PolicyError::Text)?;
        let mut builder = Builder::default();
        for (number, line) in text.split('\n').enumerate() {
            let wrong = |problem| PolicyError::Line { line: number + 1, problem };
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.chars().any(|letter| letter.is_ascii_control() && letter != '\t') {
                return Err(wrong("it has a control character".to_owned()));
            }
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            builder.line(&words).map_err(wrong)?;
        }
        let quorum = builder.quorum.ok_or(PolicyError::NoQuorum)?;
        Ok(Self { logs: builder.logs, witnesses: builder.witnesses, rules: builder.rules, quorum })
    }

    /// Returns the built-in policy of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn built_in(name: &str) -> Result<Self, PolicyError> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| PolicyError::Unknown { name: name.chars().take(80).collect() })?;
        Self::parse(text.as_bytes())
    }

    /// Returns the logs, in the order of the file.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// Returns the witnesses, in the order of the file.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Returns the name of the quorum.
    pub fn quorum(&self) -> &str {
        &self.quorum.0
    }

    /// Returns the log with this key hash.
    pub fn log(&self, key_hash: &Sha256) -> Option<&Log> {
        self.logs.iter().find(|log| log.key.hash() == *key_hash)
    }

    /// Checks that a log signed a tree head and that enough witnesses cosigned it; returns who did and when. Cosignatures that do
    /// not hold, or are by strangers, count for nothing.
    ///
    /// # Errors
    /// Too few, or not signed.
    pub fn check(&self, log: &PublicKey, head: &CosignedTreeHead) -> Result<Vec<(String, Timestamp)>, VerifyError> {
        if !head.is_by(log) {
            return Err(VerifyError::TreeHead);
        }
        let (mut cosigned, mut names) = (BTreeSet::new(), Vec::new());
        for witness in &self.witnesses {
            let own = head.cosignatures.iter().find(|cosignature| cosignature.witness == witness.key.hash());
            if let Some(own) = own.filter(|own| head.is_cosigned_by(&witness.key, own, log)) {
                cosigned.insert(own.witness);
                names.push((witness.name.clone(), own.time));
            }
        }
        if self.accepts(&cosigned) {
            Ok(names)
        } else {
            Err(VerifyError::Quorum { good: cosigned.len(), quorum: self.quorum().to_owned() })
        }
    }

    fn accepts(&self, cosigned: &BTreeSet<Sha256>) -> bool {
        let mut accepted: Vec<bool> = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let good = |member: &&usize| accepted.get(**member).copied().unwrap_or_default();
            let accepts = match rule {
                Rule::Witness(key_hash) => cosigned.contains(key_hash),
                Rule::Group(threshold, members) => members.iter().filter(good).count() >= *threshold,
            };
            accepted.push(accepts);
        }
        self.quorum.1.is_none_or(|quorum| accepted.get(quorum).copied().unwrap_or_default())
    }
}

#[derive(Default)]
struct Builder {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    rules: Vec<Rule>,
    /// Where a name's rule stands.
    names: BTreeMap<String, usize>,
    /// Members of groups, and of which.
    members: BTreeMap<String, String>,
    quorum: Option<Quorum>,
}

impl Builder {
    fn line(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key, url @ ..] if url.len() < 2 => self.log(key, url.first().copied()),
            ["witness", name, key, url @ ..] if url.len() < 2 => self.witness(name, key),
            ["group", name, threshold, members @ ..] if !members.is_empty() => self.group(name, threshold, members),
            ["quorum", name] => self.set_quorum(name),
            ["log", ..] => Err("it should be \"log KEY [URL]\"".to_owned()),
            ["witness", ..] => Err("it should be \"witness NAME KEY [URL]\"".to_owned()),
            ["group", ..] => Err("it should be \"group NAME all|any|NUMBER MEMBER…\"".to_owned()),
            ["quorum", ..] => Err("it should be \"quorum NAME\"".to_owned()),
            [other, ..] => Err(format!("\"{}\" is not known here", other.escape_debug())),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), String> {
        let key: PublicKey = key.parse().map_err(|fault| format!("the log's key: {fault}"))?;
        if self.logs.iter().any(|log| log.key == key) {
            return Err(format!("the log {key} stands twice"));
        }
        self.logs.push(Log { key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), String> {
        let key: PublicKey = key.parse().map_err(|fault| format!("the witness's key: {fault}"))?;
        if self.witnesses.iter().any(|witness| witness.key == key) {
            return Err(format!("the witness {key} stands twice"));
        }
        self.name(name, Rule::Witness(key.hash()))?;
        self.witnesses.push(Witness { name: name.to_owned(), key });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), String> {
        let threshold = match threshold {
            "any" => 1,
            "all" => members.len(),
            number => number.parse().map_err(|_| format!("\"{}\" is neither all nor any nor a number", number.escape_debug()))?,
        };
        if !(1..=members.len()).contains(&threshold) {
            return Err(format!("{threshold} of {} members cannot be", members.len()));
        }
        if self.is_taken(name) {
            return Err(format!("the name \"{}\" stands twice", name.escape_debug()));
        }
        let mut rules = Vec::new();
        for member in members {
            if let Some(other) = self.members.get(*member) {
                return Err(format!("\"{}\" is in the group \"{}\" already", member.escape_debug(), other.escape_debug()));
            }
            rules.push(self.find(member)?);
            self.members.insert((*member).to_owned(), name.to_owned());
        }
        self.name(name, Rule::Group(threshold, rules))
    }

    fn set_quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("a second quorum".to_owned());
        }
        let place = if name == NONE { None } else { Some(self.find(name)?) };
        self.quorum = Some((name.to_owned(), place));
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.names.get(name).copied().ok_or_else(|| format!("\"{}\" is no witness or group so far", name.escape_debug()))
    }

    fn is_taken(&self, name: &str) -> bool {
        name == NONE || self.names.contains_key(name)
    }

    fn name(&mut self, name: &str, rule: Rule) -> Result<(), String> {
        if self.is_taken(name) {
            return Err(format!("the name \"{}\" stands twice", name.escape_debug()));
        }
        self.names.insert(name.to_owned(), self.rules.len());
        self.rules.push(rule);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn key(number: u8) -> String {
        format!("{number:02x}").repeat(32)
    }

    fn parse(text: &str) -> Result<Policy, String> {
        Policy::parse(text.as_bytes()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn groups_of_groups_count_as_they_should() {
        let witnesses: String = (1..=5).map(|number| format!("witness W{number} {} http://w{number}\n", key(number))).collect();
        let policy = parse(&format!(
            "# example\n  log {} https://log.example.org\n\n{witnesses}\tgroup G1 any W1 W2\r\ngroup G2 2 W3 W4 W5\ngroup G3 all G1 G2\nquorum G3\nlog {}",
            key(9),
            key(10)
        ))
        .unwrap();
        let urls: Vec<_> = policy.logs().iter().map(|log| log.url.as_deref()).collect();
        assert_eq!(urls, [Some("https://log.example.org"), None]);
        let hash = |number: &u8| PublicKey::from_bytes([*number; 32]).hash();
        let table: [(&[u8], bool); 9] = [
            (&[], false),
            (&[1], false),
            (&[2], false),
            (&[3], false),
            (&[3, 4, 5], false),
            (&[1, 2], false),
            (&[1, 3], false),
            (&[1, 3, 4], true),
            (&[2, 3, 5], true),
        ];
        for (cosigned, accepted) in table {
            assert_eq!(policy.accepts(&cosigned.iter().map(hash).collect()), accepted, "{cosigned:?}");
        }
        assert!(parse(&format!("{witnesses}quorum none\n")).unwrap().accepts(&BTreeSet::new()));
        let one = parse(&format!("{witnesses}quorum W2\n")).unwrap();
        assert_eq!((one.accepts(&[hash(&2)].into()), one.accepts(&[hash(&1)].into())), (true, false));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let (one, two) = (key(1), key(2));
        let table = [
            (String::new(), "no line \"quorum"),
            (format!("log {one}\n"), "no line \"quorum"),
            ("quorum none\nquorum none\n".to_owned(), "line 2: a second quorum"),
            ("quorum W\n".to_owned(), "line 1: \"W\" is no witness"),
            ("quorum none extra\n".to_owned(), "line 1: it should be"),
            ("logs x\n".to_owned(), "line 1: \"logs\" is not known"),
            ("log xy\n".to_owned(), "line 1: the log's key: 64 hexadecimal"),
            (format!("log {one} a b\n"), "line 1: it should be"),
            (format!("log {one}\nlog {one}\n"), "line 2: the log"),
            (format!("witness A {one}\nwitness A {two}\n"), "line 2: the name \"A\""),
            (format!("witness A {one}\nwitness B {one}\n"), "line 2: the witness"),
            (format!("witness none {one}\n"), "line 1: the name \"none\""),
            (format!("witness A {one}\ngroup none any A\n"), "line 2: the name \"none\""),
            (format!("witness A {one}\ngroup G any A\ngroup H any A\n"), "line 3: \"A\" is in the group \"G\" already"),
            (format!("witness A {one}\ngroup G all A A\n"), "line 2: \"A\" is in the group"),
            (format!("witness A {one}\ngroup G 2 A\n"), "line 2: 2 of 1 members"),
            (format!("witness A {one}\ngroup G 0 A\n"), "line 2: 0 of 1 members"),
            (format!("witness A {one}\ngroup G some A\n"), "line 2: \"some\" is neither"),
            (format!("witness A {one}\ngroup G any none\n"), "line 2: \"none\" is no witness"),
            (format!("witness A {one}\ngroup G any G\n"), "line 2: \"G\" is no witness"),
            ("# \u{1}\nquorum none\n".to_owned(), "line 1: it has a control character"),
        ];
        for (text, expected) in table {
            let fault = parse(&text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }

    #[test]
    fn built_in_policies_are_sound() {
        for (name, _) in BUILT_IN {
            let policy = Policy::built_in(name).unwrap();
            assert!(policy.logs().iter().all(|log| log.url.is_some()) && !policy.accepts(&BTreeSet::new()), "{name}");
        }
        assert!(matches!(Policy::built_in("x"), Err(PolicyError::Unknown { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(log|witness|group|quorum|none|any|all|[0-9a-f]{64}|[A-C1-3 \\n\\t#]){0,40}") {
            let _ = Policy::parse(text.as_bytes());
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Policy::parse(&bytes);
        }
    }
}
