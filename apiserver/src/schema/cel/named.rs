//! Named formats: `format.dns1123Label().validate(text)`.

use super::super::{formats, go, url::Url};
use super::eval::Outcome;
use super::value::Val;

/// A format with its check: what is wrong with a text, nothing when it is good.
#[derive(Debug)]
pub(crate) struct NamedFormat {
    pub name: &'static str,
    check: fn(&str) -> Vec<String>,
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

static FORMATS: [NamedFormat; 13] = [
    NamedFormat {
        name: "dns1123Label",
        check: |text| faults(text, 63, is_label(text), LABEL),
    },
    NamedFormat {
        name: "dns1123Subdomain",
        check: |text| faults(text, 253, is_subdomain(text), SUBDOMAIN),
    },
    NamedFormat {
        name: "dns1035Label",
        check: |text| faults(text, 63, is_label_1035(text), LABEL_1035),
    },
    NamedFormat {
        name: "qualifiedName",
        check: qualified_name,
    },
    NamedFormat {
        name: "dns1123LabelPrefix",
        check: |text| faults(text, 63, is_label(&whole(text)), LABEL),
    },
    NamedFormat {
        name: "dns1123SubdomainPrefix",
        check: |text| faults(text, 253, is_subdomain(&whole(text)), SUBDOMAIN),
    },
    NamedFormat {
        name: "dns1035LabelPrefix",
        check: |text| faults(text, 63, is_label_1035(&whole(text)), LABEL_1035),
    },
    NamedFormat {
        name: "labelValue",
        check: |text| faults(text, 63, text.is_empty() || is_name(text), LABEL_VALUE),
    },
    NamedFormat {
        name: "uri",
        check: |text| match Url::parse(text) {
            Ok(_) => Vec::new(),
            Err(why) => vec![format!("parse {}: {why}", go::quote(text))],
        },
    },
    NamedFormat {
        name: "uuid",
        check: |text| fault(formats::is_uuid(text), "does not match the UUID format"),
    },
    NamedFormat {
        name: "byte",
        check: |text| {
            fault(
                formats::base64(text).is_some() && !text.is_empty(),
                "invalid base64",
            )
        },
    },
    NamedFormat {
        name: "date",
        check: |text| fault(formats::is_date(text), "invalid date"),
    },
    NamedFormat {
        name: "datetime",
        check: |text| fault(formats::is_date_time(text), "invalid datetime"),
    },
];

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    let known = |name: &str| FORMATS.iter().find(|format| format.name == name);
    Some(Ok(match (name, args) {
        ("format.named", [Val::Text(name)]) => {
            known(name.as_str()).map_or(Val::Optional(None), |format| Val::some(Val::Format(format)))
        }
        ("validate", [Val::Format(format), Val::Text(text)]) => {
            let faults = (format.check)(text.as_str());
            if faults.is_empty() {
                Val::Optional(None)
            } else {
                Val::some(Val::texts(faults))
            }
        }
        (name, []) => Val::Format(known(name.strip_prefix("format.")?)?),
        _ => return None,
    }))
}

fn fault(good: bool, text: &str) -> Vec<String> {
    if good { Vec::new() } else { vec![text.to_owned()] }
}

fn faults(text: &str, bytes_max: usize, good: bool, why: &str) -> Vec<String> {
    let mut faults = fault(
        text.len() <= bytes_max,
        &format!("must be no more than {bytes_max} bytes"),
    );
    faults.extend(fault(good, why));
    faults
}

/// What a prefix would be with a name generated behind it.
fn whole(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(front) => format!("{front}a"),
        None => text.to_owned(),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_label_1035(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.chars().all(inner) && end(text.chars().next()) && end(text.chars().next_back())
}

/// A name, with or without a domain in front.
fn qualified_name(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = match text.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            found.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            found.extend(
                faults(prefix, 253, is_subdomain(prefix), SUBDOMAIN)
                    .iter()
                    .map(|why| format!("prefix part {why}")),
            );
            name
        }
        None => text,
    };
    if name.is_empty() {
        found.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        found.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name(name) {
        found.push(format!("name part {NAME_PART}"));
    }
    found
}
