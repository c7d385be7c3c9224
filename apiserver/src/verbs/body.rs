//! Bodies: from bytes to an object of the kind that is expected, with everything unknown found.

use serde_json::Value;

use crate::convert;
use crate::object::{self, text};
use crate::protobuf;
use crate::registry::{Kind, Role};
use crate::request::{Call, Validation};
use crate::schema;
use crate::schema::Nulls;
use crate::status::{Cause, Refusal};
use crate::typed::Misfit;

/// Bodies up to 3 MiB are read, as by the API server.
pub(crate) const MAX_BYTES: usize = 3 * 1024 * 1024;

/// What `accepted media types` says of bodies.
const READABLE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Reads a body of JSON or YAML. `expected` is the kind that an unreadable one is told it must be of, if it is told.
pub(crate) fn parse(call: &Call, expected: &str) -> Result<Value, Refusal> {
    read(call, expected).map(|(value, _)| value)
}

fn unreadable(accepted: &str) -> Refusal {
    let what = "the body of the request was in an unknown format - accepted media types include";
    Refusal::unsupported_media(format!("{what}: {accepted}"))
}

/// Reads a body, and finds the fields that stand in it twice.
fn read(call: &Call, expected: &str) -> Result<(Value, Vec<String>), Refusal> {
    match call.media_type().as_str() {
        "application/json" => parse_json(&call.body, expected),
        "application/yaml" => parse_yaml(&call.body).map(|value| (value, Vec::new())),
        "application/vnd.kubernetes.protobuf" => {
            let value =
                protobuf::decode(&call.body).map_err(|error| Refusal::bad_request(error.to_string()))?;
            Ok((value, Vec::new()))
        }
        _ => Err(unreadable(READABLE)),
    }
}

fn parse_json(body: &[u8], expected: &str) -> Result<(Value, Vec<String>), Refusal> {
    let unrecognized = |why: &str| {
        let shown = shorten(body);
        let why = format!("couldn't get version/kind; json parse error: {why}");
        Refusal::bad_request(match expected {
            "" => why,
            kind => format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown})"),
        })
    };
    let (value, duplicates) =
        schema::decode(body).map_err(|error| unrecognized(&json_error(body, &error)))?;
    if !value.is_object() {
        let what = json_kind(&value);
        return Err(unrecognized(&format!(
            "json: cannot unmarshal {what} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        )));
    }
    Ok((value, duplicates))
}

/// What Go's JSON reader calls the form of a value.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn parse_yaml(body: &[u8]) -> Result<Value, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_saphyr::from_str(text)
            .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))?,
    };
    // On its way to JSON 1.0 becomes 1.
    schema::settle(&mut value);
    Ok(value)
}

/// What Go's JSON reader would say of a text, as far as clients see a difference.
pub(crate) fn json_error(text: &[u8], error: &serde_json::Error) -> String {
    // Errors inside of objects have lost their category on the way.
    let why = error.to_string();
    if error.is_eof() || why.starts_with("EOF while parsing") {
        return "unexpected end of JSON input".to_owned();
    }
    let text = String::from_utf8_lossy(text);
    let line = text
        .lines()
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    let Some(sign) = line.chars().nth(error.column().saturating_sub(1)) else {
        return why;
    };
    let place = match why.split(" at line ").next().unwrap_or_default() {
        "expected value" => "looking for beginning of value",
        "expected `:`" => "after object key",
        "expected `,` or `}`" => "after object key:value pair",
        "expected `,` or `]`" => "after array element",
        "key must be a string" => "looking for beginning of object key string",
        "trailing characters" => "after top-level value",
        _ => return why,
    };
    format!("invalid character '{sign}' {place}")
}

/// The beginning of a body, for error texts; in hexadecimal when it is not an object.
fn shorten(body: &[u8]) -> String {
    if body.is_empty() {
        return "<empty>".to_owned();
    }
    let text = String::from_utf8_lossy(body);
    if !text.starts_with('{') {
        return body
            .iter()
            .take(30)
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    }
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
    if kind.is_custom() && call.media_type() == "application/vnd.kubernetes.protobuf" {
        return Err(unreadable("application/json, application/yaml"));
    }
    let (mut value, duplicates) = read(call, &kind.kind)?;
    check_type(kind, &mut value, &call.body)?;
    let refuse = |misfit: &Misfit| {
        let why = misfit.decoded();
        let Kind {
            kind: name, version, ..
        } = kind;
        Refusal::bad_request(format!(
            "{name} in version \"{version}\" cannot be handled as a {name}: {why}"
        ))
    };
    conform(
        kind,
        &mut value,
        &duplicates,
        validation,
        Nulls::Dropped,
        &refuse,
        warnings,
    )?;
    Ok(value)
}

/// Checks and fills in apiVersion and kind.
fn check_type(kind: &Kind, value: &mut Value, body: &[u8]) -> Result<(), Refusal> {
    let expected = kind.api_version();
    let (api_version, kind_name) = (
        text(value, &["apiVersion"]).to_owned(),
        text(value, &["kind"]).to_owned(),
    );
    if kind.is_custom() {
        check_given(kind, &api_version, &kind_name, body)?;
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

/// A custom object says what it is.
fn check_given(kind: &Kind, api_version: &str, kind_name: &str, body: &[u8]) -> Result<(), Refusal> {
    let missing = [(kind_name, "Kind"), (api_version, "apiVersion")]
        .into_iter()
        .find(|(given, _)| given.is_empty());
    let Some((_, field)) = missing else { return Ok(()) };
    let (shown, short) = (String::from_utf8_lossy(body), shorten(body));
    Err(Refusal::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): Object '{field}' is missing in '{shown}' ({short})",
        kind.kind
    )))
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

/// Brings an object to the form of its schema: unknown fields go, as `validation` says. `refuse` has the words of a
/// refusal, which depend on where the object comes from.
pub(crate) fn conform(
    kind: &Kind,
    value: &mut Value,
    duplicates: &[String],
    validation: Validation,
    nulls: Nulls,
    refuse: &dyn Fn(&Misfit) -> Refusal,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let unknown = crate::typed::conform(kind, value, nulls).map_err(|misfit| refuse(&misfit))?;
    match validation {
        Validation::Strict => {
            if let Some(why) = schema::strict_error(duplicates, &unknown) {
                return Err(refuse(&Misfit::Other(why)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_said_in_the_words_of_go() {
        let of = |text: &str| {
            let error = serde_json::from_str::<Value>(text).unwrap_err();
            json_error(text.as_bytes(), &error)
        };
        assert_eq!(of("{\"a"), "unexpected end of JSON input");
        assert_eq!(of("~"), "invalid character '~' looking for beginning of value");
        assert_eq!(
            of("{a"),
            "invalid character 'a' looking for beginning of object key string"
        );
        assert_eq!(of("{\"a\" 1"), "invalid character '1' after object key");
        assert_eq!(
            of("{\"a\":1 2"),
            "invalid character '2' after object key:value pair"
        );
        assert_eq!(of("[1 2"), "invalid character '2' after array element");
        assert_eq!(of("1\n 2"), "invalid character '2' after top-level value");
    }
}
