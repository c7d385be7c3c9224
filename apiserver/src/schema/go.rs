//! How the API server, a Go program, writes values into its messages: quoted strings, numbers and JSON.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// From this decimal exponent on Go writes a float with an exponent.
const EXPONENT_MAX: i32 = 21;

/// A string in double quotes, escaped as Go's `%q` does.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c != ' ' && (c.is_control() || c.is_whitespace() || c == '\u{ad}' || c == '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A float as Go's `%v` prints it: the shortest digits, with an exponent when it is small or has 21 digits and more.
pub(crate) fn float(value: f64) -> String {
    with_exponent_below(value, -4)
}

/// A float as Go's JSON encoder prints it.
fn json_float(value: f64) -> String {
    let text = with_exponent_below(value, -6);
    // The encoder shortens e-09 to e-9.
    match text.split_once("e-0") {
        Some((digits, exponent)) => format!("{digits}e-{exponent}"),
        None => text,
    }
}

fn with_exponent_below(value: f64, exponent_min: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && (exponent < exponent_min || exponent >= EXPONENT_MAX) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{value}")
}

/// A number as Go's `%v` prints it.
pub(crate) fn number(value: &Number) -> String {
    match value.as_i64() {
        Some(whole) => whole.to_string(),
        None => float(value.as_f64().unwrap_or(f64::NAN)),
    }
}

/// JSON as Go's encoder writes it: keys in order, no white space, `<`, `>` and `&` escaped.
pub(crate) fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(n) => match n.as_i64() {
            Some(whole) => {
                let _ = write!(out, "{whole}");
            }
            None => out.push_str(&json_float(n.as_f64().unwrap_or(0.0))),
        },
        Value::String(text) => write_json_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json_string(out, key);
                out.push(':');
                write_json(out, item);
            }
            out.push('}');
        }
    }
}

fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The largest whole number up to which every one has a float of its own.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// Whether a float counts as a whole number: one that is, or is so within a billionth of it, as the server measures.
pub(crate) fn is_whole(value: f64) -> bool {
    if !value.is_finite() || value.abs() > FLOAT_WHOLE_MAX + 1.0 {
        return false;
    }
    let whole = value.trunc();
    let rest = (value - whole).abs();
    rest == 0.0 || value > 1.0 && rest / (value + whole) < 1e-9
}

/// The whole part of a float, as far as 64 bits hold it.
#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the only way; it saturates"
)]
pub(crate) fn truncated(value: f64) -> i64 {
    value as i64
}

/// The nearest float.
#[allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the only way; nearest is meant"
)]
pub(crate) fn nearest(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let cases = [
            (1.0, "1"),
            (1.5, "1.5"),
            (-0.25, "-0.25"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
        assert_eq!(json(&json!(0.000_000_1)), "1e-7");
        assert_eq!(json(&json!(0.00001)), "0.00001");
    }

    #[test]
    fn strings_are_quoted_as_in_go() {
        assert_eq!(quote("a\"b\\\n\u{1}ü\u{a0}"), r#""a\"b\\\n\x01ü\u00a0""#);
        assert_eq!(
            json(&json!({"b": "<&>", "a": [1, 1.0, null]})),
            r#"{"a":[1,1,null],"b":"\u003c\u0026\u003e"}"#
        );
    }

    #[test]
    fn whole_numbers_among_floats() {
        assert!(is_whole(3.0) && is_whole(-3.0) && is_whole(0.0) && is_whole(1_000_000_000.1));
        assert!(!is_whole(1.5) && !is_whole(-1.5) && !is_whole(1e300) && !is_whole(f64::NAN));
    }
}
