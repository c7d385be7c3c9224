//! Why an instance was passed over, and which of several reasons is told.

use crate::domain::records::PlacementFailure;

/// Where in the chain an instance fell out; larger is further. (EVT-7)
pub(super) mod stage {
    pub(in crate::plan) const STATUS: u8 = 0;
    pub(in crate::plan) const ATTRIBUTE: u8 = 1;
    pub(in crate::plan) const CONSTRAINT: u8 = 2;
    pub(in crate::plan) const RESOURCE: u8 = 3;
}

/// Why an instance was passed over, with how far it came. (PLACE-2, EVT-7)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason per instance.
    pub failure: PlacementFailure,
    /// EVT-6's words for it.
    pub detail: String,
    /// Number of filter stages it passed.
    pub stage: u8,
    /// What is left of the resource that is short; 0 in the other stages.
    pub left: i64,
}

impl Rejection {
    /// Whether all that stands in the way is room.
    #[must_use]
    pub fn lacks_resources(&self) -> bool {
        self.stage >= stage::RESOURCE
    }
}

/// The closest of several rejections: furthest stage, then most left of what is short, then lowest id. (EVT-7)
#[must_use]
pub fn closest<'a>(rejections: impl IntoIterator<Item = &'a Rejection>) -> Option<&'a Rejection> {
    rejections.into_iter().max_by(|a, b| {
        (a.stage, a.left)
            .cmp(&(b.stage, b.left))
            .then_with(|| b.failure.container_instance.cmp(&a.failure.container_instance))
    })
}
