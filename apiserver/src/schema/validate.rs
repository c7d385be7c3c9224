//! The values of an object against its schema: types, bounds, patterns, enumerations, required fields and the
//! combinations of schemas, in the order and with the words of the server's validator.

use serde_json::{Map, Value};

use super::correlate::Pair;
use super::error::Path;
use super::finding::{Fault, Finding, Outcome};
use super::formats::Format;
use super::go;
use super::node::{Additional, Node, Type};
use super::number;

/// A value at its place, with what it was before when that is known.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub value: &'a Value,
    pub at: &'a Path<'a>,
    pub before: Option<Pair<'a>>,
}

impl Spot<'_> {
    pub(super) fn finding(&self, fault: Fault, words: &str, value: Value) -> Finding {
        let at = self.at.dotted();
        Finding {
            message: format!("{at} in body {words}"),
            fault,
            at,
            value,
        }
    }

    /// A finding that names no field.
    fn whole(&self, words: &str) -> Finding {
        Finding {
            message: format!("{} {words}", go::quote(&self.at.dotted())),
            fault: Fault::Whole,
            at: String::new(),
            value: Value::Null,
        }
    }
}

/// Validates one value. What has not changed is not blamed.
pub(super) fn value(node: &Node, spot: &Spot<'_>) -> Outcome {
    let mut outcome = all_checks(node, spot);
    if !outcome.is_valid() && spot.before.is_some_and(|before| before.is_same()) {
        outcome.findings.clear();
    }
    outcome
}

/// Every check of one schema that applies to the value.
fn all_checks(node: &Node, spot: &Spot<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    if spot.value.is_null() {
        if node.ty == Type::Any || node.nullable {
            outcome.count();
        } else {
            outcome.add(wrong_type(spot, node.ty.name(), "null"));
        }
        enumeration(node, spot, &mut outcome);
        return outcome;
    }
    if node.ty != Type::Any || node.format.is_some() {
        match type_fault(node, spot.value) {
            None => outcome.count(),
            Some((wanted, given)) => outcome.add(wrong_type(spot, wanted, given)),
        }
        outcome.count();
    }
    combinations(node, spot, &mut outcome);
    match spot.value {
        Value::String(text) => string(node, spot, text, &mut outcome),
        Value::Number(n) => number::check(node, spot, n, &mut outcome),
        Value::Array(items) => array(node, spot, items, &mut outcome),
        _ => {}
    }
    enumeration(node, spot, &mut outcome);
    outcome.count();
    if let Value::Object(map) = spot.value {
        object(node, spot, map, &mut outcome);
    }
    outcome.count();
    outcome
}

fn wrong_type(spot: &Spot<'_>, wanted: &str, given: &str) -> Finding {
    spot.finding(
        Fault::Type,
        &format!("must be of type {wanted}: \"{given}\""),
        Value::from(given),
    )
}

/// The type's name and, for numbers, its format.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(n) if n.as_i64().is_some() => ("integer", "int64"),
        Value::Number(_) => ("number", "float64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

fn fits_type(ty: Type, value: &Value) -> bool {
    match (ty, value) {
        (Type::Object, Value::Object(_))
        | (Type::Array, Value::Array(_))
        | (Type::String | Type::IntOrString, Value::String(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Number, Value::Number(_)) => true,
        (Type::Integer | Type::IntOrString, Value::Number(n)) => {
            n.as_i64().is_some() || n.as_f64().is_some_and(go::is_whole)
        }
        _ => false,
    }
}

/// The type that is wanted and the one given, when they don't agree. A format of strings stands for its type, and a
/// list passes for it.
fn type_fault<'a>(node: &'a Node, value: &Value) -> Option<(&'a str, &'static str)> {
    let (given, number_format) = type_of(value);
    let fits = fits_type(node.ty, value);
    let scalar = !matches!(value, Value::String(_) | Value::Array(_));
    if let Some(format) = node.format.as_ref() {
        if scalar && !fits && number_format != format.name {
            return Some((&format.name, number_format));
        }
        let numeric = node.ty == Type::Number || node.ty.takes_integers();
        if !numeric && !scalar {
            return None;
        }
    }
    (!fits).then(|| (node.ty.name(), given))
}

fn string(node: &Node, spot: &Spot<'_>, text: &str, outcome: &mut Outcome) {
    if let Some(finding) = string_fault(node, spot, text) {
        outcome.add(finding);
    }
    outcome.count();
    if let Some(format) = node.format.as_ref().filter(|format| format.is_text()) {
        format_of(format, spot, text, outcome);
    }
}

fn string_fault(node: &Node, spot: &Spot<'_>, text: &str) -> Option<Finding> {
    let shown = || Value::from(text);
    if node.max_length.is_some() || node.min_length.is_some() {
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(max) = node.max_length.filter(|max| length > *max) {
            let words = format!("should be at most {max} chars long");
            return Some(spot.finding(Fault::TooLong(max), &words, shown()));
        }
        if let Some(min) = node.min_length.filter(|min| length < *min) {
            let words = format!("should be at least {min} chars long");
            return Some(spot.finding(Fault::Invalid, &words, shown()));
        }
    }
    let pattern = node
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.regex.is_match(text))?;
    Some(spot.finding(
        Fault::Invalid,
        &format!("should match '{}'", pattern.source),
        shown(),
    ))
}

fn format_of(format: &Format, spot: &Spot<'_>, text: &str, outcome: &mut Outcome) {
    if !format.takes(text) {
        let words = format!("must be of type {}: {}", format.name, go::quote(text));
        outcome.add(spot.finding(Fault::Type, &words, Value::from(text)));
    }
    outcome.count();
}

fn enumeration(node: &Node, spot: &Spot<'_>, outcome: &mut Outcome) {
    if node.values.is_empty() || node.values.iter().any(|value| is_listed(spot.value, value)) {
        return;
    }
    let words = format!("should be one of {}", go::json(&Value::from(node.values.clone())));
    outcome.add(spot.finding(
        Fault::NotSupported(node.values.clone()),
        &words,
        spot.value.clone(),
    ));
}

/// Equal, or equal after the conversion to the type of the listed value.
fn is_listed(value: &Value, listed: &Value) -> bool {
    match (value, listed) {
        (Value::Null, _) => false,
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            (None, Some(b)) => a.as_f64().map(go::truncated) == Some(b),
            _ => a.as_f64() == b.as_f64(),
        },
        (value, listed) => value == listed,
    }
}

fn array(node: &Node, spot: &Spot<'_>, items: &[Value], outcome: &mut Outcome) {
    if let Some(sub) = node.items.as_deref() {
        for (i, item) in items.iter().enumerate() {
            let below = Spot {
                value: item,
                at: &Path::Index(spot.at, i),
                before: spot.before.and_then(|before| before.index(i)),
            };
            outcome.merge(value(sub, &below));
        }
    }
    let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(min) = node.min_items.filter(|min| size < *min) {
        let words = format!("should have at least {min} items");
        outcome.add(spot.finding(Fault::Invalid, &words, Value::from(size)));
    }
    if let Some(max) = node.max_items.filter(|max| size > *max) {
        let words = format!("should have at most {max} items");
        outcome.add(spot.finding(Fault::TooMany(max), &words, Value::from(size)));
    }
    outcome.count();
    outcome.count();
}

fn object(node: &Node, spot: &Spot<'_>, map: &Map<String, Value>, outcome: &mut Outcome) {
    let size = i64::try_from(map.len()).unwrap_or(i64::MAX);
    if let Some(min) = node.min_properties.filter(|min| size < *min) {
        let words = format!("should have at least {min} properties");
        outcome.add(spot.finding(Fault::Invalid, &words, Value::from(size)));
    }
    if let Some(max) = node.max_properties.filter(|max| size > *max) {
        let words = format!("should have at most {max} properties");
        outcome.add(spot.finding(Fault::TooMany(max), &words, Value::from(size)));
    }
    if let Additional::Schema(sub) = &node.additional {
        for (name, item) in map
            .iter()
            .filter(|(name, _)| !node.properties.contains_key(*name))
        {
            outcome.merge(member(sub, spot, name, item, true));
        }
    }
    for (name, sub) in &node.properties {
        if let Some(item) = map.get(name) {
            outcome.merge(member(sub, spot, name, item, false));
        }
    }
    for name in node.required.iter().filter(|name| !map.contains_key(*name)) {
        let at = Path::Field(spot.at, name).dotted();
        outcome.add(Finding {
            message: format!("{at} in body is required"),
            fault: Fault::Required,
            at,
            value: Value::Null,
        });
    }
}

/// One member. At the root the kind and the version are never tolerated: they are the same on both sides by force.
fn member(node: &Node, spot: &Spot<'_>, name: &str, item: &Value, key: bool) -> Outcome {
    let type_meta = matches!(spot.at, Path::Root) && (name == "kind" || name == "apiVersion");
    let at = if key {
        Path::Key(spot.at, name)
    } else {
        Path::Field(spot.at, name)
    };
    let below = Spot {
        value: item,
        at: &at,
        before: spot
            .before
            .filter(|_| !type_meta)
            .and_then(|before| before.key(name)),
    };
    value(node, &below)
}

/// anyOf, oneOf, allOf and not. Their parts do not know what was before.
fn combinations(node: &Node, spot: &Spot<'_>, outcome: &mut Outcome) {
    let spot = &Spot {
        before: None,
        ..*spot
    };
    any_of(node, spot, outcome);
    one_of(node, spot, outcome);
    let mut valid = 0usize;
    for sub in &node.all_of {
        let result = all_checks(sub, spot);
        valid = valid.saturating_add(usize::from(result.is_valid()));
        outcome.merge(result);
    }
    if valid != node.all_of.len() {
        let addition = if valid == 0 { ". None validated" } else { "" };
        outcome.add(spot.whole(&format!("must validate all the schemas (allOf){addition}")));
    }
    if node
        .not
        .as_ref()
        .is_some_and(|not| all_checks(not, spot).is_valid())
    {
        outcome.add(spot.whole("must not validate the schema (not)"));
    }
    outcome.count();
    outcome.count();
}

fn any_of(node: &Node, spot: &Spot<'_>, outcome: &mut Outcome) {
    let mut best: Option<Outcome> = None;
    for sub in &node.any_of {
        let result = all_checks(sub, spot);
        if result.is_valid() {
            outcome.merge(result);
            return;
        }
        if best.as_ref().is_none_or(|best| result.passed > best.passed) {
            best = Some(result);
        }
    }
    if let Some(best) = best {
        outcome.add(spot.whole("must validate at least one schema (anyOf)"));
        outcome.merge(best);
    }
}

fn one_of(node: &Node, spot: &Spot<'_>, outcome: &mut Outcome) {
    if node.one_of.is_empty() {
        return;
    }
    let mut best: Option<Outcome> = None;
    let mut valid: Vec<Outcome> = Vec::new();
    for sub in &node.one_of {
        let result = all_checks(sub, spot);
        if result.is_valid() {
            best = None;
            valid.push(result);
        } else if valid.is_empty() && best.as_ref().is_none_or(|best| result.passed > best.passed) {
            best = Some(result);
        }
    }
    if valid.len() == 1 {
        if let Some(result) = valid.pop() {
            outcome.merge(result);
        }
        return;
    }
    let found = if valid.is_empty() {
        "Found none valid".to_owned()
    } else {
        format!("Found {} valid alternatives", valid.len())
    };
    outcome.add(spot.whole(&format!("must validate one and only one schema (oneOf). {found}")));
    if let Some(best) = best {
        outcome.merge(best);
    }
}
