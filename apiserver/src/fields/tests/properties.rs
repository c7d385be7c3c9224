use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::{applied, owned, updated, without_managed_fields};

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d<&>"]).prop_map(str::to_owned)
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        word().prop_map(Element::Field),
        (word(), 0..3i64).prop_map(|(name, port)| {
            Element::Key(vec![
                ("name".to_owned(), json!(name)),
                ("port".to_owned(), json!(port)),
            ])
        }),
        prop_oneof![
            word().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            any::<bool>().prop_map(Value::from)
        ]
        .prop_map(Element::Value),
        (0..3i64).prop_map(Element::Index),
    ]
}

fn set() -> impl Strategy<Value = FieldSet> {
    let path = vec(element(), 1..4).prop_map(Path);
    vec(path, 0..12).prop_map(|paths| FieldSet::of(&paths))
}

fn dictionary() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(word(), word(), 0..3)
}

fn item() -> impl Strategy<Value = (String, Value)> {
    (word(), option::of(word()), option::of(word()), option::of(word())).prop_map(|(name, value, a, b)| {
        let mut item = json!({"name": name});
        if let Some(value) = value {
            item["value"] = json!(value);
        }
        if let Some(a) = a {
            item["more"]["a"] = json!(a);
        }
        if let Some(b) = b {
            item["more"]["b"] = json!(b);
        }
        (name, item)
    })
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    vec(item(), 0..4).prop_map(|items| {
        let mut seen = Vec::new();
        items
            .into_iter()
            .filter(|(name, _)| {
                !seen.contains(name) && {
                    seen.push(name.clone());
                    true
                }
            })
            .map(|(_, item)| item)
            .collect()
    })
}

/// A spec of the test kind, with any of its fields.
fn spec() -> impl Strategy<Value = Value> {
    (
        option::of(word()),
        option::of(0..3i64),
        option::of(dictionary()),
        option::of(dictionary()),
        option::of(vec(word(), 0..3)),
        option::of(btree_set(word(), 0..4)),
        option::of(items()),
        option::of(dictionary()),
    )
        .prop_map(|(text, number, dictionary, whole, list, set, items, free)| {
            let mut spec = serde_json::Map::new();
            let mut put = |name: &str, value: Value| {
                if !value.is_null() {
                    spec.insert(name.to_owned(), value);
                }
            };
            put("text", json!(text));
            put("number", json!(number));
            put("dictionary", json!(dictionary));
            put("whole", json!(whole));
            put("list", json!(list));
            put("set", json!(set));
            put("items", json!(items));
            put("free", json!(free));
            Value::Object(spec)
        })
}

proptest! {
    #[test]
    fn sets_follow_the_algebra(a in set(), b in set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.union(&b).difference(&b), a.difference(&b));
        prop_assert_eq!(a.recursive_difference(&b).difference(&a.difference(&b)), FieldSet::default());
        let paths = a.paths();
        prop_assert!(paths.iter().all(|path| a.has(&path.0)));
        prop_assert_eq!(FieldSet::of(&paths), a);
    }

    #[test]
    fn what_is_printed_can_be_parsed(a in set()) {
        prop_assert_eq!(FieldSet::from_fields_v1(&a.to_fields_v1()), Ok(a));
    }

    #[test]
    fn applying_again_changes_nothing(first in spec(), second in spec()) {
        let live = applied(None, &first, "a", 1, false).unwrap();
        let live = applied(Some(&live), &second, "b", 2, true).unwrap();
        prop_assert_eq!(applied(Some(&live), &second, "b", 3, false).unwrap(), live);
    }

    #[test]
    fn who_applies_the_same_shares(spec in spec()) {
        let live = applied(None, &spec, "a", 1, false).unwrap();
        let shared = applied(Some(&live), &spec, "b", 2, false).unwrap();
        prop_assert_eq!(without_managed_fields(&live), without_managed_fields(&shared));
        prop_assert_eq!(owned(&live, "a"), owned(&shared, "a"));
        prop_assert_eq!(owned(&shared, "a"), owned(&shared, "b"));
    }

    #[test]
    fn force_takes_over_what_differs(first in spec(), second in spec()) {
        let live = applied(None, &first, "a", 1, false).unwrap();
        let polite = applied(Some(&live), &second, "b", 2, false);
        let forced = applied(Some(&live), &second, "b", 2, true).unwrap();
        if let Ok(polite) = polite {
            prop_assert_eq!(&polite, &forced);
        } else {
            // What was contested is lost to the first, who now contests it in turn.
            prop_assert_ne!(owned(&forced, "a"), owned(&live, "a"));
            prop_assert!(applied(Some(&forced), &first, "a", 3, false).is_err());
        }
        let alone = applied(None, &second, "b", 1, false).unwrap();
        prop_assert_eq!(owned(&forced, "b"), owned(&alone, "b"));
    }

    #[test]
    fn fields_that_are_not_applied_any_more_go(first in spec(), second in spec()) {
        let live = applied(None, &first, "a", 1, false).unwrap();
        let moved = applied(Some(&live), &second, "a", 2, false).unwrap();
        let alone = applied(None, &second, "a", 1, false).unwrap();
        prop_assert_eq!(owned(&moved, "a"), owned(&alone, "a"));
        let of = |object: &Value| compare::field_set(&super::kind(), &without_managed_fields(object));
        prop_assert!(of(&moved).difference(&of(&alone)).paths().is_empty());
    }

    #[test]
    fn every_field_of_a_created_object_is_the_creators(spec in spec()) {
        let new = super::object(&spec);
        let live = updated(None, new.clone(), "a", 1);
        let unowned = compare::field_set(&super::kind(), &new).difference(&owned(&live, "a"));
        prop_assert!(unowned.difference(never_owned()).paths().is_empty());
        prop_assert_eq!(without_managed_fields(&live), new);
    }

    #[test]
    fn an_update_takes_what_it_changes_and_no_more(first in spec(), second in spec()) {
        let live = applied(None, &first, "a", 1, false).unwrap();
        let new = updated(Some(&live), super::object(&second), "b", 2);
        let (a, b) = (owned(&new, "a"), owned(&new, "b"));
        prop_assert!(a.intersection(&b).is_empty());
        prop_assert!(a.difference(&owned(&live, "a")).is_empty());
        if first == second {
            prop_assert_eq!(new, live);
        }
    }
}
