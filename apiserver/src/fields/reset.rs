//! Fields that a write to a resource or subresource cannot change, and that it therefore cannot own.

use super::path::Path;
use super::set::FieldSet;

/// The fields that a write leaves as they are, with all below them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetFields(FieldSet);

impl ResetFields {
    /// Nothing is reset.
    pub fn none() -> Self {
        Self::default()
    }

    /// The given fields are.
    pub fn of(paths: &[&[&str]]) -> Self {
        let paths: Vec<Path> = paths.iter().map(|path| Path::of_fields(path)).collect();
        Self(FieldSet::of(&paths))
    }

    /// What the API server resets for a built-in kind; `subresource` is empty for the resource itself. Kinds without a
    /// status have nothing to reset.
    pub fn builtin(api_version: &str, kind: &str, subresource: &str) -> Self {
        let has_status = crate::topology::builtin(api_version, kind).is_some_and(|info| {
            info.resolve(info.root())
                .map
                .is_some_and(|map| map.fields.contains_key("status"))
        });
        match (kind, subresource) {
            ("CustomResourceDefinition", "status") => Self::of(&[&["metadata"], &["spec"]]),
            ("Pod", "status") => Self::of(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ]),
            ("Deployment", "status") => Self::of(&[&["spec"], &["metadata", "labels"]]),
            (_, "status") => Self::of(&[&["spec"]]),
            (_, "" | "finalize") if has_status => Self::of(&[&["status"]]),
            _ => Self::none(),
        }
    }

    /// What is reset for a custom resource; `has_status` says whether its CRD has the status subresource.
    pub fn custom(has_status: bool, subresource: &str) -> Self {
        match subresource {
            "status" => Self::of(&[&["metadata"], &["spec"]]),
            "" if has_status => Self::of(&[&["status"]]),
            _ => Self::none(),
        }
    }

    pub(super) fn filter(&self, set: &FieldSet) -> FieldSet {
        set.recursive_difference(&self.0)
    }
}
