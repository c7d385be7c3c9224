//! Run-once tasks: a share first, then the one write that binds the Task and authorises its Pod. (RUN-1, F2)
//!
//! A crash in between leaves the share with the Task's uid on it and the Task unbound: whoever looks at the Task next
//! finds the share and goes on there. Two processes may each get a share, on two instances; the Task's version lets one
//! of them bind it, and the other's share goes, since the Task is seen to be bound elsewhere.

use kube::ResourceExt;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::info;

use super::Ledger;
use super::instance::{Ask, Denied};
use super::outcome::Outcome;
use crate::api::Task;
use crate::cache::store::key_of;
use crate::plan::run_task::Place;

impl Ledger {
    /// The turn to decide where a run-once task goes and to reserve its share: one at a time in a process, so that each
    /// sees the ones before it (PLACE-1), and after daemons that are being started.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.lane.give_way().await;
        self.run_once.clone().lock_owned().await
    }

    /// Reserves the share of a task that nobody has bound, if the instance is still as it was decided on: so nobody else's share of
    /// the same group has come there since. (CONS-4)
    pub async fn reserve_place(&self, task: &Task, place: &Place) -> Outcome<Option<Denied>> {
        let ask = Ask {
            task: key_of(task),
            uid: task.uid(),
            service: task.spec.service.clone(),
            amounts: place.demand.clone(),
        };
        self.reserve_as_seen(&place.instance, place.version, &[ask])
            .await
            .map(|verdicts| verdicts.first().copied().flatten())
    }

    /// Binds a Task whose share was there when the process looked at `share_seen`: once and for ever, if it is still as
    /// it was decided on. It is an authorising write. (TASK-17, F2)
    pub async fn bind(&self, task: &Task, place: &Place, share_seen: Instant) -> Outcome<()> {
        let mut change = self.authorisation(task, Some(place.revision.clone()));
        if let Some(members) = change.as_object_mut() {
            let spec = serde_json::json!({ "containerInstance": place.instance });
            members.insert("spec".to_owned(), spec);
        }
        let outcome = self.patch_task(&key_of(task), change, "task_bind").await;
        if matches!(outcome, Outcome::Applied(())) {
            self.fences
                .authorised(&task.uid().unwrap_or_default(), share_seen);
            info!(task = %key_of(task), instance = place.instance, "bound");
        }
        outcome
    }
}
