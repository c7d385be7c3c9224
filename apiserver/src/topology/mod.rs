//! What merging must know of a type and nothing more: which lists are sets or maps and by which keys, which objects are
//! replaced whole, and how a strategic merge patch treats a field. Both [`crate::patch`] and [`crate::fields`] walk it.
//!
//! A type is made from the OpenAPI v3 schema of a custom resource ([`TypeInfo::custom`]) or, for the kinds that are
//! built in, from a table of the same form that was drawn from a real server ([`builtin`]).

mod builtin;
mod openapi;
mod zero;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

pub use builtin::{builtin, builtin_kinds};

/// The root type of an object, together with the named types it refers to.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    types: Arc<Types>,
    root: TypeRef,
    is_builtin: bool,
}

/// Named types.
#[derive(Debug, Default)]
struct Types(HashMap<String, Atom>);

/// The forms that a value of one type may have. A type that says nothing of its form allows all three.
#[derive(Clone, Debug, Default)]
pub struct Atom {
    /// Set if the value may be a scalar.
    pub scalar: Option<Scalar>,
    /// Set if the value may be a list.
    pub list: Option<Arc<List>>,
    /// Set if the value may be an object.
    pub map: Option<Arc<Map>>,
}

/// The kinds of scalar that an applied object is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// An integer or a floating point number.
    Numeric,
    /// A string.
    String,
    /// A boolean.
    Boolean,
    /// Any of them.
    Untyped,
}

/// A list type.
#[derive(Clone, Debug)]
pub struct List {
    /// The type of the items.
    pub element: TypeRef,
    /// How items of two such lists belong together (`x-kubernetes-list-type`).
    pub kind: ListKind,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects that these members tell apart (`x-kubernetes-list-map-keys`).
    Map(Vec<String>),
}

/// An object type: declared fields, free keys, or both.
#[derive(Clone, Debug)]
pub struct Map {
    /// The declared fields by name.
    pub fields: BTreeMap<String, Field>,
    /// The type of the values of keys that are not declared; `None` where there may be none.
    pub element: Option<TypeRef>,
    /// Replaced as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
}

/// A declared field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its type.
    pub of: TypeRef,
    /// Its default, which matters where the field is a key of a list.
    pub default: Option<Value>,
    /// Whether the schema requires it.
    pub required: bool,
    /// What a strategic merge patch does with it.
    pub patch: PatchMeta,
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchMeta {
    /// `merge`: the items of the list are merged. Lists without it are replaced.
    pub merge: bool,
    /// `replace`: an object is replaced, which would otherwise be merged.
    pub replace: bool,
    /// The member that tells the items of a merged list apart.
    pub key: Option<String>,
}

/// A type in its place: by name, or written out.
#[derive(Clone, Debug)]
pub enum TypeRef {
    /// A named type; `atomic` overrides what the type says of itself.
    Named {
        /// Its name, which is that of the OpenAPI definition.
        name: String,
        /// Whether values are replaced whole at this place.
        atomic: Option<bool>,
    },
    /// A type without a name.
    Inline(Atom),
}

impl TypeInfo {
    /// The type of the whole object.
    pub fn root(&self) -> &TypeRef {
        &self.root
    }

    /// Whether the kind is built in, so that its values are structs in the API server.
    pub fn is_builtin(&self) -> bool {
        self.is_builtin
    }

    /// What `of` stands for. A name that is not defined allows nothing.
    pub fn resolve(&self, of: &TypeRef) -> Atom {
        match of {
            TypeRef::Inline(atom) => atom.clone(),
            TypeRef::Named { name, atomic } => {
                let atom = self.types.0.get(name).cloned().unwrap_or_default();
                match atomic {
                    Some(atomic) => atom.with_atomic(*atomic),
                    None => atom,
                }
            }
        }
    }
}

impl Atom {
    fn with_atomic(self, atomic: bool) -> Self {
        let Self { scalar, list, map } = self;
        let list = list.map(|list| {
            if atomic && list.kind != ListKind::Atomic {
                Arc::new(List {
                    kind: ListKind::Atomic,
                    ..List::clone(&list)
                })
            } else {
                list
            }
        });
        let map = map.map(|map| {
            if map.atomic == atomic {
                return map;
            }
            Arc::new(Map {
                atomic,
                ..Map::clone(&map)
            })
        });
        Self { scalar, list, map }
    }

    /// The one form that `value` has, if this type allows it; otherwise all that it allows.
    #[must_use]
    pub fn for_value(self, value: Option<&Value>) -> Self {
        match value {
            Some(Value::Number(_) | Value::String(_) | Value::Bool(_)) if self.scalar.is_some() => Self {
                scalar: self.scalar,
                ..Self::default()
            },
            Some(Value::Array(_)) if self.list.is_some() => Self {
                list: self.list,
                ..Self::default()
            },
            Some(Value::Object(_)) if self.map.is_some() => Self {
                map: self.map,
                ..Self::default()
            },
            _ => self,
        }
    }
}

impl Map {
    /// The type of the value at `key`; `None` if there may be none.
    pub fn type_of(&self, key: &str) -> Option<&TypeRef> {
        self.fields
            .get(key)
            .map(|field| &field.of)
            .or(self.element.as_ref())
    }

    /// An object with declared fields, as opposed to a dictionary.
    pub fn is_struct(&self) -> bool {
        !self.fields.is_empty()
    }
}

impl TypeRef {
    /// The last part of the name of a named type.
    pub fn short_name(&self) -> Option<&str> {
        match self {
            Self::Named { name, .. } => name.rsplit('.').next(),
            Self::Inline(_) => None,
        }
    }
}
