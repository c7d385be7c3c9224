//! What a CustomResourceDefinition's schema must not say although it may be structural: unsupported members, list and
//! map types that contradict each other, rules without text.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::{ErrorKind, FieldError};
use super::node::Node;
use super::place::Place;
use super::props::{Additional, Items, Props, RuleProps};
use super::rules::{self, Rule};

/// The types that a schema may name.
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// The reasons that a rule may give.
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// What holds for a schema because of where it stands.
#[derive(Clone, Default)]
struct Around {
    root: bool,
    /// Why no default may be given.
    no_default: Option<String>,
    in_metadata: bool,
}

/// What the server refuses in a schema besides its structure.
pub(super) fn check(props: &Props, root: &Place) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if props.nullable {
        errors.push(FieldError::forbidden(
            root.child("nullable"),
            "nullable cannot be true at the root",
        ));
    }
    let around = Around {
        root: true,
        ..Around::default()
    };
    walk(&mut errors, props, &around, root);
    errors
}

/// What is wrong with the rules, and defaults that the schema itself would refuse: looked at when nothing else is.
pub(super) fn check_rules(props: &Props, root: &Place) -> Vec<FieldError> {
    let mut errors = Vec::new();
    compile(&mut errors, props, None, root);
    errors
}

/// Compiles the rules of a schema and its parts. In parts that have no counterpart in the old object, since they stand
/// below `uncorrelated`, no rule may compare with it.
fn compile(errors: &mut Vec<FieldError>, props: &Props, uncorrelated: Option<&Place>, at: &Place) {
    let items_uncorrelated = match props.list_type.as_deref() {
        Some("map") => uncorrelated,
        _ => uncorrelated.or(Some(at)),
    };
    if let Some(sub) = props.additional() {
        compile(errors, sub, uncorrelated, &at.child("additionalProperties"));
    }
    for (name, sub) in &props.properties {
        compile(errors, sub, uncorrelated, &at.child("properties").key(name));
    }
    if let Some(sub) = props.items() {
        compile(errors, sub, items_uncorrelated, &at.child("items"));
    }
    for (i, rule) in props.rules.iter().enumerate() {
        compile_rule(
            errors,
            props,
            rule,
            uncorrelated,
            &at.child("x-kubernetes-validations").index(i),
        );
    }
}

fn compile_rule(
    errors: &mut Vec<FieldError>,
    props: &Props,
    rule: &RuleProps,
    uncorrelated: Option<&Place>,
    at: &Place,
) {
    let field = match rule.field_path.as_str() {
        "" => Some(String::new()),
        path => rules::field_path(path, &Node::compile(props)),
    };
    let Some(field) = field else {
        let path = rule.field_path.as_str();
        errors.push(FieldError::invalid(
            at.child("fieldPath"),
            path,
            "must be a valid path",
        ));
        return;
    };
    match Rule::compile(rule, &field) {
        // The value is a struct whose members have an order of their own, so it is part of the text.
        Err((member, why)) => {
            let detail = format!("{}: {why}", rules::shown(rule));
            errors.push(FieldError::bare(ErrorKind::Invalid, at.child(member), detail));
        }
        Ok(compiled) if compiled.uses_old_self() => {
            if let Some(place) = uncorrelated {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {place}"
                );
                errors.push(FieldError::invalid(at.child("rule"), rule.rule.as_str(), detail));
            }
        }
        Ok(_) => {
            if let Some(optional) = rule.optional_old_self {
                let detail = "may not be set if oldSelf is not used in rule";
                errors.push(FieldError::invalid(at.child("optionalOldSelf"), optional, detail));
            }
        }
    }
}

fn walk(errors: &mut Vec<FieldError>, props: &Props, around: &Around, at: &Place) {
    members(errors, props, around, at);
    let below = Around {
        root: false,
        ..around.clone()
    };
    if let Some(additional) = &props.additional_properties {
        if !props.properties.is_empty() && !matches!(additional, Additional::Allowed(true)) {
            let detail = "additionalProperties and properties are mutual exclusive";
            errors.push(FieldError::forbidden(at.child("additionalProperties"), detail));
        }
        if let Additional::Schema(sub) = additional {
            let mut below = below.clone();
            if around.in_metadata {
                below.no_default = Some("inside additionalProperties applying to object metadata".to_owned());
            }
            walk(errors, sub, &below, &at.child("additionalProperties"));
        }
    }
    for (name, sub) in &props.properties {
        let mut below = below.clone();
        if (around.root || props.embedded) && ["metadata", "kind", "apiVersion"].contains(&name.as_str()) {
            below.in_metadata = true;
            if around.root {
                below.no_default = Some(format!("in top-level {name}"));
            }
        }
        walk(errors, sub, &below, &at.child("properties").key(name));
    }
    if let Some(not) = &props.not {
        walk(errors, not, &below, &at.child("not"));
    }
    for (name, subs) in [
        ("allOf", &props.all_of),
        ("oneOf", &props.one_of),
        ("anyOf", &props.any_of),
    ] {
        for (i, sub) in subs.iter().enumerate() {
            walk(errors, sub, &below, &at.child(name).index(i));
        }
    }
    if let Some(items) = props.items() {
        walk(errors, items, &below, &at.child("items"));
    }
    map_type(errors, props, at);
    list_type(errors, props, at);
    list_map_keys(errors, props, at);
    for (i, rule) in props.rules.iter().enumerate() {
        rule_texts(errors, rule, &at.child("x-kubernetes-validations").index(i));
    }
}

/// The members that are not supported, or not here.
fn members(errors: &mut Vec<FieldError>, props: &Props, around: &Around, at: &Place) {
    if !props.ty.is_empty() && !TYPES.contains(&props.ty.as_str()) {
        errors.push(not_supported(at.child("type"), &props.ty, &TYPES));
    }
    if props.default.is_some()
        && let Some(why) = &around.no_default
    {
        errors.push(FieldError::forbidden(
            at.child("default"),
            format!("must not be set {why}"),
        ));
    }
    let unsupported = [
        ("id", !props.id.is_empty()),
        ("additionalItems", props.additional_items.is_some()),
        ("patternProperties", !props.pattern_properties.is_empty()),
        ("definitions", !props.definitions.is_empty()),
        ("dependencies", !props.dependencies.is_empty()),
        ("$ref", props.reference.is_some()),
    ];
    for (name, given) in unsupported {
        if given {
            errors.push(FieldError::forbidden(
                at.child(name),
                format!("{name} is not supported"),
            ));
        }
    }
    if props.ty == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(at.child("type"), detail));
    }
    if matches!(props.items, Some(Items::Each(_))) {
        errors.push(FieldError::forbidden(
            at.child("items"),
            "items must be a schema object and not an array",
        ));
    }
    if around.in_metadata && props.embedded {
        let place = at.child("x-kubernetes-embedded-resource");
        errors.push(FieldError::forbidden(
            place,
            "must not be used inside of resource meta",
        ));
    }
    if props.unique_items {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(at.child("uniqueItems"), detail));
    }
    if props.preserve_unknown == Some(false) {
        let place = at.child("x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(place, false, "must be true or undefined"));
    }
}

fn not_supported(at: Place, value: &str, supported: &[&str]) -> FieldError {
    let supported: Vec<_> = supported.iter().map(|name| format!("\"{name}\"")).collect();
    let detail = format!("supported values: {}", supported.join(", "));
    FieldError::new(ErrorKind::NotSupported, at, Value::from(value), detail)
}

/// The type that a member needs: missing, or another one.
fn needs_type(errors: &mut Vec<FieldError>, given: &str, at: Place, detail: &str) {
    errors.push(if given.is_empty() {
        FieldError::required(at, detail)
    } else {
        FieldError::invalid(at, given, detail)
    });
}

fn map_type(errors: &mut Vec<FieldError>, props: &Props, at: &Place) {
    let Some(map_type) = &props.map_type else {
        return;
    };
    if props.ty != "object" {
        needs_type(
            errors,
            &props.ty,
            at.child("type"),
            "must be object if x-kubernetes-map-type is specified",
        );
    }
    if map_type != "atomic" && map_type != "granular" {
        errors.push(not_supported(
            at.child("x-kubernetes-map-type"),
            map_type,
            &["atomic", "granular"],
        ));
    }
}

fn list_type(errors: &mut Vec<FieldError>, props: &Props, at: &Place) {
    let Some(list_type) = props.list_type.as_deref() else {
        return;
    };
    let place = at.child("x-kubernetes-list-type");
    if props.ty != "array" {
        needs_type(
            errors,
            &props.ty,
            at.child("type"),
            "must be array if x-kubernetes-list-type is specified",
        );
    } else if let (Some(items), "set") = (props.items(), list_type) {
        let atomic = |given: &Option<String>| given.as_deref() == Some("atomic");
        let wrong = match items.ty.as_str() {
            "array" if items.list_type.is_some() && !atomic(&items.list_type) => {
                Some("x-kubernetes-list-type")
            }
            "object" if !atomic(&items.map_type) => Some("x-kubernetes-map-type"),
            _ => None,
        };
        if let Some(member) = wrong {
            let value = items.list_type.clone().map_or(Value::Null, Value::from);
            let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
            errors.push(FieldError::invalid(
                at.child("items").child(member),
                value,
                detail,
            ));
        }
    }
    if !["atomic", "set", "map"].contains(&list_type) {
        errors.push(not_supported(place, list_type, &["atomic", "set", "map"]));
    }
    if let Some(items) = props
        .items()
        .filter(|items| items.nullable && list_type != "atomic")
    {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(at.child("items").child("nullable"), detail));
        debug_assert!(items.nullable);
    }
}

fn list_map_keys(errors: &mut Vec<FieldError>, props: &Props, at: &Place) {
    let keys = at.child("x-kubernetes-list-map-keys");
    let is_map = props.list_type.as_deref() == Some("map");
    if !props.list_map_keys.is_empty() && !is_map {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        let given = props.list_type.as_deref().unwrap_or_default();
        needs_type(errors, given, at.child("x-kubernetes-list-type"), detail);
    }
    if !is_map {
        return;
    }
    if props.list_map_keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(keys.clone(), detail));
    }
    let Some(items) = props.items() else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(at.child("items"), detail));
        return;
    };
    if items.ty != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(
            at.child("items").child("type"),
            items.ty.as_str(),
            detail,
        ));
        return;
    }
    let mut seen = BTreeSet::new();
    let all = || Value::from(props.list_map_keys.clone());
    for key in &props.list_map_keys {
        let place = at.child("items").child("properties").key(key);
        match items.properties.get(key) {
            None => errors.push(FieldError::invalid(
                keys.clone(),
                all(),
                "entries must all be names of item properties",
            )),
            Some(sub) => map_key(errors, items, key, sub, &place),
        }
        if !seen.insert(key) {
            errors.push(FieldError::invalid(
                keys.clone(),
                all(),
                "must not contain duplicate entries",
            ));
        }
    }
}

/// One field that tells the items of a list apart.
fn map_key(errors: &mut Vec<FieldError>, items: &Props, key: &str, sub: &Props, at: &Place) {
    if sub.ty == "array" || sub.ty == "object" {
        let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(at.child("type"), items.ty.as_str(), detail));
    }
    if sub.default.is_none() && !items.required.iter().any(|required| required == key) {
        let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        errors.push(FieldError::required(at.child("default"), detail));
    }
    if sub.nullable {
        let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
        errors.push(FieldError::forbidden(at.child("nullable"), detail));
    }
}

/// The texts of a rule; whether the rule is one is the compiler's matter.
fn rule_texts(errors: &mut Vec<FieldError>, rule: &RuleProps, at: &Place) {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let (text, message) = (rule.rule.trim(), rule.message.trim());
    if text.is_empty() {
        errors.push(FieldError::required(at.child("rule"), "rule is not specified"));
    } else if !rule.message.is_empty() && message.is_empty() {
        let given = rule.message.as_str();
        errors.push(FieldError::invalid(
            at.child("message"),
            given,
            "must be non-empty if specified",
        ));
    } else if breaks(message) {
        let given = rule.message.as_str();
        errors.push(FieldError::invalid(
            at.child("message"),
            given,
            "must not contain line breaks",
        ));
    } else if breaks(text) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(at.child("message"), detail));
    }
    if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(at.child("messageExpression"), detail));
    }
    if let Some(reason) = rule.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        errors.push(not_supported(at.child("reason"), reason, &REASONS));
    }
    let path = rule.field_path.as_str();
    if !path.is_empty() && path.trim().is_empty() {
        errors.push(FieldError::invalid(
            at.child("fieldPath"),
            path,
            "must be non-empty if specified",
        ));
    }
    if breaks(path) {
        errors.push(FieldError::invalid(
            at.child("fieldPath"),
            path,
            "must not contain line breaks",
        ));
    }
}
