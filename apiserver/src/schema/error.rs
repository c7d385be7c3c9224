//! What can be wrong with a field, in the API server's words, and the path to it.

use std::fmt;

use serde_json::Value;

use super::go;

/// The kind of a field's error; each has a reason of its own in the causes of a Status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// A value is missing.
    Required,
    /// A value is given twice where it must be unique.
    Duplicate,
    /// A value breaks a rule.
    Invalid,
    /// A value is of another type than the schema's.
    TypeInvalid,
    /// A value is not one of those listed.
    NotSupported,
    /// A value must not be given or changed here.
    Forbidden,
    /// A string is too long.
    TooLong,
    /// A list or object has too many members.
    TooMany,
    /// The check itself failed.
    Internal,
}

impl ErrorKind {
    /// The `reason` of a cause in a Status.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One error of one field. Its `Display` is `FIELD: BODY`, the way the message of a Status lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// The path to the field, for example `spec.ports[0].name`; `<nil>` for the object as a whole.
    pub field: String,
    /// The value at fault; `None` when the text leaves it out.
    pub value: Option<Value>,
    /// What is wrong with it; empty when the kind says it all.
    pub detail: String,
}

impl FieldError {
    /// An error that shows the value.
    pub fn new(kind: ErrorKind, field: impl Into<String>, value: Value, detail: impl Into<String>) -> Self {
        Self {
            kind,
            field: field.into(),
            value: Some(value),
            detail: detail.into(),
        }
    }

    /// An error without a value.
    pub fn bare(kind: ErrorKind, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            field: field.into(),
            value: None,
            detail: detail.into(),
        }
    }

    /// A value that breaks a rule.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, field, value.into(), detail)
    }

    /// A value that is missing.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::bare(ErrorKind::Required, field, detail)
    }

    /// A value that must not be here.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::bare(ErrorKind::Forbidden, field, detail)
    }

    /// The text without the field, as the `message` of a cause.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        let shown = match &self.value {
            None => None,
            Some(Value::Number(n)) => Some(go::number(n)),
            Some(Value::Bool(flag)) => Some(flag.to_string()),
            Some(Value::String(value)) => Some(go::quote(value)),
            Some(other) => Some(go::json(other)),
        };
        for part in shown.iter().chain(Some(&self.detail).filter(|d| !d.is_empty())) {
            text.push_str(": ");
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Why a schema was refused: what the server says about the CustomResourceDefinition that has it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct SchemaError {
    /// What is wrong.
    pub errors: Vec<FieldError>,
}

/// The way to a value, built on the stack while a check descends and written out only for an error.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    /// The object itself.
    Root,
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// A key of a map.
    Key(&'a Path<'a>, &'a str),
    /// An item of a list.
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// As the schema validator names it: map keys look like fields, the root is empty.
    pub(crate) fn dotted(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    /// As all other validators name it: map keys in brackets, the root is `<nil>`.
    pub(crate) fn bracketed(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        if out.is_empty() { "<nil>".to_owned() } else { out }
    }

    /// A field below this path, as `bracketed`.
    pub(crate) fn field(&self, name: &str) -> String {
        Path::Field(self, name).bracketed()
    }

    fn write(&self, out: &mut String, dots: bool) {
        match self {
            Self::Root => {}
            Self::Field(parent, name) => parent.push(out, dots, name),
            Self::Key(parent, name) if dots => parent.push(out, dots, name),
            Self::Key(parent, name) => {
                parent.write(out, dots);
                out.push('[');
                out.push_str(name);
                out.push(']');
            }
            Self::Index(parent, index) => {
                parent.write(out, dots);
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }

    fn push(&self, out: &mut String, dots: bool, name: &str) {
        self.write(out, dots);
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_the_servers() {
        let cases = [
            (FieldError::required("spec.a", ""), "spec.a: Required value"),
            (
                FieldError::invalid("spec.a", json!(1.5), "no"),
                "spec.a: Invalid value: 1.5: no",
            ),
            (
                FieldError::invalid("a", json!("x\"y"), ""),
                "a: Invalid value: \"x\\\"y\"",
            ),
            (
                FieldError::invalid("<nil>", Value::Null, "no"),
                "<nil>: Invalid value: null: no",
            ),
            (
                FieldError::new(ErrorKind::Duplicate, "a[1]", json!({"k": 1, "b": "<"}), ""),
                "a[1]: Duplicate value: {\"b\":\"\\u003c\",\"k\":1}",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn paths_have_two_spellings() {
        let spec = Path::Field(&Path::Root, "spec");
        let key = Path::Key(&spec, "a.b");
        let item = Path::Index(&key, 2);
        assert_eq!(item.dotted(), "spec.a.b[2]");
        assert_eq!(item.bracketed(), "spec[a.b][2]");
        assert_eq!(Path::Root.dotted(), "");
        assert_eq!(Path::Root.bracketed(), "<nil>");
    }
}
