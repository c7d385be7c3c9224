//! The functions of rules, by name and by the kinds of their arguments.

use super::compare::equal;
use super::eval::Outcome;
use super::fault::Fault;
use super::value::Val;
use super::{Program, convert, lists, named, net, quantity, semver, strings, timestamps};

/// Most bytes that one call may make.
pub(super) const RESULT_MAX: usize = 8 << 20;

/// A library: `None` when it has no such function for these arguments.
type Library = for<'a> fn(&str, &[Val<'a>]) -> Option<Outcome<'a>>;

const FUNCTIONS: [Library; 8] = [
    general,
    convert::call,
    strings::call,
    lists::call,
    net::call,
    quantity::call,
    semver::call,
    named::call,
];

/// Calls a function; of a method the target is the first argument.
pub(super) fn call<'a>(program: &Program, name: &str, method: bool, args: &[Val<'a>]) -> Outcome<'a> {
    if let Some(outcome) = regular(program, name, args) {
        return outcome;
    }
    if method && let Some(outcome) = timestamps::call(name, args) {
        return outcome;
    }
    let found = FUNCTIONS.iter().find_map(|library| library(name, args));
    found.unwrap_or_else(|| Err(Fault::overload()))
}

/// Regular expressions, compiled with the rule when they are constants.
fn regular<'a>(program: &Program, name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    let (Val::Text(text), Val::Text(pattern)) = (args.first()?, args.get(1)?) else {
        return None;
    };
    let text = text.as_str();
    let found = |limit: usize| {
        let regex = program.regex(pattern.as_str())?;
        Ok(regex
            .find_iter(text)
            .take(limit)
            .map(|found| found.as_str().to_owned())
            .collect::<Vec<_>>())
    };
    Some(match (name, args) {
        ("matches", [_, _]) => program
            .regex(pattern.as_str())
            .map(|regex| Val::Bool(regex.is_match(text))),
        ("find", [_, _]) => found(1).map(|all| Val::text(all.into_iter().next().unwrap_or_default())),
        ("findAll", [_, _]) => found(usize::MAX).map(Val::texts),
        ("findAll", [_, _, Val::Int(limit)]) => {
            found(usize::try_from(*limit).unwrap_or(usize::MAX)).map(Val::texts)
        }
        _ => return None,
    })
}

fn general<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(Ok(match (name, args) {
        ("size", [Val::Text(text)]) => length(text.as_str().chars().count()),
        ("size", [Val::Bytes(bytes)]) => length(bytes.len()),
        ("size", [Val::List(list)]) => length(list.len()),
        ("size", [Val::Map(map)]) => length(map.len()),
        ("type", [value]) => Val::Type(value.type_name()),
        ("dyn", [value]) => value.clone(),
        ("optional.of", [value]) => Val::some(value.clone()),
        ("optional.none", []) => Val::Optional(None),
        ("optional.ofNonZeroValue", [value]) => match is_zero(value) {
            Ok(true) => Val::Optional(None),
            Ok(false) => Val::some(value.clone()),
            Err(fault) => return Some(Err(fault)),
        },
        ("hasValue", [Val::Optional(value)]) => Val::Bool(value.is_some()),
        ("value", [Val::Optional(Some(value))]) => value.as_ref().clone(),
        ("value", [Val::Optional(None)]) => return Some(Err(Fault::error("optional.none() dereference"))),
        _ => return None,
    }))
}

pub(super) fn length<'a>(count: usize) -> Val<'a> {
    Val::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn is_zero(value: &Val<'_>) -> Result<bool, Fault> {
    match value {
        Val::Null => Ok(true),
        Val::Text(text) => Ok(text.as_str().is_empty()),
        Val::Bytes(bytes) => Ok(bytes.is_empty()),
        Val::List(list) => Ok(list.len() == 0),
        Val::Map(map) => Ok(map.len() == 0),
        Val::Optional(value) => Ok(value.is_none()),
        Val::Bool(flag) => Ok(!flag),
        Val::Duration(nanos) => Ok(*nanos == 0),
        Val::Int(_) | Val::Uint(_) | Val::Double(_) => equal(value, &Val::Int(0)),
        _ => Ok(false),
    }
}

/// A value in a message.
pub(super) fn shown(value: &Val<'_>) -> String {
    match convert::text_of(value) {
        Some(text) => text,
        None => value.type_name().to_owned(),
    }
}
