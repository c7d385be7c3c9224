//! The `Accept` header.

use crate::status::Refusal;

/// How much of an object a table's row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The objects.
    Json,
    /// Their metadata.
    Partial,
    /// Rows and columns for people.
    Table(Include),
}

/// The first form of those accepted that the server can give.
pub(crate) fn negotiate(accept: &str, include: &str) -> Result<Form, Refusal> {
    if accept.trim().is_empty() {
        return Ok(Form::Json);
    }
    let found = accept.split(',').find_map(|range| form(range, include));
    let known = ["", "None", "Metadata", "Object"].contains(&include);
    if matches!(found, Some(Form::Table(_))) && !known {
        return Err(Refusal::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{include}\": must be 'Metadata', \
             'Object', 'None', or empty"
        )));
    }
    found.ok_or_else(|| {
        // Something that is made of objects was asked for, but nothing that there is.
        if accept.contains("as=") {
            let message = "only the following media types are accepted: application/json";
            return Refusal::not_acceptable(message);
        }
        Refusal::not_acceptable("406: Not Acceptable\n\nAvailable representations: application/json")
            .without_object()
    })
}

fn form(range: &str, include: &str) -> Option<Form> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_lowercase();
    if !["application/json", "application/*", "*/*"].contains(&media_type.as_str()) {
        return None;
    }
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let parameter = |name: &str| {
        parameters
            .iter()
            .find(|(given, _)| *given == name)
            .map_or("", |(_, value)| *value)
    };
    let in_meta = parameter("g") == "meta.k8s.io" && parameter("v") == "v1";
    match parameter("as") {
        "" => Some(Form::Json),
        "Table" if in_meta => Some(Form::Table(match include {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        })),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if in_meta => Some(Form::Partial),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_acceptable_form_is_taken() {
        let of = |accept: &str| negotiate(accept, "").unwrap();
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
                       application/json";
        assert_eq!(of(kubectl), Form::Table(Include::Metadata));
        assert_eq!(
            of("application/vnd.kubernetes.protobuf, application/json"),
            Form::Json
        );
        assert_eq!(
            of("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Form::Partial
        );
        assert_eq!(of("*/*"), Form::Json);
        assert_eq!(of(""), Form::Json);
        assert_eq!(
            negotiate("application/vnd.kubernetes.protobuf", "")
                .unwrap_err()
                .code,
            406
        );
    }
}
