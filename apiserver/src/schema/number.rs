//! Numbers against their bounds. Whole numbers and floats are compared each in their own kind.

use serde_json::{Number, Value};

use super::finding::{Fault, Finding, Outcome};
use super::formats::Check;
use super::go;
use super::node::{Node, Type};
use super::validate::Spot;

/// A number as the server holds it.
#[derive(Clone, Copy)]
enum Num {
    Whole(i64),
    Float(f64),
}

impl Num {
    fn value(self) -> Value {
        match self {
            Self::Whole(n) => Value::from(n),
            Self::Float(f) => Value::from(f),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Whole(n) => go::nearest(n),
            Self::Float(f) => f,
        }
    }
}

/// Range of the type, multipleOf, minimum, maximum.
pub(super) fn check(node: &Node, spot: &Spot<'_>, number: &Number, outcome: &mut Outcome) {
    let data = match number.as_i64() {
        Some(whole) => Num::Whole(whole),
        None => Num::Float(number.as_f64().unwrap_or(f64::NAN)),
    };
    range(node, spot, data, "Checked", outcome);
    if let Some(factor) = node.multiple_of {
        let exact = range(node, spot, Num::Float(factor), "MultipleOf", outcome);
        multiple(spot, data, factor, exact, outcome);
    }
    for (limit, exclusive, is_max, prefix) in [
        (node.minimum, node.exclusive_minimum, false, "Minimum boundary"),
        (node.maximum, node.exclusive_maximum, true, "Maximum boundary"),
    ] {
        if let Some(limit) = limit {
            let exact = range(node, spot, Num::Float(limit), prefix, outcome);
            boundary(spot, data, limit, exclusive, is_max, exact, outcome);
        }
    }
    outcome.count();
    outcome.count();
}

/// Whether a number, or a bound of it, fits the type and format of the schema.
fn range(node: &Node, spot: &Spot<'_>, number: Num, prefix: &str, outcome: &mut Outcome) -> bool {
    let check = node.format.as_ref().map(|format| &format.check);
    let fits = match (node.ty, check) {
        (Type::Integer, Some(Check::Int32)) => whole(number).is_some_and(|n| i32::try_from(n).is_ok()),
        (Type::Integer, _) => whole(number).is_some(),
        (Type::Number, Some(Check::Float)) => number.float().abs() <= f64::from(f32::MAX),
        _ => true,
    };
    if !fits {
        let format = match &node.format {
            Some(format) => format!("with format {}", format.name),
            None => "(default format)".to_owned(),
        };
        let at = spot.at.dotted();
        outcome.add(Finding {
            message: format!(
                "{prefix} value must be of type {} {format} in {at}",
                node.ty.name()
            ),
            fault: Fault::Whole,
            at: String::new(),
            value: Value::Null,
        });
    }
    fits
}

/// The whole number that this is written as.
fn whole(number: Num) -> Option<i64> {
    match number {
        Num::Whole(n) => Some(n),
        Num::Float(f) => format!("{f}").parse().ok(),
    }
}

fn multiple(spot: &Spot<'_>, data: Num, factor: f64, exact: bool, outcome: &mut Outcome) {
    let shown = match data {
        Num::Whole(_) if exact => Num::Whole(go::truncated(factor)),
        _ => Num::Float(factor),
    };
    if shown.float() <= 0.0 {
        let at = spot.at.dotted();
        let factor = go::float(shown.float());
        outcome.add(Finding {
            message: format!("factor MultipleOf declared for {at} must be positive: {factor}"),
            fault: Fault::Invalid,
            at,
            value: shown.value(),
        });
        return;
    }
    let good = match data {
        Num::Whole(n) if exact => n.checked_rem(go::truncated(factor)) == Some(0),
        data if factor < 1.0 => go::is_whole(1.0 / factor * data.float()),
        data => go::is_whole(data.float() / factor),
    };
    if !good {
        let words = format!("should be a multiple of {}", go::float(factor));
        outcome.add(spot.finding(Fault::Invalid, &words, data.value()));
    }
}

fn boundary(
    spot: &Spot<'_>,
    data: Num,
    limit: f64,
    exclusive: bool,
    is_max: bool,
    exact: bool,
    outcome: &mut Outcome,
) {
    let (order, shown) = match data {
        Num::Whole(n) if exact => (
            Some(n.cmp(&go::truncated(limit))),
            go::truncated(limit).to_string(),
        ),
        data => (data.float().partial_cmp(&limit), go::float(limit)),
    };
    let Some(order) = order else {
        return;
    };
    let beyond = if is_max { order.is_gt() } else { order.is_lt() };
    if beyond || (exclusive && order.is_eq()) {
        let words = match (is_max, exclusive) {
            (true, false) => "less than or equal to",
            (true, true) => "less than",
            (false, false) => "greater than or equal to",
            (false, true) => "greater than",
        };
        outcome.add(spot.finding(
            Fault::Invalid,
            &format!("should be {words} {shown}"),
            data.value(),
        ));
    }
}
