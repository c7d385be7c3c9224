//! The three patches that change an object by a description of the change: [`json`] (RFC 6902), [`merge`] (RFC 7386)
//! and [`strategic`]. They are pure; where they differ from the RFCs, they follow the API server.

pub mod json;
pub mod merge;
pub mod strategic;
mod strategic_lists;

/// Why a patch could not be applied, by the answer that the API server gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// 400 BadRequest: the patch is not one.
    #[error("{0}")]
    BadRequest(String),
    /// 413 RequestEntityTooLarge: more operations than are allowed.
    #[error("Request entity too large: The allowed maximum operations in a JSON patch is 10000, got {0}")]
    TooManyOperations(usize),
    /// 422 Invalid: the patch does not fit the object. The API server keeps the reason, which is `detail`, to itself.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable {
        /// The reason.
        detail: String,
    },
    /// 500 without a reason: what the API server answers where its merging fails.
    #[error("{0}")]
    Internal(String),
}

impl PatchError {
    /// The HTTP status code of the answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::TooManyOperations(_) => 413,
            Self::Unprocessable { .. } => 422,
            Self::Internal(_) => 500,
        }
    }

    /// The `reason` of the answer's Status, empty if it has none.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::TooManyOperations(_) => "RequestEntityTooLarge",
            Self::Unprocessable { .. } => "Invalid",
            Self::Internal(_) => "",
        }
    }
}

/// The name that Go has for the JSON type of a value, as error texts quote it.
fn go_json_kind(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
