//! Persistent volumes as directories: where each lies, and under which names containers see them.

use crate::launch::spec::VolumeLink;
use proto::v1::resource::disk_info::source;
use resources::{Resource, Resources};
use std::collections::BTreeSet;

/// The directory of one volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Volume {
    /// Absolute.
    pub path: String,
    /// The directory is the mount point of a disk: it outlives the volume.
    pub is_mount: bool,
}

pub(crate) fn volumes(work_dir: &str, resources: &Resources) -> BTreeSet<Volume> {
    resources.iter().filter_map(|resource| volume_of(work_dir, resource)).collect()
}

/// The volumes among the resources of an executor or task, with the names it wants to see them under.
pub(crate) fn links_of(work_dir: &str, resources: &[proto::v1::Resource]) -> Vec<VolumeLink> {
    let resources = Resources::from_protos(resources).unwrap_or_default();
    let link = |resource: &Resource| {
        let volume = volume_of(work_dir, resource)?;
        let name = resource.disk()?.volume.as_ref()?.container_path.clone();
        Some(VolumeLink { name, path: volume.path, shared: resource.is_shared() })
    };
    resources.iter().filter_map(link).collect()
}

/// `<work_dir or disk>/volumes/roles/<role>/<id>`; a slash in the role is a blank there. A disk of its own is the
/// volume.
fn volume_of(work_dir: &str, resource: &Resource) -> Option<Volume> {
    let id = resource.persistence_id()?;
    let source = resource.disk()?.source.as_ref();
    let kind = source.map(|source| source.r#type());
    if let (Some(source::Type::Mount), Some(mount)) = (kind, source.and_then(|source| source.mount.as_ref())) {
        return Some(Volume { path: absolute(work_dir, mount.root()), is_mount: true });
    }
    let root = match (kind, source.and_then(|source| source.path.as_ref())) {
        (Some(source::Type::Path), Some(path)) => absolute(work_dir, path.root()),
        _ => work_dir.to_owned(),
    };
    let role = resource.reservation_role()?.replace('/', " ");
    Some(Volume { path: format!("{root}/volumes/roles/{role}/{id}"), is_mount: false })
}

/// The root of a disk may be told from the work directory.
fn absolute(work_dir: &str, root: &str) -> String {
    let root = root.trim_end_matches('/');
    if root.starts_with('/') { root.to_owned() } else { format!("{work_dir}/{root}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{self, resource::disk_info::Source};

    fn volume(role: &str, source: Option<Source>) -> Resource {
        let proto = v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value: 1.0 }),
            reservations: vec![v1::resource::ReservationInfo {
                r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
                role: Some(role.into()),
                ..Default::default()
            }],
            disk: Some(Box::new(v1::resource::DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence { id: "v".into(), principal: None }),
                source,
                ..Default::default()
            })),
            ..Default::default()
        };
        Resource::from_proto(&proto).expect("valid")
    }

    #[test]
    fn volumes_lie_where_mesos_puts_them() {
        let path = |role: &str, source| volume_of("/w", &volume(role, source)).expect("a volume");
        assert_eq!(path("a/b", None).path, "/w/volumes/roles/a b/v");
        let of_path = |root: &str| Source {
            r#type: source::Type::Path as i32,
            path: Some(source::Path { root: Some(root.into()) }),
            ..Default::default()
        };
        assert_eq!(path("a", Some(of_path("/disk/"))).path, "/disk/volumes/roles/a/v");
        assert_eq!(path("a", Some(of_path("disk"))).path, "/w/disk/volumes/roles/a/v");
        let mount = Source {
            r#type: source::Type::Mount as i32,
            mount: Some(source::Mount { root: Some("/mnt/x".into()) }),
            ..Default::default()
        };
        assert_eq!(path("a", Some(mount)), Volume { path: "/mnt/x".into(), is_mount: true });
    }
}
