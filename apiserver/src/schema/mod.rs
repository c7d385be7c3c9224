//! The schema of a custom resource, and what the API server does with it: unknown fields are pruned, defaults put in,
//! values validated, all in its own words.
//!
//! Everything here is a pure function of JSON values. [`Schema::from_json`] compiles a structural OpenAPI v3 schema
//! once; the order at a request is [`decode()`], [`Schema::decode_error`], [`Schema::default`],
//! [`Schema::prune`], [`Schema::validate`], [`settle`].

mod cel;
mod correlate;
mod decode;
mod defaults;
mod embedded;
mod error;
mod finding;
mod formats;
mod go;
mod lists;
mod metadata;
mod node;
mod number;
mod place;
mod props;
mod prune;
mod re;
mod rules;
mod spec;
mod structural;
#[cfg(test)]
mod tests;
mod time;
mod url;
mod validate;

use serde_json::Value;

pub(crate) use cel::compare_quantities;
pub use decode::{decode, settle, strict_error, strict_faults};
pub use error::{ErrorKind, FieldError, SchemaError};
pub(crate) use prune::Nulls;

use correlate::Pair;
use error::Path;
use node::Node;
use place::Place;
use props::Props;

/// A compiled schema of one version of a custom resource.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Node,
}

impl Schema {
    /// Compiles `spec.versions[].schema.openAPIV3Schema`.
    ///
    /// # Errors
    /// The schema is not structural, or says something that the server refuses. The fields are below that of the
    /// schema.
    pub fn from_json(schema: &Value) -> Result<Self, SchemaError> {
        Self::from_json_at(schema, "")
    }

    /// As [`Schema::from_json`], with the place of the schema in front of the errors' fields:
    /// `spec.versions[0].schema.openAPIV3Schema`, or `spec.validation.openAPIV3Schema` when all versions have the same.
    ///
    /// # Errors
    /// As there.
    pub fn from_json_at(schema: &Value, place: &str) -> Result<Self, SchemaError> {
        let props: Props = serde_json::from_value(schema.clone()).map_err(|error| SchemaError {
            errors: vec![FieldError::invalid(place, "", error.to_string())],
        })?;
        let place = Place::of(place);
        let mut errors = structural::check(&props, &place);
        if errors.is_empty() {
            errors = defaults::check(&props, &place);
        }
        errors.extend(spec::check(&props, &place));
        if errors.is_empty() {
            errors.extend(spec::check_rules(&props, &place));
        }
        if errors.is_empty() {
            let root = Node::compile(&props);
            return Ok(Self { root });
        }
        Err(SchemaError { errors })
    }

    /// Why the object cannot be decoded at all: metadata of the wrong type, its own or that of an embedded resource.
    /// The request is refused with that before anything else.
    pub fn decode_error(&self, object: &Value) -> Option<String> {
        let own = object.get("metadata").and_then(metadata::misfit);
        own.or_else(|| embedded::misfit(&self.root, object, &Path::Root).map(|fault| fault.to_string()))
    }

    /// Takes unknown fields out, and nulls where none may be. Returns the paths of the unknown fields, as strict field
    /// validation names them ([`strict_error`]).
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.root, object, Nulls::Dropped)
    }

    /// As [`Schema::prune`], but for nulls.
    pub(crate) fn prune_with(&self, object: &mut Value, nulls: Nulls) -> Vec<String> {
        prune::prune(&self.root, object, nulls)
    }

    /// Puts defaults in for what is missing.
    pub fn default(&self, object: &mut Value) {
        prune::default(&self.root, object);
    }

    /// What is wrong with an object that is created, or updated from `old`. Metadata other than that of embedded
    /// resources is the caller's to check.
    ///
    /// On an update the parts that have not changed are not blamed, and transition rules compare with `old`.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let before = old.map(|old| self.pair(new, old));
        let spot = validate::Spot {
            value: new,
            at: &Path::Root,
            before,
        };
        let outcome = validate::value(&self.root, &spot);
        let mut errors: Vec<_> = outcome
            .findings
            .into_iter()
            .map(|found| found.into_error(""))
            .collect();
        embedded::check(&self.root, new, &Path::Root, &mut errors);
        self.lists(new, old, &mut errors);
        self.rules(new, old, &mut errors);
        errors
    }

    /// As [`Schema::validate`], for an update through the subresource `status`: only the status is validated by value,
    /// while the rules see the whole object.
    pub fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let (Some(value), Some(node)) = (new.get("status"), self.root.properties.get("status")) {
            let spot = validate::Spot {
                value,
                at: &Path::Root,
                before: self.pair(new, old).key("status"),
            };
            let outcome = validate::value(node, &spot);
            errors.extend(
                outcome
                    .findings
                    .into_iter()
                    .map(|found| found.into_error("status")),
            );
        }
        self.lists(new, Some(old), &mut errors);
        self.rules(new, Some(old), &mut errors);
        errors
    }

    fn pair<'a>(&'a self, new: &'a Value, old: &'a Value) -> Pair<'a> {
        Pair {
            new,
            old,
            node: &self.root,
        }
    }

    /// The rules, unless the object is not even of the shape that they rely on.
    fn rules(&self, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
        if !self.root.has_rules {
            return;
        }
        let blocking = |error: &FieldError| {
            use ErrorKind::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
            matches!(
                error.kind,
                NotSupported | Required | TooLong | TooMany | TypeInvalid
            )
        };
        if errors.iter().any(blocking) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                          errors to complete validation";
            errors.push(FieldError::invalid("<nil>", Value::Null, detail));
            return;
        }
        errors.extend(rules::check(&self.root, new, old));
    }

    /// Items that stand twice, unless that was so before.
    fn lists(&self, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
        let mut before = Vec::new();
        if let Some(old) = old {
            lists::check(&self.root, old, &Path::Root, &mut before);
        }
        if before.is_empty() {
            lists::check(&self.root, new, &Path::Root, errors);
        }
    }
}
