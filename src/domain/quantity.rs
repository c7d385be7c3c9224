//! Kubernetes quantities as numbers.

/// Reads a quantity such as `500m`, `1.5`, `2Gi` or `1e3` as thousandths, rounded up; `None` if it is none.
#[must_use]
pub fn thousandths(text: &str) -> Option<i128> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(split)?;
    let (numerator, denominator): (i128, i128) = match suffix {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1000i128.checked_mul(10i128.checked_pow(power)?)?, 1)
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let product = digits.checked_mul(numerator)?;
    let divisor = scale.checked_mul(denominator)?;
    let up = product.checked_add(divisor.checked_sub(1)?)?;
    Some(up.div_euclid(divisor))
}

/// A CPU quantity in millicores, rounded up.
#[must_use]
pub fn millicores(text: &str) -> Option<i64> {
    thousandths(text).and_then(|n| i64::try_from(n).ok())
}

/// A quantity in units, rounded down.
#[must_use]
pub fn units(text: &str) -> Option<i64> {
    thousandths(text).and_then(|n| i64::try_from(n.div_euclid(1000)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_every_suffix() {
        let table = [
            ("500m", 500),
            ("2", 2000),
            ("1.5", 1500),
            ("0.0001", 1),
            ("1Ki", 1_024_000),
            ("1k", 1_000_000),
            ("1e3", 1_000_000),
            ("2Gi", 2_147_483_648_000),
            ("100u", 1),
            ("1n", 1),
        ];
        for (text, expected) in table {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
        assert_eq!(millicores("1500m"), Some(1500));
        assert_eq!(units("110"), Some(110));
        for bad in ["", "x", "1x", "1.2.3", "Mi", "--1"] {
            assert_eq!(thousandths(bad), None, "{bad}");
        }
    }
}
