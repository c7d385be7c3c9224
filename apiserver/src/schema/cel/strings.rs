//! Functions of strings.

use super::eval::{Outcome, as_text};
use super::fault::Fault;
use super::format;
use super::library::{RESULT_MAX, length};
use super::value::Val;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    if let (Val::List(list), "join") = (args.first()?, name) {
        let separator = args.get(1).map_or(Ok(""), as_text);
        return Some(separator.and_then(|separator| join(&list.items()?, separator)));
    }
    let Val::Text(text) = args.first()? else {
        return None;
    };
    let text = text.as_str();
    Some(match (name, args.get(1..)?) {
        ("startsWith", [Val::Text(part)]) => Ok(Val::Bool(text.starts_with(part.as_str()))),
        ("endsWith", [Val::Text(part)]) => Ok(Val::Bool(text.ends_with(part.as_str()))),
        ("contains", [Val::Text(part)]) => Ok(Val::Bool(text.contains(part.as_str()))),
        ("charAt", [Val::Int(index)]) => char_at(text, *index).map(Val::text),
        ("indexOf", [Val::Text(part)]) => index_of(text, part.as_str(), 0),
        ("indexOf", [Val::Text(part), Val::Int(from)]) => index_of(text, part.as_str(), *from),
        ("lastIndexOf", [Val::Text(part)]) => last_index_of(text, part.as_str(), None),
        ("lastIndexOf", [Val::Text(part), Val::Int(from)]) => last_index_of(text, part.as_str(), Some(*from)),
        ("lowerAscii", []) => Ok(Val::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Val::text(text.to_ascii_uppercase())),
        ("trim", []) => Ok(Val::text(text.trim())),
        ("replace", [Val::Text(old), Val::Text(new)]) => replace(text, old.as_str(), new.as_str(), -1),
        ("replace", [Val::Text(old), Val::Text(new), Val::Int(count)]) => {
            replace(text, old.as_str(), new.as_str(), *count)
        }
        ("split", [Val::Text(separator)]) => Ok(split(text, separator.as_str(), -1)),
        ("split", [Val::Text(separator), Val::Int(count)]) => Ok(split(text, separator.as_str(), *count)),
        ("substring", [Val::Int(from)]) => substring(text, *from, None),
        ("substring", [Val::Int(from), Val::Int(to)]) => substring(text, *from, Some(*to)),
        ("format", [Val::List(list)]) => list
            .items()
            .and_then(|items| format::format(text, &items))
            .map(Val::text),
        ("strings.quote", []) => Ok(Val::text(quote(text))),
        _ => return None,
    })
}

fn out_of_range(index: i64) -> Fault {
    Fault::Error(format!("index out of range: {index}"))
}

fn char_at(text: &str, index: i64) -> Result<String, Fault> {
    let place = usize::try_from(index).map_err(|_| out_of_range(index))?;
    match text.chars().nth(place) {
        Some(c) => Ok(c.to_string()),
        None if text.chars().count() == place => Ok(String::new()),
        None => Err(out_of_range(index)),
    }
}

/// Where a part begins, counted in characters, at or behind `from`.
fn index_of<'a>(text: &str, part: &str, from: i64) -> Outcome<'a> {
    if part.is_empty() {
        return Ok(Val::Int(from));
    }
    let skipped = usize::try_from(from).map_err(|_| out_of_range(from))?;
    let Some((start, _)) = text.char_indices().nth(skipped) else {
        return Ok(Val::Int(-1));
    };
    let found = text
        .get(start..)
        .and_then(|rest| rest.find(part))
        .map(|at| start.saturating_add(at));
    Ok(character(text, found))
}

/// Where a part begins last, at or before `from`.
fn last_index_of<'a>(text: &str, part: &str, from: Option<i64>) -> Outcome<'a> {
    if part.is_empty() {
        return Ok(from.map_or_else(|| length(text.chars().count()), Val::Int));
    }
    let Some(from) = from else {
        return Ok(character(text, text.rfind(part)));
    };
    let place = usize::try_from(from).map_err(|_| out_of_range(from))?;
    let Some((start, _)) = text.char_indices().nth(place) else {
        return Ok(Val::Int(-1));
    };
    let end = start.saturating_add(part.len()).min(text.len());
    let end = (end..=text.len())
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(text.len());
    let found = text
        .get(..end)
        .and_then(|front| front.rfind(part))
        .filter(|at| *at <= start);
    Ok(character(text, found))
}

/// The number of the character at a byte; -1 for none.
fn character<'a>(text: &str, byte: Option<usize>) -> Val<'a> {
    match byte.and_then(|byte| text.get(..byte)) {
        Some(front) => length(front.chars().count()),
        None => Val::Int(-1),
    }
}

fn replace<'a>(text: &str, old: &str, new: &str, count: i64) -> Outcome<'a> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let hits = text.matches(old).take(count).count();
    if hits.saturating_mul(new.len()).saturating_add(text.len()) > RESULT_MAX {
        return Err(Fault::Exhausted);
    }
    Ok(Val::text(text.replacen(old, new, count)))
}

/// The parts between separators, into characters when there is none; with a count the last one has the rest.
fn split<'a>(text: &str, separator: &str, count: i64) -> Val<'a> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count == 0 {
        return Val::list(Vec::new());
    }
    if !separator.is_empty() {
        return Val::texts(text.splitn(count, separator));
    }
    let mut parts: Vec<String> = text.chars().take(count).map(String::from).collect();
    let rest: String = text.chars().skip(count).collect();
    if let Some(last) = parts.last_mut() {
        last.push_str(&rest);
    }
    Val::texts(parts)
}

fn substring<'a>(text: &str, from: i64, to: Option<i64>) -> Outcome<'a> {
    let size = text.chars().count();
    if let Some(to) = to.filter(|to| from > *to) {
        return Err(Fault::Error(format!(
            "invalid substring range. start: {from}, end: {to}"
        )));
    }
    let inside = |index: i64| {
        usize::try_from(index)
            .ok()
            .filter(|at| *at <= size)
            .ok_or_else(|| out_of_range(index))
    };
    let from = inside(from)?;
    let to = to.map_or(Ok(size), inside)?;
    Ok(Val::text(
        text.chars()
            .skip(from)
            .take(to.saturating_sub(from))
            .collect::<String>(),
    ))
}

fn join<'a>(items: &[Val<'_>], separator: &str) -> Outcome<'a> {
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        parts.push(as_text(item)?);
    }
    let size = parts
        .iter()
        .map(|part| part.len().saturating_add(separator.len()))
        .fold(0, usize::saturating_add);
    if size > RESULT_MAX {
        return Err(Fault::Exhausted);
    }
    Ok(Val::text(parts.join(separator)))
}

/// A literal of the string.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
