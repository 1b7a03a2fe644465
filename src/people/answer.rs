//! Answers: JSON for programs, text for people, both on standard output.
//!
//! A reader that went away (a closed pipe) is no error.

use std::io::{self, Write as _};

use schemars::JsonSchema;
use serde::Serialize;

use crate::places::requests::Requests;

/// An answer of a command.
pub trait Answer: Serialize + JsonSchema {
    /// Returns the text for people, ending in a line end.
    fn text(&self) -> String;
}

/// Prints an answer in the form asked for.
pub fn print(answer: &impl Answer, json: bool) {
    let text = if json { to_json(answer) } else { answer.text() };
    print_text(&text);
}

/// Prints text on standard output.
pub fn print_text(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line on standard error.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Says how many requests were sent; nothing where no place lies behind a network.
pub fn requests(requests: &Requests) -> String {
    if requests.total() == 0 {
        return String::new();
    }
    let Requests { reads, writes, copies, removals, listings, bytes_sent, bytes_received } = requests;
    let listed = if *listings == 0 { String::new() } else { format!(", {listings} listings") };
    format!(
        "{} requests: {reads} reads, {writes} writes, {copies} copies by the server, {removals} removals{listed}; {bytes_sent} bytes sent, {bytes_received} received\n",
        requests.total()
    )
}

/// Returns the JSON form of an answer, ending in a line end.
pub fn to_json(answer: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(answer).unwrap_or_default();
    text.push('\n');
    text
}
