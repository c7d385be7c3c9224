//! CPUs and memory of EC2 instance types, by the way their names are made.

/// Amounts of an instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// vCPUs.
    pub(super) cpus: u32,
    /// Memory in MiB.
    pub(super) memory: u32,
}

/// What an instance type has, if its family is one whose sizes follow the rule: `c`, `m` and `r` have 2, 4 and 8 GiB a
/// vCPU, with 2 vCPUs in `large`, 4 in `xlarge`, and `N` times 4 in `Nxlarge`; `t3` and `t4g` are a list.
/// (EC2 user guide, instance types)
#[must_use]
pub(super) fn size(name: &str) -> Option<Size> {
    let (family, size) = name.split_once('.')?;
    if ["t3", "t3a", "t4g"].contains(&family) {
        let (cpus, memory) = match size {
            "nano" => (2, 512),
            "micro" => (2, 1024),
            "small" => (2, 2048),
            "medium" => (2, 4096),
            "large" => (2, 8192),
            "xlarge" => (4, 16_384),
            "2xlarge" => (8, 32_768),
            _ => return None,
        };
        return Some(Size { cpus, memory });
    }
    let mut letters = family.chars();
    let gib_per_cpu: u32 = match letters.next()? {
        'c' => 2,
        'm' => 4,
        'r' => 8,
        _ => return None,
    };
    if !letters.next()?.is_ascii_digit() {
        return None;
    }
    let cpus = match size {
        "medium" => 1,
        "large" => 2,
        "xlarge" => 4,
        _ => size.strip_suffix("xlarge")?.parse::<u32>().ok()?.checked_mul(4)?,
    };
    let memory = cpus.checked_mul(gib_per_cpu)?.checked_mul(1024)?;
    Some(Size { cpus, memory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_names() {
        let cases = [
            ("m5.large", 2, 8),
            ("c6g.4xlarge", 16, 32),
            ("r7i.xlarge", 4, 32),
            ("t3.medium", 2, 4),
            ("m6a.48xlarge", 192, 768),
        ];
        for (name, cpus, gib) in cases {
            let memory = gib * 1024;
            assert_eq!(size(name), Some(Size { cpus, memory }), "{name}");
        }
        for unknown in [
            "m5",
            "m5.",
            "m5.metal",
            "x1e.large",
            "mac1.large",
            "m5.4000000000xlarge",
            "",
        ] {
            assert_eq!(size(unknown), None, "{unknown}");
        }
    }
}
