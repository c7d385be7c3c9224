//! What the user is told: results on standard output, progress on standard error.

use std::io::Write as _;

/// A line of the result. A reader that went away is no concern of ours.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line about what goes on.
pub(super) fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
