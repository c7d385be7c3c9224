//! What holds for any schema and any object: nothing panics, and what was put in order stays in order.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::schema::{Schema, decode, settle};

/// Any JSON, with names that the schemas have and others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-5i64..9).prop_map(Value::from),
        "[a-c%é0-9.-]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-g]|metadata|apiVersion|kind|spec", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A schema with every construct, over the same names.
fn schema() -> Schema {
    let rule = |rule: &str| json!([{ "rule": rule }]);
    Schema::from_json(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "default": "b", "maxLength": 3, "x-kubernetes-validations": rule("self.matches('^[a-z]+$')")},
        "b": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"], "items":
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "number", "default": 1}},
             "x-kubernetes-validations": rule("self.b >= oldSelf.b")}},
        "c": {"type": "object", "additionalProperties": {"type": "integer", "nullable": true, "minimum": 0}},
        "d": {"x-kubernetes-int-or-string": true, "x-kubernetes-validations": rule("self > 3 || self == 'a'")},
        "e": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "object", "default": {"b": 1},
            "properties": {"b": {"type": "integer", "default": 2}}}}},
        "f": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "g": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "format": "date-time"},
              "anyOf": [{"maxItems": 1}, {"minItems": 3}], "x-kubernetes-validations": rule("self == oldSelf")},
    }, "x-kubernetes-validations": rule("!has(self.c) || self.c.all(k, v, v == null || v > 1)")}}}))
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn objects_are_put_in_order_once(spec in any_json(), old in any_json()) {
        let schema = schema();
        let mut object = json!({"metadata": {"name": "x"}, "spec": spec});
        schema.default(&mut object);
        schema.prune(&mut object);
        let once = object.clone();
        let errors = schema.validate(&object, None);
        prop_assert_eq!(schema.prune(&mut object), Vec::<String>::new());
        prop_assert_eq!(&object, &once);
        schema.default(&mut object);
        prop_assert_eq!(&object, &once);
        prop_assert_eq!(schema.validate(&object, None), errors);
        schema.validate(&object, Some(&json!({"spec": old})));
        schema.validate(&object, Some(&once));
        schema.validate_status(&object, &once);
    }

    #[test]
    fn nothing_panics_on_any_json(schema in any_json(), object in any_json(), old in any_json()) {
        if let Ok(schema) = Schema::from_json(&schema) {
            schema.validate(&object, Some(&old));
        }
        let schema = self::schema();
        let mut any = object.clone();
        schema.decode_error(&any);
        schema.validate(&any, Some(&old));
        schema.prune(&mut any);
        schema.default(&mut any);
        settle(&mut any);
        let (again, duplicates) = decode(object.to_string().as_bytes()).unwrap();
        prop_assert_eq!(duplicates, Vec::<String>::new());
        prop_assert_eq!(again.is_object(), object.is_object());
    }

    #[test]
    fn no_rule_panics(text in "[a-z0-9.()\\[\\]{}'\"+*/!=<>&|?: ,\\\\-]{0,40}") {
        let with_rule = json!({"type": "object", "properties": {"a": {"type": "string",
            "x-kubernetes-validations": [{"rule": text}]}}});
        if let Ok(schema) = Schema::from_json(&with_rule) {
            schema.validate(&json!({"a": "x"}), None);
        }
    }
}
