//! Volumes, mount points, memory file systems.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource,
    ObjectFieldSelector, PersistentVolumeClaimVolumeSource, Volume as PodVolume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::labels::{QUIESCE, QUIESCE_DIRECTORY};
use crate::api::{ContainerDefinition, TaskDefinitionSpec, Volume};

use super::names::{is_subdomain, labels};
use super::unsupported::Refusals;

/// Where Linux keeps shared memory.
const SHM: &str = "/dev/shm";
/// The volume with the file that says why the task should finish; the space keeps it apart from volumes that users name.
const QUIESCE_VOLUME: &str = "quiesce file";

/// Volumes of a Pod and the mounts of each container, by ECS container name.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) volumes: Vec<PodVolume>,
    pub(super) mounts: BTreeMap<String, Vec<VolumeMount>>,
}

/// Builds both. Volumes that nobody mounts are left out, as ECS makes none of them either.
pub(super) fn volumes(spec: &TaskDefinitionSpec, refusals: &mut Refusals) -> Volumes {
    let mut built = Volumes::default();
    let memory = |c: &ContainerDefinition| memory_names(c).collect::<Vec<_>>();
    let own: Vec<String> = spec.container_definitions.iter().flat_map(memory).collect();
    let names = labels(
        spec.volumes
            .iter()
            .map(|v| v.name.as_str())
            .chain(own.iter().map(String::as_str))
            .chain([QUIESCE_VOLUME]),
    );
    let known: BTreeSet<&str> = spec.volumes.iter().map(|v| v.name.as_str()).collect();
    if known.len() != spec.volumes.len() {
        refusals.refuse_task("volumes", "two volumes have the same name.");
    }
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut quiesce = None;
    for container in &spec.container_definitions {
        let mut mounts = Vec::new();
        for (volume, mut mount) in declared(spec, container, refusals) {
            if !known.contains(volume) {
                refusals.refuse(
                    &container.name,
                    "mountPoints",
                    format!("there is no volume '{volume}'."),
                );
            }
            used.insert(volume);
            if let Some(name) = names.get(volume) {
                mount.name.clone_from(name);
            }
            mounts.push(mount);
        }
        memory_mounts(container, &names, &mut built.volumes, &mut mounts, refusals);
        let directory = container.docker_labels.get(QUIESCE_DIRECTORY);
        if let Some((directory, name)) = directory.zip(names.get(QUIESCE_VOLUME)) {
            quiesce.get_or_insert_with(|| quiesce_volume(name));
            mounts.push(mount_at(name, directory, true));
        }
        check_paths(container, &mounts, refusals);
        built.mounts.insert(container.name.clone(), mounts);
    }
    for volume in spec.volumes.iter().filter(|v| used.contains(v.name.as_str())) {
        let name = names.get(&volume.name).cloned().unwrap_or_default();
        built.volumes.push(PodVolume {
            name,
            ..source(volume, refusals)
        });
    }
    built.volumes.extend(quiesce);
    built
}

/// The file that says why the task should finish, and is empty until then: what an annotation says, as the kubelet sees
/// it. (PROT-11)
fn quiesce_volume(name: &str) -> PodVolume {
    let file = DownwardAPIVolumeFile {
        path: "quiesce".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: None,
            field_path: format!("metadata.annotations['{QUIESCE}']"),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    PodVolume {
        name: name.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![file]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..PodVolume::default()
    }
}

/// Mount points of a container, then those of the containers it takes volumes from (and they from others).
fn declared<'a>(
    spec: &'a TaskDefinitionSpec,
    container: &'a ContainerDefinition,
    refusals: &mut Refusals,
) -> Vec<(&'a str, VolumeMount)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(container, false)];
    while let Some((from, read_only)) = open.pop() {
        if !seen.insert(from.name.as_str()) {
            continue;
        }
        for mount in &from.mount_points {
            let (Some(volume), Some(path)) =
                (mount.source_volume.as_deref(), mount.container_path.as_deref())
            else {
                if from.name == container.name {
                    refusals.refuse(
                        &container.name,
                        "mountPoints",
                        "sourceVolume and containerPath are both needed.",
                    );
                }
                continue;
            };
            let read_only = read_only || mount.read_only.unwrap_or(false);
            found.push((volume, mount_at(volume, path, read_only)));
        }
        for other in from.volumes_from.iter().rev() {
            let name = other.source_container.as_deref().unwrap_or_default();
            match spec.container_definitions.iter().find(|c| c.name == name) {
                Some(source) => open.push((source, read_only || other.read_only.unwrap_or(false))),
                None => refusals.refuse(
                    &from.name,
                    "volumesFrom",
                    format!("there is no container '{name}'."),
                ),
            }
        }
    }
    if !container.volumes_from.is_empty() {
        refusals.report(
            &container.name,
            "volumesFrom",
            "gives the mount points of the other container; volumes that only its image declares are not shared.",
        );
    }
    found
}

fn mount_at(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// Names of a container's memory file systems; a space keeps them apart from volumes that users name.
fn memory_names(container: &ContainerDefinition) -> impl Iterator<Item = String> {
    let tmpfs = container.linux_parameters.as_ref().map_or(0, |l| l.tmpfs.len());
    let name = container.name.clone();
    (0..=tmpfs).map(move |i| {
        if i == 0 {
            format!("shm {name}")
        } else {
            format!("tmpfs {name} {i}")
        }
    })
}

fn memory_mounts(
    container: &ContainerDefinition,
    names: &BTreeMap<String, String>,
    volumes: &mut Vec<PodVolume>,
    mounts: &mut Vec<VolumeMount>,
    refusals: &mut Refusals,
) {
    let Some(linux) = &container.linux_parameters else {
        return;
    };
    let mut own_names = memory_names(container);
    let shm = own_names
        .next()
        .zip(linux.shared_memory_size)
        .map(|(name, mib)| (name, mib, SHM));
    let tmpfs = own_names
        .zip(&linux.tmpfs)
        .map(|(name, t)| (name, t.size, t.container_path.as_str()));
    for (own, mib, path) in shm.into_iter().chain(tmpfs) {
        let Some(name) = names.get(&own) else { continue };
        volumes.push(PodVolume {
            name: name.clone(),
            empty_dir: Some(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: Some(Quantity(format!("{mib}Mi"))),
                ..EmptyDirVolumeSource::default()
            }),
            ..PodVolume::default()
        });
        mounts.push(mount_at(name, path, false));
    }
    for option in linux.tmpfs.iter().flat_map(|t| &t.mount_options) {
        if !matches!(option.as_str(), "defaults" | "rw") {
            refusals.refuse(
                &container.name,
                "linuxParameters.tmpfs",
                format!("mount option '{option}' is not available."),
            );
        }
    }
}

fn check_paths(container: &ContainerDefinition, mounts: &[VolumeMount], refusals: &mut Refusals) {
    let mut seen = BTreeSet::new();
    for mount in mounts {
        let path = mount.mount_path.as_str();
        if !path.starts_with('/') || path.contains(':') {
            refusals.refuse(
                &container.name,
                "mountPoints",
                format!("'{path}' must be an absolute path without ':'."),
            );
        }
        if !seen.insert(path) {
            refusals.refuse(
                &container.name,
                "mountPoints",
                format!("two volumes are mounted at '{path}'."),
            );
        }
    }
}

/// What to do instead of the volume kinds that are not available.
const CLAIM: &str = "is not available: make a PersistentVolumeClaim and name it in persistentVolumeClaim.";

/// What a volume is in the Pod: a path of the node, a claim, or a directory that lives and dies with the task.
fn source(volume: &Volume, refusals: &mut Refusals) -> PodVolume {
    let name = &volume.name;
    let mut refuse = |member: &str, text: &str| {
        refusals.refuse_task(&format!("Volume '{name}': {member}"), text);
    };
    if volume.docker_volume_configuration.is_some() {
        refuse("dockerVolumeConfiguration", CLAIM);
    }
    if volume.efs_volume_configuration.is_some() {
        refuse("efsVolumeConfiguration", CLAIM);
    }
    if volume.fsx_windows_file_server_volume_configuration.is_some() {
        refuse("fsxWindowsFileServerVolumeConfiguration", CLAIM);
    }
    if volume.configured_at_launch == Some(true) {
        refuse("configuredAtLaunch", CLAIM);
    }
    let path = volume
        .host
        .as_ref()
        .and_then(|h| h.source_path.as_deref())
        .filter(|p| !p.is_empty());
    match (path, volume.persistent_volume_claim.as_deref()) {
        (Some(_), Some(_)) => {
            refuse(
                "host",
                "a volume is a path of the node or a PersistentVolumeClaim, not both.",
            );
            PodVolume::default()
        }
        (Some(path), None) => {
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                refuse("host.sourcePath", "must be an absolute path without '..'.");
            }
            let host_path = HostPathVolumeSource {
                path: path.to_owned(),
                type_: None,
            };
            PodVolume {
                host_path: Some(host_path),
                ..PodVolume::default()
            }
        }
        (None, Some(claim)) => {
            if !is_subdomain(claim) {
                refuse("persistentVolumeClaim", "is no name of a PersistentVolumeClaim.");
            }
            let source = PersistentVolumeClaimVolumeSource {
                claim_name: claim.to_owned(),
                read_only: None,
            };
            PodVolume {
                persistent_volume_claim: Some(source),
                ..PodVolume::default()
            }
        }
        (None, None) => PodVolume {
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..PodVolume::default()
        },
    }
}
