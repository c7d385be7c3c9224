//! Whether a schema is structural: every value has a known place and type outside of the value validations, so that
//! pruning and defaulting know what to do.

use super::error::FieldError;
use super::place::Place;
use super::props::{Additional, Props};
use super::re;

/// Where in the object a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What keeps a schema from being structural, in the order of the texts.
pub(super) fn check(props: &Props, root: &Place) -> Vec<FieldError> {
    let mut errors = Vec::new();
    structure(&mut errors, props, Level::Root, root);
    complete(&mut errors, props, Some(props), root, root);
    errors.sort_by_key(ToString::to_string);
    errors
}

/// The schema itself and those of its parts.
fn structure(errors: &mut Vec<FieldError>, props: &Props, level: Level, at: &Place) {
    if props.ty == "array" && props.items.is_none() {
        errors.push(FieldError::required(at.child("items"), "must be specified"));
    }
    if let Some(items) = props.items() {
        structure(errors, items, Level::Item, &at.child("items"));
    }
    for (name, sub) in &props.properties {
        structure(errors, sub, Level::Field, &at.child("properties").key(name));
    }
    if level == Level::Root && has_additional(props) {
        errors.push(FieldError::forbidden(
            at.child("additionalProperties"),
            "must not be used at the root",
        ));
    }
    if let Some(sub) = props.additional() {
        structure(errors, sub, Level::Field, &at.child("additionalProperties"));
    }
    extensions(errors, props, at);
    let skip_any_of = is_int_or_string(&props.any_of);
    let skip_first_all_of = props
        .all_of
        .first()
        .is_some_and(|first| is_int_or_string(&first.any_of));
    values(errors, props, skip_any_of, skip_first_all_of, at);
    types(errors, props, level, at);
    metadata(errors, props, level, at);
}

fn has_additional(props: &Props) -> bool {
    !matches!(
        props.additional_properties,
        None | Some(Additional::Allowed(false))
    )
}

fn extensions(errors: &mut Vec<FieldError>, props: &Props, at: &Place) {
    if !props.int_or_string {
        return;
    }
    for (name, given) in [
        ("x-kubernetes-preserve-unknown-fields", props.preserves()),
        ("x-kubernetes-embedded-resource", props.embedded),
    ] {
        if given {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(at.child(name), true, detail));
        }
    }
}

fn types(errors: &mut Vec<FieldError>, props: &Props, level: Level, at: &Place) {
    let ty = at.child("type");
    if props.embedded && props.ty != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if props.ty.is_empty() {
            FieldError::required(ty.clone(), detail)
        } else {
            FieldError::invalid(ty.clone(), props.ty.as_str(), detail)
        });
    } else if props.ty.is_empty() && !props.int_or_string && !props.preserves() {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(ty.clone(), detail));
    }
    if props.embedded && has_additional(props) {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(at.child("additionalProperties"), detail));
    }
    if level == Level::Root && !props.ty.is_empty() && props.ty != "object" {
        errors.push(FieldError::invalid(
            ty,
            props.ty.as_str(),
            "must be object at the root",
        ));
    }
    if props.embedded && !props.preserves() && props.properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(at.child("properties"), detail));
    }
}

/// The schemas of `kind`, `apiVersion` and `metadata` of a resource say no more than they may.
fn metadata(errors: &mut Vec<FieldError>, props: &Props, level: Level, at: &Place) {
    let resource = level == Level::Root || props.embedded;
    let fields = at.child("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(sub) = props
            .properties
            .get(name)
            .filter(|sub| resource && sub.ty != "string")
        {
            let ty = fields.key(name).child("type");
            errors.push(FieldError::invalid(ty, sub.ty.as_str(), "must be string"));
        }
    }
    let Some(sub) = props.properties.get("metadata") else {
        return;
    };
    let place = fields.key("metadata");
    if resource && sub.ty != "object" {
        errors.push(FieldError::invalid(
            place.child("type"),
            sub.ty.as_str(),
            "must be object",
        ));
    }
    if level == Level::Root && !is_plain_metadata(sub) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(place, detail));
    }
}

/// Whether the schema of the root's metadata restricts nothing but the names.
fn is_plain_metadata(props: &Props) -> bool {
    props
        .properties
        .keys()
        .all(|name| name == "name" || name == "generateName")
        && props.title.is_empty()
        && props.description.is_empty()
        && !props.nullable
        && !has_additional(props)
        && props.items.is_none()
        && !props.preserves()
        && !props.embedded
        && !props.int_or_string
        && props.list_type.is_none()
        && props.map_type.is_none()
        && props.rules.is_empty()
        && props.required.is_empty()
        && props.all_of.is_empty()
        && props.any_of.is_empty()
        && props.one_of.is_empty()
        && props.not.is_none()
        && props.one_of_values.is_empty()
        && props.max_properties.is_none()
        && props.min_properties.is_none()
}

/// `anyOf: [{type: integer}, {type: string}]`, the one place where a value validation may name types.
fn is_int_or_string(any_of: &[Props]) -> bool {
    let bare = |props: &Props, ty: &str| {
        props.ty == ty && props.pattern.is_empty() && props.format.is_empty() && props.properties.is_empty()
    };
    matches!(any_of, [first, second] if bare(first, "integer") && bare(second, "string"))
}

/// The value validations of one schema.
fn values(
    errors: &mut Vec<FieldError>,
    props: &Props,
    skip_any_of: bool,
    skip_first_all_of: bool,
    at: &Place,
) {
    if !skip_any_of {
        for (i, sub) in props.any_of.iter().enumerate() {
            nested(errors, sub, false, &at.child("anyOf").index(i));
        }
    }
    for (i, sub) in props.all_of.iter().enumerate() {
        nested(
            errors,
            sub,
            skip_first_all_of && i == 0,
            &at.child("allOf").index(i),
        );
    }
    for (i, sub) in props.one_of.iter().enumerate() {
        nested(errors, sub, false, &at.child("oneOf").index(i));
    }
    if let Some(not) = &props.not {
        nested(errors, not, false, &at.child("not"));
    }
    if !props.pattern.is_empty()
        && let Err(why) = re::compile(&props.pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(FieldError::invalid(
            at.child("pattern"),
            props.pattern.as_str(),
            detail,
        ));
    }
}

const EMPTY: &str = "must be empty to be structural";
const UNDEFINED: &str = "must be undefined to be structural";
const FALSE: &str = "must be false to be structural";

/// A schema inside of allOf, anyOf, oneOf or not: it may validate values and nothing else.
fn nested(errors: &mut Vec<FieldError>, props: &Props, skip_any_of: bool, at: &Place) {
    values(errors, props, skip_any_of, false, at);
    if let Some(items) = props.items() {
        nested(errors, items, false, &at.child("items"));
    }
    for (name, sub) in &props.properties {
        nested(errors, sub, false, &at.child("properties").key(name));
    }
    let refusals = [
        ("type", !props.ty.is_empty(), EMPTY),
        ("additionalProperties", has_additional(props), UNDEFINED),
        ("default", props.default.is_some(), UNDEFINED),
        ("title", !props.title.is_empty(), EMPTY),
        ("description", !props.description.is_empty(), EMPTY),
        ("nullable", props.nullable, FALSE),
        ("x-kubernetes-preserve-unknown-fields", props.preserves(), FALSE),
        ("x-kubernetes-embedded-resource", props.embedded, FALSE),
        ("x-kubernetes-int-or-string", props.int_or_string, FALSE),
        (
            "x-kubernetes-list-map-keys",
            !props.list_map_keys.is_empty(),
            EMPTY,
        ),
        ("x-kubernetes-list-type", props.list_type.is_some(), UNDEFINED),
        ("x-kubernetes-map-type", props.map_type.is_some(), UNDEFINED),
        ("x-kubernetes-validations", !props.rules.is_empty(), EMPTY),
    ];
    for (name, given, detail) in refusals {
        if given {
            errors.push(FieldError::forbidden(at.child(name), detail));
        }
    }
    if props.properties.contains_key("metadata") {
        let place = at.child("properties").key("metadata");
        errors.push(FieldError::forbidden(
            place,
            "must not be specified in a nested context",
        ));
    }
}

/// Every part that a value validation names is also a part of the structure.
fn complete(errors: &mut Vec<FieldError>, props: &Props, spine: Option<&Props>, at: &Place, from: &Place) {
    let lists = [
        ("allOf", &props.all_of),
        ("anyOf", &props.any_of),
        ("oneOf", &props.one_of),
    ];
    for (name, subs) in lists {
        for (i, sub) in subs.iter().enumerate() {
            complete_nested(errors, sub, spine, at, &from.child(name).index(i));
        }
    }
    if let Some(not) = &props.not {
        complete_nested(errors, not, spine, at, &from.child("not"));
    }
}

fn complete_nested(
    errors: &mut Vec<FieldError>,
    props: &Props,
    spine: Option<&Props>,
    at: &Place,
    from: &Place,
) {
    let Some(spine) = spine else {
        errors.push(FieldError::required(
            at.clone(),
            format!("because it is defined in {from}"),
        ));
        return;
    };
    complete(errors, props, Some(spine), at, from);
    if let Some(items) = props.items() {
        complete_nested(
            errors,
            items,
            spine.items(),
            &at.child("items"),
            &from.child("items"),
        );
    }
    for (name, sub) in &props.properties {
        let (place, origin) = (
            at.child("properties").key(name),
            from.child("properties").key(name),
        );
        complete_nested(errors, sub, spine.properties.get(name), &place, &origin);
    }
}
