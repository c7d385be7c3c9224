//! One version of an object, small while nobody looks at it.
//!
//! A decoded object takes several times the room of its JSON, and the JSON of objects of a kind is nearly the same from
//! object to object. So a version is kept decoded and as text only while it is among the last that were written or looked
//! at; then it is packed against an example of its collection, and unpacked when it is asked for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lz4_flex::block::{compress_with_dict, decompress_with_dict};
use serde_json::Value;

/// How many versions are kept as they are used.
const RECENT_MAX: usize = 1024;
/// How many bytes of text these may have together.
const RECENT_BYTES_MAX: usize = 4 << 20;
/// Texts shorter than this are not packed.
const PACKED_FROM_BYTES: usize = 512;
/// An example serves for at least so many objects before another takes its place.
const EXAMPLE_SERVES: u32 = 256;

/// A version of an object, as it is stored: without apiVersion and kind.
pub struct Stored {
    form: Mutex<Form>,
}

#[derive(Default)]
struct Form {
    value: Option<Arc<Value>>,
    text: Option<Bytes>,
    packed: Option<Packed>,
    /// Of the text, in bytes.
    length: usize,
}

/// A text without what it has in common with an example.
struct Packed {
    bytes: Box<[u8]>,
    example: Arc<[u8]>,
}

impl Packed {
    fn text(&self, length: usize) -> Vec<u8> {
        decompress_with_dict(&self.bytes, length, &self.example).unwrap_or_else(|error| {
            // what was packed in this process can be unpacked
            tracing::error!(%error, "an object could not be unpacked");
            b"null".to_vec()
        })
    }
}

impl Stored {
    /// A version, decoded and as text.
    pub fn new(value: Arc<Value>) -> Self {
        let text = Bytes::from(value.to_string());
        let form = Form {
            length: text.len(),
            value: Some(value),
            text: Some(text),
            packed: None,
        };
        Self {
            form: Mutex::new(form),
        }
    }

    fn form(&self) -> MutexGuard<'_, Form> {
        self.form.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object as JSON.
    pub fn text(&self) -> Bytes {
        let form = self.form();
        match (&form.text, &form.packed) {
            (Some(text), _) => text.clone(),
            (None, Some(packed)) => packed.text(form.length).into(),
            (None, None) => Bytes::from_static(b"null"),
        }
    }

    /// The object.
    pub fn value(&self) -> Arc<Value> {
        if let Some(value) = &self.form().value {
            return value.clone();
        }
        Arc::new(serde_json::from_slice(&self.text()).unwrap_or_default())
    }

    /// Length of the JSON, in bytes.
    pub fn len(&self) -> usize {
        self.form().length
    }

    /// Whether there is no JSON, which no object has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is kept as it is used.
    fn is_open(&self) -> bool {
        self.form().value.is_some()
    }

    /// Keeps it as it is used, from now on.
    fn open(&self) -> Arc<Value> {
        let (text, value) = (self.text(), self.value());
        let mut form = self.form();
        form.text = Some(text);
        form.value = Some(value.clone());
        value
    }

    /// Keeps it packed against the example, which may be replaced by this very text.
    fn pack(&self, example: &mut Example) {
        let mut form = self.form();
        form.value = None;
        if form.packed.is_some() {
            form.text = None;
            return;
        }
        let Some(text) = form.text.clone().filter(|text| text.len() >= PACKED_FROM_BYTES) else {
            return;
        };
        form.packed = Some(example.pack(&text));
        form.text = None;
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.text()))
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Stored {}

/// What the objects of a collection look like.
#[derive(Default)]
pub(super) struct Example {
    text: Option<Arc<[u8]>>,
    served: u32,
}

impl Example {
    /// Packs a text. One that has little in common with the example takes its place, if that has served for a while.
    fn pack(&mut self, text: &[u8]) -> Packed {
        let example = self.text.get_or_insert_with(|| text.into()).clone();
        self.served = self.served.saturating_add(1);
        let bytes = compress_with_dict(text, &example).into_boxed_slice();
        if self.served >= EXAMPLE_SERVES && bytes.len() > text.len() / 4 {
            *self = Self {
                text: Some(text.into()),
                served: 0,
            };
        }
        Packed { bytes, example }
    }
}

/// The versions that were written or looked at last.
#[derive(Default)]
pub(super) struct Recent {
    order: VecDeque<(Arc<Stored>, super::Collection)>,
    bytes: usize,
}

impl Recent {
    /// The object, which is kept as it is used for a while.
    pub(super) fn look(
        &mut self,
        stored: &Arc<Stored>,
        collection: &super::Collection,
        examples: &mut super::Examples,
    ) -> Arc<Value> {
        if stored.is_open() {
            return stored.value();
        }
        let value = stored.open();
        self.keep(stored.clone(), collection, examples);
        value
    }

    /// Keeps a version as it is used until others take its place.
    pub(super) fn keep(
        &mut self,
        stored: Arc<Stored>,
        collection: &super::Collection,
        examples: &mut super::Examples,
    ) {
        self.bytes = self.bytes.saturating_add(stored.len());
        self.order.push_back((stored, collection.clone()));
        while self.order.len() > RECENT_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some((oldest, collection)) = self.order.pop_front() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(oldest.len());
            // what nobody else has goes unpacked
            if Arc::strong_count(&oldest) > 1 {
                oldest.pack(examples.entry(collection).or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{Collection, Examples};

    fn thing(number: usize) -> Value {
        let lines: Vec<String> = (0..40).map(|line| format!("line {line} of a long text")).collect();
        json!({"metadata": {"name": format!("thing-{number}"), "uid": number}, "lines": lines})
    }

    #[test]
    fn what_was_written_long_ago_is_small_and_the_same() {
        let (mut recent, mut examples) = (Recent::default(), Examples::default());
        let things = Collection::new("", "things");
        let all: Vec<Arc<Stored>> = (0..RECENT_MAX + 300)
            .map(|number| Arc::new(Stored::new(Arc::new(thing(number)))))
            .collect();
        for one in &all {
            recent.keep(one.clone(), &things, &mut examples);
        }
        let packed = |stored: &Stored| stored.form().packed.as_ref().map(|packed| packed.bytes.len());
        assert!(packed(&all[299]).is_some_and(|bytes| bytes < all[299].len() / 8));
        assert!(!all[299].is_open() && all[300].is_open() && packed(&all[300]).is_none());
        for (number, one) in all.iter().enumerate() {
            assert_eq!(*one.value(), thing(number));
            assert_eq!(one.text(), thing(number).to_string());
        }
        assert!(!all[0].is_open(), "a look in passing changes nothing");
        assert_eq!(*recent.look(&all[0], &things, &mut examples), thing(0));
        assert!(all[0].is_open() && !all[300].is_open(), "another one made room");
    }

    #[test]
    fn many_bytes_make_room_as_many_objects_do() {
        let (mut recent, mut examples) = (Recent::default(), Examples::default());
        let things = Collection::new("", "things");
        let big = |number: usize| json!({"number": number, "text": "x".repeat(RECENT_BYTES_MAX / 2)});
        let all: Vec<Arc<Stored>> = (0..3)
            .map(|number| Arc::new(Stored::new(Arc::new(big(number)))))
            .collect();
        for one in &all {
            recent.keep(one.clone(), &things, &mut examples);
        }
        let open: Vec<bool> = all.iter().map(|one| one.is_open()).collect();
        assert_eq!(open, [false, false, true]);
        assert_eq!(*all[1].value(), big(1));
    }

    #[test]
    fn an_example_that_fits_no_more_is_replaced() {
        let mut example = Example::default();
        let text = |seed: u32| -> Vec<u8> {
            let words = (0..200_u32).map(|n| n.wrapping_mul(seed).wrapping_mul(2_654_435_761));
            words.flat_map(u32::to_le_bytes).collect()
        };
        for _ in 0..EXAMPLE_SERVES {
            example.pack(&text(3));
        }
        assert!(example.pack(&text(7)).bytes.len() > 400, "nothing in common");
        let packed = example.pack(&text(7));
        assert!(packed.bytes.len() < 50, "{}", packed.bytes.len());
        assert_eq!(packed.text(800), text(7));
    }
}
