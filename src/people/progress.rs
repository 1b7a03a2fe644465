//! Progress: a bar on a terminal, one line a step in CI logs, details on request. Everything goes to standard error.

use std::io::IsTerminal as _;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use super::answer::say;
use super::environment;
use crate::stories::event::Event;

/// Shows the events of one command.
pub struct Progress {
    bars: bool,
    verbose: u8,
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress {
    /// Returns a progress display for this terminal or log.
    pub fn new(verbose: u8) -> Self {
        let bars = std::io::stderr().is_terminal() && environment::variable("CI").is_none();
        Self { bars, verbose, bar: Mutex::new(None) }
    }

    /// Shows an event.
    pub fn show(&self, event: Event) {
        let mut bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Begin { step, parts } if self.bars => *bar = Some(new_bar(step, parts)),
            Event::Begin { step, parts } if self.verbose > 0 => say(&format!("{step} ({parts})")),
            Event::Begin { .. } => {}
            Event::Part { name } => {
                if let Some(bar) = &*bar {
                    bar.inc(1);
                    bar.set_message(name);
                } else if self.verbose > 1 {
                    say(&format!("  {name}"));
                }
            }
            Event::End => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
            Event::Detail(text) if self.verbose > 0 => self.line(bar.as_ref(), &text),
            Event::Detail(_) => {}
            Event::Warning(text) => self.line(bar.as_ref(), &format!("warning: {text}")),
        }
    }

    fn line(&self, bar: Option<&ProgressBar>, text: &str) {
        match bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }
}

fn new_bar(step: &'static str, parts: usize) -> ProgressBar {
    let bar = ProgressBar::new(parts as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(step);
    bar
}
