//! The parameter `timeout` of a request: nobody waits here, but what is no span of time is refused as kube-apiserver does.

use crate::status::Refusal;

/// Units of a span of time in Go.
const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];

/// Refuses a `timeout` that Go cannot read.
pub(crate) fn check(text: &str) -> Result<(), Refusal> {
    match fault(text).filter(|_| !text.is_empty()) {
        None => Ok(()),
        Some(why) => Err(Refusal::bad_request(format!(
            "invalid timeout specified in the request URL - time: {why}"
        ))),
    }
}

/// What is wrong with a span of time, in the words of Go.
fn fault(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return None;
    }
    let invalid = Some(format!("invalid duration \"{text}\""));
    if rest.is_empty() {
        return invalid;
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    while !rest.is_empty() {
        let unit_and_more = rest.trim_start_matches(is_number);
        let digits = rest.strip_suffix(unit_and_more).unwrap_or_default();
        if digits.matches('.').count() > 1 || !digits.contains(|c: char| c.is_ascii_digit()) {
            return invalid;
        }
        let more = unit_and_more.trim_start_matches(|c: char| !is_number(c));
        let unit = unit_and_more.strip_suffix(more).unwrap_or_default();
        if unit.is_empty() {
            return Some(format!("missing unit in duration \"{text}\""));
        }
        if !UNITS.contains(&unit) {
            return Some(format!("unknown unit \"{unit}\" in duration \"{text}\""));
        }
        rest = more;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_reads_them() {
        for good in ["0", "5s", "1m30s", "1.5h", "-3ms", "10us", ".5s"] {
            assert_eq!(fault(good), None, "{good}");
        }
        let of = |text| fault(text).unwrap();
        assert_eq!(of("5"), "missing unit in duration \"5\"");
        assert_eq!(of("1x"), "unknown unit \"x\" in duration \"1x\"");
        assert_eq!(of("abc"), "invalid duration \"abc\"");
        assert_eq!(of("1m."), "invalid duration \"1m.\"");
        assert_eq!(of("-"), "invalid duration \"-\"");
    }
}
