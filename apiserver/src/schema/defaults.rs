//! Defaults must be values that the schema itself takes.

use serde_json::Value;

use super::error::{FieldError, Path};
use super::node::Node;
use super::place::Place;
use super::props::Props;
use super::{embedded, lists, prune, rules, validate};

/// What is wrong with the defaults of a schema and its parts. Those inside of additionalProperties are never put in.
pub(super) fn check(props: &Props, at: &Place) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(&mut errors, props, at);
    errors
}

fn walk(errors: &mut Vec<FieldError>, props: &Props, at: &Place) {
    if let Some(default) = &props.default {
        default_value(
            errors,
            &Node::compile(props),
            default,
            &at.child("default").to_string(),
        );
    }
    if let Some(items) = props.items() {
        walk(errors, items, &at.child("items"));
    }
    for (name, sub) in &props.properties {
        walk(errors, sub, &at.child("properties").key(name));
    }
}

fn default_value(errors: &mut Vec<FieldError>, node: &Node, default: &Value, at: &str) {
    let mut pruned = default.clone();
    prune::prune_part(node, &mut pruned);
    if pruned != *default {
        errors.push(FieldError::invalid(
            at,
            default.clone(),
            "must not have unknown fields",
        ));
    }
    let place = Path::Field(&Path::Root, at);
    let mut found = Vec::new();
    embedded::check(node, default, &place, &mut found);
    let spot = validate::Spot {
        value: default,
        at: &Path::Root,
        before: None,
    };
    if found.is_empty() {
        let outcome = validate::value(node, &spot);
        found.extend(outcome.findings.into_iter().map(|finding| finding.into_error(at)));
    }
    if found.is_empty() {
        lists::check(node, default, &place, &mut found);
    }
    if found.is_empty() && node.has_rules {
        found = rules::check_part(node, default, &place);
    }
    errors.append(&mut found);
}
