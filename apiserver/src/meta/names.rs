//! Which names are valid. Each check returns what is wrong, in the API server's words.

const LABEL_1123: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn too_long(name: &str, max: usize) -> Option<String> {
    (name.len() > max).then(|| format!("must be no more than {max} bytes"))
}

/// As [`too_long`], in the words for names of objects. The API server counts bytes there too.
fn too_many(name: &str, max: usize) -> Option<String> {
    (name.len() > max).then(|| format!("must be no more than {max} characters"))
}

fn is_label(name: &str) -> bool {
    let middle = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(middle) && name.bytes().last().is_some_and(middle);
    ends && name.bytes().all(|byte| middle(byte) || byte == b'-')
}

fn is_qualified_part(name: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    ends(name.bytes().next())
        && ends(name.bytes().last())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// RFC 1123 subdomain, at most 253 bytes.
pub fn subdomain(name: &str) -> Vec<String> {
    subdomain_or(too_many(name, 253), name)
}

/// What is wrong with a subdomain beside its length.
fn subdomain_or(long: Option<String>, name: &str) -> Vec<String> {
    let mut wrong: Vec<String> = long.into_iter().collect();
    if name.is_empty() || !name.split('.').all(is_label) {
        wrong.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{LABEL_1123}(\\.{LABEL_1123})*')"
        ));
    }
    wrong
}

/// RFC 1123 label, at most 63 bytes.
pub fn label(name: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_many(name, 63).into_iter().collect();
    if name.contains('.') {
        wrong.push("must not contain dots".to_owned());
    } else if !is_label(name) {
        wrong.push(format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '{LABEL_1123}')"
        ));
    }
    wrong
}

/// RFC 1035 label, at most 63 bytes: begins with a letter.
pub fn label_1035(name: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_many(name, 63).into_iter().collect();
    if !is_label(name) || !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        wrong.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    wrong
}

/// Anything that can be one segment of a path.
pub fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    let found = ["/", "%"].into_iter().filter(|sign| name.contains(sign));
    found.map(|sign| format!("may not contain '{sign}'")).collect()
}

/// The key of a ConfigMap or Secret, which may be the name of a file.
pub fn data_key(key: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_many(key, 253).into_iter().collect();
    if key.is_empty()
        || !key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        wrong.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match key {
        "." | ".." => wrong.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// A label key: a name, optionally after a subdomain and a slash.
pub fn qualified(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            return vec![format!(
                "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                 with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                 validation is '{QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    let mut wrong = Vec::new();
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => wrong.extend(
            subdomain_or(too_long(prefix, 253), prefix)
                .into_iter()
                .map(|detail| format!("prefix part {detail}")),
        ),
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if let Some(long) = too_long(name, 63) {
        wrong.push(format!("name part {long}"));
    }
    if !is_qualified_part(name) {
        wrong.push(format!(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '{QUALIFIED}')"
        ));
    }
    wrong
}

/// The value of a label, at most 63 bytes.
pub fn label_value(value: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(value, 63).into_iter().collect();
    if !value.is_empty() && !is_qualified_part(value) {
        wrong.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
             for validation is '({QUALIFIED})?')"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_api_server_sees_them() {
        for good in ["a", "a-b", "1.2", "a--b", "example.com"] {
            assert_eq!(subdomain(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", "a_b", ".a", &"a".repeat(254)] {
            assert_ne!(subdomain(bad), Vec::<String>::new(), "{bad}");
        }
        assert_eq!(label("a.b"), ["must not contain dots"]);
        assert!(label("A")[0].starts_with("a lowercase RFC 1123 label must consist of"));
        assert!(label_1035("1a")[0].starts_with("a DNS-1035 label"));
        assert_eq!(label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert_eq!(path_segment("a:b"), Vec::<String>::new());
        assert_eq!(path_segment("a/b"), ["may not contain '/'"]);
    }

    #[test]
    fn keys_of_data() {
        for good in ["a", ".a", "A_b-c.d"] {
            assert_eq!(data_key(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(data_key(".."), ["must not be '..'"]);
        assert_eq!(data_key("..a"), ["must not start with '..'"]);
        assert_eq!(
            data_key(&"a".repeat(254)),
            ["must be no more than 253 characters"]
        );
        assert!(data_key("a/b")[0].starts_with("a valid config key must consist of"));
    }

    #[test]
    fn keys_and_values_of_labels() {
        for good in ["a", "example.com/A_b.c", "a/b"] {
            assert_eq!(qualified(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(qualified("/a"), ["prefix part must be non-empty"]);
        assert!(qualified("a/b/c")[0].starts_with("a valid label key must consist of"));
        assert_eq!(qualified("a/").len(), 2);
        assert_eq!(label_value(""), Vec::<String>::new());
        assert!(label_value("x y")[0].starts_with("a valid label must be an empty string or"));
    }
}
