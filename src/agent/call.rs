//! A request in ECS's words. (PROT-20, PROT-21)

use http::Method;
use serde_json::{Map, Value};

use super::answer::Answer;

/// Longest period that a request may ask for, in minutes. (PROT-1)
const MINUTES: std::ops::RangeInclusive<i64> = 1..=2880;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// GetTaskProtection.
    GetProtection,
    /// UpdateTaskProtection.
    UpdateProtection,
    /// Whether the task should finish; ours, not ECS's.
    GetQuiesce,
}

/// The call, and the id that the caller was given.
pub(super) fn route<'p>(method: &Method, path: &'p str) -> Result<(Call, &'p str), Answer> {
    let parts = path.strip_prefix("/api/").and_then(|rest| rest.split_once('/'));
    let Some((id, resource)) = parts else {
        return Err(Answer::no_such_page());
    };
    match (resource, method) {
        ("task-protection/v1/state", &Method::GET) => Ok((Call::GetProtection, id)),
        ("task-protection/v1/state", &Method::PUT) => Ok((Call::UpdateProtection, id)),
        ("task-quiesce/v1/state", &Method::GET) => Ok((Call::GetQuiesce, id)),
        ("task-protection/v1/state" | "task-quiesce/v1/state", _) => Err(Answer::no_such_method()),
        _ => Err(Answer::no_such_page()),
    }
}

/// The body of UpdateTaskProtection, as far as it can be judged without the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    enabled: Option<bool>,
    minutes: Option<i64>,
}

/// What a task asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Whether it is to be protected.
    pub(super) enabled: bool,
    /// For how many minutes.
    pub(super) minutes: Option<i64>,
}

impl Body {
    /// Reads it as ECS's agent does: the case of members' names does not count, unknown members do, and what follows the
    /// first value is not looked at. `None` if that fails. (PROT-21)
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut values =
            serde_json::Deserializer::from_slice(bytes).into_iter::<Option<Map<String, Value>>>();
        let members = values.next()?.ok()?.unwrap_or_default();
        let mut body = Self::default();
        for (name, value) in members {
            if name.eq_ignore_ascii_case("ProtectionEnabled") {
                body.enabled = serde_json::from_value(value).ok()?;
            } else if name.eq_ignore_ascii_case("ExpiresInMinutes") {
                body.minutes = serde_json::from_value(value).ok()?;
            } else {
                return None;
            }
        }
        Some(body)
    }

    /// The wish in it, or the message of what is wrong. (PROT-1, PROT-24)
    pub(super) fn wish(self) -> Result<Wish, &'static str> {
        let Some(enabled) = self.enabled else {
            return Err("Invalid request: does not contain 'ProtectionEnabled' field");
        };
        if self.minutes.is_some_and(|minutes| !MINUTES.contains(&minutes)) {
            return Err("Invalid request: 'ExpiresInMinutes' must be between 1 and 2880");
        }
        Ok(Wish {
            enabled,
            minutes: self.minutes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_call_and_who_asks_prot_20() {
        let at = |method: Method, path: &'static str| route(&method, path).map_err(|answer| answer.status());
        let state = "/api/a_b_c/task-protection/v1/state";
        assert_eq!(at(Method::GET, state), Ok((Call::GetProtection, "a_b_c")));
        assert_eq!(at(Method::PUT, state), Ok((Call::UpdateProtection, "a_b_c")));
        assert_eq!(at(Method::POST, state), Err(405));
        let quiesce = "/api/a_b_c/task-quiesce/v1/state";
        assert_eq!(at(Method::GET, quiesce), Ok((Call::GetQuiesce, "a_b_c")));
        assert_eq!(at(Method::PUT, quiesce), Err(405));
        for path in [
            "/",
            "/api/a_b_c",
            "/api/a_b_c/",
            "/api/a_b_c/task-protection/v1",
            "/v4/a_b_c/task",
        ] {
            assert_eq!(at(Method::GET, path), Err(404), "{path}");
        }
    }

    #[test]
    fn a_body_says_whether_and_how_long_prot_21() {
        let wish = |text: &str| Body::read(text.as_bytes()).map(Body::wish);
        let asks = |enabled, minutes| Some(Ok(Wish { enabled, minutes }));
        assert_eq!(
            wish(r#"{"ProtectionEnabled":true,"ExpiresInMinutes":60}"#),
            asks(true, Some(60))
        );
        assert_eq!(wish(r#" {"protectionEnabled":false} "#), asks(false, None));
        assert_eq!(
            wish(r#"{"ProtectionEnabled":true,"ExpiresInMinutes":null} x"#),
            asks(true, None)
        );
        assert_eq!(
            wish(r#"{"ProtectionEnabled":true,"ExpiresInMinutes":2880}"#),
            asks(true, Some(2880))
        );
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said_as_by_ecs_prot_24() {
        for text in [
            "",
            "x",
            "[]",
            "true",
            r#"{"ProtectionEnabled":"#,
            r#"{"ProtectionEnabled":"true"}"#,
            r#"{"ProtectionEnabled":true,"ExpiresInMinutes":1.5}"#,
            r#"{"ProtectionEnabled":true,"ExpiresInMinutes":"60"}"#,
            r#"{"ProtectionEnabled":true,"Tasks":[]}"#,
        ] {
            assert_eq!(Body::read(text.as_bytes()), None, "{text}");
        }
        let problem = |text: &str| Body::read(text.as_bytes()).unwrap().wish().unwrap_err();
        for text in [
            "{}",
            "null",
            r#"{"ProtectionEnabled":null}"#,
            r#"{"ExpiresInMinutes":0}"#,
        ] {
            assert_eq!(
                problem(text),
                "Invalid request: does not contain 'ProtectionEnabled' field",
                "{text}"
            );
        }
        for minutes in ["0", "-1", "2881"] {
            let text = format!(r#"{{"ProtectionEnabled":true,"ExpiresInMinutes":{minutes}}}"#);
            assert!(problem(&text).contains("between 1 and 2880"), "{minutes}");
        }
    }
}
