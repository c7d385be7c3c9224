//! RBAC and the reviews of access: what a rule, a binding and a review must say.

use serde_json::Value;

use crate::meta::names;
use crate::object::{at, has, list, text};
use crate::registry::Kind;
use crate::status::Cause;
use crate::structs;

const GROUP: &str = "rbac.authorization.k8s.io";

/// What is wrong with a Role or `ClusterRole`.
pub(super) fn role(kind: &Kind, role: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, rule) in list(role, &["rules"]).iter().enumerate() {
        check_rule(kind, rule, &format!("rules[{index}]"), &mut causes);
    }
    causes
}

fn check_rule(kind: &Kind, rule: &Value, field: &str, causes: &mut Vec<Cause>) {
    let is_empty = |name: &str| list(rule, &[name]).is_empty();
    if is_empty("verbs") {
        let detail = "verbs must contain at least one value";
        causes.push(Cause::required(format!("{field}.verbs"), detail));
    }
    if !is_empty("nonResourceURLs") {
        let urls = rule.get("nonResourceURLs").unwrap_or(&Value::Null);
        let mut refuse =
            |detail: &str| causes.push(Cause::invalid(format!("{field}.nonResourceURLs"), urls, detail));
        if kind.namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        if ["apiGroups", "resources", "resourceNames"]
            .iter()
            .any(|name| !is_empty(name))
        {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    for (name, what) in [("apiGroups", "api group"), ("resources", "resource")] {
        if is_empty(name) {
            let detail = format!("resource rules must supply at least one {what}");
            causes.push(Cause::required(format!("{field}.{name}"), &detail));
        }
    }
}

/// What is wrong with a `RoleBinding` or `ClusterRoleBinding` that is created, or that replaces `old`.
pub(super) fn binding(kind: &Kind, binding: &Value, old: Option<&Value>) -> Vec<Cause> {
    let role = |name: &str| text(binding, &["roleRef", name]);
    let kinds: &[&str] = if kind.namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    let mut causes = Vec::new();
    for (name, choices) in [("apiGroup", &[GROUP][..]), ("kind", kinds)] {
        if !choices.contains(&role(name)) {
            causes.push(unsupported(format!("roleRef.{name}"), role(name), choices));
        }
    }
    if role("name").is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    let wrong = names::path_segment(role("name"));
    causes.extend(
        wrong
            .iter()
            .map(|detail| Cause::invalid("roleRef.name", &role("name").into(), detail)),
    );
    for (index, subject) in list(binding, &["subjects"]).iter().enumerate() {
        check_subject(kind, subject, &format!("subjects[{index}]"), &mut causes);
    }
    if old.is_some_and(|old| old.get("roleRef") != binding.get("roleRef")) {
        // As the API server shows its own type.
        let shown = |name: &str| Value::from(role(name));
        let shown = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            shown("apiGroup"),
            shown("kind"),
            shown("name")
        );
        causes.push(Cause::shown("roleRef", &shown, "cannot change roleRef"));
    }
    causes
}

fn unsupported(field: String, value: &str, choices: &[&str]) -> Cause {
    Cause::unsupported(field, &Value::from(value).to_string(), choices)
}

fn check_subject(kind: &Kind, subject: &Value, field: &str, causes: &mut Vec<Cause>) {
    let (name, group) = (text(subject, &["name"]), text(subject, &["apiGroup"]));
    if name.is_empty() {
        causes.push(Cause::required(format!("{field}.name"), ""));
    }
    let check_group =
        |wanted: &str| (group != wanted).then(|| unsupported(format!("{field}.apiGroup"), group, &[wanted]));
    match text(subject, &["kind"]) {
        "User" | "Group" => causes.extend(check_group(GROUP)),
        "ServiceAccount" => {
            let wrong = if name.is_empty() {
                Vec::new()
            } else {
                names::subdomain(name)
            };
            causes.extend(
                wrong
                    .iter()
                    .map(|detail| Cause::invalid(format!("{field}.name"), &name.into(), detail)),
            );
            causes.extend(check_group(""));
            if !kind.namespaced && text(subject, &["namespace"]).is_empty() {
                causes.push(Cause::required(format!("{field}.namespace"), ""));
            }
        }
        other => causes.push(unsupported(
            format!("{field}.kind"),
            other,
            &["ServiceAccount", "User", "Group"],
        )),
    }
}

/// What is wrong with a review of access, one's own or somebody's.
pub(super) fn access_review(kind: &Kind, review: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let given = |name: &str| has(review, &["spec", name]);
    match (given("resourceAttributes"), given("nonResourceAttributes")) {
        (true, true) => {
            let other = at(review, &["spec", "nonResourceAttributes"]).unwrap_or(&Value::Null);
            causes.push(Cause::shown(
                "spec.nonResourceAttributes",
                &structs::internal(other, &["Path", "Verb"]),
                "cannot be specified in combination with resourceAttributes",
            ));
        }
        (false, false) => causes.push(Cause::invalid(
            "spec.resourceAttributes",
            &Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    let is_own = kind.kind.starts_with("Self");
    if !is_own && text(review, &["spec", "user"]).is_empty() && list(review, &["spec", "groups"]).is_empty() {
        let detail = "at least one of user or group must be specified";
        causes.push(Cause::invalid("spec.user", &"".into(), detail));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;
    use std::sync::Arc;

    fn kind(plural: &str) -> Arc<Kind> {
        let registry = Registry::new();
        registry
            .all()
            .find(|kind| kind.plural == plural)
            .cloned()
            .unwrap()
    }

    fn texts(causes: &[Cause]) -> Vec<String> {
        causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn rules_name_verbs_and_what_they_are_about() {
        let of = |plural: &str, rule: Value| texts(&role(&kind(plural), &json!({"rules": [rule]})));
        let good = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        assert_eq!(of("roles", good), Vec::<String>::new());
        assert_eq!(
            of("roles", json!({"apiGroups": [""], "resources": ["pods"]})),
            ["rules[0].verbs: Required value: verbs must contain at least one value"]
        );
        assert_eq!(of("roles", json!({"verbs": ["get"]})).len(), 2);
        let urls = json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]});
        assert_eq!(of("clusterroles", urls.clone()), Vec::<String>::new());
        assert_eq!(
            of("roles", urls),
            [
                "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource \
                 URLs"
            ]
        );
    }

    #[test]
    fn bindings_name_a_role_and_keep_it() {
        let roles = kind("rolebindings");
        let good = json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "apiGroup": GROUP, "name": "u"}, {"kind": "ServiceAccount", "name": "s"},
        ]});
        assert_eq!(binding(&roles, &good, Some(&good)), []);
        let mut other = good.clone();
        other["roleRef"]["name"] = "s".into();
        let shown = format!("{{\"APIGroup\":\"{GROUP}\",\"Kind\":\"Role\",\"Name\":\"s\"}}");
        assert_eq!(
            texts(&binding(&roles, &other, Some(&good))),
            [format!("roleRef: Invalid value: {shown}: cannot change roleRef")]
        );
        let bad = json!({"roleRef": {"apiGroup": GROUP}, "subjects": [{"kind": "Pod"}]});
        assert_eq!(
            texts(&binding(&roles, &bad, None)),
            [
                "roleRef.kind: Unsupported value: \"\": supported values: \"Role\", \"ClusterRole\"",
                "roleRef.name: Required value",
                "subjects[0].name: Required value",
                "subjects[0].kind: Unsupported value: \"Pod\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
            ]
        );
        let accounts = json!({"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "s"}]});
        assert_eq!(
            texts(&binding(&kind("clusterrolebindings"), &accounts, None)),
            ["subjects[0].namespace: Required value"]
        );
    }

    #[test]
    fn reviews_ask_for_one_thing_of_somebody() {
        let own = kind("selfsubjectaccessreviews");
        assert_eq!(
            access_review(&own, &json!({"spec": {"resourceAttributes": {}}})),
            []
        );
        assert_eq!(access_review(&own, &json!({"spec": {}})).len(), 1);
        let both = json!({"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}});
        assert_eq!(access_review(&own, &both)[0].field, "spec.nonResourceAttributes");
        let of_others = kind("subjectaccessreviews");
        let found = access_review(&of_others, &json!({"spec": {"resourceAttributes": {}}}));
        assert_eq!(found[0].field, "spec.user");
    }
}
