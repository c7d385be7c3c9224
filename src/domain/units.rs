//! Conversions between ECS's units and Kubernetes' quantities, with the direction of each rounding. (RES-3, RES-4)
//!
//! The ledger counts CPU units (1024 = one core), the kubelet counts millicores (1000 = one core). The two agree because
//! every rounding goes the safe way:
//!
//! - a node *registers* `floor(millicores × 1024 / 1000)` units ([`units_offered`]);
//! - a task of `u` units *asks* the kubelet for `floor(u × 1000 / 1024)` millicores ([`millicores_of_units`]);
//! - what somebody else's Pod *takes* is `ceil(millicores × 1024 / 1000)` units ([`units_taken`]).
//!
//! So if Σ units of tasks + Σ units taken by others ≤ units registered, then Σ millicores ≤ millicores of the node, and the
//! kubelet never refuses what the ledger admitted. There is no lower bound of one millicore: one unit asks for nothing,
//! because one millicore would be more than one unit.

/// Billionths: the finest step a Kubernetes quantity has.
const NANO: i128 = 1_000_000_000;
const NANO_PER_MILLI: i128 = 1_000_000;
const BYTES_PER_MIB: i128 = 1 << 20;

/// Millicores a container asks for, of its CPU units. Rounds down, so that units never buy more than the ledger counted.
///
/// ```
/// # use ecs_operator::domain::units::millicores_of_units;
/// assert_eq!(millicores_of_units(1024), 1000);
/// assert_eq!(millicores_of_units(10), 9);
/// assert_eq!(millicores_of_units(1), 0);
/// ```
#[must_use]
pub fn millicores_of_units(units: i64) -> i64 {
    narrow(div_floor(i128::from(units).saturating_mul(1000), 1024))
}

/// CPU units a node offers, of its millicores. Rounds down.
#[must_use]
pub fn units_offered(millicores: i64) -> i64 {
    narrow(div_floor(i128::from(millicores).saturating_mul(1024), 1000))
}

/// CPU units that a request of so many millicores takes. Rounds up.
#[must_use]
pub fn units_taken(millicores: i64) -> i64 {
    narrow(div_ceil(i128::from(millicores).saturating_mul(1024), 1000))
}

/// Billionths of a Kubernetes quantity such as `250m`, `1.5`, `128Mi`, `1e3`; `None` if it is none. Rounds up beyond
/// billionths, as Kubernetes does.
#[must_use]
pub fn quantity_nanos(text: &str) -> Option<i128> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let nanos = decimal_nanos(number)?;
    let scaled = |factor: i128| nanos.checked_mul(factor);
    match suffix {
        "n" => Some(div_ceil(nanos, NANO)),
        "u" => Some(div_ceil(nanos, 1_000_000)),
        "m" => Some(div_ceil(nanos, 1_000)),
        "" => Some(nanos),
        "k" => scaled(1_000),
        "M" => scaled(1_000_000),
        "G" => scaled(NANO),
        "T" => scaled(1_000_000_000_000),
        "P" => scaled(1_000_000_000_000_000),
        "E" => scaled(1_000_000_000_000_000_000),
        "Ki" => scaled(1 << 10),
        "Mi" => scaled(1 << 20),
        "Gi" => scaled(1 << 30),
        "Ti" => scaled(1 << 40),
        "Pi" => scaled(1 << 50),
        "Ei" => scaled(1 << 60),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 {
                Some(div_ceil(nanos, power))
            } else {
                scaled(power)
            }
        }
    }
}

/// Billionths of a plain decimal number such as `2`, `.5`, `0.25`. Rounds up beyond nine decimals.
#[must_use]
pub fn decimal_nanos(number: &str) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (kept, cut) = fraction.split_at_checked(9).unwrap_or((fraction, ""));
    let mut nanos: i128 = format!("{kept:0<9}").parse().ok()?;
    if cut.bytes().any(|b| b != b'0') {
        nanos = nanos.saturating_add(1);
    }
    let sum = whole.checked_mul(NANO)?.checked_add(nanos)?;
    Some(if negative { sum.saturating_neg() } else { sum })
}

/// Millicores of a CPU quantity in billionths of a core. Rounds up.
#[must_use]
pub fn millicores_of_nanos(nanos: i128) -> i64 {
    narrow(div_ceil(nanos, NANO_PER_MILLI))
}

/// MiB of a memory quantity in billionths of a byte, as taken by a Pod. Rounds up.
#[must_use]
pub fn mib_taken(nanos: i128) -> i64 {
    narrow(div_ceil(nanos, BYTES_PER_MIB.saturating_mul(NANO)))
}

/// MiB of a memory quantity in billionths of a byte, as offered by a node. Rounds down.
#[must_use]
pub fn mib_offered(nanos: i128) -> i64 {
    narrow(div_floor(nanos, BYTES_PER_MIB.saturating_mul(NANO)))
}

/// Whole number of a count in billionths. Rounds up.
#[must_use]
pub fn count_of_nanos(nanos: i128) -> i64 {
    narrow(div_ceil(nanos, NANO))
}

fn div_floor(value: i128, by: i128) -> i128 {
    value.checked_div_euclid(by).unwrap_or(value)
}

fn div_ceil(value: i128, by: i128) -> i128 {
    div_floor(value.saturating_neg(), by).saturating_neg()
}

fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, nanos) in [
            ("250m", 250_000_000),
            ("1", NANO),
            (".5", 500_000_000),
            ("1.5", 1_500_000_000),
            ("128Mi", 134_217_728 * NANO),
            ("1e3", 1000 * NANO),
            ("2E", 2_000_000_000_000_000_000 * NANO),
            ("2E2", 200 * NANO),
            ("5e-1", 500_000_000),
            ("1n", 1),
            ("0.1n", 1),
            ("3k", 3000 * NANO),
            ("-1", -NANO),
        ] {
            assert_eq!(quantity_nanos(text), Some(nanos), "{text}");
        }
        for bad in ["", ".", "1x", "Mi", "1 Mi", "--1", "1.2.3", "1e"] {
            assert_eq!(quantity_nanos(bad), None, "{bad}");
        }
    }

    #[test]
    fn roundings_go_the_safe_way_res_3() {
        assert_eq!(units_offered(3920), 4014);
        assert_eq!(units_taken(100), 103);
        assert_eq!(millicores_of_units(256), 250);
        assert_eq!(mib_taken(NANO), 1);
        assert_eq!(mib_offered(NANO), 0);
    }

    proptest! {
        #[test]
        fn what_the_ledger_admits_the_kubelet_has_room_for_res_8(
            node in 0i64..1_000_000,
            tasks in prop::collection::vec(0i64..20_000, 0..40),
            foreign in prop::collection::vec(0i64..20_000, 0..10),
        ) {
            let counted: i64 = tasks.iter().sum::<i64>() + foreign.iter().map(|m| units_taken(*m)).sum::<i64>();
            let asked: i64 = tasks.iter().map(|u| millicores_of_units(*u)).sum::<i64>() + foreign.iter().sum::<i64>();
            prop_assume!(counted <= units_offered(node));
            prop_assert!(asked <= node);
        }

        #[test]
        fn a_task_never_asks_for_more_than_its_units(units in 0i64..1_000_000) {
            prop_assert!(units_taken(millicores_of_units(units)) <= units);
        }
    }
}
