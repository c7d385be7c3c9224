use serde_json::json;

use super::super::*;
use super::{applied, kind, owned, updated, write};

fn path(text: &[&str]) -> Path {
    Path::of_fields(text)
}

#[test]
fn a_conflict_names_owner_and_field() {
    let live = applied(None, &json!({"text": "a", "number": 1}), "first", 1, false).unwrap();
    let error = applied(Some(&live), &json!({"text": "b"}), "second", 2, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"first\": .spec.text"
    );
    let live = updated(
        Some(&live),
        super::object(&json!({"text": "c", "number": 1})),
        "editor",
        3,
    );
    let error = applied(
        Some(&live),
        &json!({"text": "b", "number": 2}),
        "second",
        4,
        false,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"editor\" using test.io/v1:\n- .spec.text\n\
         conflicts with \"first\":\n- .spec.number"
    );
    assert_eq!((error.code(), error.reason()), (409, "Conflict"));
    let ApplyError::Conflict(conflicts) = error else {
        panic!("no conflict")
    };
    let causes: Vec<_> = conflicts.causes().collect();
    assert_eq!(
        causes[1],
        (
            "FieldManagerConflict",
            "conflict with \"first\"".to_owned(),
            ".spec.number".to_owned()
        )
    );
}

#[test]
fn what_others_own_stays_when_it_is_not_applied_any_more() {
    let live = applied(None, &json!({"text": "a", "set": ["x", "y"]}), "first", 1, false).unwrap();
    let live = applied(Some(&live), &json!({"set": ["y", "z"]}), "second", 2, false).unwrap();
    let live = applied(Some(&live), &json!({}), "first", 3, false).unwrap();
    assert_eq!(live["spec"], json!({"set": ["y", "z"]}));
    assert_eq!(owned(&live, "first").paths(), [path(&["spec"])]);
}

#[test]
fn status_is_nobodys_on_a_write_of_the_resource() {
    let mut new = super::object(&json!({"text": "a"}));
    new["status"] = json!({"text": "s"});
    let live = updated(None, new, "a", 1);
    assert!(owned(&live, "a").has(&path(&["spec", "text"]).0));
    assert!(!owned(&live, "a").has(&path(&["status", "text"]).0));
}

#[test]
fn a_write_of_the_status_is_an_entry_of_its_own() {
    let live = updated(None, super::object(&json!({"text": "a"})), "a", 1);
    let mut new = live.clone();
    new["status"] = json!({"text": "s"});
    let reset = ResetFields::custom(true, "status");
    let write = Write {
        subresource: "status",
        ..write("a", 2, &reset)
    };
    track_update(Some(&live), &mut new, &write, &kind());
    let entries = managed::raw(&new).unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(
        entries[1]["fieldsV1"],
        json!({"f:status": {".": {}, "f:text": {}}})
    );
}

#[test]
fn more_than_ten_updaters_become_ancient_changes() {
    let mut live = updated(None, super::object(&json!({"dictionary": {"0": "0"}})), "m0", 0);
    for n in 1..12i64 {
        let mut new = live.clone();
        new["spec"]["dictionary"][n.to_string()] = json!("x");
        live = updated(Some(&live), new, &format!("m{n}"), n);
    }
    let entries = managed::raw(&live).unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0]["manager"], "ancient-changes");
    assert_eq!(entries[0]["time"], "1970-01-01T00:00:02Z");
    assert!(owned(&live, "ancient-changes").has(&path(&["spec", "dictionary", "2"]).0));
}

#[test]
fn ownership_can_be_forgotten_and_begins_anew_with_an_apply() {
    let live = updated(None, super::object(&json!({"text": "a"})), "a", 1);
    let mut new = live.clone();
    new["metadata"]["managedFields"] = json!([{}]);
    let live = updated(Some(&live), new, "b", 2);
    assert_eq!(managed::raw(&live), None);
    let live = applied(Some(&live), &json!({"number": 1}), "c", 3, false).unwrap();
    assert!(owned(&live, "before-first-apply").has(&path(&["spec", "text"]).0));
    assert!(owned(&live, "c").has(&path(&["spec", "number"]).0));
}

#[test]
fn what_does_not_have_the_shape_of_its_type_is_refused() {
    let error = applied(None, &json!({"odd": 1}), "a", 1, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to create typed patch object (/x; test.io/v1, Kind=Test): .spec.odd: field not declared in schema"
    );
    let twice = json!({"items": [{"name": "a"}, {"name": "a"}]});
    let error = applied(None, &twice, "a", 1, false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("duplicate entries for key [name=\"a\"]"),
        "{error}"
    );
}

#[test]
fn the_manager_is_named_by_the_request_or_by_its_user_agent() {
    assert_eq!(manager_name(Some("me"), "kubectl/v1"), "me");
    assert_eq!(manager_name(Some(""), "kubectl/v1.36 (linux)"), "kubectl");
    assert_eq!(manager_name(None, &"x".repeat(200)).len(), 128);
}
