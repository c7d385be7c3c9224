//! What became of a write, and which outcomes end a reconcile.

/// What became of a write. Conflicts and missing objects are outcomes, not errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was done.
    Applied(T),
    /// The object moved on since the decision: plan again.
    Stale,
    /// An object of that name exists already.
    Exists,
    /// The object is not there.
    Gone,
    /// Refused for good, with the server's text.
    Refused(String),
    /// No certain answer: it may have been done.
    Unknown(String),
}

impl<T> Outcome<T> {
    /// A name for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Stale => "conflict",
            Self::Exists => "exists",
            Self::Gone => "gone",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The answer, if it was done.
    pub fn applied(self) -> Option<T> {
        match self {
            Self::Applied(answer) => Some(answer),
            Self::Stale | Self::Exists | Self::Gone | Self::Refused(_) | Self::Unknown(_) => None,
        }
    }

    /// The same outcome with another answer.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Applied(answer) => Outcome::Applied(f(answer)),
            Self::Stale => Outcome::Stale,
            Self::Exists => Outcome::Exists,
            Self::Gone => Outcome::Gone,
            Self::Refused(text) => Outcome::Refused(text),
            Self::Unknown(text) => Outcome::Unknown(text),
        }
    }

    /// The answer, or what ends a reconcile that can't go on without it.
    pub fn certain(self) -> Result<T, Error> {
        match self {
            Self::Applied(answer) => Ok(answer),
            Self::Stale | Self::Exists | Self::Gone => Err(Error::Moved),
            Self::Refused(text) => Err(Error::Refused(text)),
            Self::Unknown(text) => Err(Error::Uncertain(text)),
        }
    }
}

impl<T> From<Result<T, kube::Error>> for Outcome<T> {
    fn from(result: Result<T, kube::Error>) -> Self {
        match result {
            Ok(answer) => Self::Applied(answer),
            Err(kube::Error::Api(status)) => match (status.code, status.reason.as_str()) {
                (409, "AlreadyExists") => Self::Exists,
                (409, _) => Self::Stale,
                (404, _) => Self::Gone,
                // too many requests and time-outs heal, and a time-out may have been done
                (429 | 408, _) => Self::Unknown(status.message.clone()),
                (400..=499, _) => Self::Refused(status.message.clone()),
                _ => Self::Unknown(status.message.clone()),
            },
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// Why something could not be brought to its end: it is tried again later.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not as it was when the reconcile read it: nothing is wrong.
    #[error("the object moved on meanwhile")]
    Moved,
    /// The API server gave no certain answer.
    #[error("no certain answer from the API server: {0}")]
    Uncertain(String),
    /// The API server refused what we need.
    #[error("refused by the API server: {0}")]
    Refused(String),
}

impl Error {
    /// A bounded name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Uncertain(_) => "uncertain",
            Self::Refused(_) => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn outcome(code: u16, reason: &str) -> &'static str {
        let status = Status {
            code,
            reason: reason.to_owned(),
            ..Status::default()
        };
        Outcome::<()>::from(Err(kube::Error::Api(Box::new(status)))).label()
    }

    #[test]
    fn answers_are_told_apart_and_only_4xx_are_refusals() {
        assert_eq!(outcome(409, "Conflict"), "conflict");
        assert_eq!(outcome(409, "AlreadyExists"), "exists");
        assert_eq!(outcome(404, "NotFound"), "gone");
        assert_eq!(outcome(403, "Forbidden"), "refused");
        assert_eq!(outcome(422, "Invalid"), "refused");
        assert_eq!(outcome(429, "TooManyRequests"), "unknown");
        assert_eq!(outcome(500, "InternalError"), "unknown");
        assert_eq!(outcome(504, "Timeout"), "unknown");
    }
}
