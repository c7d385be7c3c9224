//! Quantities as whole numbers, and what a Pod asks of its node.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::wire::{Container, PodSpec, Resources};

/// Amounts by resource: cpu in thousandths, everything else in units.
pub(crate) type Amounts = BTreeMap<String, i64>;

/// Reads a quantity, rounding up. None when it is none.
pub(crate) fn parse(resource: &str, text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !".+-".contains(c))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (mantissa, digits) = decimal(number)?;
    let (factor, tens) = suffix_of(suffix)?;
    let thousandths = if resource == "cpu" { 3 } else { 0 };
    // mantissa × factor × 10^exponent, with exponent below zero for fractions
    let exponent = tens.checked_add(thousandths)?.checked_sub(digits)?;
    let whole = mantissa.checked_mul(factor)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let value = if exponent >= 0 {
        whole.checked_mul(power)?
    } else {
        let quotient = whole.checked_div(power)?;
        let up = i128::from(whole.checked_rem(power)? > 0);
        quotient.checked_add(up)?
    };
    i64::try_from(value).ok()
}

/// A decimal number as its digits and how many of them stand behind the point.
fn decimal(text: &str) -> Option<(i128, i32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number =
        !(whole.is_empty() && fraction.is_empty()) && fraction.bytes().all(|b| b.is_ascii_digit());
    let digits = i32::try_from(fraction.len()).ok()?;
    is_number.then_some(())?;
    Some((format!("{whole}{fraction}").parse().ok()?, digits))
}

/// A suffix as a factor and a power of ten.
fn suffix_of(text: &str) -> Option<(i128, i32)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = (1_u32..)
        .zip(binary)
        .find_map(|(n, name)| (name == text).then_some(n))
    {
        return Some((1024_i128.checked_pow(at)?, 0));
    }
    let power = match text {
        "" => 0,
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => text
            .strip_prefix(['e', 'E'])?
            .parse()
            .ok()
            .filter(|n| (-9..=18).contains(n))?,
    };
    Some((1, power))
}

fn read(quantities: &BTreeMap<String, Quantity>) -> Amounts {
    let amount = |(name, quantity): (&String, &Quantity)| Some((name.clone(), parse(name, &quantity.0)?));
    quantities.iter().filter_map(amount).collect()
}

/// Requests; what is only limited is requested too.
fn requests(resources: &Resources) -> Amounts {
    let mut found = read(&resources.limits);
    found.extend(read(&resources.requests));
    found
}

fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*amount);
    }
}

fn raise(to: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let now = to.entry(name.clone()).or_default();
        *now = (*now).max(*amount);
    }
}

/// Whether an init container goes on beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy == "Always"
}

/// What a Pod asks for: the larger of what its containers need together with the sidecars, and what any init container
/// needs together with the sidecars before it; what is said for the whole Pod stands in place of that; the overhead is added.
pub(crate) fn demand(spec: &PodSpec) -> Amounts {
    let mut running = Amounts::new();
    for container in &spec.containers {
        add(&mut running, &requests(&container.resources));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in &spec.init_containers {
        let own = requests(&container.resources);
        if is_sidecar(container) {
            add(&mut sidecars, &own);
            raise(&mut starting, &sidecars);
        } else {
            let mut beside = sidecars.clone();
            add(&mut beside, &own);
            raise(&mut starting, &beside);
        }
    }
    add(&mut running, &sidecars);
    raise(&mut running, &starting);
    running.extend(requests(&spec.resources));
    add(&mut running, &read(&spec.overhead));
    running
}

/// A port of the machine: number, protocol, address.
pub(crate) type HostPort = (i32, String, String);

/// Ports of the machine that a Pod takes; init containers that end take none.
pub(crate) fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().filter(|c| is_sidecar(c));
    let ports = sidecars.chain(&spec.containers).flat_map(|c| &c.ports);
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    ports
        .filter(|port| port.number > 0)
        .map(|port| {
            (
                port.number,
                or(&port.protocol, "TCP"),
                or(&port.address, "0.0.0.0"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them_and_rounded_up() {
        let table = [
            ("cpu", "2", 2_000),
            ("cpu", "1500m", 1_500),
            ("cpu", "0.1", 100),
            ("cpu", "1u", 1),
            ("memory", "8Gi", 8 << 30),
            ("memory", "1.5Ki", 1_536),
            ("memory", "128974848000m", 128_974_848),
            ("memory", "1e3", 1_000),
            ("memory", "3M", 3_000_000),
            ("pods", "110", 110),
        ];
        for (resource, text, expected) in table {
            assert_eq!(parse(resource, text), Some(expected), "{resource} {text}");
        }
        for wrong in ["", "x", "1x", "1.2.3", "Gi", "1 Gi", "9e99"] {
            assert_eq!(parse("memory", wrong), None, "{wrong}");
        }
    }

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn cpu(milli: i64) -> serde_json::Value {
        json!({"requests": {"cpu": format!("{milli}m")}})
    }

    #[test]
    fn init_containers_count_with_the_sidecars_before_them() {
        let spec = spec(json!({
            "initContainers": [
                {"name": "first", "resources": cpu(900)},
                {"name": "side", "restartPolicy": "Always", "resources": cpu(300)},
                {"name": "second", "resources": cpu(800)},
                {"name": "late", "restartPolicy": "Always", "resources": cpu(50)},
            ],
            "containers": [{"name": "app", "resources": cpu(500)}],
        }));
        // second beside the first sidecar: 1100; all that goes on: 850
        assert_eq!(demand(&spec), Amounts::from([("cpu".to_owned(), 1_100)]));
    }

    #[test]
    fn limits_stand_in_for_requests_the_pod_for_its_containers_and_overhead_is_added() {
        let spec = spec(json!({
            "containers": [{"name": "app", "resources": {"limits": {"cpu": "1", "memory": "1Ki"}}}],
            "resources": {"requests": {"cpu": "4"}},
            "overhead": {"memory": "1Ki"},
        }));
        let expected = [("cpu".to_owned(), 4_000), ("memory".to_owned(), 2_048)];
        assert_eq!(demand(&spec), Amounts::from(expected));
    }

    #[test]
    fn host_ports_are_those_of_containers_that_go_on() {
        let port = |n: i32| json!([{"containerPort": 1, "hostPort": n, "hostIP": "127.0.0.1"}, {"containerPort": 2}]);
        let spec = spec(json!({
            "initContainers": [
                {"name": "first", "ports": port(1)},
                {"name": "side", "restartPolicy": "Always", "ports": port(2)},
            ],
            "containers": [{"name": "app", "ports": [{"containerPort": 1, "hostPort": 3, "protocol": "UDP"}]}],
        }));
        let expected = [(2, "TCP", "127.0.0.1"), (3, "UDP", "0.0.0.0")];
        assert_eq!(
            host_ports(&spec),
            expected.map(|(n, p, a)| (n, p.to_owned(), a.to_owned()))
        );
    }
}
