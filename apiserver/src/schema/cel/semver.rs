//! Semantic versions.

use std::cmp::Ordering;
use std::rc::Rc;

use super::eval::Outcome;
use super::fault::Fault;
use super::quantity::sign_of;
use super::value::Val;

/// A version; what stands behind a plus sign does not count.
#[derive(Clone, Debug)]
pub(crate) struct Semver {
    numbers: [u64; 3],
    before: Vec<Part>,
}

/// A part of a pre-release: numbers stand before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Semver {
    fn parse(text: &str) -> Option<Self> {
        let (text, build) = text
            .split_once('+')
            .map_or((text, None), |(text, build)| (text, Some(build)));
        let word = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if build.is_some_and(|build| !build.split('.').all(word)) {
            return None;
        }
        let (core, before) = text
            .split_once('-')
            .map_or((text, None), |(core, before)| (core, Some(before)));
        let numbers: Vec<u64> = core.split('.').map(number).collect::<Option<_>>()?;
        let part = |part: &str| match number(part) {
            Some(number) => Some(Part::Number(number)),
            None if word(part) && !part.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Part::Word(part.to_owned()))
            }
            None => None,
        };
        Some(Self {
            numbers: numbers.try_into().ok()?,
            before: before.map_or(Some(Vec::new()), |before| before.split('.').map(part).collect())?,
        })
    }

    /// With a `v` in front, without minor or patch, or with zeros in front of numbers.
    fn parse_loosely(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (core, rest) = text.split_at_checked(end)?;
        let mut numbers: Vec<&str> = core.split('.').collect();
        if numbers.len() < 3 && !rest.is_empty() {
            return None;
        }
        while numbers.len() < 3 {
            numbers.push("0");
        }
        let bare = |part: &&str| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0".to_owned(),
            rest => rest.to_owned(),
        };
        let core: Vec<String> = numbers.iter().map(bare).collect();
        Self::parse(&format!("{}{rest}", core.join(".")))
    }

    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let released = |version: &Self| version.before.is_empty();
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| released(self).cmp(&released(other)))
            .then_with(|| self.before.cmp(&other.before))
    }
}

/// Digits without a zero in front.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    text.parse().ok().filter(|_| plain)
}

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    let read = |text: &str, loosely: bool| {
        if loosely {
            Semver::parse_loosely(text)
        } else {
            Semver::parse(text)
        }
    };
    let (text, loosely) = match args {
        [Val::Text(text)] => (text.as_str(), false),
        [Val::Text(text), Val::Bool(loosely)] => (text.as_str(), *loosely),
        [Val::Semver(version), rest @ ..] => return method(name, version, rest),
        _ => return None,
    };
    match name {
        "semver" => Some(match read(text, loosely) {
            Some(version) => Ok(Val::Semver(Rc::new(version))),
            None => Err(Fault::error("No Major.Minor.Patch elements found")),
        }),
        "isSemver" => Some(Ok(Val::Bool(read(text, loosely).is_some()))),
        _ => None,
    }
}

fn method<'a>(name: &str, version: &Semver, rest: &[Val<'a>]) -> Option<Outcome<'a>> {
    let [major, minor, patch] = version
        .numbers
        .map(|number| Val::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    Some(Ok(match (name, rest) {
        ("major", []) => major,
        ("minor", []) => minor,
        ("patch", []) => patch,
        ("isGreaterThan", [Val::Semver(other)]) => Val::Bool(version.cmp(other).is_gt()),
        ("isLessThan", [Val::Semver(other)]) => Val::Bool(version.cmp(other).is_lt()),
        ("compareTo", [Val::Semver(other)]) => Val::Int(sign_of(version.cmp(other))),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order() {
        let versions = [
            "0.1.0-alpha",
            "0.1.0-alpha.1",
            "0.1.0-alpha.beta",
            "0.1.0",
            "0.2.0",
            "1.0.0",
            "1.10.0",
        ];
        for (a, b) in versions.iter().zip(versions.iter().skip(1)) {
            assert!(
                Semver::parse(a).unwrap().cmp(&Semver::parse(b).unwrap()).is_lt(),
                "{a} {b}"
            );
        }
        for bad in ["1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "", "1.0.0+"] {
            assert!(Semver::parse(bad).is_none(), "{bad}");
        }
        for good in ["v1.0", "01.01.01", "1", "v1.2.3-rc.1"] {
            assert!(Semver::parse_loosely(good).is_some(), "{good}");
        }
    }
}
