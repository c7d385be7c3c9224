//! Label and field selectors.

use serde_json::Value;

use crate::object::{self, at, list};
use crate::store::Marks;

/// One condition on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

/// Conditions on labels that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<Requirement>);

impl Labels {
    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object's labels fulfil all conditions.
    pub fn matches(&self, value: &Value) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let labels = at(value, &["metadata", "labels"]);
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// What an object has at least that fulfils all conditions.
    pub fn marks(&self) -> Marks {
        self.0
            .iter()
            .fold(Marks::default(), |marks, requirement| match requirement {
                Requirement::In(key, values) => match values.as_slice() {
                    [value] => marks.with_label(key, value),
                    _ => marks,
                },
                _ => marks,
            })
    }

    /// Reads the text of a query, such as `a=b,c in (d, e),!f`.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut tokens = Tokens::new(query);
        let mut all = Vec::new();
        if tokens.peek().is_empty() {
            return Ok(Self::default());
        }
        loop {
            let first = tokens.peek();
            if is_sign(&first) && first != "!" {
                return Err(format!(
                    "found '{first}', expected: !, identifier, or 'end of string'"
                ));
            }
            let one = requirement(&mut tokens);
            all.push(one.map_err(|why| format!("unable to parse requirement: {why}"))?);
            match tokens.next().as_str() {
                "" => return Ok(Self(all)),
                "," => {
                    let next = tokens.peek();
                    if is_sign(&next) && next != "!" {
                        return Err(format!("found '{next}', expected: identifier after ','"));
                    }
                }
                other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
            }
        }
    }

    /// A `metav1.LabelSelector`; none selects nothing, an empty one everything.
    pub fn from_selector(selector: Option<&Value>) -> Option<Self> {
        let selector = selector.filter(|selector| selector.is_object())?;
        let mut all = Vec::new();
        if let Some(equal) = at(selector, &["matchLabels"]).and_then(Value::as_object) {
            let one = |(key, value): (&String, &Value)| {
                Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()])
            };
            all.extend(equal.iter().map(one));
        }
        for expression in list(selector, &["matchExpressions"]) {
            let key = object::text(expression, &["key"]).to_owned();
            let values = list(expression, &["values"]);
            let values = values
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            all.push(match object::text(expression, &["operator"]) {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::Absent(key),
                _ => return None,
            });
        }
        Some(Self(all))
    }
}

impl Requirement {
    fn matches(&self, labels: Option<&Value>) -> bool {
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let number = |key: &str| label(key).and_then(|label| label.parse::<i64>().ok());
        match self {
            Self::In(key, values) => {
                label(key).is_some_and(|label| values.iter().any(|value| value == label))
            }
            Self::NotIn(key, values) => {
                label(key).is_none_or(|label| values.iter().all(|value| value != label))
            }
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
            Self::Greater(key, than) => number(key).is_some_and(|number| number > *than),
            Self::Less(key, than) => number(key).is_some_and(|number| number < *than),
        }
    }
}

const SIGNS: [&str; 10] = ["!=", "==", "=", "!", ",", "(", ")", ">", "<", ""];

fn is_sign(token: &str) -> bool {
    SIGNS.contains(&token)
}

/// Words and signs of a selector; the empty token is the end.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn new(query: &'a str) -> Self {
        Self { rest: query }
    }

    fn take(&self) -> (&'a str, &'a str) {
        let rest = self.rest.trim_start();
        for sign in SIGNS.iter().filter(|sign| !sign.is_empty()) {
            if let Some((found, after)) = rest.split_at_checked(sign.len())
                && found == *sign
            {
                return (found, after);
            }
        }
        let end = rest
            .find(|letter: char| letter.is_whitespace() || "=!,()<>".contains(letter))
            .unwrap_or(rest.len());
        rest.split_at_checked(end).unwrap_or((rest, ""))
    }

    fn peek(&self) -> String {
        self.take().0.to_owned()
    }

    fn next(&mut self) -> String {
        let (token, rest) = self.take();
        self.rest = rest;
        token.to_owned()
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    if tokens.peek() == "!" {
        tokens.next();
        return Ok(Requirement::Absent(identifier(tokens)?));
    }
    let key = identifier(tokens)?;
    if ["", ","].contains(&tokens.peek().as_str()) {
        return Ok(Requirement::Exists(key));
    }
    let operator = tokens.next();
    match operator.as_str() {
        "=" | "==" => Ok(Requirement::In(key, vec![exact(tokens)?])),
        "!=" => Ok(Requirement::NotIn(key, vec![exact(tokens)?])),
        "in" => Ok(Requirement::In(key, values(tokens)?)),
        "notin" => Ok(Requirement::NotIn(key, values(tokens)?)),
        ">" | "<" => {
            let bound = exact(tokens)?;
            let bound = bound.parse().map_err(|_| {
                format!("for 'Gt', 'Lt' operators, the value must be an integer: \"{bound}\"")
            })?;
            Ok(if operator == ">" {
                Requirement::Greater(key, bound)
            } else {
                Requirement::Less(key, bound)
            })
        }
        other => Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
    }
}

fn identifier(tokens: &mut Tokens<'_>) -> Result<String, String> {
    let token = tokens.next();
    if is_sign(&token) {
        return Err(format!("found '{token}', expected: identifier"));
    }
    match crate::meta::names::qualified(&token).first() {
        Some(wrong) => Err(format!("key: Invalid value: \"{token}\": {wrong}")),
        None => Ok(token),
    }
}

fn exact(tokens: &mut Tokens<'_>) -> Result<String, String> {
    match tokens.peek().as_str() {
        "" | "," => Ok(String::new()),
        token if is_sign(token) => Err(format!("found '{token}', expected: identifier")),
        _ => checked_value(tokens.next()),
    }
}

fn checked_value(value: String) -> Result<String, String> {
    match crate::meta::names::label_value(&value).first() {
        Some(wrong) => Err(format!("values[0][{value}]: Invalid value: \"{value}\": {wrong}")),
        None => Ok(value),
    }
}

fn values(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    let open = tokens.next();
    if open != "(" {
        return Err(format!("found '{open}' expected: '('"));
    }
    let mut all = Vec::new();
    loop {
        match tokens.peek().as_str() {
            ")" | "," => all.push(String::new()),
            token if is_sign(token) => {
                return Err(format!("found '{token}', expected: ',', ')' or identifier"));
            }
            _ => all.push(checked_value(tokens.next())?),
        }
        match tokens.next().as_str() {
            ")" => return Ok(all),
            "," => {}
            other => return Err(format!("found '{other}', expected: ',' or ')'")),
        }
    }
}

/// A label selector in the form of a query.
pub fn text(selector: &Value) -> String {
    let mut terms: Vec<String> = at(selector, &["matchLabels"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in list(selector, &["matchExpressions"]) {
        let key = object::text(expression, &["key"]);
        let values: Vec<&str> = list(expression, &["values"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        terms.push(match object::text(expression, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}

/// One condition on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field, such as `metadata.name`.
    pub field: String,
    /// The value it is compared with.
    pub value: String,
    /// Whether it must have the value, or must not.
    pub equal: bool,
}

/// Conditions on fields that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<FieldTerm>);

impl Fields {
    /// Reads the text of a query, such as `spec.nodeName=a,status.phase!=Failed`.
    pub fn parse(query: &str) -> Result<Self, String> {
        let wrong = |term: &str| format!("invalid selector: '{term}'; can't understand '{term}'");
        let terms = split_terms(query);
        let terms = terms.iter().filter(|term| !term.is_empty()).map(|term| {
            let (field, value, equal) =
                match (term.split_once("!="), term.split_once("=="), term.split_once('=')) {
                    (Some((field, value)), _, _) => (field, value, false),
                    (_, Some((field, value)), _) | (_, _, Some((field, value))) => (field, value, true),
                    _ => return Err(wrong(term)),
                };
            Ok(FieldTerm {
                field: field.to_owned(),
                value: unescape(value),
                equal,
            })
        });
        terms.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the fields, as `read` tells them, fulfil all conditions.
    pub fn matches(&self, read: impl Fn(&str) -> String) -> bool {
        self.0
            .iter()
            .all(|term| (read(&term.field) == term.value) == term.equal)
    }

    /// The value that a field must have, if there is just one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|term| term.equal && term.field == field)
            .map(|term| term.value.as_str())
    }
}

/// Splits at commas that no backslash stands before.
fn split_terms(query: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for letter in query.chars() {
        if letter == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        escaped = letter == '\\' && !escaped;
        if let Some(last) = terms.last_mut() {
            last.push(letter);
        }
    }
    terms
}

fn unescape(value: &str) -> String {
    let mut plain = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(query: &str, labels: &Value) -> bool {
        Labels::parse(query)
            .unwrap()
            .matches(&json!({"metadata": {"labels": labels}}))
    }

    #[test]
    fn label_selectors() {
        let labels = || json!({"a": "b", "n": "5"});
        for yes in [
            "",
            "a=b",
            "a==b",
            "a!=c",
            "a in (x,b)",
            "a notin (x)",
            "a",
            "!z",
            "z!=b",
            "n>4,n<6",
            "a=b, n = 5",
        ] {
            assert!(selects(yes, &labels()), "{yes}");
        }
        for no in [
            "a=c",
            "a!=b",
            "a in (x)",
            "a notin (b)",
            "!a",
            "z",
            "n>5",
            "z=b",
            "a=b,z",
        ] {
            assert!(!selects(no, &labels()), "{no}");
        }
        let wrong = |query: &str| Labels::parse(query).unwrap_err();
        assert_eq!(
            wrong("a===b"),
            "unable to parse requirement: found '=', expected: identifier"
        );
        assert_eq!(
            wrong("a in b"),
            "unable to parse requirement: found 'b' expected: '('"
        );
        assert!(
            wrong("a b").starts_with("unable to parse requirement: found 'b', expected: in, notin"),
            "{}",
            wrong("a b")
        );
    }

    #[test]
    fn selectors_of_objects() {
        let selector =
            json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]});
        let labels = Labels::from_selector(Some(&selector)).unwrap();
        assert!(labels.matches(&json!({"metadata": {"labels": {"a": "b", "c": ""}}})));
        assert!(!labels.matches(&json!({"metadata": {"labels": {"a": "b"}}})));
        assert_eq!(Labels::from_selector(None), None);
    }

    #[test]
    fn field_selectors() {
        let fields = Fields::parse(r"a=x,b!=y,c==p\,q").unwrap();
        let read = |field: &str| match field {
            "a" => "x".to_owned(),
            "c" => "p,q".to_owned(),
            _ => String::new(),
        };
        assert!(fields.matches(read));
        assert_eq!(fields.exact("a"), Some("x"));
        assert_eq!(
            Fields::parse("foo").unwrap_err(),
            "invalid selector: 'foo'; can't understand 'foo'"
        );
    }
}
