//! Operands with a type: what a value must look like, and how two of them are ordered.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::errors::Expected;

/// A value that is validated when the expression is parsed.
pub(super) trait Operand: Sized {
    /// What a text that is not one is told.
    const EXPECTED: Expected;

    /// Reads the operand from the expression.
    fn parse(text: &str) -> Option<Self>;

    /// The text it was read from, or one that reads the same and is not longer.
    fn to_text(&self) -> String;
}

impl Operand for i64 {
    const EXPECTED: Expected = Expected::Integer;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// A version: numbers separated by dots. [CQL-13]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    text: String,
    components: Vec<u64>,
}

impl Version {
    /// Reads what an agent reports, which may have a `v` before and a build after the numbers (`v1.31.2+k3s1`).
    pub(super) fn reported(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        Self::parse(numbers.split(['-', '+']).next().unwrap_or(numbers))
    }

    /// Orders by number, component by component; a missing component counts as 0. [CQL-13]
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let length = self.components.len().max(other.components.len());
        let padded = |version: &Self| -> Vec<u64> {
            version
                .components
                .iter()
                .copied()
                .chain(std::iter::repeat(0))
                .take(length)
                .collect()
        };
        padded(self).cmp(&padded(other))
    }
}

impl Operand for Version {
    const EXPECTED: Expected = Expected::Version;

    fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| if is_digits(part) { part.parse().ok() } else { None };
        let components = text.split('.').map(number).collect::<Option<Vec<u64>>>()?;
        Some(Self {
            text: text.to_owned(),
            components,
        })
    }

    fn to_text(&self) -> String {
        self.text.clone()
    }
}

/// An instant in one of the documented forms. [CQL-14]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instant {
    text: String,
    at: Timestamp,
}

impl Instant {
    /// Orders by whole seconds, so that `==`, `<` and `<=` agree with each other. [CQL-14]
    pub(super) fn compare(&self, registered_at: Timestamp) -> Ordering {
        registered_at.as_second().cmp(&self.at.as_second())
    }
}

impl Operand for Instant {
    const EXPECTED: Expected = Expected::Instant;

    /// Without a zone: UTC; a date alone: midnight UTC. [CQL-14]
    fn parse(text: &str) -> Option<Self> {
        // The date library accepts more forms than the language does, so the shape is looked at first.
        let shape: String = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        let at = match shape.as_str() {
            "0000-00-00" => in_utc(text.parse::<Date>().ok()?.at(0, 0, 0, 0))?,
            "0000-00-00T00:00:00" => in_utc(text.parse().ok()?)?,
            "0000-00-00T00:00:00Z" | "0000-00-00T00:00:00+00:00" | "0000-00-00T00:00:00-00:00" => {
                text.parse().ok()?
            }
            _ => return None,
        };
        Some(Self {
            text: text.to_owned(),
            at,
        })
    }

    fn to_text(&self) -> String {
        self.text.clone()
    }
}

fn in_utc(civil: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// Orders two texts as numbers if both are, else by code point. [CQL-20]
pub(super) fn compare_texts(left: &str, right: &str) -> Ordering {
    match (Decimal::parse(left), Decimal::parse(right)) {
        (Some(left), Some(right)) => left.compare(&right),
        (None, _) | (_, None) => left.cmp(right),
    }
}

/// A decimal number of any length, compared exactly: `-12.50`.
struct Decimal<'a> {
    is_negative: bool,
    /// Without leading zeros.
    whole: &'a str,
    /// Without trailing zeros.
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            is_negative: is_negative && !is_zero,
            whole,
            fraction,
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        (self.whole.len(), self.whole, self.fraction).cmp(&(other.whole.len(), other.whole, other.fraction))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
