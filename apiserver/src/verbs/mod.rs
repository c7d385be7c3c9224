//! What can be done with objects. Everything here is synchronous and runs under the server's one lock.

pub(crate) mod body;
mod create;
pub(crate) mod delete;
mod list;
mod patch;
mod priority;
mod scale;
mod subresource;
#[cfg(test)]
mod tests;
mod update;
pub(crate) mod watch;

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use crate::registry::{Kind, Role};
use crate::request::{Call, Target};
use crate::state::State;
use crate::status::Refusal;
use crate::store::{Key, Stored};
use crate::timeout;

/// What a request is answered with, before it takes the form that was asked for.
pub(crate) enum Answer {
    /// An object of the kind that was asked for.
    Object {
        /// HTTP status code.
        code: u16,
        /// The kind it is served as.
        kind: Arc<Kind>,
        /// The object as stored.
        value: Arc<Value>,
    },
    /// An object as it is stored, unread.
    Stored {
        /// The kind it is served as.
        kind: Arc<Kind>,
        /// The object.
        stored: Arc<Stored>,
    },
    /// Any other object, with its own apiVersion and kind.
    Plain {
        /// HTTP status code.
        code: u16,
        /// The object.
        value: Value,
    },
    /// Several objects.
    List(list::List),
    /// A stream of events.
    Watch(Box<watch::Start>),
}

impl Answer {
    fn ok(kind: &Arc<Kind>, value: Arc<Value>) -> Self {
        Self::Object {
            code: 200,
            kind: kind.clone(),
            value,
        }
    }

    fn created(kind: &Arc<Kind>, value: Arc<Value>) -> Self {
        Self::Object {
            code: 201,
            kind: kind.clone(),
            value,
        }
    }
}

/// Does what is asked of an object or collection. Warnings are for the header of that name.
pub(crate) fn answer(
    state: &mut State,
    target: &Target,
    call: &Call,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    if let Some(custom) = &target.kind.custom {
        warnings.extend(custom.deprecation.clone());
    }
    if target.kind.kind == "Endpoints" && !target.kind.is_custom() {
        let warning = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
        warnings.push(warning.to_owned());
    }
    if !call.query.flag("watch") {
        timeout::check(call.query.get("timeout"))?;
    }
    let on_object = !target.name.is_empty();
    let stored = target.kind.role != Role::Review;
    match (&call.method, on_object, target.subresource.as_str()) {
        (&Method::POST, false, "") if !stored => subresource::review(state, target, call, warnings),
        _ if !stored => Err(Refusal::method_not_allowed()),
        (&Method::GET, false, "") if call.query.flag("watch") => watch::start(state, target, call),
        (&Method::GET, false, "") => list::list(state, target, call),
        (&Method::GET, true, "" | "status") => {
            check_version(state, call)?;
            get(state, target)
        }
        (&Method::GET, true, "scale") => scale::get_scale(state, target),
        (&Method::POST, false, "") if target.kind.namespaced && target.namespace.is_empty() => {
            Err(Refusal::method_not_allowed())
        }
        (&Method::POST, false, "") => create::create(state, target, call, warnings),
        (&Method::POST, true, "binding") => subresource::bind(state, target, call),
        (&Method::POST, true, "eviction") => subresource::evict(state, target, call),
        (&Method::PUT, true, "" | "status" | "finalize") => update::replace(state, target, call, warnings),
        (&Method::PUT | &Method::PATCH, true, "scale") => scale::set_scale(state, target, call),
        (&Method::PATCH, true, "" | "status") => patch::patch(state, target, call, warnings),
        (&Method::DELETE, true, "") => delete::delete(state, target, call),
        (&Method::DELETE, false, "") if target.kind.role != Role::Namespace => {
            delete::delete_collection(state, target, call)
        }
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// The object that a target names, as stored.
pub(crate) fn find(state: &State, target: &Target) -> Result<Arc<Value>, Refusal> {
    let key = Key::new(&target.namespace, &target.name);
    let found = state.store.get(&target.kind.collection, &key);
    found.ok_or_else(|| Refusal::not_found(&target.kind, &target.name))
}

/// The version that an object should not be older than must be one that there is.
fn check_version(state: &State, call: &Call) -> Result<(), Refusal> {
    let asked = list::parse_version(call.query.get("resourceVersion")).map_err(Refusal::plain_error)?;
    let current = state.store.version();
    if asked > current {
        return Err(Refusal::too_large_version(asked, current));
    }
    Ok(())
}

fn get(state: &State, target: &Target) -> Result<Answer, Refusal> {
    let key = Key::new(&target.namespace, &target.name);
    let stored = state.store.stored(&target.kind.collection, &key);
    Ok(Answer::Stored {
        kind: target.kind.clone(),
        stored: stored.ok_or_else(|| Refusal::not_found(&target.kind, &target.name))?,
    })
}
