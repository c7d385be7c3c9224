//! What selectors ask for most, as bits beside every version: that an object has it not is known without unpacking it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::object;

/// Labels and the node of an object, up to three of 128 bits for each. Others may have the same bits: a miss is certain, a
/// hit is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks(u128);

impl Marks {
    /// Those of an object.
    pub fn of(value: &Value) -> Self {
        let labels = object::at(value, &["metadata", "labels"]).and_then(Value::as_object);
        let marks = Self::default().with_node(object::text(value, &["spec", "nodeName"]));
        labels.into_iter().flatten().fold(marks, |marks, (name, label)| {
            label
                .as_str()
                .map_or(marks, |label| marks.with_label(name, label))
        })
    }

    /// And those of a label.
    #[must_use]
    pub fn with_label(self, name: &str, label: &str) -> Self {
        self.with(&("label", name, label))
    }

    /// And those of a node in `spec.nodeName`; empty: none.
    #[must_use]
    pub fn with_node(self, node: &str) -> Self {
        if node.is_empty() {
            self
        } else {
            self.with(&("node", node))
        }
    }

    fn with(self, what: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let [a, b, c, ..] = hasher.finish().to_le_bytes();
        let bits = [a, b, c].map(|byte| 1_u128.wrapping_shl(u32::from(byte)));
        Self(bits.into_iter().fold(self.0, |all, bit| all | bit))
    }

    /// Whether an object with these may have what the others stand for.
    pub fn may_have(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_has_what_is_asked_for_is_found_and_few_others_are() {
        let object = |number: usize| {
            json!({"metadata": {"labels": {"task": format!("t{number}"), "app": "web"}},
                "spec": {"nodeName": format!("n{number}")}})
        };
        let all: Vec<Marks> = (0..1000).map(|number| Marks::of(&object(number))).collect();
        let mut found = 0;
        for (number, marks) in all.iter().enumerate() {
            let by_label = Marks::default().with_label("task", &format!("t{number}"));
            let by_node = Marks::default().with_node(&format!("n{number}"));
            let both = by_label.with_label("app", "web");
            for wanted in [by_label, by_node, both] {
                assert!(marks.may_have(wanted));
                found += all.iter().filter(|marks| marks.may_have(wanted)).count();
            }
        }
        assert!(found < 3 * 1000 * 5, "{found} where 3000 would do");
        let plain = Marks::of(&json!({"metadata": {"name": "a"}, "spec": {"nodeName": ""}}));
        assert_eq!(plain, Marks::default());
        assert!(plain.may_have(Marks::default()) && !plain.may_have(plain.with_node("n1")));
    }
}
