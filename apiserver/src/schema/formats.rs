//! The formats that a schema may name: what the server checks of them. A format that it doesn't know for a type it
//! ignores.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

use super::node::Type;
use super::re;
use super::url::Url;

const HOSTNAME: &str = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
const COLOUR_PART: &str = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const CREDIT_CARD: &str = r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|(222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11}|6[27][0-9]{14})$";

/// A format that is checked.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    /// As the schema spells it.
    pub name: String,
    pub check: Check,
}

/// How a format is checked.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A number that a float of 32 bits holds.
    Float,
    /// Any number.
    Double,
    /// Any string.
    Anything,
    /// Base64, which rules see decoded.
    Byte,
    /// A day, which rules see as a timestamp.
    Date,
    /// A moment, which rules see as a timestamp.
    DateTime,
    /// A span of time, which rules see as a duration.
    Duration,
    /// A string that a function takes.
    Function(fn(&str) -> bool),
    /// A string of at most so many bytes that matches.
    Match(usize, Regex),
}

impl Format {
    /// The format of a schema, when the server knows it for this type.
    pub(crate) fn of(ty: Type, name: &str) -> Option<Self> {
        let check = match ty {
            Type::Integer => match name {
                "int32" => Check::Int32,
                "int64" => Check::Int64,
                _ => return None,
            },
            Type::Number => match name {
                "float" => Check::Float,
                "double" => Check::Double,
                _ => return None,
            },
            Type::Any | Type::String => text_check(&name.replace('-', ""))?,
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            check,
        })
    }

    /// Whether a string is of this format. Formats of numbers take any.
    pub(crate) fn takes(&self, text: &str) -> bool {
        match &self.check {
            Check::Int32 | Check::Int64 | Check::Float | Check::Double | Check::Anything => true,
            Check::Byte => is_base64(text),
            Check::Date => is_date(text),
            Check::DateTime => is_date_time(text),
            Check::Duration => is_duration(text),
            Check::Function(takes) => takes(text),
            Check::Match(bytes_max, regex) => text.len() <= *bytes_max && regex.is_match(text),
        }
    }

    /// Whether the schema's format is one of strings.
    pub(crate) fn is_text(&self) -> bool {
        !matches!(
            self.check,
            Check::Int32 | Check::Int64 | Check::Float | Check::Double
        )
    }
}

/// By the name without hyphens.
fn text_check(name: &str) -> Option<Check> {
    let uuid = |version: &str, variant: &str| {
        matching(&format!(
            "(?i)^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}-?{variant}-?[0-9a-f]{{12}}$"
        ))
    };
    let any = "[0-9a-f]{4}";
    Some(match name {
        "bsonobjectid" => matching("(?i)^[0-9a-f]{24}$")?,
        "uri" => Check::Function(|text| Url::parse(text).is_ok()),
        "email" => Check::Function(is_email),
        "hostname" => Check::Function(is_hostname),
        "ipv4" => Check::Function(|text| ip(text).is_some() && text.contains('.')),
        "ipv6" => Check::Function(|text| ip(text).is_some() && text.contains(':')),
        "cidr" => Check::Function(is_cidr),
        "mac" => Check::Function(is_mac),
        "uuid" => uuid(any, any)?,
        "uuid3" => uuid("3[0-9a-f]{3}", any)?,
        "uuid4" => uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}")?,
        "uuid5" => uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}")?,
        "isbn" => Check::Function(|text| is_isbn10(text) || is_isbn13(text)),
        "isbn10" => Check::Function(is_isbn10),
        "isbn13" => Check::Function(is_isbn13),
        "creditcard" => Check::Function(is_credit_card),
        "ssn" => matching(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$")?,
        "hexcolor" => matching("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")?,
        "rgbcolor" => matching(&format!(
            r"^rgb\(\s*{COLOUR_PART}\s*,\s*{COLOUR_PART}\s*,\s*{COLOUR_PART}\s*\)$"
        ))?,
        "byte" => Check::Byte,
        "password" => Check::Anything,
        "date" => Check::Date,
        "duration" => Check::Duration,
        "datetime" => Check::DateTime,
        "k8sshortname" => Check::Match(63, re::compile(&format!("^{LABEL}$")).ok()?),
        "k8slongname" => Check::Match(253, re::compile(&format!(r"^{LABEL}(\.{LABEL})*$")).ok()?),
        _ => return None,
    })
}

fn matching(pattern: &str) -> Option<Check> {
    Some(Check::Match(usize::MAX, re::compile(pattern).ok()?))
}

/// An IP address; zeros in front of an IPv4 part are tolerated, as they were in old versions.
fn ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let parts: Vec<_> = text.split('.').map(decimal_byte).collect::<Option<_>>()?;
    let parts: [u8; 4] = parts.try_into().ok()?;
    Some(IpAddr::from(parts))
}

fn decimal_byte(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let significant = digits.then(|| text.trim_start_matches('0'))?;
    if significant.is_empty() {
        Some(0)
    } else {
        significant.parse().ok()
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = length.parse().unwrap_or(u32::MAX);
    digits && ip(address).is_some_and(|ip| length <= if ip.is_ipv4() { 32 } else { 128 })
}

/// 6, 8 or 20 bytes in hexadecimal: `00:00:5e:00:53:01`, with hyphens, or in groups of four digits with dots.
fn is_mac(text: &str) -> bool {
    let grouped = |separator: char, digits: usize, groups: &[usize]| {
        let parts: Vec<_> = text.split(separator).collect();
        groups.contains(&parts.len())
            && parts
                .iter()
                .all(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    grouped(':', 2, &[6, 8, 20]) || grouped('-', 2, &[6, 8, 20]) || grouped('.', 4, &[3, 4, 10])
}

fn is_hostname(text: &str) -> bool {
    static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| re::compile(HOSTNAME).ok());
    text.len() <= 255
        && text.split('.').all(|label| label.len() <= 63)
        && SHAPE.as_ref().is_some_and(|shape| shape.is_match(text))
}

/// `local@domain`, or that in angle brackets behind a name.
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(front) => front.rsplit_once('<').map_or("", |(_, address)| address),
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .and_then(ip)
        .is_some();
    (quoted || is_dot_atom(local)) && (literal || is_dot_atom(domain))
}

fn is_dot_atom(text: &str) -> bool {
    let atom = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    !text.is_empty()
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(atom))
}

/// The bytes that Base64 stands for.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    is_base64(text).then_some(())?;
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0u32, 0u32);
    for c in text.bytes().filter(|c| *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c.checked_sub(b'A')?,
            b'a'..=b'z' => c.checked_sub(b'a')?.checked_add(26)?,
            b'0'..=b'9' => c.checked_sub(b'0')?.checked_add(52)?,
            b'+' => 62,
            _ => 63,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count = count.saturating_add(6);
        if count >= 8 {
            count = count.saturating_sub(8);
            bytes.push(
                bits.checked_shr(count)
                    .and_then(|byte| u8::try_from(byte & 0xff).ok())?,
            );
        }
    }
    Some(bytes)
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len().saturating_sub(body.len());
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && padding <= 2
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

pub(crate) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10
        && bytes.iter().enumerate().all(|(i, byte)| {
            if i == 4 || i == 7 {
                *byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
    shape && text.parse::<jiff::civil::Date>().is_ok()
}

/// A date, a `T`, and a time of day with its offset, whose hours, minutes and seconds are compared as text.
pub(crate) fn is_date_time(text: &str) -> bool {
    static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        re::compile(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$").ok()
    });
    let lower = text.to_lowercase();
    let mut halves = lower.split('t');
    let (Some(date), Some(time)) = (halves.next(), halves.next()) else {
        return false;
    };
    let Some(parts) = SHAPE.as_ref().and_then(|shape| shape.captures(time)) else {
        return false;
    };
    let at_most = |i: usize, max: &str| parts.get(i).is_some_and(|part| part.as_str() <= max);
    is_date(date) && at_most(1, "23") && at_most(2, "59") && at_most(3, "59")
}

fn is_duration(text: &str) -> bool {
    duration(text).is_some()
}

/// The nanoseconds of a duration: Go's, or numbers with units in words such as `3 days`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    static PART: LazyLock<Option<Regex>> = LazyLock::new(|| re::compile(r"(\d+)\s*([A-Za-zµ]+)").ok());
    const UNITS: [(&[&str], i64); 8] = [
        (&["ns", "nano"], 1),
        (&["us", "µs", "micro"], 1_000),
        (&["ms", "milli"], 1_000_000),
        (&["s", "sec"], 1_000_000_000),
        (&["m", "min"], 60_000_000_000),
        (&["h", "hr", "hour"], 3_600_000_000_000),
        (&["d", "day"], 86_400_000_000_000),
        (&["w", "wk", "week"], 604_800_000_000_000),
    ];
    if let Some(nanos) = super::time::parse_duration(text) {
        return Some(nanos);
    }
    let mut total = None;
    for parts in PART.as_ref()?.captures_iter(text) {
        let number: i64 = parts.get(1)?.as_str().parse().ok()?;
        let unit = parts.get(2)?.as_str().to_lowercase();
        for (names, nanos) in UNITS {
            if names.contains(&unit.as_str()) || names.last().is_some_and(|name| unit.starts_with(name)) {
                total = Some(number.saturating_mul(nanos).saturating_add(total.unwrap_or(0)));
            }
        }
    }
    total
}

/// Whether a text is a UUID of any version.
pub(crate) fn is_uuid(text: &str) -> bool {
    Format::of(Type::String, "uuid").is_some_and(|format| format.takes(text))
}

fn digits_of(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = digits_of(text);
    let mut sum = 0u32;
    for (place, c) in (1u32..).zip(text.chars()) {
        let value = match c.to_digit(10) {
            Some(digit) => digit,
            None if c == 'X' && place == 10 => 10,
            None => return false,
        };
        sum = sum.saturating_add(place.saturating_mul(value));
    }
    text.len() == 10 && sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let text = digits_of(text);
    let mut sum = 0u32;
    for (place, c) in (0u32..).zip(text.chars()) {
        let Some(digit) = c.to_digit(10) else {
            return false;
        };
        sum = sum.saturating_add(if place.is_multiple_of(2) {
            digit
        } else {
            digit.saturating_mul(3)
        });
    }
    text.len() == 13 && sum.is_multiple_of(10)
}

/// A number of a known card system whose check digit is right.
fn is_credit_card(text: &str) -> bool {
    static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| re::compile(CREDIT_CARD).ok());
    let text = digits_of(text);
    let mut sum = 0u32;
    for (place, c) in (0u32..).zip(text.chars().rev()) {
        let digit = c.to_digit(10).unwrap_or(0);
        let doubled = digit.saturating_mul(2);
        sum = sum.saturating_add(match place.is_multiple_of(2) {
            true => digit,
            false if doubled > 9 => doubled.saturating_sub(9),
            false => doubled,
        });
    }
    sum.is_multiple_of(10) && SHAPE.as_ref().is_some_and(|shape| shape.is_match(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_what_the_server_takes() {
        let cases: [(&str, &[&str], &[&str]); 14] = [
            (
                "ipv4",
                &["1.2.3.4", "01.2.3.4"],
                &["1.2.3", "::1", "256.1.1.1", "a"],
            ),
            ("ipv6", &["::1", "fe80::1"], &["1.2.3.4", "g::"]),
            (
                "cidr",
                &["10.0.0.0/8", "::/0"],
                &["10.0.0.0", "10.0.0.0/33", "/8"],
            ),
            (
                "mac",
                &["00:00:5e:00:53:01", "0000.5e00.5301"],
                &["00:00", "0g:00:5e:00:53:01"],
            ),
            ("date", &["2024-02-29"], &["2023-02-29", "2024-2-9", "20240229"]),
            (
                "date-time",
                &["2024-01-01T00:00:00Z", "2024-01-01t23:59:59.5+01:00"],
                &["2024-01-01", "2024-01-01T24:00:00Z"],
            ),
            ("duration", &["1h30m", "3 days", "0"], &["x", "1"]),
            ("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123"]),
            ("byte", &["aGk=", "YWJj"], &["a", "", "a==="]),
            ("email", &["a@b.c", "A <a@b>"], &["a", "@b", "a@"]),
            ("hostname", &["a.example.com", "x"], &["-a", "a_b", ""]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751042"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111 1111 1111 1112"]),
            ("k8s-short-name", &["a-b", "1"], &["A", "a.b", ""]),
        ];
        for (name, good, bad) in cases {
            let format = Format::of(Type::String, name).unwrap();
            for text in good {
                assert!(format.takes(text), "{name} {text}");
            }
            for text in bad {
                assert!(!format.takes(text), "{name} {text}");
            }
        }
        assert!(Format::of(Type::Integer, "date").is_none());
        assert!(Format::of(Type::String, "unknown").is_none());
    }
}
