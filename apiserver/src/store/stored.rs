//! One version of an object, small while nobody looks at it.
//!
//! A decoded object takes several times the room of its JSON, and the JSON of objects of a kind is nearly the same from
//! object to object. So a version is kept decoded and as text only while it is among the last that were written or looked
//! at; then it is packed against an example of its collection, and unpacked when it is asked for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lz4_flex::block::{compress_with_dict, decompress_with_dict};
use serde_json::Value;

use super::{Collection, Marks};

/// How many versions are kept as they are used.
const RECENT_MAX: usize = 1024;
/// How many bytes of text these may have together.
const RECENT_BYTES_MAX: usize = 10 << 20;
/// Texts shorter than this are not packed.
const PACKED_FROM_BYTES: usize = 512;
/// An example serves for at least so many objects before another takes its place.
const EXAMPLE_SERVES: u32 = 256;

/// A version of an object, as it is stored: without apiVersion and kind.
pub struct Stored {
    form: Mutex<Form>,
    marks: Marks,
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
        let marks = Marks::of(&value);
        let form = Form {
            length: text.len(),
            value: Some(value),
            text: Some(text),
            packed: None,
        };
        Self {
            form: Mutex::new(form),
            marks,
        }
    }

    /// What can be said of it without unpacking it.
    pub fn marks(&self) -> Marks {
        self.marks
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

    /// Keeps it packed against an example; how well that went, if it was not packed before: bytes before and after.
    fn pack(&self, example: &Arc<[u8]>) -> Option<(usize, usize)> {
        let text = {
            let mut form = self.form();
            drop(form.value.take());
            if form.packed.is_some() {
                form.text = None;
                return None;
            }
            form.text.clone().filter(|text| text.len() >= PACKED_FROM_BYTES)?
        };
        let bytes = compress_with_dict(&text, example).into_boxed_slice();
        let sizes = (text.len(), bytes.len());
        let mut form = self.form();
        form.packed = Some(Packed {
            bytes,
            example: example.clone(),
        });
        // unless somebody has opened it meanwhile
        if form.value.is_none() {
            form.text = None;
        }
        Some(sizes)
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
struct Example {
    text: Arc<[u8]>,
    served: u32,
}

/// The versions that were written or looked at last.
#[derive(Default)]
struct Recent {
    order: VecDeque<(Arc<Stored>, Collection)>,
    bytes: usize,
    examples: HashMap<Collection, Example>,
}

/// Keeps versions as they are used until others take their place, and packs them then. Clones are the same.
#[derive(Clone, Default)]
pub struct Packer(Arc<Mutex<Recent>>);

impl Packer {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object, which is kept as it is used for a while.
    pub(super) fn look(&self, stored: &Arc<Stored>, collection: &Collection) -> Arc<Value> {
        if stored.is_open() {
            return stored.value();
        }
        let value = stored.open();
        self.keep(stored.clone(), collection);
        value
    }

    /// Keeps a version as it is used, until [`Packer::work`] finds that there are too many.
    pub(super) fn keep(&self, stored: Arc<Stored>, collection: &Collection) {
        let mut recent = self.recent();
        recent.bytes = recent.bytes.saturating_add(stored.len());
        recent.order.push_back((stored, collection.clone()));
    }

    /// Packs what is too much. Nobody waits for it but who calls.
    pub fn work(&self) {
        while let Some((stored, collection, example)) = self.surplus() {
            let sizes = stored.pack(&example);
            let Some((before, after)) = sizes else { continue };
            let mut recent = self.recent();
            let Some(example) = recent.examples.get_mut(&collection) else {
                continue;
            };
            example.served = example.served.saturating_add(1);
            // one that has little in common with the others serves no longer
            if example.served >= EXAMPLE_SERVES && after > before / 4 {
                *example = Example {
                    text: stored.text().as_ref().into(),
                    served: 0,
                };
            }
        }
    }

    /// A version that is to be packed, and against what. What nobody else has goes without.
    fn surplus(&self) -> Option<(Arc<Stored>, Collection, Arc<[u8]>)> {
        let mut recent = self.recent();
        while recent.order.len() > RECENT_MAX || recent.bytes > RECENT_BYTES_MAX {
            let (oldest, collection) = recent.order.pop_front()?;
            recent.bytes = recent.bytes.saturating_sub(oldest.len());
            if Arc::strong_count(&oldest) > 1 {
                let example = recent
                    .examples
                    .entry(collection.clone())
                    .or_insert_with(|| Example {
                        text: oldest.text().as_ref().into(),
                        served: 0,
                    });
                let text = example.text.clone();
                return Some((oldest, collection, text));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn thing(number: usize) -> Value {
        let lines: Vec<String> = (0..40)
            .map(|line| format!("line {line} of a long text"))
            .collect();
        json!({"metadata": {"name": format!("thing-{number}"), "uid": number}, "lines": lines})
    }

    fn things() -> Collection {
        Collection::new("", "things")
    }

    fn kept(packer: &Packer, values: impl Iterator<Item = Value>) -> Vec<Arc<Stored>> {
        let all: Vec<Arc<Stored>> = values
            .map(|value| Arc::new(Stored::new(Arc::new(value))))
            .collect();
        for one in &all {
            packer.keep(one.clone(), &things());
            packer.work();
        }
        all
    }

    fn packed(stored: &Stored) -> Option<usize> {
        stored.form().packed.as_ref().map(|packed| packed.bytes.len())
    }

    #[test]
    fn what_was_written_long_ago_is_small_and_the_same() {
        let packer = Packer::default();
        let all = kept(&packer, (0..RECENT_MAX + 300).map(thing));
        assert!(packed(&all[299]).is_some_and(|bytes| bytes < all[299].len() / 8));
        assert!(!all[299].is_open() && all[300].is_open() && packed(&all[300]).is_none());
        for (number, one) in all.iter().enumerate() {
            assert_eq!(*one.value(), thing(number));
            assert_eq!(one.text(), thing(number).to_string());
        }
        assert!(!all[0].is_open(), "a look in passing changes nothing");
        assert_eq!(*packer.look(&all[0], &things()), thing(0));
        packer.work();
        assert!(all[0].is_open() && !all[300].is_open(), "another one made room");
    }

    #[test]
    fn many_bytes_make_room_as_many_objects_do() {
        let big = |number: usize| json!({"number": number, "text": "x".repeat(RECENT_BYTES_MAX / 2)});
        let all = kept(&Packer::default(), (0..3).map(big));
        let open: Vec<bool> = all.iter().map(|one| one.is_open()).collect();
        assert_eq!(open, [false, false, true]);
        assert_eq!(*all[1].value(), big(1));
    }

    #[test]
    fn an_example_that_fits_no_more_is_replaced() {
        let other = |seed: u32| {
            let words = (0..400_u32).map(|n| n.wrapping_mul(seed).wrapping_mul(2_654_435_761));
            json!({"words": words.collect::<Vec<u32>>()})
        };
        let few = usize::try_from(EXAMPLE_SERVES).unwrap();
        let values = (0..few)
            .map(|_| other(3))
            .chain((0..RECENT_MAX + 2).map(|_| other(7)));
        let all = kept(&Packer::default(), values);
        let sizes: Vec<usize> = all.iter().filter_map(|one| packed(one)).collect();
        assert!(sizes[few] > all[few].len() / 4, "nothing in common");
        assert!(sizes[few + 1] < all[few].len() / 20, "{}", sizes[few + 1]);
        assert_eq!(*all[few + 1].value(), other(7));
    }
}
