//! What the schema validator found, before it becomes a field's error.

use serde_json::Value;

use super::error::{ErrorKind, FieldError};

/// One finding.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub fault: Fault,
    /// Where, with dots only; may begin with one.
    pub at: String,
    /// The validator's own words; two findings with the same words are one.
    pub message: String,
    /// The value at fault, as it is shown.
    pub value: Value,
}

/// What kind of fault it is, as far as the field's error depends on it.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Required,
    /// The values that are supported.
    NotSupported(Vec<Value>),
    /// At most so many characters.
    TooLong(i64),
    /// At most so many members.
    TooMany(i64),
    Type,
    Invalid,
    /// Of the object as a whole: no field is named.
    Whole,
}

/// The findings of one value, and how many checks went through: the better of two alternatives is told by that.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub findings: Vec<Finding>,
    pub passed: u32,
}

impl Outcome {
    pub(super) fn is_valid(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn count(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if !self.findings.iter().any(|known| known.message == finding.message) {
            self.findings.push(finding);
        }
    }

    pub(super) fn merge(&mut self, other: Outcome) {
        self.passed = self.passed.saturating_add(other.passed);
        for finding in other.findings {
            self.add(finding);
        }
    }
}

impl Finding {
    /// The error of a field; `prefix` is where the validated part stands in the object, empty for all of it.
    pub(super) fn into_error(self, prefix: &str) -> FieldError {
        let name = self.at.trim_start_matches('.');
        let gap = if prefix.is_empty() || name.is_empty() {
            ""
        } else {
            "."
        };
        let mut field = format!("{prefix}{gap}{name}");
        if matches!(self.fault, Fault::Whole) {
            prefix.clone_into(&mut field);
        }
        if field.is_empty() {
            "<nil>".clone_into(&mut field);
        }
        match self.fault {
            Fault::Required => FieldError::required(field, ""),
            Fault::NotSupported(values) => {
                let values: Vec<_> = values.iter().map(supported).collect();
                let detail = format!("supported values: {}", values.join(", "));
                FieldError::new(ErrorKind::NotSupported, field, self.value, detail)
            }
            Fault::TooLong(max) => {
                let unit = if max == 1 { "byte" } else { "bytes" };
                FieldError::bare(
                    ErrorKind::TooLong,
                    field,
                    format!("may not be more than {max} {unit}"),
                )
            }
            Fault::TooMany(max) => {
                let unit = if max == 1 { "item" } else { "items" };
                let detail = format!("must have at most {max} {unit}");
                FieldError::new(ErrorKind::TooMany, field, self.value, detail)
            }
            Fault::Type => FieldError::new(ErrorKind::TypeInvalid, field, shown(self.value), self.message),
            Fault::Invalid | Fault::Whole => {
                FieldError::new(ErrorKind::Invalid, field, shown(self.value), self.message)
            }
        }
    }
}

fn shown(value: Value) -> Value {
    if value.is_null() { Value::from("") } else { value }
}

fn supported(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => super::go::json(other),
    };
    super::go::quote(&text)
}
