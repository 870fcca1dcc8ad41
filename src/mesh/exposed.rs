//! Key files that more than their owner may read.
//!
//! Such a key is used all the same: whether it is a fault only the machine's owner can say. It is said by name.

use std::path::Path;

/// Warns of a key file that its group or others may read.
pub(super) fn warn_of(path: &Path) {
    if is_exposed(path) {
        tracing::warn!(
            file = %path.display(),
            "others than its owner may read this key file: take their rights away (chmod go= FILE)"
        );
    }
}

/// Whether its group or others may read a file. Not where Kubernetes has mounted it: it writes the files of a volume for
/// everybody, into a folder `..2026_…`, and shows the volume to the pod alone.
#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::{os::unix::fs::PermissionsExt as _, path::Component};

    let Ok(real) = path.canonicalize() else {
        return false;
    };
    let mounted = real.components().any(
        |part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b"..")),
    );
    let rights = real.metadata().map(|found| found.permissions().mode());
    !mounted && rights.is_ok_and(|rights| rights & 0o044 != 0)
}

#[cfg(not(unix))]
const fn is_exposed(_: &Path) -> bool {
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn rights_of_others_are_seen_but_in_a_volume_of_kubernetes() {
        let folder = std::env::temp_dir().join(format!("llmesh-exposed-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = folder.join("tls.key");
        fs::write(&key, "key").unwrap();
        for (rights, exposed) in [
            (0o600, false),
            (0o400, false),
            (0o711, false),
            (0o640, true),
            (0o604, true),
            (0o444, true),
        ] {
            fs::set_permissions(&key, fs::Permissions::from_mode(rights)).unwrap();
            assert_eq!(is_exposed(&key), exposed, "{rights:o}");
        }
        assert!(!is_exposed(&folder.join("none")));
        // As the kubelet lays a secret out.
        fs::create_dir(folder.join("..2026_11_30")).unwrap();
        fs::rename(&key, folder.join("..2026_11_30/tls.key")).unwrap();
        symlink("..2026_11_30", folder.join("..data")).unwrap();
        symlink("..data/tls.key", &key).unwrap();
        assert!(!is_exposed(&key));
        fs::remove_dir_all(folder).unwrap();
    }
}
