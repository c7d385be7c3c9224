//! `--instances-from`: simulated instances by a file, in groups that are alike.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::machines::{Made, machine};
use crate::simulated::Machine;

/// Most instances in a file.
const INSTANCES_MAX: usize = 20_000;
const HINT: &str =
    "write a list such as `- {name: gpu, count: 2, zones: [us-east-1a], instanceType: m5.large, gpus: 1}`";

/// Instances that are alike but for their zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Group {
    /// Name of the one instance; of several, what comes before their number.
    name: String,
    #[serde(default)]
    count: Option<usize>,
    /// Availability zones, in turn.
    #[serde(default)]
    zones: Vec<String>,
    #[serde(default)]
    instance_type: Option<String>,
    #[serde(default)]
    cpu: Option<String>,
    #[serde(default)]
    memory: Option<String>,
    #[serde(default)]
    pods: Option<u32>,
    #[serde(default)]
    gpus: u32,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// `KEY=VALUE:EFFECT` or `KEY:EFFECT`.
    #[serde(default)]
    taints: Vec<String>,
}

/// The instances of a file. What its groups leave out is taken from `usual`, and zones from `zones`.
pub(super) fn read(path: &Path, usual: &Made, zones: &[String]) -> anyhow::Result<Vec<Machine>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    parse(&text, usual, zones).with_context(|| shown.to_string())
}

fn parse(text: &str, usual: &Made, zones: &[String]) -> anyhow::Result<Vec<Machine>> {
    let groups: Vec<Group> =
        serde_saphyr::from_str(text).with_context(|| format!("these are no instances: {HINT}"))?;
    let mut all: Vec<Machine> = Vec::new();
    for group in groups {
        let name = group.name.clone();
        all.extend(members(group, usual, zones).with_context(|| format!("group {name}"))?);
        ensure!(all.len() <= INSTANCES_MAX, "more than {INSTANCES_MAX} instances");
    }
    let mut names: Vec<&str> = all.iter().map(|machine| machine.name.as_str()).collect();
    names.sort_unstable();
    if let Some([twice, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        bail!("two instances are called {twice}: names are unique");
    }
    Ok(all)
}

fn members(group: Group, usual: &Made, zones: &[String]) -> anyhow::Result<Vec<Machine>> {
    let count = group.count.unwrap_or(1);
    ensure!(count <= INSTANCES_MAX, "count: at most {INSTANCES_MAX}");
    let made = Made {
        // a size of its own is not that of the usual type
        instance_type: group.instance_type.unwrap_or_else(|| usual.instance_type.clone()),
        cpu: group.cpu.or_else(|| usual.cpu.clone()),
        memory: group.memory.or_else(|| usual.memory.clone()),
        pods: group.pods.unwrap_or(usual.pods),
        gpus: group.gpus,
    };
    let taints = group
        .taints
        .iter()
        .map(|text| taint(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let own = if group.zones.is_empty() {
        zones
    } else {
        &group.zones
    };
    let mut zones = own.iter().cycle();
    let mut found = Vec::with_capacity(count);
    for number in 1..=count {
        let name = match group.count {
            None => group.name.clone(),
            Some(_) => format!("{}-{number}", group.name),
        };
        let zone = zones.next().context("zones: name at least one")?;
        let mut member = machine(name, zone, &made)?;
        member.labels.clone_from(&group.labels);
        member.taints.clone_from(&taints);
        found.push(member);
    }
    Ok(found)
}

fn taint(text: &str) -> anyhow::Result<(String, String, String)> {
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let parts = text.rsplit_once(':').filter(|(_, effect)| known.contains(effect));
    let Some((what, effect)) = parts else {
        bail!(
            "taints: cannot read {text:?}; write KEY=VALUE:EFFECT with an effect of {}",
            known.join(", ")
        );
    };
    let (key, value) = what.split_once('=').unwrap_or((what, ""));
    Ok((key.to_owned(), value.to_owned(), effect.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Made {
        Made {
            instance_type: "m5.large".to_owned(),
            cpu: None,
            memory: None,
            pods: 110,
            gpus: 0,
        }
    }

    fn read(text: &str) -> anyhow::Result<Vec<Machine>> {
        parse(text, &usual(), &["z1".to_owned(), "z2".to_owned()])
    }

    #[test]
    fn groups_become_machines_with_what_they_say_and_what_is_usual() {
        let text = "
- name: web
  count: 3
- name: gpu
  zones: [z9]
  instanceType: c6g.xlarge
  pods: 20
  gpus: 2
  labels: { pool: gpu }
  taints: ['dedicated=gpu:NoSchedule', 'new:NoExecute']
- name: odd
  cpu: 1500m
  memory: 3Gi
";
        let all = read(text).unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|m| (m.name.as_str(), m.zone.as_deref().unwrap()))
            .collect();
        assert_eq!(
            names,
            [
                ("web-1", "z1"),
                ("web-2", "z2"),
                ("web-3", "z1"),
                ("gpu", "z9"),
                ("odd", "z1")
            ]
        );
        assert_eq!((all[0].cpu.as_str(), all[0].memory.as_str()), ("2", "8192Mi"));
        let gpu = &all[3];
        assert_eq!((gpu.cpu.as_str(), gpu.pods, gpu.gpus), ("4", 20, 2));
        assert_eq!(gpu.labels["pool"], "gpu");
        let taint =
            |key: &str, value: &str, effect: &str| (key.to_owned(), value.to_owned(), effect.to_owned());
        assert_eq!(
            gpu.taints,
            [
                taint("dedicated", "gpu", "NoSchedule"),
                taint("new", "", "NoExecute")
            ]
        );
        assert_eq!((all[4].cpu.as_str(), all[4].memory.as_str()), ("1500m", "3Gi"));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_write() {
        for (text, hint) in [
            ("web", "write a list"),
            ("- { name: a, cores: 2 }", "cores"),
            ("- { name: a, zones: [''] }", "zone without a name"),
            ("- { name: a, taints: [x] }", "KEY=VALUE:EFFECT"),
            ("- { name: a, instanceType: strange }", "--cpu"),
            ("- { name: a }\n- { name: a }", "two instances are called a"),
            ("- { name: a, count: 30000 }", "at most"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(hint), "{error}");
        }
    }
}
