//! `Status`: how the API server says no.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::registry::Kind;
use crate::schema::FieldError;

/// One thing wrong with one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired` and so on.
    pub reason: &'static str,
    /// What is wrong, without the field's name.
    pub message: String,
    /// The field's path.
    pub field: String,
}

impl Cause {
    /// The value is of the right type but not acceptable; `value` is shown as JSON writes it.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::shown(field, &value.to_string(), detail)
    }

    /// As [`Cause::invalid`], of a value whose members stand in another order than by name.
    pub fn shown(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {shown}: {detail}"),
            field: field.into(),
        }
    }

    /// What is to be unique is given twice; `shown` is what is shown of it.
    pub fn duplicate(field: impl Into<String>, shown: &str) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {shown}"),
            field: field.into(),
        }
    }

    /// What the value names is not there.
    pub fn missing(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueNotFound",
            message: format!("Not found: {value}"),
            field: field.into(),
        }
    }

    /// The field may not change; `value` is the new one.
    pub fn immutable(field: impl Into<String>, value: &Value) -> Self {
        Self::invalid(field, value, "field is immutable")
    }

    /// A field that must be there is missing or empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    /// The value is none of those that exist; `value` is shown as given.
    pub fn unsupported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|choice| format!("\"{choice}\"")).collect();
        Self {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                supported.join(", ")
            ),
            field: field.into(),
        }
    }

    /// The field must not be set so, whatever its value.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {detail}"),
            field: field.into(),
        }
    }

    fn to_value(&self) -> Value {
        let mut value = Map::new();
        if !self.reason.is_empty() {
            value.insert("reason".to_owned(), Value::from(self.reason));
        }
        value.insert("message".to_owned(), Value::from(self.message.as_str()));
        if !self.field.is_empty() {
            value.insert("field".to_owned(), Value::from(self.field.as_str()));
        }
        Value::Object(value)
    }
}

impl From<FieldError> for Cause {
    fn from(error: FieldError) -> Self {
        Self {
            reason: error.kind.cause(),
            message: error.body(),
            field: error.field,
        }
    }
}

/// A refusal: everything a `Status` object with `status: Failure` says.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// HTTP status code.
    pub code: u16,
    /// The machine-readable word; empty for none.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// The object's name, group and kind or plural, as far as they are said.
    pub about: Option<Box<About>>,
    /// Details by field.
    pub causes: Vec<Cause>,
    /// Seconds after which to try again; 0 for none.
    pub retry_after_seconds: u32,
    /// `metadata.continue`: with what to go on; empty for nothing.
    pub next: String,
}

/// What a refusal is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// The object's name.
    pub name: String,
    /// The API group.
    pub group: String,
    /// The kind, or the plural name of the resource: the API server uses both.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
}

impl About {
    /// A resource by its plural name.
    pub fn resource(kind: &Kind, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: kind.group.clone(),
            kind: kind.plural.clone(),
            uid: String::new(),
        }
    }

    /// A resource by its kind.
    pub fn kind(kind: &Kind, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            uid: String::new(),
        }
    }

    /// The members of `details`.
    pub fn to_members(&self) -> Map<String, Value> {
        let members = [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ];
        members
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), Value::from(value.as_str())))
            .collect()
    }
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            about: None,
            causes: Vec::new(),
            retry_after_seconds: 0,
            next: String::new(),
        }
    }

    fn about(self, about: About) -> Self {
        Self {
            about: Some(Box::new(about)),
            ..self
        }
    }

    /// With empty details, as from where no object is known.
    #[must_use]
    pub fn without_object(self) -> Self {
        self.about(About::default())
    }

    /// With a token to go on with.
    #[must_use]
    pub fn continued(self, next: String) -> Self {
        Self { next, ..self }
    }

    /// With one more cause.
    #[must_use]
    pub fn caused_by(mut self, reason: &'static str, message: &str, field: &str) -> Self {
        self.causes.push(Cause {
            reason,
            message: message.to_owned(),
            field: field.to_owned(),
        });
        self
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("{} \"{name}\" not found", kind.qualified_plural()),
        )
        .about(About::resource(kind, name))
    }

    /// 404 for a resource that is not served.
    pub fn no_such_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
        .about(About::default())
    }

    /// 409: a create met an object.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", kind.qualified_plural()),
        )
        .about(About::resource(kind, name))
    }

    /// 409: the world moved.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let what = kind.qualified_plural();
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"),
        )
        .about(About::resource(kind, name))
    }

    /// 409: a delete named an object that is another one by now.
    pub fn precondition(kind: &Kind, name: &str, why: &str) -> Self {
        let what = kind.qualified_kind();
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"),
        )
        .about(About::kind(kind, name))
    }

    /// 409: an apply met fields that others own.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self {
            about: Some(Box::default()),
            causes,
            ..Self::new(409, "Conflict", message)
        }
    }

    /// 422 for an object of a kind.
    pub fn invalid(kind: &Kind, name: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_of(&kind.qualified_kind(), About::kind(kind, name), causes)
    }

    /// 422 for an object, said of its resource instead of its kind.
    pub fn invalid_resource(kind: &Kind, name: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_of(&kind.qualified_plural(), About::resource(kind, name), causes)
    }

    /// 422 for a patch that makes something else of an object; `quoted` is what the API server shows of it.
    pub fn invalid_patch(quoted: &str, why: &str) -> Self {
        let cause = Cause::invalid("patch", &quoted.into(), why);
        Self::invalid_of("", About::default(), vec![cause])
    }

    /// 422 for the options of a request, such as `ListOptions`.
    pub fn invalid_options(options: &str, causes: Vec<Cause>) -> Self {
        let about = About {
            group: "meta.k8s.io".to_owned(),
            kind: options.to_owned(),
            ..About::default()
        };
        Self::invalid_of(&format!("{options}.meta.k8s.io"), about, causes)
    }

    fn invalid_of(kind: &str, about: About, causes: Vec<Cause>) -> Self {
        let mut texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let mut seen = BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        let what = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{kind} \"{}\" is invalid: {what}", about.name);
        Self {
            causes,
            ..Self::new(422, "Invalid", message).about(about)
        }
    }

    /// 422 with a text of its own, where the API server gives no fields.
    pub fn unprocessable() -> Self {
        Self::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
        .about(About::default())
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let what = kind.qualified_plural();
        let message = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} \"{name}\" is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(About::resource(kind, name))
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .about(About::default())
    }

    /// 501 for what a kubelet would answer.
    pub fn no_kubelet(subresource: &str) -> Self {
        let message = format!(
            "no kubelet stands behind this API server: it has no pods/{subresource}; use a cluster with real nodes for that"
        );
        Self::new(501, "NotImplemented", message).about(About::default())
    }

    /// 406.
    pub fn not_acceptable(message: &str) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// 410: the history asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 429 of the eviction subresource.
    pub fn disruption_budget(message: &str, cause: &str, retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds,
            ..Self::new(429, "TooManyRequests", message).about(About::default())
        }
        .caused_by("DisruptionBudget", cause, "")
    }

    /// 500 with a text of its own and no reason.
    pub fn plain_error(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 500.
    pub fn internal(message: &str) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
        .about(About::default())
        .caused_by("", message, "")
    }

    /// 504: the version asked for lies in the future.
    pub fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self {
            retry_after_seconds: 1,
            ..Self::new(504, "Timeout", message).about(About::default())
        }
        .caused_by("ResourceVersionTooLarge", "Too large resource version", "")
    }

    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        let Some(members) = status.as_object_mut() else {
            return status;
        };
        if !self.next.is_empty() {
            members.insert("metadata".to_owned(), json!({"continue": self.next}));
        }
        if !self.reason.is_empty() {
            members.insert("reason".to_owned(), Value::from(self.reason));
        }
        if let Some(about) = &self.about {
            let mut details = about.to_members();
            if !self.causes.is_empty() {
                details.insert(
                    "causes".to_owned(),
                    self.causes.iter().map(Cause::to_value).collect(),
                );
            }
            if self.retry_after_seconds > 0 {
                details.insert(
                    "retryAfterSeconds".to_owned(),
                    Value::from(self.retry_after_seconds),
                );
            }
            members.insert("details".to_owned(), Value::Object(details));
        }
        status
    }
}

/// The `Status` that answers a completed deletion.
pub fn deleted(kind: &Kind, name: &str, uid: &str) -> Value {
    let about = About {
        uid: uid.to_owned(),
        ..About::resource(kind, name)
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about.to_members(),
    })
}
