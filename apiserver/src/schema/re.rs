//! Regular expressions as Go reads them, on the `regex` crate: both never backtrack, but a few spellings differ.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Bytes that one compiled expression may take; Kubernetes has a limit of the same order by the rule's length.
const SIZE_MAX: usize = 32 << 20;

/// Compiles an expression that was written for Go.
///
/// # Errors
/// The text says what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&translate(pattern))
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| reason(pattern, &error.to_string()))
}

/// What is wrong, in Go's words where both have them, by the last line of the crate's report.
fn reason(pattern: &str, report: &str) -> String {
    let line = report
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let why = match line {
        "unclosed group" => format!("missing closing ): `{pattern}`"),
        "unopened group" => format!("unexpected ): `{pattern}`"),
        other => other.to_owned(),
    };
    format!("error parsing regexp: {why}")
}

/// Writes Go's classes out, which are of ASCII only, and escapes what only Go takes literally.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len().saturating_mul(2));
    let mut rest = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut out, &mut rest, in_class),
            '[' if in_class => class_bracket(&mut out, &mut rest),
            '[' => {
                in_class = true;
                open_class(&mut out, &mut rest);
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && rest.peek() == Some(&'-') => out.push_str("\\-"),
            '{' if !in_class && !is_repeat(&rest) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    out
}

/// After a backslash.
fn escape(out: &mut String, rest: &mut Peekable<Chars<'_>>, in_class: bool) {
    let Some(c) = rest.next() else {
        out.push('\\');
        return;
    };
    match c {
        'd' => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
        'w' => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
        's' => out.push_str(if in_class {
            "\\t\\n\\f\\r "
        } else {
            "[\\t\\n\\f\\r ]"
        }),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'S' => out.push_str("[^\\t\\n\\f\\r ]"),
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        'Q' => {
            let mut quoted = String::new();
            while let Some(c) = rest.next() {
                if c == '\\' && rest.peek() == Some(&'E') {
                    rest.next();
                    break;
                }
                quoted.push(c);
            }
            out.push_str(&regex::escape(&quoted));
        }
        '<' | '>' => out.push(c),
        c => {
            out.push('\\');
            out.push(c);
        }
    }
}

/// After the bracket that opens a class: a `]` in front stands for itself.
fn open_class(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if rest.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
}

/// A bracket inside a class: the beginning of `[:alpha:]`, or itself.
fn class_bracket(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    out.push_str(if rest.peek() == Some(&':') { "[" } else { "\\[" });
    if rest.peek() == Some(&':') {
        for c in rest.by_ref() {
            out.push(c);
            if c == ']' {
                break;
            }
        }
    }
}

/// Whether what follows a brace makes it a repetition: `n}`, `n,}` or `n,m}`.
fn is_repeat(rest: &Peekable<Chars<'_>>) -> bool {
    let mut digits = false;
    let mut commas = 0;
    for c in rest.clone() {
        match c {
            '0'..='9' => digits = true,
            ',' if digits && commas == 0 => commas = 1,
            '}' => return digits,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_them_as_go_does() {
        let cases = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.-]+$", "a_b.c-d", true),
            (r"^\w$", "ü", false),
            (r"^[\D]$", "x", true),
            (r"^[a[]+$", "a[", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[]a]+$", "]a", true),
            (r"^a{,5}$", "a{,5}", true),
            (r"^a{2,3}$", "aaa", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$", "Größe 1", true),
            (r"\bfoo\b", "a foo b", true),
            (r"a\/b", "a/b", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                compile(pattern).unwrap().is_match(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(compile("a(").is_err());
        assert!(compile("(?=x)").is_err());
    }
}
