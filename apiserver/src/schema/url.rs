//! URLs as Go's `url.ParseRequestURI` reads them: the format `uri` and the rules' `url()`.

use std::fmt::Write as _;

use super::go;

/// A URL that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// In lower case; empty when only a path was given.
    pub scheme: String,
    /// Host and port as written, decoded.
    pub host: String,
    /// The path as written.
    path: String,
    /// What stands behind the question mark.
    query: String,
}

impl Url {
    /// Reads an absolute URL or an absolute path.
    ///
    /// # Errors
    /// What is wrong with it, in Go's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty url".to_owned());
        }
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (scheme, rest) = split_scheme(text).ok_or("missing protocol scheme")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            host: String::new(),
            path: String::new(),
            query: query.to_owned(),
        };
        if !rest.starts_with('/') {
            // A scheme makes it opaque, as in mailto:me; else it is relative.
            let opaque = !scheme.is_empty() || rest == "*";
            return if opaque {
                Ok(url)
            } else {
                Err("invalid URI for request".to_owned())
            };
        }
        let mut path = rest;
        if let Some(after) = rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
            let end = after.find('/').unwrap_or(after.len());
            let (authority, below) = after.split_at_checked(end).unwrap_or((after, ""));
            url.host = host(authority)?;
            path = below;
        }
        unescape(path).ok_or_else(|| bad_escape(path))?;
        path.clone_into(&mut url.path);
        Ok(url)
    }

    /// The host without the port and without brackets.
    pub(crate) fn hostname(&self) -> &str {
        let (name, _) = split_port(&self.host);
        name.strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(name)
    }

    /// The port as written, or nothing.
    pub(crate) fn port(&self) -> &str {
        split_port(&self.host).1
    }

    /// The path with everything escaped that must be.
    pub(crate) fn escaped_path(&self) -> String {
        const PLAIN: &str = "!$&'()*+,;=:@[]%-_.~/";
        if self
            .path
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || PLAIN.contains(c))
        {
            return self.path.clone();
        }
        let mut out = String::new();
        for byte in unescape(&self.path).unwrap_or_default() {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || "$&+,/:;=@-_.~".contains(c) {
                out.push(c);
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    }

    /// The query's keys, each with its values, in the order of the keys.
    pub(crate) fn query(&self) -> Vec<(String, Vec<String>)> {
        let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
        for part in self
            .query
            .split('&')
            .filter(|part| !part.is_empty() && !part.contains(';'))
        {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (Some(key), Some(value)) = (query_text(key), query_text(value)) else {
                continue;
            };
            match pairs.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => values.push(value),
                None => pairs.push((key, vec![value])),
            }
        }
        pairs.sort();
        pairs
    }
}

/// The scheme and what follows its colon. `None` for a colon with nothing before it.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return None,
            ':' => return text.split_once(':'),
            _ => break,
        }
    }
    Some(("", text))
}

/// The host of an authority, which may begin with user information.
fn host(authority: &str) -> Result<String, String> {
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
            if !user.chars().all(plain) || unescape(user).is_none() {
                return Err("net/url: invalid userinfo".to_owned());
            }
            host
        }
        None => authority,
    };
    if host.starts_with('[') {
        let (_, after) = host.rsplit_once(']').ok_or("missing ']' in host")?;
        let good = after.is_empty() || is_port(after);
        return if good {
            Ok(host.to_owned())
        } else {
            Err(format!("invalid port {} after host", go::quote(after)))
        };
    }
    if let Some(port) = host
        .rfind(':')
        .and_then(|colon| host.get(colon..))
        .filter(|port| !is_port(port))
    {
        return Err(format!("invalid port {} after host", go::quote(port)));
    }
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    if let Some(c) = host.chars().find(|c| !plain(*c)) {
        return Err(format!(
            "invalid character {} in host name",
            go::quote(&c.to_string())
        ));
    }
    unescape(host)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| bad_escape(host))
}

/// The first escape that is none.
fn bad_escape(text: &str) -> String {
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let escapes = text
        .match_indices('%')
        .map(|(at, _)| text.get(at..).unwrap_or_default());
    let bad = escapes
        .map(|rest| rest.chars().take(3).collect::<String>())
        .find(|part| !digits(part.trim_start_matches('%')));
    format!("invalid URL escape {}", go::quote(&bad.unwrap_or_default()))
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn split_port(host: &str) -> (&str, &str) {
    match host.rfind(':').and_then(|colon| host.split_at_checked(colon)) {
        Some((name, port)) if is_port(port) => (name, port.trim_start_matches(':')),
        _ => (host, ""),
    }
}

/// Decodes `%41`. `None` when a percent sign has no two digits after it.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        if digits.starts_with('+') {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
    }
    Some(out)
}

fn query_text(text: &str) -> Option<String> {
    String::from_utf8(unescape(&text.replace('+', " "))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls_as_go_does() {
        for good in [
            "https://example.com:80/a%20b?q=1&q=2",
            "/a/b",
            "mailto:me@x",
            "http://[::1]:8080/",
            "http://u:p@h/",
        ] {
            assert!(Url::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a/b",
            "://x",
            "http://a b/",
            "http://h:x/",
            "/%zz",
            "http://h\n/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        let url = Url::parse("https://Example.com:80/a b/%20?b=2&a=1&a=x+y").unwrap();
        assert_eq!(
            (url.host.as_str(), url.hostname(), url.port()),
            ("Example.com:80", "Example.com", "80")
        );
        assert_eq!(url.escaped_path(), "/a%20b/%20");
        let query = url.query();
        assert_eq!(query[0], ("a".to_owned(), vec!["1".to_owned(), "x y".to_owned()]));
    }
}
