//! Conversions between kinds: `int()`, `string()`, `timestamp()` and the others.

use super::super::{go, time};
use super::eval::Outcome;
use super::fault::Fault;
use super::value::Val;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    let [value] = args else {
        return None;
    };
    Some(match (name, value) {
        ("int", value) => to_int(value)?.map(Val::Int),
        ("uint", value) => to_uint(value)?.map(Val::Uint),
        ("double", value) => to_double(value)?.map(Val::Double),
        ("string", Val::Text(_))
        | ("bytes", Val::Bytes(_))
        | ("bool", Val::Bool(_))
        | ("timestamp", Val::Timestamp(_))
        | ("duration", Val::Duration(_)) => Ok(value.clone()),
        ("string", Val::Bytes(bytes)) => std::str::from_utf8(bytes)
            .map(Val::text)
            .map_err(|_| Fault::error("invalid UTF-8 in bytes, cannot convert to string")),
        ("string", value) => Ok(Val::text(text_of(value)?)),
        ("bytes", Val::Text(text)) => Ok(Val::Bytes(text.as_str().as_bytes().into())),
        ("bool", Val::Text(text)) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => Err(from_text("bool")),
        },
        ("timestamp", Val::Int(seconds)) => jiff::Timestamp::from_second(*seconds)
            .map(Val::Timestamp)
            .map_err(|_| Fault::error("timestamp overflow")),
        ("timestamp", Val::Text(text)) => text
            .as_str()
            .parse()
            .map(Val::Timestamp)
            .map_err(|_| from_text("google.protobuf.Timestamp")),
        ("duration", Val::Text(text)) => {
            let nanos = time::parse_duration(text.as_str());
            nanos
                .map(Val::Duration)
                .ok_or_else(|| from_text("google.protobuf.Duration"))
        }
        _ => return None,
    })
}

fn to_int(value: &Val<'_>) -> Option<Result<i64, Fault>> {
    let overflow = || Fault::error("integer overflow");
    Some(match value {
        Val::Int(n) => Ok(*n),
        Val::Uint(n) => i64::try_from(*n).map_err(|_| overflow()),
        Val::Double(n) if n.abs() < 9_223_372_036_854_775_807.0 => Ok(go::truncated(*n)),
        Val::Double(_) => Err(overflow()),
        Val::Text(text) => parsed(text.as_str(), "int"),
        Val::Timestamp(at) => Ok(at.as_second()),
        _ => return None,
    })
}

fn to_uint(value: &Val<'_>) -> Option<Result<u64, Fault>> {
    let overflow = || Fault::error("unsigned integer overflow");
    Some(match value {
        Val::Uint(n) => Ok(*n),
        Val::Int(n) => u64::try_from(*n).map_err(|_| overflow()),
        Val::Double(n) if *n > -1.0 && *n < 18_446_744_073_709_551_615.0 => {
            format!("{:.0}", n.trunc().abs()).parse().map_err(|_| overflow())
        }
        Val::Double(_) => Err(overflow()),
        Val::Text(text) => parsed(text.as_str(), "uint"),
        _ => return None,
    })
}

fn to_double(value: &Val<'_>) -> Option<Result<f64, Fault>> {
    Some(match value {
        Val::Double(n) => Ok(*n),
        Val::Int(n) => Ok(go::nearest(*n)),
        Val::Uint(n) => parsed(&n.to_string(), "double"),
        Val::Text(text) => parsed(text.as_str(), "double"),
        _ => return None,
    })
}

/// A number of a string.
fn parsed<T: std::str::FromStr>(text: &str, wanted: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| from_text(wanted))
}

fn from_text(wanted: &str) -> Fault {
    Fault::Error(format!("type conversion error from 'string' to '{wanted}'"))
}

/// The string of a value, when it has one.
pub(super) fn text_of(value: &Val<'_>) -> Option<String> {
    Some(match value {
        Val::Text(text) => text.as_str().to_owned(),
        Val::Bool(flag) => flag.to_string(),
        Val::Int(n) => n.to_string(),
        Val::Uint(n) => n.to_string(),
        Val::Double(n) => double_text(*n),
        Val::Duration(nanos) => duration_text(*nanos),
        Val::Timestamp(at) => at.to_string(),
        Val::Ip(ip) => ip.to_string(),
        Val::Cidr(ip, length) => format!("{ip}/{length}"),
        Val::Type(name) => (*name).to_owned(),
        _ => return None,
    })
}

/// A float as Go's `%g` prints it with as many digits as needed.
fn double_text(value: f64) -> String {
    go::float(value)
}

/// A duration in seconds: `5400s`, `1.5s`.
fn duration_text(nanos: i64) -> String {
    let magnitude = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) = (
        magnitude.div_euclid(1_000_000_000),
        magnitude.rem_euclid(1_000_000_000),
    );
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}
