//! Names of containers and volumes: ECS allows what a DNS label does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::TaskDefinitionSpec;

/// Longest DNS label.
const LABEL_MAX: usize = 63;
/// Longest readable part of a mapped name: leaves room for `-` and 8 hex digits.
const STEM_MAX: usize = 54;

/// Container names of a definition: ECS name to the name in the Pod. A name that is a DNS label stays; any other becomes
/// its lower-case form and a hash of the original, so that two names never meet and the same definition always gives the
/// same names. (TD-12)
#[must_use]
pub fn container_names(spec: &TaskDefinitionSpec) -> BTreeMap<String, String> {
    labels(spec.container_definitions.iter().map(|c| c.name.as_str()))
}

/// Maps each name to a DNS label, one to one and independent of their order.
pub(super) fn labels<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let names: BTreeSet<&str> = names.collect();
    let (kept, mapped): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| is_label(name));
    let mut taken: BTreeSet<String> = kept.iter().map(|name| (*name).to_owned()).collect();
    let mut result: BTreeMap<String, String> = kept
        .iter()
        .map(|name| ((*name).to_owned(), (*name).to_owned()))
        .collect();
    for name in mapped {
        let stem = stem(name);
        let mut hash = fnv1a(name.bytes(), FNV_OFFSET);
        let mut label = format!("{stem}-{hash:08x}");
        while !taken.insert(label.clone()) {
            hash = fnv1a(name.bytes(), hash);
            label = format!("{stem}-{hash:08x}");
        }
        result.insert(name.to_owned(), label);
    }
    result
}

/// Whether a text is a DNS label (RFC 1123).
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= LABEL_MAX
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a DNS subdomain (RFC 1123), as the names of Secrets and claims are.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn stem(name: &str) -> String {
    let lower: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(STEM_MAX)
        .collect();
    let trimmed = lower.trim_matches('-');
    if trimmed.is_empty() {
        "c".to_owned()
    } else {
        trimmed.to_owned()
    }
}

const FNV_OFFSET: u32 = 0x811c_9dc5;

/// FNV-1a: its value is part of the names of running containers, so it must never change.
fn fnv1a(bytes: impl Iterator<Item = u8>, start: u32) -> u32 {
    bytes.fold(start, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
