//! `x-kubernetes-validations`.

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {}
