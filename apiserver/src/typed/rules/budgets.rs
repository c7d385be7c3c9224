//! `PodDisruptionBudget`s: one limit, as a number or a percentage, and a selector.

use serde_json::{Value, json};

use super::selectors;
use crate::object::{at, has, text};
use crate::status::Cause;

/// What is wrong with a budget.
pub(super) fn check(budget: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if has(budget, &["spec", "minAvailable"]) && has(budget, &["spec", "maxUnavailable"]) {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::shown("spec", &shown(budget), detail));
    }
    for name in ["minAvailable", "maxUnavailable"] {
        if let Some(limit) = at(budget, &["spec", name]) {
            causes.extend(check_limit(limit, &format!("spec.{name}")));
        }
    }
    if let Some(selector) = at(budget, &["spec", "selector"]) {
        causes.extend(selectors::check(selector, "spec.selector"));
    }
    let policy = text(budget, &["spec", "unhealthyPodEvictionPolicy"]);
    if !["", "AlwaysAllow", "IfHealthyBudget"].contains(&policy) {
        causes.push(Cause::unsupported(
            "spec.unhealthyPodEvictionPolicy",
            &json!(policy).to_string(),
            &["AlwaysAllow", "IfHealthyBudget"],
        ));
    }
    causes
}

/// The spec as the API server shows its own type.
fn shown(budget: &Value) -> String {
    let member = |name: &str| at(budget, &["spec", name]).unwrap_or(&Value::Null).to_string();
    format!(
        "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
        member("minAvailable"),
        member("selector"),
        member("maxUnavailable"),
        member("unhealthyPodEvictionPolicy")
    )
}

fn check_limit(limit: &Value, field: &str) -> Option<Cause> {
    let Some(text) = limit.as_str() else {
        let is_negative = limit.as_i64().is_some_and(|number| number < 0);
        return is_negative.then(|| Cause::invalid(field, limit, "must be greater than or equal to 0"));
    };
    let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty());
    let percent = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(percent) = percent else {
        let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                      regex used for validation is '[0-9]+%')";
        return Some(Cause::invalid(field, limit, detail));
    };
    let is_too_much = percent.parse::<u64>().is_ok_and(|percent| percent > 100);
    is_too_much.then(|| Cause::invalid(field, limit, "must not be greater than 100%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_have_one_limit_that_makes_sense() {
        let of = |spec: Value| -> Vec<String> {
            check(&json!({"spec": spec}))
                .iter()
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .collect()
        };
        for good in [
            json!({}),
            json!({"minAvailable": 0}),
            json!({"maxUnavailable": "100%"}),
        ] {
            assert_eq!(of(good), Vec::<String>::new());
        }
        assert_eq!(
            of(json!({"minAvailable": 1, "maxUnavailable": 1})),
            [
                "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":1,\
                 \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set"
            ]
        );
        assert_eq!(
            of(json!({"minAvailable": -1})),
            ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"]
        );
        assert_eq!(
            of(json!({"minAvailable": "101%"})),
            ["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"]
        );
        assert!(of(json!({"minAvailable": "half"}))[0].contains("a valid percent string"));
        assert!(
            of(json!({"selector": {"matchLabels": {"a": "x y"}}}))[0]
                .starts_with("spec.selector.matchLabels:")
        );
        assert!(
            of(json!({"unhealthyPodEvictionPolicy": "No"}))[0].contains("supported values: \"AlwaysAllow\"")
        );
    }
}
