//! Quantities such as `1.5Gi`, exact to the nano as Kubernetes keeps them.

use std::cmp::Ordering;

use super::super::go;
use super::eval::Outcome;
use super::fault::Fault;
use super::value::Val;

/// A quantity in billionths. More than 128 bits hold is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

/// Billionths in one.
const ONE: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity. What is smaller than a billionth is rounded up, away from zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at_checked(end)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
        let decimals = i32::try_from(fraction.len()).ok()?;
        let (binary, exponent) = suffix_of(suffix)?;
        let scaled = digits.checked_mul(binary)?;
        // To billionths, minus the decimals that were read as whole.
        let nanos = shift(scaled, exponent.checked_add(9)?.checked_sub(decimals)?)?;
        Some(Self(if negative { nanos.checked_neg()? } else { nanos }))
    }

    fn whole(self) -> Option<i64> {
        if self.0.checked_rem(ONE)? != 0 {
            return None;
        }
        i64::try_from(self.0.checked_div(ONE)?).ok()
    }

    fn add(self, other: i128) -> Result<Self, Fault> {
        self.0
            .checked_add(other)
            .map(Self)
            .ok_or_else(|| Fault::error("quantity overflow"))
    }
}

/// The factor of a suffix: a power of two, and of ten.
fn suffix_of(suffix: &str) -> Option<(i128, i32)> {
    let binary = |power: u32| Some((1i128.checked_shl(power)?, 0));
    match suffix {
        "" => Some((1, 0)),
        "n" => Some((1, -9)),
        "u" => Some((1, -6)),
        "m" => Some((1, -3)),
        "k" => Some((1, 3)),
        "M" => Some((1, 6)),
        "G" => Some((1, 9)),
        "T" => Some((1, 12)),
        "P" => Some((1, 15)),
        "E" => Some((1, 18)),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            Some((1, exponent.parse().ok().filter(|_| plain)?))
        }
    }
}

/// Times a power of ten; what is cut off rounds up.
fn shift(value: i128, exponent: i32) -> Option<i128> {
    let factor = 10i128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return if value == 0 {
            Some(0)
        } else {
            value.checked_mul(factor?)
        };
    }
    let Some(factor) = factor else {
        return Some(i128::from(value > 0));
    };
    let rest = i128::from(value.checked_rem(factor)? > 0);
    value.checked_div(factor)?.checked_add(rest)
}

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, args) {
        ("quantity", [Val::Text(text)]) => match Quantity::parse(text.as_str()) {
            Some(quantity) => Ok(Val::Quantity(quantity)),
            None => Err(Fault::error(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
        },
        ("isQuantity", [Val::Text(text)]) => Ok(Val::Bool(Quantity::parse(text.as_str()).is_some())),
        (_, [Val::Quantity(quantity), rest @ ..]) => method(name, *quantity, rest)?,
        _ => return None,
    })
}

fn method<'a>(name: &str, quantity: Quantity, rest: &[Val<'a>]) -> Option<Outcome<'a>> {
    let ordered = |other: &Quantity| quantity.cmp(other);
    Some(match (name, rest) {
        ("sign", []) => Ok(Val::Int(i64::try_from(quantity.0.signum()).unwrap_or(0))),
        ("isInteger", []) => Ok(Val::Bool(quantity.whole().is_some())),
        ("asInteger", []) => quantity
            .whole()
            .map(Val::Int)
            .ok_or_else(|| Fault::error("cannot convert value to integer")),
        ("asApproximateFloat", []) => Ok(Val::Double(approximate(quantity))),
        ("isGreaterThan", [Val::Quantity(other)]) => Ok(Val::Bool(ordered(other).is_gt())),
        ("isLessThan", [Val::Quantity(other)]) => Ok(Val::Bool(ordered(other).is_lt())),
        ("compareTo", [Val::Quantity(other)]) => Ok(Val::Int(sign_of(ordered(other)))),
        ("add", [Val::Quantity(other)]) => quantity.add(other.0).map(Val::Quantity),
        ("add", [Val::Int(n)]) => quantity
            .add(i128::from(*n).saturating_mul(ONE))
            .map(Val::Quantity),
        ("sub", [Val::Quantity(other)]) => quantity.add(other.0.saturating_neg()).map(Val::Quantity),
        ("sub", [Val::Int(n)]) => quantity
            .add(i128::from(*n).saturating_mul(-ONE))
            .map(Val::Quantity),
        _ => return None,
    })
}

fn approximate(quantity: Quantity) -> f64 {
    match quantity.whole() {
        Some(whole) => go::nearest(whole),
        None => quantity.0.to_string().parse::<f64>().unwrap_or(f64::NAN) / 1e9,
    }
}

pub(super) fn sign_of(order: Ordering) -> i64 {
    match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_in_kubernetes() {
        let parse = |text| Quantity::parse(text).unwrap();
        assert_eq!(parse("1.5Gi"), parse("1536Mi"));
        assert_eq!(parse("1e3"), parse("1k"));
        assert_eq!(parse("0.1n").0, 1);
        assert_eq!(parse("-100m").0, -100_000_000);
        assert_eq!(parse(".5").0, 500_000_000);
        assert!(parse("50k") > parse("20Ki"));
        for bad in ["", "Mi", "1,3G", "200K", "Three", "1.2.3", "1e", "--1"] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
    }
}
