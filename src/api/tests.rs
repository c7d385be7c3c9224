//! The rules stand in the generated manifests, each is proved by the table of bad objects, and the schemas are such as
//! the API server takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The schema of a kind, as JSON.
fn schema_of(kind: &str) -> Value {
    let crd = all_crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind)
        .unwrap();
    serde_json::to_value(
        crd.spec.versions[0]
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref(),
    )
    .unwrap()
}

/// Calls `visit` with every schema below `schema` and where it is.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
    let Some(members) = schema.as_object() else { return };
    visit(path, members);
    for (name, property) in members
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        walk(property, &format!("{path}.{name}"), visit);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = members.get(key) {
            walk(inner, &format!("{path}[]"), visit);
        }
    }
}

/// Every rule below `schema`: where it is, and its message without what is filled in.
fn messages(schema: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    walk(schema, "", &mut |path, members| {
        for rule in members
            .get("x-kubernetes-validations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = rule.get("message").and_then(Value::as_str).map_or_else(
                || longest_literal(rule["messageExpression"].as_str().unwrap()),
                str::to_owned,
            );
            found.insert((path.to_owned(), text));
        }
    });
    found
}

/// The longest piece of a message expression that is always in the message.
fn longest_literal(expression: &str) -> String {
    let quote = expression.chars().next().unwrap();
    expression
        .split(quote)
        .step_by(2)
        .zip(expression.split(quote).skip(1).step_by(2))
        .flat_map(|(_, literal)| literal.split("%s").flat_map(|part| part.split("%d")))
        .max_by_key(|part| part.len())
        .unwrap()
        .to_owned()
}

/// Name and text of the files of one folder of the table.
fn fixtures(folder: &str) -> BTreeMap<PathBuf, String> {
    std::fs::read_dir(root().join("e2e/fixtures/api").join(folder))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn committed_manifests_are_up_to_date() {
    for crd in all_crds() {
        let path = root().join("crds").join(format!("{}.yaml", crd.name_any()));
        let committed: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let generated: Value = serde_saphyr::from_str(&serde_saphyr::to_string(&crd).unwrap()).unwrap();
        assert!(
            committed == generated,
            "{}: run `cargo run --bin crdgen -- --write`",
            path.display()
        );
    }
}

#[test]
fn lists_can_be_narrowed_as_ecs_filters_tasks_list_1() {
    let crd = all_crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "Task")
        .unwrap();
    let selectable = crd.spec.versions[0].selectable_fields.as_ref().unwrap();
    let paths: BTreeSet<&str> = selectable.iter().map(|field| field.json_path.as_str()).collect();
    let expected = [
        ".spec.cluster",
        ".spec.containerInstance",
        ".spec.desiredStatus",
        ".spec.group",
        ".status.lastStatus",
    ];
    assert_eq!(paths, expected.into());
}

#[test]
fn texts_of_ecs_stand_in_the_manifests_daemon_6_7_31_32_cons_2_td_10_14_ci_4() {
    for (kind, text) in [
        (
            "ecsservices",
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count \
             value and try again",
        ),
        (
            "ecsservices",
            "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and \
             try again",
        ),
        (
            "ecsservices",
            "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment \
             configuration. Change the maximumPercent value to 100, and try again",
        ),
        (
            "ecsservices",
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ),
        (
            "ecsservices",
            "distinctInstance expression should not be specified.",
        ),
        (
            "taskdefinitions",
            "'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        (
            "taskdefinitions",
            "constraint.type 'distinctInstance' is not supported.",
        ),
        (
            "containerinstances",
            "Container instance status should be one of [ACTIVE, DRAINING]",
        ),
    ] {
        let path = root().join("crds").join(format!("{kind}.{GROUP}.yaml"));
        let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        assert!(
            messages(schema).iter().any(|(_, message)| message == text),
            "{kind} lacks: {text}"
        );
    }
}

#[test]
fn every_rule_is_proved_by_a_bad_object() {
    let table = fixtures("bad");
    assert!(table.len() >= 60, "{} bad objects", table.len());
    let mut unproved = Vec::new();
    for crd in all_crds() {
        let kind = crd.spec.names.kind;
        for (path, message) in messages(&schema_of(&kind)) {
            let proved = table.values().any(|text| {
                text.contains(&format!("kind: {kind}\n"))
                    && text.lines().next().is_some_and(|line| {
                        line.strip_prefix("# expect: ")
                            .is_some_and(|part| part.contains(&message) || message.contains(part))
                    })
            });
            if !proved {
                unproved.push(format!("{kind}{path}: {message}"));
            }
        }
    }
    assert_eq!(unproved, Vec::<String>::new(), "no bad object expects these");
}

#[test]
fn good_objects_are_read_whole() {
    /// What the API server keeps of `value`: a null member is an absent member.
    fn without_nulls(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|_, member| !member.is_null());
                members.values_mut().for_each(without_nulls);
            }
            Value::Array(items) => items.iter_mut().for_each(without_nulls),
            _ => {}
        }
    }
    /// Members of `given` that say something and that `kept` lacks.
    fn lost(given: &Value, kept: Option<&Value>, path: &str, found: &mut Vec<String>) {
        match (given, kept) {
            (Value::Object(members), _) if !members.is_empty() => {
                for (name, member) in members {
                    lost(
                        member,
                        kept.and_then(|k| k.get(name)),
                        &format!("{path}.{name}"),
                        found,
                    );
                }
            }
            (Value::Array(items), _) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    lost(
                        item,
                        kept.and_then(|k| k.get(index)),
                        &format!("{path}[{index}]"),
                        found,
                    );
                }
            }
            (Value::Object(_) | Value::Array(_) | Value::Bool(false), _) | (_, Some(_)) => {}
            (_, None) => found.push(path.to_owned()),
        }
    }
    fn read<K: DeserializeOwned + serde::Serialize>(object: &Value) -> Vec<String> {
        let read: K = serde_json::from_value(object.clone()).unwrap();
        let mut found = Vec::new();
        lost(
            &object["spec"],
            serde_json::to_value(read).unwrap().get("spec"),
            "",
            &mut found,
        );
        // Of an attribute that an instance must have, ECS's target says nothing.
        found.retain(|path| !path.ends_with(".targetType") && !path.ends_with(".targetId"));
        found
    }
    let table = fixtures("good");
    assert!(table.len() >= 20, "{} good objects", table.len());
    for (path, text) in table {
        for document in text.split("\n---\n") {
            let mut object: Value = serde_saphyr::from_str(document).unwrap();
            without_nulls(&mut object);
            let lost = match object["kind"].as_str().unwrap() {
                "EcsCluster" => read::<EcsCluster>(&object),
                "ContainerInstance" => read::<ContainerInstance>(&object),
                "TaskDefinition" => read::<TaskDefinition>(&object),
                "EcsService" => read::<EcsService>(&object),
                "RunTask" => read::<RunTask>(&object),
                _ => read::<Task>(&object),
            };
            assert_eq!(lost, Vec::<String>::new(), "{}", path.display());
        }
    }
}

#[test]
fn every_member_is_fixed_or_free_td_2_task_17() {
    for (kind, fixed, free) in [
        (
            "TaskDefinition",
            &rules::TASK_DEFINITION_FIXED,
            rules::TASK_DEFINITION_FREE,
        ),
        ("Task", &rules::TASK_FIXED, rules::TASK_FREE),
        ("RunTask", &rules::RUN_TASK_FIXED, &[]),
    ] {
        let listed: BTreeSet<&str> = [fixed.required, fixed.optional, fixed.lists, free]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let schema = schema_of(kind);
        let members = schema
            .pointer("/properties/spec/properties")
            .and_then(Value::as_object)
            .unwrap();
        assert_eq!(
            listed,
            members.keys().map(String::as_str).collect(),
            "members of {kind}"
        );
    }
}

#[test]
fn schemas_are_structural_and_bounded_where_users_write() {
    let mut unbounded = Vec::new();
    for crd in all_crds() {
        let kind = crd.spec.names.kind;
        walk(&schema_of(&kind), &kind, &mut |path, members| {
            let free = members.contains_key("x-kubernetes-preserve-unknown-fields");
            assert!(free || members.contains_key("type"), "{path} has no type");
            assert!(!members.contains_key("nullable"), "{path} is nullable");
            let bound = match members.get("type").and_then(Value::as_str) {
                Some("array") => "maxItems",
                Some("string") if !members.contains_key("enum") => "maxLength",
                _ => return,
            };
            if path.contains(".spec.") && !members.contains_key(bound) {
                unbounded.push(path.to_owned());
            }
        });
    }
    // Values of maps (the API server bounds the whole object) and what Kubernetes itself defines.
    unbounded.retain(|path| !path.ends_with("[]") && !path.contains(".tolerations[]"));
    assert_eq!(unbounded, Vec::<String>::new());
}
