//! The subresource `scale`: how many are wanted, and how many there are.

use serde_json::{Value, json};

use super::create::Writing;
use super::{Answer, body, find, patch, update};
use crate::fields;
use crate::object::{self, at, number, object_mut};
use crate::registry::{Kind, ScalePaths};
use crate::request::{Call, Target, WriteOptions};
use crate::selector;
use crate::state::State;
use crate::status::{Cause, Refusal};

fn scale_paths(kind: &Kind) -> Result<&ScalePaths, Refusal> {
    kind.scale.as_ref().ok_or_else(Refusal::no_such_resource)
}

fn at_path<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The `Scale` of an object.
fn scale_of(kind: &Kind, value: &Value) -> Result<Value, Refusal> {
    let paths = scale_paths(kind)?;
    let replicas = |path: &[String]| at_path(value, path).and_then(Value::as_i64).unwrap_or(0);
    let mut meta = object::Object::new();
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(member) = at(value, &["metadata", name]) {
            meta.insert(name.to_owned(), member.clone());
        }
    }
    let mut status = json!({"replicas": replicas(&paths.status_replicas)});
    match paths.selector.as_ref().and_then(|path| at_path(value, path)) {
        Some(Value::String(selector)) if !selector.is_empty() => {
            object::put(&mut status, "selector", Some(selector.as_str().into()));
        }
        Some(selector @ Value::Object(_)) => {
            object::put(&mut status, "selector", Some(selector::text(selector).into()));
        }
        _ => {}
    }
    let wanted = replicas(&paths.spec_replicas);
    let spec = if wanted == 0 {
        json!({})
    } else {
        json!({"replicas": wanted})
    };
    Ok(json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": spec, "status": status,
    }))
}

pub(super) fn get_scale(state: &State, target: &Target) -> Result<Answer, Refusal> {
    let value = find(state, target)?;
    Ok(Answer::Plain {
        code: 200,
        value: scale_of(&target.kind, &value)?,
    })
}

pub(super) fn set_scale(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    let kind = &target.kind;
    let is_patch = call.method == http::Method::PATCH;
    let options = WriteOptions::parse(call, if is_patch { "PatchOptions" } else { "UpdateOptions" })?;
    let old = find(state, target)?;
    let scale = if is_patch {
        let current = scale_of(kind, &old)?;
        patch::check_media_type(kind, &call.media_type())?;
        if kind.is_custom() && call.media_type() == patch::APPLY {
            return Err(not_applied(&body::parse_yaml(&call.body)?));
        }
        patch::apply_to(call, &current, None)?
    } else {
        body::parse(call, "Scale")?
    };
    update::check_name(target, &scale)?;
    let replicas = number(&scale, &["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 && !kind.is_custom() {
        let cause = Cause::invalid(
            "spec.replicas",
            &replicas.into(),
            "must be greater than or equal to 0",
        );
        let scaled = Kind {
            group: "autoscaling".to_owned(),
            kind: "Scale".to_owned(),
            ..Kind::clone(kind)
        };
        return Err(Refusal::invalid(&scaled, &target.name, vec![cause]));
    }
    let mut new = Value::clone(&old);
    match object::meta_text(&scale, "resourceVersion") {
        "" => {}
        version => object::set_meta(&mut new, "resourceVersion", version),
    }
    let paths = scale_paths(kind)?;
    if let Some((last, parents)) = paths.spec_replicas.split_last() {
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        object_mut(&mut new, &parents).insert(last.clone(), replicas.into());
    }
    body::add_type(kind, &mut new);
    let whole = Target {
        subresource: "scale".to_owned(),
        ..target.clone()
    };
    let writing = if is_recorded(kind, &old, &scale) {
        Writing::Update
    } else {
        fields::release(&mut new, &paths.spec_replicas);
        Writing::Unrecorded
    };
    let written = update::store(state, &whole, &old, new, &options, writing)?;
    Ok(Answer::Plain {
        code: 200,
        value: scale_of(kind, &written)?,
    })
}

/// Whether it is recorded who scaled a custom object: not where nobody is known to own the number, nor by whoever replaces
/// the scale without saying of which kind it is. The API server loses its way there, and forgets the owner.
fn is_recorded(kind: &Kind, old: &Value, scale: &Value) -> bool {
    let is_typed = ["apiVersion", "kind"]
        .iter()
        .all(|name| !object::text(scale, &[name]).is_empty());
    let path = kind.scale.as_ref().map(|paths| paths.spec_replicas.as_slice());
    !kind.is_custom() || (is_typed && fields::is_owned(old, path.unwrap_or_default()))
}

/// The API server cannot apply to the scale of a custom object.
fn not_applied(scale: &Value) -> Refusal {
    Refusal::plain_error(format!(
        "failed to convert new object ({}/{}; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an \
         invalid group/version: autoscaling/v1",
        object::namespace(scale),
        object::name(scale)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn whoever_scales_without_a_kind_is_not_recorded() {
        let paths = ["spec", "replicas"].map(str::to_owned).to_vec();
        let custom = Kind {
            role: crate::registry::Role::Custom,
            scale: Some(ScalePaths {
                spec_replicas: paths.clone(),
                status_replicas: paths,
                selector: None,
            }),
            ..Kind::clone(&Registry::new().get("apps", "v1", "deployments").unwrap())
        };
        let entry = json!({"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}});
        let owned = json!({"metadata": {"managedFields": [entry]}});
        let typed = json!({"apiVersion": "autoscaling/v1", "kind": "Scale"});
        assert!(is_recorded(&custom, &owned, &typed));
        assert!(!is_recorded(&custom, &owned, &json!({})));
        assert!(!is_recorded(&custom, &json!({}), &typed));
        let builtin = Kind {
            role: crate::registry::Role::Plain,
            ..custom
        };
        assert!(is_recorded(&builtin, &json!({}), &json!({})));
        let mut released = owned;
        fields::release(&mut released, &["spec".to_owned(), "replicas".to_owned()]);
        assert_eq!(released, json!({"metadata": {}}));
    }
}
