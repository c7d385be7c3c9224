//! The JSONPath of printer columns: members, indices and filters by equality.

use serde_json::Value;

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(i64),
    All,
    /// Items whose member has a value.
    Filter(Vec<String>, String),
}

/// What a path leads to, in order.
pub(crate) fn find<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps(path) {
        found = found.into_iter().flat_map(|value| follow(value, &step)).collect();
    }
    found
}

fn follow<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let items = || value.as_array().map_or(&[][..], Vec::as_slice);
    match step {
        Step::Member(name) => value.get(name).into_iter().collect(),
        Step::All => match value {
            Value::Object(members) => members.values().collect(),
            _ => items().iter().collect(),
        },
        Step::Index(index) => {
            let length = i64::try_from(items().len()).unwrap_or(i64::MAX);
            let index = if *index < 0 {
                index.saturating_add(length)
            } else {
                *index
            };
            usize::try_from(index)
                .ok()
                .and_then(|index| items().get(index))
                .into_iter()
                .collect()
        }
        Step::Filter(path, wanted) => items()
            .iter()
            .filter(|item| {
                let found = path.iter().try_fold(*item, |item, name| item.get(name));
                found.is_some_and(|found| {
                    found.as_str().map_or_else(|| found.to_string(), str::to_owned) == *wanted
                })
            })
            .collect(),
    }
}

fn steps(path: &str) -> Vec<Step> {
    let path = path
        .trim()
        .trim_start_matches('{')
        .trim_end_matches('}')
        .trim_start_matches('$');
    let mut steps = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '.' => rest.get(1..).unwrap_or_default(),
            '[' => {
                let end = closing(rest);
                steps.extend(bracket(rest.get(1..end).unwrap_or_default()));
                rest.get(end.saturating_add(1)..).unwrap_or_default()
            }
            _ => {
                let (name, after) = member(rest);
                steps.push(if name == "*" {
                    Step::All
                } else {
                    Step::Member(name)
                });
                after
            }
        };
    }
    steps
}

/// A member's name, in which a backslash takes the meaning from a dot.
fn member(rest: &str) -> (String, &str) {
    let mut name = String::new();
    let mut escaped = false;
    for (index, letter) in rest.char_indices() {
        match letter {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, rest.get(index..).unwrap_or_default()),
            _ => {
                escaped = false;
                name.push(letter);
            }
        }
    }
    (name, "")
}

/// Where the bracket that a text begins with is closed, quotes left aside.
fn closing(rest: &str) -> usize {
    let mut quote = None;
    for (index, letter) in rest.char_indices() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, ']') => return index,
            _ => {}
        }
    }
    rest.len()
}

fn bracket(inner: &str) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        let (path, wanted) = filter.split_once("==")?;
        let path = path
            .trim()
            .trim_start_matches('@')
            .split('.')
            .filter(|name| !name.is_empty());
        return Some(Step::Filter(
            path.map(str::to_owned).collect(),
            unquote(wanted.trim()).to_owned(),
        ));
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    Some(Step::Member(unquote(inner).to_owned()))
}

fn unquote(text: &str) -> &str {
    text.trim_matches(['\'', '"'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_printer_columns() {
        let value = json!({
            "spec": {"a": [{"n": 1}, {"n": 2}], "with.dot": 3},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}]},
        });
        let one = |path: &str| {
            find(&value, path)
                .into_iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(one(".spec.a[0].n"), "1");
        assert_eq!(one(".spec.a[-1].n"), "2");
        assert_eq!(one("{.spec.a[*].n}"), "1,2");
        assert_eq!(one(r".status.conditions[?(@.type=='Ready')].status"), r#""True""#);
        assert_eq!(
            one(r#".status.conditions[?(@.type == "X")].status"#),
            r#""False""#
        );
        assert_eq!(one(r".spec.with\.dot"), "3");
        assert_eq!(one(".spec['with.dot']"), "3");
        assert_eq!(one(".spec.nothing.there"), "");
    }
}
