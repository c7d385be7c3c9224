//! The path to a part of a schema, for the errors of the schema itself.

use std::fmt;

/// A path such as `properties[spec].items.type`, behind that of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    /// Where the schema itself stands; may be empty.
    pub(super) fn of(schema: &str) -> Self {
        Self(schema.to_owned())
    }

    /// A member of the schema.
    pub(super) fn child(&self, name: &str) -> Self {
        let dot = if self.0.is_empty() { "" } else { "." };
        Self(format!("{}{dot}{name}", self.0))
    }

    /// An entry of a map.
    pub(super) fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// An entry of a list.
    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.0
    }
}
