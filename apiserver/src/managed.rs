//! Who wrote which field: `metadata.managedFields`.

use serde_json::Value;

use crate::object;

/// A write that does not say who owns what leaves it as it was.
pub(crate) fn keep(old: Option<&Value>, new: &mut Value) {
    if object::at(new, &["metadata", "managedFields"]).is_none()
        && let Some(kept) = old.and_then(|old| object::at(old, &["metadata", "managedFields"]))
    {
        object::set_meta(new, "managedFields", kept.clone());
    }
}
