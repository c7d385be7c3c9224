//! Paths into objects, as managedFields has them.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

use super::order::compare;

/// One step of a path.
#[derive(Clone, Debug)]
pub enum Element {
    /// A field of an object (`f:`).
    Field(String),
    /// The item of a list whose members have these values, sorted by name (`k:`).
    Key(Vec<(String, Value)>),
    /// The item of a set (`v:`).
    Value(Value),
    /// The item at an index (`i:`).
    Index(i64),
}

/// A path from the root of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Element>);

/// What is not an element of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an element of a path: {0:?}")]
pub struct BadElement(pub String);

impl Path {
    /// The path through the named fields.
    pub fn of_fields(names: &[&str]) -> Self {
        Self(
            names
                .iter()
                .map(|name| Element::Field((*name).to_owned()))
                .collect(),
        )
    }
}

impl Element {
    /// The element as a member of FieldsV1 names it. `None` for a sort of element that later versions may know.
    pub fn parse(text: &str) -> Result<Option<Self>, BadElement> {
        let bad = || BadElement(text.to_owned());
        let (sort, rest) = text
            .split_once(':')
            .filter(|(sort, _)| sort.len() == 1)
            .ok_or_else(bad)?;
        let element = match sort {
            "f" => Self::Field(rest.to_owned()),
            "v" => Self::Value(serde_json::from_str(rest).map_err(|_| bad())?),
            "k" => {
                let members: Map<String, Value> = serde_json::from_str(rest).map_err(|_| bad())?;
                let mut members: Vec<(String, Value)> = members.into_iter().collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Key(members)
            }
            "i" => Self::Index(rest.parse().map_err(|_| bad())?),
            _ => return Ok(None),
        };
        Ok(Some(element))
    }

    /// The name of the member of FieldsV1.
    pub fn to_fields_v1(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Value(value) => format!("v:{}", json(value)),
            Self::Key(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{}:{}", json(&name.as_str().into()), json(value)))
                    .collect();
                format!("k:{{{}}}", members.join(","))
            }
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// JSON with the characters escaped that Go escapes for HTML's sake.
pub(super) fn json(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Value(a), Self::Value(b)) => compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => {
                let members = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1)));
                members
                    .fold(Ordering::Equal, Ordering::then)
                    .then(a.len().cmp(&b.len()))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

/// As messages show it.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Key(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(f, "[{}]", members.join(","))
            }
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| write!(f, "{element}"))
    }
}
