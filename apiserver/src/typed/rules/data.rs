//! ConfigMaps and Secrets: their keys, their size, and what may not change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::meta::names;
use crate::object::{Object, at, text};
use crate::status::Cause;

/// All data of a ConfigMap or Secret together: 1 MiB.
const DATA_MAX_BYTES: usize = 1024 * 1024;

/// What is wrong with a ConfigMap that is created, or that replaces `old`.
pub(super) fn config_map(value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = frozen(value, old, &["data", "binaryData"]);
    for (key, _) in members(value, "data") {
        check_key("data", key, &mut causes);
        if at(value, &["binaryData", key]).is_some() {
            let detail = "duplicate of key present in binaryData";
            causes.push(Cause::invalid(
                format!("data[{key}]"),
                &key.as_str().into(),
                detail,
            ));
        }
    }
    for (key, _) in members(value, "binaryData") {
        check_key("binaryData", key, &mut causes);
    }
    let bytes = length(value, "data", str::len).saturating_add(length(value, "binaryData", decoded));
    // The whole object is meant, which has no path.
    causes.extend(too_long(bytes, "[]"));
    causes
}

/// What is wrong with a Secret that is created, or that replaces `old`.
pub(super) fn secret(value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let kind = at(value, &["type"]).cloned().unwrap_or(Value::Null);
    let mut causes = Vec::new();
    if old.is_some_and(|old| old.get("type") != Some(&kind)) {
        causes.push(Cause::immutable("type", &kind));
    }
    causes.extend(frozen(value, old, &["data"]));
    for (key, _) in members(value, "data") {
        check_key("data", key, &mut causes);
    }
    causes.extend(too_long(length(value, "data", decoded), "data"));
    causes.extend(check_type(value, kind.as_str().unwrap_or_default()));
    causes
}

/// What a Secret of a type of Kubernetes must hold.
fn check_type(value: &Value, kind: &str) -> Vec<Cause> {
    let has = |key: &str| at(value, &["data", key]).is_some();
    let required = |key: &str| Cause::required(format!("data[{key}]"), "");
    let account = "kubernetes.io/service-account.name";
    match kind {
        "kubernetes.io/service-account-token"
            if text(value, &["metadata", "annotations", account]).is_empty() =>
        {
            vec![Cause::required(format!("metadata.annotations[{account}]"), "")]
        }
        "kubernetes.io/dockercfg" => check_json(value, ".dockercfg").into_iter().collect(),
        "kubernetes.io/dockerconfigjson" => check_json(value, ".dockerconfigjson").into_iter().collect(),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            vec![required("username"), required("password")]
        }
        "kubernetes.io/ssh-auth" if text(value, &["data", "ssh-privatekey"]).is_empty() => {
            vec![required("ssh-privatekey")]
        }
        "kubernetes.io/tls" => ["tls.crt", "tls.key"]
            .into_iter()
            .filter(|key| !has(key))
            .map(required)
            .collect(),
        _ => Vec::new(),
    }
}

fn check_json(value: &Value, key: &str) -> Option<Cause> {
    let field = format!("data[{key}]");
    let Some(content) = at(value, &["data", key]).and_then(Value::as_str) else {
        return Some(Cause::required(field, ""));
    };
    let bytes = STANDARD.decode(content).unwrap_or_default();
    let why = match serde_json::from_slice::<Object>(&bytes) {
        Ok(_) => return None,
        Err(error) => crate::verbs::body::json_error(&bytes, &error),
    };
    Some(Cause::invalid(field, &"<secret contents redacted>".into(), &why))
}

/// What has changed although the old object is immutable.
fn frozen(value: &Value, old: Option<&Value>, members: &[&str]) -> Vec<Cause> {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) else {
        return Vec::new();
    };
    let differs = |name: &&&str| match **name {
        "immutable" => value.get("immutable") != Some(&Value::Bool(true)),
        name => value.get(name) != old.get(name),
    };
    ["immutable"]
        .iter()
        .chain(members)
        .filter(differs)
        .map(|name| Cause::forbidden(*name, "field is immutable when `immutable` is set"))
        .collect()
}

fn check_key(member: &str, key: &str, causes: &mut Vec<Cause>) {
    let wrong = names::data_key(key);
    causes.extend(
        wrong
            .iter()
            .map(|detail| Cause::invalid(format!("{member}[{key}]"), &key.into(), detail)),
    );
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn length(value: &Value, member: &str, of: fn(&str) -> usize) -> usize {
    members(value, member)
        .map(|(_, content)| of(content.as_str().unwrap_or_default()))
        .fold(0, usize::saturating_add)
}

/// How many bytes base64 stands for: it has four letters for three.
fn decoded(text: &str) -> usize {
    text.len().saturating_mul(3).checked_div(4).unwrap_or(0)
}

fn too_long(bytes: usize, field: &str) -> Option<Cause> {
    (bytes > DATA_MAX_BYTES).then(|| Cause {
        reason: "FieldValueTooLong",
        message: format!("Too long: may not be more than {DATA_MAX_BYTES} bytes"),
        field: field.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(causes: &[Cause]) -> Vec<String> {
        causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn keys_are_names_of_files_and_not_in_both_maps() {
        let good = json!({"data": {"a.b-c_D": ""}, "binaryData": {"e": ""}});
        assert_eq!(config_map(&good, None), []);
        let found = fields(&config_map(
            &json!({"data": {"a/b": "c", "k": ""}, "binaryData": {"k": ""}}),
            None,
        ));
        assert!(found[0].starts_with("data[a/b]: Invalid value: \"a/b\": a valid config key must"));
        assert_eq!(
            found[1],
            "data[k]: Invalid value: \"k\": duplicate of key present in binaryData"
        );
    }

    #[test]
    fn what_is_immutable_stays() {
        let old = json!({"immutable": true, "data": {"a": "b"}});
        assert_eq!(config_map(&old, Some(&old)), []);
        let new = json!({"data": {"a": "c"}});
        let found = fields(&config_map(&new, Some(&old)));
        assert_eq!(
            found,
            ["immutable", "data"]
                .map(|field| format!("{field}: Forbidden: field is immutable when `immutable` is set"))
        );
        let found = fields(&secret(&json!({"type": "b"}), Some(&json!({"type": "a"}))));
        assert_eq!(found, ["type: Invalid value: \"b\": field is immutable"]);
    }

    #[test]
    fn secrets_hold_what_their_type_says() {
        let of = |kind: &str, data: Value| fields(&secret(&json!({"type": kind, "data": data}), None));
        assert_eq!(
            of("kubernetes.io/tls", json!({"tls.crt": ""})),
            ["data[tls.key]: Required value"]
        );
        assert_eq!(of("kubernetes.io/basic-auth", json!({})).len(), 2);
        assert_eq!(of("kubernetes.io/basic-auth", json!({"password": ""})).len(), 0);
        assert_eq!(
            of("kubernetes.io/ssh-auth", json!({"ssh-privatekey": ""})).len(),
            1
        );
        assert_eq!(
            of(
                "kubernetes.io/dockerconfigjson",
                json!({".dockerconfigjson": "e30="})
            )
            .len(),
            0
        );
        assert_eq!(
            of("kubernetes.io/dockercfg", json!({".dockercfg": "fg=="})).len(),
            1
        );
        assert_eq!(of("example.com/any", json!({})).len(), 0);
    }
}
