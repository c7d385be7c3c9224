//! What a Task says, and what can go wrong, in ECS's words. (PROT-22 to PROT-25)

use http::StatusCode;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::api::{DesiredStatus, Task};

/// ECS's reason for a task that can't be protected. (PROT-5)
const TASK_NOT_VALID: &str = "TASK_NOT_VALID";
const INVALID: &str = "InvalidParameterException";
const SERVER: &str = "ServerException";
/// For an id that is of no task, and for one that nobody can look up now. (PROT-24)
const NOT_FOUND: &str = "Failed to find a task for the request";
const UNEXPECTED: &str = "Unexpected error occurred";

/// An answer as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    fn text(status: StatusCode, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned(),
        }
    }

    fn error(status: StatusCode, arn: Option<String>, code: &str, message: &str) -> Self {
        let mut error = json!({ "Code": code, "Message": message });
        if let (Some(error), Some(arn)) = (error.as_object_mut(), arn) {
            error.insert("Arn".to_owned(), json!(arn));
        }
        Self::json(status, &json!({ "error": error }))
    }

    /// What is sent: status, content type, body.
    pub(super) fn into_parts(self) -> (StatusCode, &'static str, String) {
        (self.status, self.content_type, self.body)
    }

    /// Nothing is there.
    pub(super) fn no_such_page() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 page not found\n")
    }

    /// Something is there, but not for this method.
    pub(super) fn no_such_method() -> Self {
        Self::text(StatusCode::METHOD_NOT_ALLOWED, "")
    }

    /// The caller asks too often. (PROT-25)
    pub(super) fn too_often() -> Self {
        let text = "You have reached maximum request limit.";
        Self::text(StatusCode::TOO_MANY_REQUESTS, text)
    }

    /// The body can't be read. (PROT-24)
    pub(super) fn undecodable() -> Self {
        let message = "UpdateTaskProtection: failed to decode request";
        Self::error(StatusCode::BAD_REQUEST, None, INVALID, message)
    }

    /// The body asks for something that there is not. (PROT-24)
    pub(super) fn invalid(task: &Task, message: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, Some(arn(task)), INVALID, message)
    }

    /// The id is of no task. (PROT-24)
    pub(super) fn unknown() -> Self {
        let status = StatusCode::NOT_FOUND;
        Self::error(status, None, "ResourceNotFoundException", NOT_FOUND)
    }

    /// Nobody can say now whose the id is. (PROT-24)
    pub(super) fn lookup_failed() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, None, SERVER, NOT_FOUND)
    }

    /// The request could not be handed on. (PROT-24)
    pub(super) fn unexpected(task: &Task) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::error(status, Some(arn(task)), SERVER, UNEXPECTED)
    }

    /// There was no answer in time. (PROT-24)
    pub(super) fn timed_out() -> Self {
        let message = "Timed out calling ECS Task Protection API";
        Self::error(StatusCode::GATEWAY_TIMEOUT, None, "RequestCanceled", message)
    }

    /// The task can't be protected; the answer is still HTTP's 200. (PROT-23)
    fn failure(task: &Task, reason: &str, detail: Option<&str>) -> Self {
        let failure = json!({ "Arn": arn(task), "Detail": detail, "Reason": reason });
        Self::json(StatusCode::OK, &json!({ "failure": failure }))
    }

    /// The task is of no service, or was told to stop. (PROT-5)
    pub(super) fn not_valid(task: &Task, detail: &str) -> Self {
        Self::failure(task, TASK_NOT_VALID, Some(detail))
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    #[cfg(test)]
    pub(super) fn parsed(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A task as ECS would name it: the namespace stands for the account, and there is no region. The id is what follows the
/// last slash. (ARN-2)
fn arn(task: &Task) -> String {
    let namespace = task.namespace().unwrap_or_default();
    format!(
        "arn:aws:ecs::{namespace}:task/{}/{}",
        task.spec.cluster,
        task.name_any()
    )
}

/// Whether a task is protected. (PROT-22)
pub(super) fn protection(task: &Task, now: Timestamp) -> Answer {
    if let Some(problem) = never(task) {
        return problem;
    }
    let until = task.status.as_ref().and_then(|s| s.protected_until.as_deref());
    let until = until.filter(|until| until.parse::<Timestamp>().is_ok_and(|until| until > now));
    let protection =
        json!({ "ExpirationDate": until, "ProtectionEnabled": until.is_some(), "TaskArn": arn(task) });
    Answer::json(StatusCode::OK, &json!({ "protection": protection }))
}

/// Why a task can never be protected. (PROT-5)
pub(super) fn never(task: &Task) -> Option<Answer> {
    let why = "The task is not of a service; only the tasks of a service can be protected.";
    task.spec.service.is_none().then(|| Answer::not_valid(task, why))
}

/// Whether a task was told to stop.
pub(super) fn stopping(task: &Task) -> bool {
    task.spec.desired_status == DesiredStatus::Stopped || task.metadata.deletion_timestamp.is_some()
}

/// What became of the request that stands in the Task; `None` until it is answered. (PROT-22, PROT-23)
pub(super) fn granted(task: &Task, now: Timestamp) -> Option<Answer> {
    let asked = task.spec.protection.as_ref();
    if stopping(task) && asked.is_some_and(|asked| asked.protection_enabled) {
        let why = "The task was told to stop; only a task that should run can be protected.";
        return Some(Answer::not_valid(task, why));
    }
    let answered = task.status.as_ref().and_then(|s| s.protection.as_ref());
    match (asked, answered) {
        (Some(asked), Some(answer)) if answer.request == *asked => {
            let failure = answer.failure.as_deref();
            Some(failure.map_or_else(
                || protection(task, now),
                |reason| Answer::failure(task, reason, None),
            ))
        }
        // nobody answers for a task that was told to stop: what it had ends with it
        _ if asked.is_none() || stopping(task) => Some(protection(task, now)),
        _ => None,
    }
}

/// Whether a task should finish: only protection keeps it, or it was told to stop. (PROT-11)
pub(super) fn quiesce(task: &Task) -> Answer {
    let status = task.status.as_ref();
    let told = status.and_then(|s| s.quiesce.as_ref());
    let (reason, since) = match told {
        Some(told) => (Some(told.reason.name()), Some(told.since.as_str())),
        None if stopping(task) => (Some("Stop"), status.and_then(|s| s.stopping_at.as_deref())),
        None => (None, None),
    };
    let quiesce =
        json!({ "Reason": reason, "Requested": reason.is_some(), "Since": since, "TaskArn": arn(task) });
    Answer::json(StatusCode::OK, &json!({ "quiesce": quiesce }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: &str = "1970-01-01T00:01:00Z";
    const ARN: &str = "arn:aws:ecs::shop:task/default/t1";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn task(spec: &Value, status: &Value) -> Task {
        let mut all = json!({ "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1",
            "service": { "name": "web", "uid": "s" } });
        all.as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
            "metadata": { "name": "t1", "namespace": "shop" }, "spec": all, "status": status,
        }))
        .unwrap()
    }

    fn asks(enabled: bool) -> Value {
        json!({ "protectionEnabled": enabled, "renewal": "r" })
    }

    #[test]
    fn a_task_reads_whether_it_is_protected_and_until_when_prot_22() {
        let held = task(&json!({}), &json!({ "protectedUntil": UNTIL }));
        let expected =
            json!({ "protection": { "ExpirationDate": UNTIL, "ProtectionEnabled": true, "TaskArn": ARN } });
        assert_eq!(protection(&held, at(59)).parsed(), expected);
        let none =
            json!({ "protection": { "ExpirationDate": null, "ProtectionEnabled": false, "TaskArn": ARN } });
        assert_eq!(
            protection(&held, at(60)).parsed(),
            none,
            "over, if not yet taken off"
        );
        let plain = task(&json!({}), &Value::Null);
        assert_eq!(
            (
                protection(&plain, at(0)).parsed(),
                protection(&plain, at(0)).status()
            ),
            (none, 200)
        );
    }

    #[test]
    fn an_answer_is_waited_for_and_may_be_a_failure_prot_22_prot_23() {
        let granted = |asked: &Value, status: &Value| {
            super::granted(&task(&json!({ "protection": asked }), status), at(0))
                .map(|a| (a.status(), a.parsed()))
        };
        assert_eq!(granted(&asks(true), &json!({})), None);
        let other = json!({ "protection": { "request": { "protectionEnabled": true, "renewal": "q" } },
            "protectedUntil": UNTIL });
        assert_eq!(granted(&asks(true), &other), None, "that was another request");
        let yes = json!({ "protection": { "request": asks(true) }, "protectedUntil": UNTIL });
        assert_eq!(
            granted(&asks(true), &yes).unwrap().1["protection"]["ExpirationDate"],
            UNTIL
        );
        let off = json!({ "protection": { "request": asks(false) } });
        assert_eq!(
            granted(&asks(false), &off).unwrap().1["protection"]["ProtectionEnabled"],
            false
        );
        let blocked = json!({ "protection": { "request": asks(true), "failure": "DEPLOYMENT_BLOCKED" } });
        let failure = json!({ "failure": { "Arn": ARN, "Detail": null, "Reason": "DEPLOYMENT_BLOCKED" } });
        assert_eq!(granted(&asks(true), &blocked), Some((200, failure)));
    }

    #[test]
    fn only_tasks_of_a_service_that_should_run_can_be_protected_prot_5_prot_23() {
        let alone = task(&json!({ "service": null }), &Value::Null);
        let reason = |answer: Answer| answer.parsed()["failure"]["Reason"].clone();
        assert_eq!(reason(never(&alone).unwrap()), TASK_NOT_VALID);
        assert_eq!(reason(protection(&alone, at(0))), TASK_NOT_VALID);
        let stopped = |asked: bool| {
            task(
                &json!({ "desiredStatus": "STOPPED", "protection": asks(asked) }),
                &json!({}),
            )
        };
        assert_eq!(reason(granted(&stopped(true), at(0)).unwrap()), TASK_NOT_VALID);
        let ended = granted(&stopped(false), at(0)).unwrap().parsed();
        assert_eq!(
            ended["protection"]["ProtectionEnabled"], false,
            "nothing is waited for"
        );
    }

    #[test]
    fn a_task_reads_that_it_should_finish_and_why_prot_11() {
        let says = |spec: &Value, status: &Value| quiesce(&task(spec, status)).parsed()["quiesce"].clone();
        let nothing = json!({ "Reason": null, "Requested": false, "Since": null, "TaskArn": ARN });
        assert_eq!(says(&json!({}), &json!({})), nothing);
        let told = says(
            &json!({}),
            &json!({ "quiesce": { "reason": "Drain", "since": UNTIL } }),
        );
        assert_eq!(
            told,
            json!({ "Reason": "Drain", "Requested": true, "Since": UNTIL, "TaskArn": ARN })
        );
        let stop = says(
            &json!({ "desiredStatus": "STOPPED" }),
            &json!({ "stoppingAt": UNTIL }),
        );
        assert_eq!(
            stop,
            json!({ "Reason": "Stop", "Requested": true, "Since": UNTIL, "TaskArn": ARN })
        );
    }

    #[test]
    fn errors_have_codes_and_messages_of_ecs_prot_24_prot_25() {
        let error = |answer: &Answer| {
            let error = &answer.parsed()["error"];
            let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
            (answer.status(), text("Code"), text("Message"), text("Arn"))
        };
        let of =
            |status, code: &str, message: &str, arn: &str| (status, code.into(), message.into(), arn.into());
        assert_eq!(
            error(&Answer::undecodable()),
            of(400, INVALID, "UpdateTaskProtection: failed to decode request", "")
        );
        let task = task(&json!({}), &Value::Null);
        assert_eq!(error(&Answer::invalid(&task, "m")), of(400, INVALID, "m", ARN));
        assert_eq!(
            error(&Answer::unknown()),
            of(404, "ResourceNotFoundException", NOT_FOUND, "")
        );
        assert_eq!(
            error(&Answer::lookup_failed()),
            of(500, "ServerException", NOT_FOUND, "")
        );
        assert_eq!(
            error(&Answer::unexpected(&task)),
            of(500, "ServerException", UNEXPECTED, ARN)
        );
        let late = "Timed out calling ECS Task Protection API";
        assert_eq!(error(&Answer::timed_out()), of(504, "RequestCanceled", late, ""));
        let (status, kind, text) = Answer::too_often().into_parts();
        assert_eq!((status.as_u16(), kind), (429, "text/plain; charset=utf-8"));
        assert_eq!(text, "You have reached maximum request limit.");
    }
}
