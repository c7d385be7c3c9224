//! Names of fields in rules: what is no identifier is spelled out, `my-field` as `my__dash__field`.

use std::borrow::Cow;

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
const SEQUENCES: [(&str, &str); 4] = [("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash")];

/// The name of a field in rules. `None` when it has none.
pub(super) fn escape(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some((plain, word)) = SEQUENCES.iter().find(|(plain, _)| rest.starts_with(plain)) {
            out.push_str("__");
            out.push_str(word);
            out.push_str("__");
            rest = rest.get(plain.len()..)?;
        } else if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
            rest = rest.get(1..)?;
        } else {
            return None;
        }
    }
    Some(out)
}

/// The field that is meant by a name in rules. `None` when no field is.
pub(super) fn unescape(name: &str) -> Option<Cow<'_, str>> {
    if !name.contains("__") {
        return Some(Cow::Borrowed(name));
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find("__") {
        let (before, after) = rest.split_at_checked(start)?;
        let body = after.get(2..)?;
        // A word without underscores between two pairs of them.
        let Some(end) = body
            .find('_')
            .filter(|end| *end > 0 && body.get(*end..).is_some_and(|t| t.starts_with("__")))
        else {
            out.push_str(before);
            out.push('_');
            rest = after.get(1..)?;
            continue;
        };
        let word = body.get(..end)?;
        out.push_str(before);
        match SEQUENCES.iter().find(|(_, known)| *known == word) {
            Some((plain, _)) => out.push_str(plain),
            None if RESERVED.contains(&word) && name.len() == word.len().saturating_add(4) => {
                out.push_str(word);
            }
            None => return None,
        }
        rest = body.get(end.saturating_add(2)..)?;
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        let cases = [
            ("plain", "plain"),
            ("my_field", "my_field"),
            ("a__b", "a__underscores__b"),
            ("foo-bar", "foo__dash__bar"),
            ("a.b/c", "a__dot__b__slash__c"),
            ("namespace", "__namespace__"),
            ("_", "_"),
        ];
        for (name, escaped) in cases {
            assert_eq!(escape(name).as_deref(), Some(escaped));
            assert_eq!(unescape(escaped).as_deref(), Some(name));
        }
        assert_eq!(escape("1a"), None);
        assert_eq!(escape("a b"), None);
        assert_eq!(unescape("a__what__b"), None);
    }
}
