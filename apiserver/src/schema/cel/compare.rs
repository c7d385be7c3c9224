//! Equality and order of values.

use std::cmp::Ordering;

use super::super::go;
use super::super::node::ListType;
use super::fault::Fault;
use super::value::{List, Map, Object, Val};

/// Whether two values are equal. Numbers of different kinds are when their values are; other kinds never.
pub(super) fn equal(a: &Val<'_>, b: &Val<'_>) -> Result<bool, Fault> {
    Ok(match (a, b) {
        (Val::Null, Val::Null) | (Val::Optional(None), Val::Optional(None)) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Int(a), Val::Int(b)) | (Val::Duration(a), Val::Duration(b)) => a == b,
        (Val::Int(_) | Val::Uint(_) | Val::Double(_), Val::Int(_) | Val::Uint(_) | Val::Double(_)) => {
            numbers(a, b) == Some(Ordering::Equal)
        }
        (Val::Text(a), Val::Text(b)) => a.as_str() == b.as_str(),
        (Val::Bytes(a), Val::Bytes(b)) => a == b,
        (Val::Timestamp(a), Val::Timestamp(b)) => a == b,
        (Val::Type(a), Val::Type(b)) => a == b,
        (Val::Optional(Some(a)), Val::Optional(Some(b))) => equal(a, b)?,
        (Val::Ip(a), Val::Ip(b)) => a == b,
        (Val::Cidr(a, length), Val::Cidr(b, other)) => a == b && length == other,
        (Val::Url(a), Val::Url(b)) => a == b,
        (Val::Quantity(a), Val::Quantity(b)) => a == b,
        (Val::Semver(a), Val::Semver(b)) => a.cmp(b) == Ordering::Equal,
        (Val::Format(a), Val::Format(b)) => a.name == b.name,
        (Val::Raw(a), Val::Raw(b)) => a == b,
        (Val::List(a), Val::List(b)) => lists(a, b)?,
        (Val::Map(a), Val::Map(b)) => maps(a, b)?,
        _ => false,
    })
}

/// Lists by their items in order, but sets and keyed lists of the object in any.
fn lists(a: &List<'_>, b: &List<'_>) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    if let (List::Part(a, _), List::Part(b, _)) = (a, b)
        && a == b
    {
        return Ok(true);
    }
    let (left, right) = (a.items()?, b.items()?);
    match a.list_type() {
        ListType::Atomic => {
            for (a, b) in left.iter().zip(&right) {
                if !equal(a, b)? {
                    return Ok(false);
                }
            }
        }
        ListType::Set => {
            for b in &right {
                if !contains(&left, b)? {
                    return Ok(false);
                }
            }
        }
        ListType::Map(keys) => {
            for b in &right {
                match position(keys, &left, b)?.and_then(|place| left.get(place)) {
                    Some(a) if equal(a, b)? => {}
                    _ => return Ok(false),
                }
            }
        }
    }
    Ok(true)
}

/// Whether a value is among these.
pub(super) fn contains(items: &[Val<'_>], wanted: &Val<'_>) -> Result<bool, Fault> {
    for item in items {
        if equal(item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the item with the same keys stands.
pub(super) fn position(keys: &[String], items: &[Val<'_>], wanted: &Val<'_>) -> Result<Option<usize>, Fault> {
    for (place, item) in items.iter().enumerate() {
        let (Val::Map(item), Val::Map(wanted)) = (item, wanted) else {
            continue;
        };
        let mut same = true;
        for key in keys {
            let key = Val::text(super::escape::escape(key).unwrap_or_else(|| key.clone()));
            same &= match (item.find(&key)?, wanted.find(&key)?) {
                (Some(a), Some(b)) => equal(&a, &b)?,
                (None, None) => true,
                _ => false,
            };
        }
        if same {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn maps(a: &Map<'_>, b: &Map<'_>) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    if let (Map::Part(a), Map::Part(b)) = (a, b) {
        return objects(a, b);
    }
    for key in a.keys() {
        match (a.find(&key)?, b.find(&key)?) {
            (Some(a), Some(b)) if equal(&a, &b)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Objects by their known fields; what has no schema by its text.
fn objects(a: &Object<'_>, b: &Object<'_>) -> Result<bool, Fault> {
    for (name, left) in a.fields {
        let right = b.fields.get(name);
        let same = match (a.schema_of(name), right) {
            (_, Some(right)) if left == right => true,
            (Some(node), Some(right)) if !left.is_null() && !right.is_null() => {
                equal(&Val::of(left, node, false)?, &Val::of(right, node, false)?)?
            }
            (Some(_), Some(_)) => false,
            (Some(_), None) => left.is_null(),
            (None, right) => right.is_none(),
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The order of two values, when they have one.
pub(super) fn order(a: &Val<'_>, b: &Val<'_>) -> Result<Ordering, Fault> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) | (Val::Duration(a), Val::Duration(b)) => Ok(a.cmp(b)),
        (Val::Int(_) | Val::Uint(_) | Val::Double(_), Val::Int(_) | Val::Uint(_) | Val::Double(_)) => {
            numbers(a, b).ok_or_else(|| Fault::error("NaN values cannot be ordered"))
        }
        (Val::Text(a), Val::Text(b)) => Ok(a.as_str().cmp(b.as_str())),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(a.cmp(b)),
        (Val::Bool(a), Val::Bool(b)) => Ok(a.cmp(b)),
        (Val::Timestamp(a), Val::Timestamp(b)) => Ok(a.cmp(b)),
        _ => Err(Fault::overload()),
    }
}

/// Numbers of any two kinds.
fn numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (None, Some(b)) => float_to_whole(double(a)?, b),
        (Some(a), None) => float_to_whole(double(b)?, a).map(Ordering::reverse),
        (None, None) => double(a)?.partial_cmp(&double(b)?),
    }
}

fn whole(value: &Val<'_>) -> Option<i128> {
    match value {
        Val::Int(n) => Some(i128::from(*n)),
        Val::Uint(n) => Some(i128::from(*n)),
        _ => None,
    }
}

fn double(value: &Val<'_>) -> Option<f64> {
    match value {
        Val::Double(n) => Some(*n),
        _ => None,
    }
}

fn float_to_whole(a: f64, b: i128) -> Option<Ordering> {
    if a.is_nan() {
        return None;
    }
    let whole = go::truncated(a);
    if a.abs() >= 9.3e18 {
        return Some(if a > 0.0 {
            Ordering::Greater
        } else {
            Ordering::Less
        });
    }
    match i128::from(whole).cmp(&b) {
        Ordering::Equal => a.partial_cmp(&go::nearest(whole)),
        other => Some(other),
    }
}
