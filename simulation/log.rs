//! What happened, as one number that two runs of a seed must share, and in full for a reader.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The log of a run.
#[derive(Debug, Default)]
pub(crate) struct Log {
    hash: DefaultHasher,
    requests: u64,
    /// Lines, if they are kept.
    lines: Option<Vec<String>>,
    /// Whether lines are printed as they come.
    prints: bool,
}

impl Log {
    /// A log that keeps its lines.
    pub(crate) fn keeping() -> Self {
        Self {
            lines: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// A log that prints its lines.
    pub(crate) fn printing() -> Self {
        Self {
            prints: true,
            ..Self::default()
        }
    }

    /// A request and its answer. Kubernetes events are left out: kube names them by the machine's clock.
    pub(crate) fn request(&mut self, at: Duration, line: &str, sent: &[u8], code: u16, answer: &[u8]) {
        if line.contains("/events") {
            return;
        }
        self.requests += 1;
        (at, line, sent, code, answer).hash(&mut self.hash);
        if self.lines.is_none() && !self.prints {
            return;
        }
        let sent = String::from_utf8_lossy(sent);
        let text = format!(
            "{:>10.3} {line} {sent} -> {code} {:08x}",
            at.as_secs_f64(),
            short(answer)
        );
        self.say(text);
    }

    /// A line for readers.
    pub(crate) fn note(&mut self, at: Duration, text: &str) {
        if self.lines.is_some() || self.prints {
            self.say(format!("{:>10.3} * {text}", at.as_secs_f64()));
        }
    }

    fn say(&mut self, text: String) {
        if self.prints {
            eprintln!("{text}");
        }
        if let Some(lines) = &mut self.lines {
            lines.push(text);
        }
    }

    /// Takes a version of an object in.
    pub(crate) fn version(&mut self, event: &[u8]) {
        event.hash(&mut self.hash);
    }

    /// The whole run as a number.
    pub(crate) fn sum(&self) -> u64 {
        self.hash.finish()
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// The lines that were kept.
    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

fn short(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish() & 0xffff_ffff
}
