//! Cells that sum up a part of an object.

use serde_json::Value;

use super::workload::count;
use crate::object::{at, list, text};

/// What a quota grants and how much of it is used: requests and the like, then limits.
pub(super) fn quota(value: &Value) -> [String; 2] {
    let hard = at(value, &["status", "hard"]).and_then(Value::as_object);
    let mut texts = [Vec::new(), Vec::new()];
    for (resource, granted) in hard.into_iter().flatten() {
        let used = at(value, &["status", "used", resource]).map_or_else(|| "0".to_owned(), shown);
        let [requests, limits] = &mut texts;
        let into = if resource.starts_with("limits.") {
            limits
        } else {
            requests
        };
        into.push(format!("{resource}: {used}/{}", shown(granted)));
    }
    texts.map(|texts| texts.join(", "))
}

/// How many addresses are named before the rest is counted.
const ADDRESSES_SHOWN: usize = 3;

/// The addresses behind a Service, the first of them by name.
pub(super) fn endpoints(value: &Value) -> String {
    let subsets = list(value, &["subsets"]);
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = list(subset, &["addresses"])
            .iter()
            .map(|address| text(address, &["ip"]));
        match list(subset, &["ports"]) {
            [] => all.extend(addresses.map(str::to_owned)),
            ports => {
                for port in ports {
                    let port = count(port, &["port"]);
                    all.extend(addresses.clone().map(|ip| {
                        if ip.contains(':') {
                            format!("[{ip}]:{port}")
                        } else {
                            format!("{ip}:{port}")
                        }
                    }));
                }
            }
        }
    }
    let rest = all.len().saturating_sub(ADDRESSES_SHOWN);
    all.truncate(ADDRESSES_SHOWN);
    match (subsets, rest) {
        ([], _) => "<none>".to_owned(),
        (_, 0) => all.join(","),
        (_, rest) => format!("{} + {rest} more...", all.join(",")),
    }
}

/// A value as text.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotas_tell_what_is_used_of_what() {
        let quota = json!({"status": {"hard": {"limits.cpu": "2", "pods": "10"}, "used": {"pods": 3}}});
        assert_eq!(super::quota(&quota), ["pods: 3/10", "limits.cpu: 0/2"]);
        assert_eq!(super::quota(&json!({})), ["", ""]);
    }

    #[test]
    fn endpoints_name_three_addresses() {
        assert_eq!(endpoints(&json!({})), "<none>");
        let subset =
            json!({"addresses": [{"ip": "1.1.1.1"}, {"ip": "::1"}], "ports": [{"port": 80}, {"port": 81}]});
        assert_eq!(
            endpoints(&json!({"subsets": [subset]})),
            "1.1.1.1:80,[::1]:80,1.1.1.1:81 + 1 more..."
        );
        assert_eq!(
            endpoints(&json!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}]}]})),
            "1.1.1.1"
        );
    }
}
