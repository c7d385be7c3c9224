//! Strings that stand for something else, read as Go reads them: quantities, bytes, moments.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

/// How Go writes the form of `metav1.Time`.
const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
/// How Go writes the form of `metav1.MicroTime`.
const MICROSECONDS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Quantities are numbers with an optional suffix.
pub(super) fn check_quantity(value: &Value) -> Result<(), String> {
    static FORM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$").ok());
    let is_one = match value {
        Value::String(text) => FORM.as_ref().is_none_or(|form| form.is_match(text)),
        other => other.is_number() || other.is_null(),
    };
    let wrong = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    if is_one { Ok(()) } else { Err(wrong.to_owned()) }
}

/// Base64 in its standard alphabet, with padding; line breaks count for nothing.
pub(super) fn check_bytes(text: &str) -> Result<(), String> {
    match illegal_byte(text.as_bytes()) {
        None => Ok(()),
        Some(place) => Err(format!("illegal base64 data at input byte {place}")),
    }
}

/// The place that Go names of what is not base64.
fn illegal_byte(text: &[u8]) -> Option<usize> {
    let is_break = |byte: u8| byte == b'\n' || byte == b'\r';
    let mut letters = text
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, byte)| !is_break(*byte))
        .peekable();
    let mut in_quantum = 0_usize;
    while let Some((place, byte)) = letters.next() {
        if byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/' {
            in_quantum = if in_quantum == 3 {
                0
            } else {
                in_quantum.saturating_add(1)
            };
            continue;
        }
        if byte != b'=' || in_quantum < 2 {
            return Some(place);
        }
        if in_quantum == 2 {
            match letters.next() {
                None => return Some(text.len()),
                Some((_, b'=')) => {}
                // The first of the two signs is at fault.
                Some((second, _)) => return Some(second.saturating_sub(1)),
            }
        }
        return letters.next().map(|(place, _)| place);
    }
    (in_quantum > 0).then(|| text.len().saturating_sub(in_quantum))
}

/// Brings a moment to the form in which it is written: in UTC, to the second.
pub(super) fn read_time(value: &mut Value) -> Result<(), String> {
    read(value, SECONDS, "%Y-%m-%dT%H:%M:%SZ")
}

/// Brings a moment to the form in which it is written: in UTC, to the microsecond.
pub(super) fn read_micro_time(value: &mut Value) -> Result<(), String> {
    read(value, MICROSECONDS, "%Y-%m-%dT%H:%M:%S.%6fZ")
}

fn read(value: &mut Value, layout: &str, form: &str) -> Result<(), String> {
    let text = value.as_str().unwrap_or_default();
    let wrong = |why: String| format!("parsing time {text:?}{why}");
    check_layout(text, layout)
        .map_err(|(rest, part)| wrong(format!(" as {layout:?}: cannot parse {rest:?} as {part:?}")))?;
    let moment: Timestamp = text.parse().map_err(|_| wrong(": day out of range".to_owned()))?;
    *value = moment.strftime(form).to_string().into();
    Ok(())
}

/// The parts of both layouts before the fraction: how many digits, or which sign.
const PARTS: [(&str, usize); 11] = [
    ("2006", 4),
    ("-", 0),
    ("01", 2),
    ("-", 0),
    ("02", 2),
    ("T", 0),
    ("15", 2),
    (":", 0),
    ("04", 2),
    (":", 0),
    ("05", 2),
];

/// The rest of the text and the part of the layout where the two part.
fn check_layout<'a>(text: &'a str, layout: &str) -> Result<(), (&'a str, &'static str)> {
    let mut rest = text;
    for (part, digits) in PARTS {
        rest = match digits {
            0 => rest.strip_prefix(part),
            digits => without_digits(rest, digits),
        }
        .ok_or((rest, part))?;
    }
    let fraction = rest.strip_prefix('.');
    if layout == MICROSECONDS {
        let exact = fraction.and_then(|digits| without_digits(digits, 6));
        rest = exact.ok_or((rest, ".000000"))?;
    } else if let Some(digits) = fraction.filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
        rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    if rest == "Z" || is_offset(rest) {
        Ok(())
    } else {
        Err((rest, "Z07:00"))
    }
}

fn without_digits(text: &str, count: usize) -> Option<&str> {
    let (digits, rest) = text.split_at_checked(count)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
}

/// Whether it is an offset such as `+07:00`.
fn is_offset(text: &str) -> bool {
    let hours = text
        .strip_prefix(['+', '-'])
        .and_then(|rest| without_digits(rest, 2));
    let minutes = hours.and_then(|rest| rest.strip_prefix(':'));
    minutes.and_then(|rest| without_digits(rest, 2)) == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_wrong_where_go_finds_it() {
        for good in ["", "YQ==", "YWI=", "YWJj", "YW\nJj\r\n", "+/+/"] {
            assert_eq!(illegal_byte(good.as_bytes()), None, "{good}");
        }
        // What Go's encoding/base64 says.
        let cases = [
            ("?", 0),
            ("Y", 0),
            ("YQ", 0),
            ("YQ=", 3),
            ("YQ=a", 2),
            ("YWJj=", 4),
            ("YQ==YQ", 4),
        ];
        for (bad, place) in cases {
            assert_eq!(illegal_byte(bad.as_bytes()), Some(place), "{bad}");
        }
    }

    #[test]
    fn moments_are_written_in_utc() {
        let of = |read: fn(&mut Value) -> Result<(), String>, text: &str| {
            let mut value = Value::from(text);
            read(&mut value).map(|()| value.as_str().unwrap().to_owned())
        };
        assert_eq!(
            of(read_time, "2026-01-01T02:00:00.5+02:00").unwrap(),
            "2026-01-01T00:00:00Z"
        );
        assert_eq!(
            of(read_micro_time, "2026-01-01T00:00:00.000010Z").unwrap(),
            "2026-01-01T00:00:00.000010Z"
        );
        assert_eq!(
            of(read_micro_time, "2026-01-01T00:00:05Z").unwrap_err(),
            "parsing time \"2026-01-01T00:00:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \
             \".000000\""
        );
        assert_eq!(
            of(read_time, "yesterday").unwrap_err(),
            "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\""
        );
        assert_eq!(
            of(read_time, "2026-02-30T00:00:00Z").unwrap_err(),
            "parsing time \"2026-02-30T00:00:00Z\": day out of range"
        );
        assert_eq!(
            of(read_time, "2026-01-01T00:00:00").unwrap_err(),
            "parsing time \"2026-01-01T00:00:00\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\""
        );
    }
}
