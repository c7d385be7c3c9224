//! What the instances of a cluster are to every task alike. The world keeps it in line, instance by instance, so that a
//! plan need not find it out anew for thousands of them.

use std::borrow::Cow;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::eligibility::{Claim, asks_about_tasks, check_status, left};
use super::ranking::ZONE;
use super::world::{Instance, World};
use crate::domain::resources::Resources;

/// The instances of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    /// What its daemons claim.
    claims: Arc<[Claim]>,
    rows: OrdMap<String, Row>,
    /// Names of the instances that take tasks, by zone.
    zones: OrdMap<Arc<str>, OrdSet<String>>,
}

/// An instance with what follows from it and from the daemons of its cluster.
#[derive(Clone, Debug)]
pub(super) struct Row {
    instance: Arc<Instance>,
    /// It is in a state to get new tasks. (PLACE-4)
    open: bool,
    /// What is left less what daemons hold back; `None`: that depends on the tasks there.
    left: Option<Resources>,
    /// Value of its zone attribute, if it has that; one without value has the empty text.
    zone: Option<Arc<str>>,
}

impl Fleet {
    /// No instances, and what daemons claim.
    pub(super) fn new(claims: Arc<[Claim]>) -> Self {
        Self {
            claims,
            rows: OrdMap::new(),
            zones: OrdMap::new(),
        }
    }

    /// The same instances under other claims.
    pub(super) fn claimed(&self, claims: Arc<[Claim]>, world: &World) -> Self {
        let again = |(name, row): (&String, &Row)| {
            let left = Row::room(&row.instance, &claims, world);
            (name.clone(), Row { left, ..row.clone() })
        };
        Self {
            rows: self.rows.iter().map(again).collect(),
            zones: self.zones.clone(),
            claims,
        }
    }

    /// Puts an instance in, or replaces it.
    pub(super) fn put(&mut self, name: String, mut row: Row) {
        self.remove(&name);
        if let Some(zone) = row.zone.as_mut().filter(|zone| !zone.is_empty()) {
            if let Some((known, _)) = self.zones.get_key_value(zone) {
                *zone = Arc::clone(known);
            }
            if row.open {
                self.zones
                    .entry(Arc::clone(zone))
                    .or_default()
                    .insert(name.clone());
            }
        }
        self.rows.insert(name, row);
    }

    /// Takes an instance out.
    pub(super) fn remove(&mut self, name: &str) {
        let old = self.rows.remove(name).and_then(|old| old.zone);
        if let Some(zone) = old
            && let Some(names) = self.zones.get_mut(&zone)
        {
            names.remove(name);
            if names.is_empty() {
                self.zones.remove(&zone);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn claims(&self) -> Arc<[Claim]> {
        Arc::clone(&self.claims)
    }

    /// All instances, sorted by name.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The instance of that name.
    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.get(name)
    }

    /// Zones that have an instance that takes tasks, each with those instances, sorted by name.
    pub(super) fn zones(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &Row>)> {
        self.zones.iter().map(|(zone, names)| {
            let rows = names.iter().filter_map(|name| self.rows.get(name));
            (&**zone, rows)
        })
    }
}

impl Row {
    /// What follows from an instance under these claims.
    pub(super) fn new(instance: Arc<Instance>, claims: &[Claim], world: &World) -> Self {
        Self {
            open: check_status(&instance).is_none(),
            left: Self::room(&instance, claims, world),
            zone: instance
                .attributes
                .get(ZONE)
                .map(|value| value.as_deref().unwrap_or_default().into()),
            instance,
        }
    }

    fn room(instance: &Instance, claims: &[Claim], world: &World) -> Option<Resources> {
        let alone = instance.queue.is_empty() && !asks_about_tasks(claims);
        alone.then(|| left(world, instance, claims))
    }

    /// The instance.
    pub(super) const fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Whether it is in a state to get new tasks. (PLACE-4)
    pub(super) const fn open(&self) -> bool {
        self.open
    }

    /// What is left less what daemons hold back. (PLACE-2, DAEMON-26)
    pub(super) fn left(&self, world: &World) -> Cow<'_, Resources> {
        match &self.left {
            Some(left) => Cow::Borrowed(left),
            None => Cow::Owned(left(world, &self.instance, &world.claims(&self.instance.cluster))),
        }
    }

    /// Value of an attribute; one without value has the empty text.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        if name == ZONE {
            return self.zone.as_deref();
        }
        let value = self.instance.attributes.get(name)?;
        Some(value.as_deref().unwrap_or_default())
    }

    /// Its zone, if it says one.
    pub(super) fn zone(&self) -> Option<&str> {
        self.zone.as_deref().filter(|zone| !zone.is_empty())
    }
}
