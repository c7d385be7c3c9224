//! Bodies: from bytes to an object of the kind that is expected, with everything unknown found.

use serde_json::Value;

use crate::convert;
use crate::object::{self, text};
use crate::registry::{Kind, Role};
use crate::request::{Call, Validation};
use crate::schema;
use crate::status::{Cause, Refusal};

/// Bodies up to 3 MiB are read, as by the API server.
pub(crate) const MAX_BYTES: usize = 3 * 1024 * 1024;

/// What `accepted media types` says of bodies.
const READABLE: &str = "application/json, application/yaml";

/// Reads a body of JSON or YAML.
pub(crate) fn parse(call: &Call, expected: &str) -> Result<Value, Refusal> {
    read(call, expected).map(|(value, _)| value)
}

/// Reads a body, and finds the fields that stand in it twice.
fn read(call: &Call, expected: &str) -> Result<(Value, Vec<String>), Refusal> {
    match call.media_type().as_str() {
        "application/json" => parse_json(&call.body, expected),
        "application/yaml" => parse_yaml(&call.body).map(|value| (value, Vec::new())),
        _ => Err(Refusal::unsupported_media(format!(
            "the body of the request was in an unknown format - accepted media types include: {READABLE}"
        ))),
    }
}

fn parse_json(body: &[u8], expected: &str) -> Result<(Value, Vec<String>), Refusal> {
    schema::decode(body).map_err(|error| {
        let shown = shorten(body);
        let why = json_error(&error);
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {expected}): couldn't get version/kind; json parse \
             error: {why} ({shown})"
        ))
    })
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn parse_yaml(body: &[u8]) -> Result<Value, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_saphyr::from_str(text)
        .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))
}

/// What Go's JSON reader would say, as far as clients see a difference.
pub(crate) fn json_error(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "unexpected end of JSON input".to_owned()
    } else {
        error.to_string()
    }
}

/// The first 30 bytes of a body, for error texts.
fn shorten(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(30) {
        Some((end, _)) => format!("{} ...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

/// Reads the body of a write: an object of `kind`, in the form in which it is stored but with its apiVersion and kind.
pub(crate) fn decode(
    call: &Call,
    kind: &Kind,
    validation: Validation,
    warnings: &mut Vec<String>,
) -> Result<Value, Refusal> {
    let (mut value, duplicates) = read(call, &kind.kind)?;
    check_type(kind, &mut value)?;
    conform(kind, &mut value, &duplicates, validation, warnings)?;
    Ok(value)
}

/// Checks and fills in apiVersion and kind.
fn check_type(kind: &Kind, value: &mut Value) -> Result<(), Refusal> {
    let expected = kind.api_version();
    let (api_version, kind_name) = (
        text(value, &["apiVersion"]).to_owned(),
        text(value, &["kind"]).to_owned(),
    );
    if kind.is_custom() {
        check_custom_type(kind, value, &api_version, &kind_name)?;
    } else if !kind_name.is_empty() && kind_name != kind.kind {
        return Err(Refusal::bad_request(format!(
            "{kind_name} in version \"{}\" cannot be handled as a {}: converting ({}.{kind_name}) to ({}.{}): unknown \
             conversion",
            kind.version,
            kind.kind,
            kind.version,
            go_package(kind),
            kind.kind
        )));
    } else if !api_version.is_empty() && api_version != expected {
        return Err(Refusal::bad_request(format!(
            "{} in version \"{api_version}\" cannot be handled as a {}: no kind \"{}\" is registered for version \
             \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\"",
            kind.kind, kind.kind, kind.kind
        )));
    }
    add_type(kind, value);
    Ok(())
}

/// Says of an object what it is, as stored objects do not.
pub(crate) fn add_type(kind: &Kind, value: &mut Value) {
    object::put(value, "apiVersion", Some(kind.api_version().into()));
    object::put(value, "kind", Some(kind.kind.clone().into()));
}

/// The Go package of the internal types of a group.
fn go_package(kind: &Kind) -> &str {
    if kind.group.is_empty() {
        "core"
    } else {
        kind.group.split('.').next().unwrap_or_default()
    }
}

pub(super) fn check_custom_type(
    kind: &Kind,
    value: &Value,
    api_version: &str,
    kind_name: &str,
) -> Result<(), Refusal> {
    for (given, field) in [(kind_name, "Kind"), (api_version, "apiVersion")] {
        if given.is_empty() {
            let shown = value.to_string();
            let short = shorten(shown.as_bytes());
            return Err(Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object '{field}' is missing in '{shown}' \
                 ({short})",
                kind.kind
            )));
        }
    }
    let expected = kind.api_version();
    if api_version != expected {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if kind_name != kind.kind {
        let given = Kind {
            kind: kind_name.to_owned(),
            ..kind.clone()
        };
        let detail = format!("must be {}", kind.kind);
        let causes = vec![Cause::invalid("kind", &kind_name.into(), &detail)];
        return Err(Refusal::invalid(&given, object::name(value), causes));
    }
    Ok(())
}

/// Brings an object to the form of its schema: unknown fields go, as `validation` says.
pub(crate) fn conform(
    kind: &Kind,
    value: &mut Value,
    duplicates: &[String],
    validation: Validation,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let unknown = crate::typed::conform(kind, value)?;
    match validation {
        Validation::Strict => {
            if let Some(error) = schema::strict_error(duplicates, &unknown) {
                let Kind {
                    kind: name, version, ..
                } = kind;
                return Err(Refusal::bad_request(if kind.is_custom() {
                    error
                } else {
                    format!("{name} in version \"{version}\" cannot be handled as a {name}: {error}")
                }));
            }
        }
        Validation::Warn => warnings.extend(schema::strict_faults(duplicates, &unknown)),
        Validation::Ignore => {}
    }
    if kind.role == Role::Event {
        convert::event_to_stored(kind, value);
    }
    Ok(())
}
