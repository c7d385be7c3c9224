//! Functions of lists and sets.

use std::cmp::Ordering;

use super::arithmetic;
use super::ast::Operator;
use super::compare::{contains, equal, order};
use super::eval::Outcome;
use super::fault::Fault;
use super::library::{RESULT_MAX, length};
use super::value::Val;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    match (name, args) {
        ("lists.range", [Val::Int(count)]) => Some(range(*count)),
        ("sets.contains" | "sets.equivalent" | "sets.intersects", [Val::List(a), Val::List(b)]) => Some(
            a.items()
                .and_then(|a| Ok((a, b.items()?)))
                .and_then(|(a, b)| set(name, &a, &b)),
        ),
        (_, [Val::List(list), rest @ ..]) => match list.items() {
            Ok(items) => method(name, items, rest),
            Err(fault) => Some(Err(fault)),
        },
        _ => None,
    }
}

fn method<'a>(name: &str, items: Vec<Val<'a>>, rest: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, rest) {
        ("isSorted", []) => is_sorted(&items),
        ("sum", []) => sum(&items),
        ("min", []) => best(items, Ordering::Less, "min"),
        ("max", []) => best(items, Ordering::Greater, "max"),
        ("indexOf", [item]) => place(items.iter(), item).map(|at| at.map_or(Val::Int(-1), length)),
        ("lastIndexOf", [item]) => place(items.iter().rev(), item).map(|at| {
            at.map_or(Val::Int(-1), |at| {
                length(items.len().saturating_sub(at).saturating_sub(1))
            })
        }),
        ("slice", [Val::Int(from), Val::Int(to)]) => slice(&items, *from, *to),
        ("flatten", []) => flatten(items, 1),
        ("flatten", [Val::Int(depth)]) if *depth < 0 => Err(Fault::error("level must be non-negative")),
        ("flatten", [Val::Int(depth)]) => flatten(items, *depth),
        ("sort", []) => sort(items),
        ("reverse", []) => Ok(Val::list(items.into_iter().rev().collect())),
        ("distinct", []) => distinct(items),
        ("first", []) => Ok(items.into_iter().next().map_or(Val::Optional(None), Val::some)),
        ("last", []) => Ok(items
            .into_iter()
            .next_back()
            .map_or(Val::Optional(None), Val::some)),
        ("unwrap" | "unwrapOpt", []) => unwrap(items),
        _ => return None,
    })
}

fn range<'a>(count: i64) -> Outcome<'a> {
    if usize::try_from(count).is_ok_and(|count| count > RESULT_MAX >> 6) {
        return Err(Fault::Exhausted);
    }
    Ok(Val::list((0..count).map(Val::Int).collect()))
}

fn set<'a>(name: &str, a: &[Val<'_>], b: &[Val<'_>]) -> Outcome<'a> {
    let has_all = |whole: &[Val<'_>], parts: &[Val<'_>]| -> Result<bool, Fault> {
        for part in parts {
            if !contains(whole, part)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let result = match name {
        "sets.contains" => has_all(a, b)?,
        "sets.equivalent" => has_all(a, b)? && has_all(b, a)?,
        _ => {
            for item in a {
                if contains(b, item)? {
                    return Ok(Val::Bool(true));
                }
            }
            false
        }
    };
    Ok(Val::Bool(result))
}

fn is_sorted<'a>(items: &[Val<'_>]) -> Outcome<'a> {
    for (a, b) in items.iter().zip(items.iter().skip(1)) {
        if order(a, b)?.is_gt() {
            return Ok(Val::Bool(false));
        }
    }
    Ok(Val::Bool(true))
}

fn sum<'a>(items: &[Val<'a>]) -> Outcome<'a> {
    let mut items = items.iter();
    let Some(first) = items.next() else {
        return Ok(Val::Int(0));
    };
    items.try_fold(first.clone(), |sum, item| {
        arithmetic::apply(Operator::Add, &sum, item)
    })
}

fn best<'a>(items: Vec<Val<'a>>, wanted: Ordering, name: &str) -> Outcome<'a> {
    let mut items = items.into_iter();
    let mut best = items
        .next()
        .ok_or_else(|| Fault::Error(format!("{name} called on empty list")))?;
    for item in items {
        if order(&item, &best)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn place<'v, 'a: 'v>(
    items: impl Iterator<Item = &'v Val<'a>>,
    wanted: &Val<'a>,
) -> Result<Option<usize>, Fault> {
    for (at, item) in items.enumerate() {
        if equal(item, wanted)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn slice<'a>(items: &[Val<'a>], from: i64, to: i64) -> Outcome<'a> {
    let fault = |why: String| Err(Fault::Error(format!("cannot slice({from}, {to}), {why}")));
    if from < 0 || to < 0 {
        return fault("negative indexes not supported".to_owned());
    }
    if from > to {
        return fault("start index must be less than or equal to end index".to_owned());
    }
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(start), Ok(end)) => match items.get(start..end) {
            Some(part) => Ok(Val::list(part.to_vec())),
            None => fault(format!("list is length {}", items.len())),
        },
        _ => fault(format!("list is length {}", items.len())),
    }
}

fn flatten(items: Vec<Val<'_>>, depth: i64) -> Outcome<'_> {
    let mut flat = Vec::new();
    flatten_into(&mut flat, items, depth)?;
    Ok(Val::list(flat))
}

fn flatten_into<'a>(flat: &mut Vec<Val<'a>>, items: Vec<Val<'a>>, depth: i64) -> Result<(), Fault> {
    for item in items {
        match item {
            Val::List(inner) if depth > 0 => flatten_into(flat, inner.items()?, depth.saturating_sub(1))?,
            item => flat.push(item),
        }
    }
    Ok(())
}

fn sort(mut items: Vec<Val<'_>>) -> Outcome<'_> {
    let mut fault = None;
    items.sort_by(|a, b| {
        order(a, b).unwrap_or_else(|why| {
            fault = Some(why);
            Ordering::Equal
        })
    });
    fault.map_or(Ok(Val::list(items)), Err)
}

fn distinct(items: Vec<Val<'_>>) -> Outcome<'_> {
    let mut kept: Vec<Val<'_>> = Vec::new();
    for item in items {
        if !contains(&kept, &item)? {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}

fn unwrap(items: Vec<Val<'_>>) -> Outcome<'_> {
    let mut values = Vec::new();
    for item in items {
        match item {
            Val::Optional(Some(value)) => values.push(value.as_ref().clone()),
            Val::Optional(None) => {}
            _ => return Err(Fault::overload()),
        }
    }
    Ok(Val::list(values))
}
