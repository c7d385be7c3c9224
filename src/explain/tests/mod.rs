//! What explanations say of small worlds.

mod properties;
mod queued;
mod rehearsals;
mod remedies;
mod run_once;

use super::Picture;
use super::change::Subject;
use crate::plan::Asker;
use crate::plan::testing::{Scene, key};

/// The picture of a scene, with nothing around it.
fn picture(scene: &Scene) -> Picture {
    Picture {
        world: scene.world.clone(),
        ..Picture::default()
    }
}

fn subject(service: &str, instance: &str) -> Subject {
    Subject {
        of: Asker::Service(key(service)),
        definition: key(&format!("{service}.1")),
        instance: instance.to_owned(),
    }
}
