//! Conflicts of an apply, in the API server's words.

use std::fmt;

use super::managed::{Manager, Operation};
use super::path::Path;
use super::update::Contested;

/// A field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The owner as messages show it: in quotes, and for operation Update with the version it was written in.
    pub owner: String,
    /// The field.
    pub field: Path,
}

/// All conflicts of one apply, by owner and field: 409 Conflict with a cause `FieldManagerConflict` for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl Conflicts {
    pub(super) fn of(contested: &Contested) -> Self {
        let of_owner = |(manager, set): (&Manager, &super::FieldSet)| {
            let owner = owner(manager);
            set.paths().into_iter().map(move |field| Conflict {
                owner: owner.clone(),
                field,
            })
        };
        Self(contested.iter().flat_map(of_owner).collect())
    }

    /// (reason, message, field) of each cause in the answer's details.
    pub fn causes(&self) -> impl Iterator<Item = (&'static str, String, String)> {
        self.0.iter().map(|conflict| {
            (
                "FieldManagerConflict",
                format!("conflict with {}", conflict.owner),
                conflict.field.to_string(),
            )
        })
    }
}

fn owner(manager: &Manager) -> String {
    let subresource = match manager.subresource.as_str() {
        "" => String::new(),
        subresource => format!(" with subresource {subresource:?}"),
    };
    let version = match manager.operation {
        Operation::Apply => String::new(),
        Operation::Update => format!(" using {}", manager.api_version),
    };
    format!("{:?}{subresource}{version}", manager.name)
}

/// The message of the answer.
impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Conflict { owner, field }] = self.0.as_slice() {
            return write!(f, "Apply failed with 1 conflict: conflict with {owner}: {field}");
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut last = None;
        for Conflict { owner, field } in &self.0 {
            if last != Some(owner) {
                let separator = if last.is_some() { "\n" } else { "" };
                write!(f, "{separator}conflicts with {owner}:")?;
                last = Some(owner);
            }
            write!(f, "\n- {field}")?;
        }
        Ok(())
    }
}
