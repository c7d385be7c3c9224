//! Label selectors as members of objects.

use serde_json::Value;

use crate::meta::names;
use crate::object::{Object, at, list, text};
use crate::status::Cause;

/// What is wrong with a `metav1.LabelSelector` at `field`.
pub(super) fn check(selector: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let equal = format!("{field}.matchLabels");
    for (key, value) in at(selector, &["matchLabels"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        for (of, wrong) in [
            (key.as_str(), names::qualified(key)),
            (value, names::label_value(value)),
        ] {
            causes.extend(
                wrong
                    .iter()
                    .map(|detail| Cause::invalid(equal.clone(), &of.into(), detail)),
            );
        }
    }
    for (index, expression) in list(selector, &["matchExpressions"]).iter().enumerate() {
        check_expression(
            expression,
            &format!("{field}.matchExpressions[{index}]"),
            &mut causes,
        );
    }
    causes
}

fn check_expression(expression: &Value, field: &str, causes: &mut Vec<Cause>) {
    let values = list(expression, &["values"]);
    let operator = text(expression, &["operator"]);
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            causes.push(Cause::required(format!("{field}.values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.push(Cause::forbidden(format!("{field}.values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => causes.push(Cause::invalid(
            format!("{field}.operator"),
            &other.into(),
            "not a valid selector operator",
        )),
    }
    let key = text(expression, &["key"]);
    let wrong = names::qualified(key);
    causes.extend(
        wrong
            .iter()
            .map(|detail| Cause::invalid(format!("{field}.key"), &key.into(), detail)),
    );
    for (index, value) in values.iter().enumerate() {
        let wrong = names::label_value(value.as_str().unwrap_or_default());
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid(format!("{field}.values[{index}]"), value, detail)),
        );
    }
}

/// Whether a selector has no condition at all.
pub(super) fn is_empty(selector: &Value) -> bool {
    list(selector, &["matchExpressions"]).is_empty()
        && at(selector, &["matchLabels"])
            .and_then(Value::as_object)
            .is_none_or(Object::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_name_labels_and_operators_that_exist() {
        let good =
            json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]});
        assert_eq!(check(&good, "s"), []);
        let bad = json!({"matchLabels": {"a": "x y"}, "matchExpressions": [
            {"key": "c", "operator": "In"}, {"key": "c", "operator": "Exists", "values": ["d"]},
            {"key": "c", "operator": "Is"}, {"key": "", "operator": "NotIn", "values": ["x y"]},
        ]});
        let fields: Vec<String> = check(&bad, "s").into_iter().map(|cause| cause.field).collect();
        assert_eq!(
            fields,
            [
                "s.matchLabels",
                "s.matchExpressions[0].values",
                "s.matchExpressions[1].values",
                "s.matchExpressions[2].operator",
                "s.matchExpressions[3].key",
                "s.matchExpressions[3].key",
                "s.matchExpressions[3].values[0]",
            ]
        );
        assert!(is_empty(&json!({})) && !is_empty(&good));
    }
}
