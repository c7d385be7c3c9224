//! `text.format(args)`.

use std::iter::Peekable;
use std::str::Chars;

use super::super::go;
use super::convert::text_of;
use super::fault::Fault;
use super::library::RESULT_MAX;
use super::value::Val;

/// Digits behind the point when no number is given.
const PRECISION: usize = 6;
/// Most digits that are given.
const PRECISION_MAX: usize = 1000;

/// The number behind a point, if there is one.
fn precision(rest: &mut Peekable<Chars<'_>>) -> Result<Option<usize>, Fault> {
    if rest.next_if_eq(&'.').is_none() {
        return Ok(None);
    }
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    let precision: usize = digits
        .parse()
        .map_err(|_| Fault::error("could not find end of precision specifier"))?;
    Ok(Some(precision.min(PRECISION_MAX)))
}

/// Puts the arguments in for the clauses.
pub(super) fn format(text: &str, args: &[Val<'_>]) -> Result<String, Fault> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if rest.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let precision = precision(&mut rest)?;
        let verb = rest
            .next()
            .ok_or_else(|| Fault::error("unexpected end of string"))?;
        let arg = args.next().ok_or_else(|| {
            Fault::Error(format!(
                "index {} out of range",
                text.matches('%').count().saturating_sub(1)
            ))
        })?;
        let clause = clause(verb, precision, arg);
        out.push_str(&clause.ok_or_else(|| wrong(verb, arg))?);
        if out.len() > RESULT_MAX {
            return Err(Fault::Exhausted);
        }
    }
    Ok(out)
}

fn wrong(verb: char, arg: &Val<'_>) -> Fault {
    let given = arg.type_name();
    Fault::Error(match verb {
        's' => format!(
            "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {given}"
        ),
        'd' => {
            format!("error during formatting: decimal clause can only be used on integers, was given {given}")
        }
        'f' => format!(
            "error during formatting: fixed-point clause can only be used on doubles, was given {given}"
        ),
        'e' => format!(
            "error during formatting: scientific clause can only be used on doubles, was given {given}"
        ),
        'b' => format!(
            "error during formatting: only integers and bools can be formatted as binary, was given {given}"
        ),
        'x' | 'X' => format!(
            "error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given {given}"
        ),
        'o' => {
            format!("error during formatting: octal clause can only be used on integers, was given {given}")
        }
        _ => format!("could not parse formatting clause: unrecognized formatting clause \"{verb}\""),
    })
}

fn clause(verb: char, precision: Option<usize>, arg: &Val<'_>) -> Option<String> {
    let precision = precision.unwrap_or(PRECISION);
    Some(match (verb, arg) {
        ('s', arg) => shown(arg)?,
        ('d', Val::Int(n)) => n.to_string(),
        ('d', Val::Uint(n)) => n.to_string(),
        ('f', Val::Double(n)) => fixed(*n, precision),
        ('e', Val::Double(n)) => scientific(*n),
        ('b', Val::Int(n)) => signed(*n, |n| format!("{n:b}")),
        ('b', Val::Uint(n)) => format!("{n:b}"),
        ('b', Val::Bool(flag)) => u8::from(*flag).to_string(),
        ('o', Val::Int(n)) => signed(*n, |n| format!("{n:o}")),
        ('o', Val::Uint(n)) => format!("{n:o}"),
        ('x', Val::Int(n)) => signed(*n, |n| format!("{n:x}")),
        ('X', Val::Int(n)) => signed(*n, |n| format!("{n:X}")),
        ('x', Val::Uint(n)) => format!("{n:x}"),
        ('X', Val::Uint(n)) => format!("{n:X}"),
        ('x' | 'X', Val::Text(text)) => hex(text.as_str().as_bytes(), verb == 'X'),
        ('x' | 'X', Val::Bytes(bytes)) => hex(bytes, verb == 'X'),
        _ => return None,
    })
}

fn signed(n: i64, digits: impl Fn(u64) -> String) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, digits(n.unsigned_abs()))
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes
        .iter()
        .map(|byte| {
            if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            }
        })
        .collect()
}

fn fixed(n: f64, precision: usize) -> String {
    if n.is_finite() {
        format!("{n:.precision$}")
    } else {
        special(n)
    }
}

fn special(n: f64) -> String {
    if n.is_nan() {
        "NaN"
    } else if n > 0.0 {
        "∞"
    } else {
        "-∞"
    }
    .to_owned()
}

/// With a multiplication sign and superscript digits. The server's printer has its own mind about the precision.
fn scientific(n: f64) -> String {
    if !n.is_finite() {
        return special(n);
    }
    let text = format!("{n:.PRECISION$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let raised: String = format!("{:0>2}", exponent.trim_start_matches('-'))
        .chars()
        .map(raised)
        .collect();
    let sign = if exponent.starts_with('-') { "⁻" } else { "" };
    format!("{digits}×10{sign}{raised}")
}

fn raised(digit: char) -> char {
    match digit {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        _ => '⁹',
    }
}

/// A value for `%s`.
fn shown(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Null => Some("null".to_owned()),
        Val::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Val::List(list) => {
            let items = list.items().ok()?;
            let items: Vec<String> = items.iter().map(inner).collect::<Option<_>>()?;
            Some(format!("[{}]", items.join(", ")))
        }
        Val::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for key in map.keys() {
                let value = map.find(&key).ok()??;
                entries.push((inner(&key)?, inner(&value)?));
            }
            entries.sort();
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            Some(format!("{{{}}}", entries.join(", ")))
        }
        Val::Ip(_) | Val::Cidr(..) => None,
        value => text_of(value),
    }
}

/// A value inside of a list or a map.
fn inner(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Text(text) => Some(go::quote(text.as_str())),
        Val::Bytes(bytes) => Some(format!("b{}", go::quote(&String::from_utf8_lossy(bytes)))),
        Val::Double(n) if n.is_finite() => Some(format!("{n:.PRECISION$}")),
        Val::Timestamp(_) => Some(format!("timestamp(\"{}\")", shown(value)?)),
        Val::Duration(_) => Some(format!("duration(\"{}\")", shown(value)?)),
        Val::Type(name) => Some(format!("type({name})")),
        value => shown(value),
    }
}
