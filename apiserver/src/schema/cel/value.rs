//! Values in rules. Parts of the object are borrowed and typed by their schema when they are looked at.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::Value;

use super::super::formats::Check;
use super::super::node::{Additional, ListType, Node, Type};
use super::super::{formats, go};
use super::escape;
use super::fault::Fault;
use super::named::NamedFormat;
use super::quantity::Quantity;
use super::semver::Semver;
use crate::schema::url::Url;

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    /// Nanoseconds.
    Duration(i64),
    Timestamp(jiff::Timestamp),
    Optional(Option<Rc<Val<'a>>>),
    Type(&'static str),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
    Url(Rc<Url>),
    Quantity(Quantity),
    Semver(Rc<Semver>),
    Format(&'static NamedFormat),
    /// Data without a schema: it can be compared and no more.
    Raw(&'a Value),
}

/// A string, borrowed from the object when it stands there.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Part(&'a str),
    Own(Rc<str>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Part(text) => text,
            Self::Own(text) => text,
        }
    }
}

/// A list: of the object, or made by the rule.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// Items of the object, and the list's schema.
    Part(&'a [Value], &'a Node),
    Own(Rc<Vec<Val<'a>>>),
    /// A list of the object to which the rule has added; it compares as the schema's list type says.
    Typed(Rc<Vec<Val<'a>>>, &'a Node),
}

/// A map or an object: of the object, or made by the rule.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    Part(Object<'a>),
    /// Entries in the order in which they were made.
    Own(Rc<Vec<(Val<'a>, Val<'a>)>>),
}

/// An object with its schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    pub fields: &'a serde_json::Map<String, Value>,
    pub node: &'a Node,
    /// Whether it is a resource, whose kind, version and names are always there.
    pub resource: bool,
}

/// What rules see of a resource's metadata, whatever its schema says.
static METADATA: LazyLock<Node> = LazyLock::new(|| {
    let mut node = Node::of_type(Type::Object);
    for name in ["name", "generateName"] {
        node.properties
            .insert(name.to_owned(), Node::of_type(Type::String));
    }
    node
});
static TEXT: LazyLock<Node> = LazyLock::new(|| Node::of_type(Type::String));

impl<'a> Val<'a> {
    pub(crate) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Own(text.into()))
    }

    pub(crate) fn list(items: Vec<Val<'a>>) -> Self {
        Self::List(List::Own(Rc::new(items)))
    }

    pub(crate) fn texts<T: Into<Rc<str>>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(items.into_iter().map(Self::text).collect())
    }

    pub(crate) fn some(value: Val<'a>) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// A part of the object under its schema.
    pub(crate) fn of(value: &'a Value, node: &'a Node, resource: bool) -> Result<Self, Fault> {
        match (value, node.ty) {
            (Value::Null, _) if node.nullable => Ok(Self::Null),
            (Value::Null, _) => Err(Fault::error(
                "invalid data, got null for schema with nullable=false",
            )),
            (Value::String(text), Type::IntOrString) => Ok(Self::Text(Text::Part(text))),
            (Value::Number(n), Type::IntOrString | Type::Integer) => match n.as_i64() {
                Some(n) => Ok(Self::Int(n)),
                None if node.ty == Type::Integer => Err(mismatch("int", value)),
                None => Err(Fault::error(
                    "invalid data, expected XIntOrString value to be either a string or integer",
                )),
            },
            (Value::Object(fields), Type::Object) => Ok(Self::Map(Map::Part(Object {
                fields,
                node,
                resource: resource || node.embedded,
            }))),
            (Value::Array(items), Type::Array) => Ok(Self::List(List::Part(items, node))),
            (Value::String(text), Type::String) => typed_text(text, node),
            (Value::Number(n), Type::Number) => Ok(Self::Double(match n.as_i64() {
                Some(n) => go::nearest(n),
                None => n.as_f64().unwrap_or(f64::NAN),
            })),
            (Value::Bool(flag), Type::Boolean) => Ok(Self::Bool(*flag)),
            (value, Type::Any) => Ok(Self::Raw(value)),
            (value, _) => Err(mismatch(node.ty.name(), value)),
        }
    }

    /// The name of the value's type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Ip(_) => "net.IP",
            Self::Cidr(..) => "net.CIDR",
            Self::Url(_) => "kubernetes.URL",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Raw(_) => "unknown",
        }
    }
}

fn mismatch(wanted: &str, value: &Value) -> Fault {
    let given = match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.as_i64().is_some() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    Fault::Error(format!("invalid data, expected {wanted}, got {given}"))
}

/// A string, or what its format says it is.
fn typed_text<'a>(text: &'a str, node: &Node) -> Result<Val<'a>, Fault> {
    let bad = |what: &str| Fault::Error(format!("Invalid {what} {text}"));
    match node.format.as_ref().map(|format| &format.check) {
        Some(Check::Duration) => formats::duration(text)
            .map(Val::Duration)
            .ok_or_else(|| bad("duration")),
        Some(Check::DateTime) => text
            .parse()
            .map(Val::Timestamp)
            .map_err(|_| bad("date-time formatted string")),
        Some(Check::Date) => {
            let midnight = format!("{text}T00:00:00Z");
            midnight
                .parse()
                .map(Val::Timestamp)
                .map_err(|_| bad("date formatted string"))
        }
        Some(Check::Byte) => {
            let bytes = formats::base64(text).ok_or_else(|| bad("byte formatted string"))?;
            Ok(Val::Bytes(bytes.into()))
        }
        _ => Ok(Val::Text(Text::Part(text))),
    }
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Part(items, _) => items.len(),
            Self::Own(items) | Self::Typed(items, _) => items.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Result<Option<Val<'a>>, Fault> {
        match self {
            Self::Part(items, list) => match (items.get(index), list.items.as_deref()) {
                (Some(item), Some(node)) => Val::of(item, node, false).map(Some),
                (Some(item), None) => Ok(Some(Val::Raw(item))),
                (None, _) => Ok(None),
            },
            Self::Own(items) | Self::Typed(items, _) => Ok(items.get(index).cloned()),
        }
    }

    /// All items.
    pub(crate) fn items(&self) -> Result<Vec<Val<'a>>, Fault> {
        (0..self.len())
            .filter_map(|index| self.get(index).transpose())
            .collect()
    }

    /// The schema of a list that came from the object.
    pub(crate) fn schema(&self) -> Option<&'a Node> {
        match self {
            Self::Part(_, node) | Self::Typed(_, node) => Some(node),
            Self::Own(_) => None,
        }
    }

    /// How its items are told apart.
    pub(crate) fn list_type(&self) -> &ListType {
        self.schema().map_or(&ListType::Atomic, |node| &node.list)
    }
}

impl<'a> Object<'a> {
    fn is_struct(&self) -> bool {
        self.resource || !self.node.properties.is_empty()
    }

    /// The schema of a field, by its name in the object.
    pub(crate) fn schema_of(&self, name: &str) -> Option<&'a Node> {
        if self.resource {
            match name {
                "kind" | "apiVersion" => return Some(&TEXT),
                "metadata" => {
                    let own = self
                        .node
                        .properties
                        .get(name)
                        .filter(|own| !own.properties.is_empty());
                    return Some(own.unwrap_or(&METADATA));
                }
                _ => {}
            }
        }
        if self.is_struct() {
            return self.node.properties.get(name);
        }
        match &self.node.additional {
            Additional::Schema(sub) => Some(sub),
            _ => None,
        }
    }

    /// A field by its name in rules.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Val<'a>>, Fault> {
        let is_struct = self.is_struct();
        let name = if is_struct {
            escape::unescape(name)
        } else {
            Some(name.into())
        };
        let Some(name) = name else {
            return Ok(None);
        };
        match (self.fields.get(name.as_ref()), self.schema_of(&name)) {
            (Some(value), _) if is_struct && value.is_null() => Ok(None),
            (Some(value), Some(node)) => Val::of(value, node, false).map(Some),
            _ => Ok(None),
        }
    }

    /// The names that rules see.
    pub(crate) fn keys(&self) -> Vec<Val<'a>> {
        let known = self.fields.keys().filter(|name| self.schema_of(name).is_some());
        known
            .map(|name| match escape::escape(name).filter(|_| self.is_struct()) {
                Some(escaped) => Val::text(escaped),
                None => Val::Text(Text::Part(name)),
            })
            .collect()
    }
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Part(object) => object.fields.len(),
            Self::Own(entries) => entries.len(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<Val<'a>> {
        match self {
            Self::Part(object) => object.keys(),
            Self::Own(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        }
    }

    pub(crate) fn find(&self, key: &Val<'a>) -> Result<Option<Val<'a>>, Fault> {
        match (self, key) {
            (Self::Part(object), Val::Text(name)) => object.find(name.as_str()),
            (Self::Part(_), _) => Err(Fault::overload()),
            (Self::Own(entries), key) => {
                for (known, value) in entries.iter() {
                    if super::compare::equal(known, key)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }
}
