//! Values of another form than their type.

use serde_json::Value;

use crate::verbs::body::json_kind;

/// Why an object is none of its kind. Go says it in two ways.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Misfit {
    /// A member has another form.
    Form {
        /// What stands there.
        found: Value,
        /// The innermost type, and the path.
        field: String,
        /// What should stand there: a type of Go, or `struct`, `[]` or a `map`.
        wanted: String,
    },
    /// Something else, which is said in one way only.
    Other(String),
}

impl Misfit {
    /// In the words of Go's JSON reader.
    pub(crate) fn decoded(&self) -> String {
        match self {
            Self::Other(why) => why.clone(),
            Self::Form { found, field, wanted } => {
                let found = json_kind(found);
                format!("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}")
            }
        }
    }

    /// In the words of the API server's converter, which reads what a strategic patch made.
    pub(crate) fn converted(&self) -> String {
        let Self::Form { found, wanted, .. } = self else {
            return self.decoded();
        };
        let found = match found {
            Value::Null => "nil",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::String(_) => "string",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
        };
        match wanted.as_str() {
            "struct" => format!(
                "cannot restore struct from: {}",
                found.split('[').next().unwrap_or(found)
            ),
            "[]" => format!("cannot restore slice from {found}"),
            map if map.starts_with("map") => format!("cannot restore map from {found}"),
            _ => format!("cannot convert {found} to {wanted}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ways_to_say_it() {
        let misfit = Misfit::Form {
            found: 1.into(),
            field: "ConfigMap.data".to_owned(),
            wanted: "string".to_owned(),
        };
        assert_eq!(
            misfit.decoded(),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
        assert_eq!(misfit.converted(), "cannot convert int64 to string");
    }
}
