//! `+`, `-`, `*`, `/`, `%`.

use std::rc::Rc;

use super::super::node::ListType;
use super::ast::Operator;
use super::compare::{contains, position};
use super::eval::Outcome;
use super::fault::Fault;
use super::value::{List, Val};

/// The seconds that a timestamp may lie in: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// One operator on two values of a kind.
pub(super) fn apply<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => ints(operator, *a, *b).map(Val::Int),
        (Val::Uint(a), Val::Uint(b)) => uints(operator, *a, *b).map(Val::Uint),
        (Val::Double(a), Val::Double(b)) => doubles(operator, *a, *b).map(Val::Double),
        _ => match operator {
            Operator::Add => add(left, right),
            Operator::Subtract => subtract(left, right),
            _ => Err(Fault::overload()),
        },
    }
}

fn ints(operator: Operator, a: i64, b: i64) -> Result<i64, Fault> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide if b == 0 => return Err(Fault::error("division by zero")),
        Operator::Divide => a.checked_div(b),
        _ if b == 0 => return Err(Fault::error("modulus by zero")),
        _ => a.checked_rem(b),
    };
    result.ok_or_else(|| Fault::error("integer overflow"))
}

fn uints(operator: Operator, a: u64, b: u64) -> Result<u64, Fault> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide if b == 0 => return Err(Fault::error("division by zero")),
        Operator::Divide => a.checked_div(b),
        _ if b == 0 => return Err(Fault::error("modulus by zero")),
        _ => a.checked_rem(b),
    };
    result.ok_or_else(|| Fault::error("unsigned integer overflow"))
}

fn doubles(operator: Operator, a: f64, b: f64) -> Result<f64, Fault> {
    match operator {
        Operator::Add => Ok(a + b),
        Operator::Subtract => Ok(a - b),
        Operator::Multiply => Ok(a * b),
        Operator::Divide => Ok(a / b),
        _ => Err(Fault::overload()),
    }
}

/// `-value`.
pub(super) fn negate<'a>(value: &Val<'a>) -> Outcome<'a> {
    match value {
        Val::Int(n) => n
            .checked_neg()
            .map(Val::Int)
            .ok_or_else(|| Fault::error("integer overflow")),
        Val::Double(n) => Ok(Val::Double(-n)),
        Val::Duration(n) => n
            .checked_neg()
            .map(Val::Duration)
            .ok_or_else(|| Fault::error("duration overflow")),
        _ => Err(Fault::overload()),
    }
}

fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Text(a), Val::Text(b)) => Ok(Val::text([a.as_str(), b.as_str()].concat())),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(Val::Bytes([a.as_ref(), b.as_ref()].concat().into())),
        (Val::List(a), Val::List(b)) => concat(a, b),
        (Val::Duration(a), Val::Duration(b)) => a
            .checked_add(*b)
            .map(Val::Duration)
            .ok_or_else(|| Fault::error("duration overflow")),
        (Val::Timestamp(at), Val::Duration(by)) | (Val::Duration(by), Val::Timestamp(at)) => moved(*at, *by),
        _ => Err(Fault::overload()),
    }
}

fn subtract<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Duration(a), Val::Duration(b)) => a
            .checked_sub(*b)
            .map(Val::Duration)
            .ok_or_else(|| Fault::error("duration overflow")),
        (Val::Timestamp(a), Val::Timestamp(b)) => {
            let nanos = a.duration_since(*b).as_nanos();
            i64::try_from(nanos)
                .map(Val::Duration)
                .map_err(|_| Fault::error("timestamp overflow"))
        }
        (Val::Timestamp(at), Val::Duration(by)) => {
            let by = by
                .checked_neg()
                .ok_or_else(|| Fault::error("timestamp overflow"))?;
            moved(*at, by)
        }
        _ => Err(Fault::overload()),
    }
}

fn moved<'a>(at: jiff::Timestamp, nanos: i64) -> Outcome<'a> {
    let moved = at.checked_add(jiff::SignedDuration::from_nanos(nanos));
    let good = moved.ok().filter(|at| SECONDS.contains(&at.as_second()));
    good.map(Val::Timestamp)
        .ok_or_else(|| Fault::error("timestamp overflow"))
}

/// Two lists: sets are united, keyed lists merged, others put one behind the other.
fn concat<'a>(a: &List<'a>, b: &List<'a>) -> Outcome<'a> {
    let mut items = a.items()?;
    match a.list_type() {
        ListType::Atomic => items.extend(b.items()?),
        ListType::Set => {
            for item in b.items()? {
                if !contains(&items, &item)? {
                    items.push(item);
                }
            }
        }
        ListType::Map(keys) => {
            for item in b.items()? {
                match position(keys, &items, &item)?.and_then(|place| items.get_mut(place)) {
                    Some(place) => *place = item,
                    None => items.push(item),
                }
            }
        }
    }
    Ok(Val::List(match a.schema() {
        Some(node) => List::Typed(Rc::new(items), node),
        None => List::Own(Rc::new(items)),
    }))
}
