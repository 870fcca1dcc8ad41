//! From the place of a key to the key.

use std::{env, fs, io::Read as _, path::Path};

use zeroize::Zeroizing;

use crate::layers::fallback::{Credential, Key, key::KeyError};

/// The longest key, in bytes: no server takes longer headers.
const MAX: usize = 16 * 1024;

// === impl Key ===

impl Key {
    /// Reads it, now.
    ///
    /// # Errors
    /// If it is not there, cannot be read or is no key.
    pub fn read(from: &Credential) -> Result<Self, KeyError> {
        let text = text(from)?;
        Self::new(&text).map_err(|error| match error {
            KeyError::Malformed(why) => KeyError::Unusable {
                of: from.to_string(),
                why,
            },
            other => other,
        })
    }
}

/// The text at a place, as it stands there.
fn text(from: &Credential) -> Result<Zeroizing<String>, KeyError> {
    let unusable = |why| KeyError::Unusable {
        of: from.to_string(),
        why,
    };
    let bytes = match from {
        Credential::Env(name) => {
            let value = env::var_os(name).ok_or_else(|| KeyError::Unset(name.clone()))?;
            Zeroizing::new(value.into_encoded_bytes())
        }
        Credential::File(path) => {
            let unreadable = |source| KeyError::Unreadable {
                path: path.display().to_string(),
                source,
            };
            // Asked first, since to open a pipe would wait.
            if !fs::metadata(path).map_err(unreadable)?.is_file() {
                return Err(unusable("it is no file but a folder, a pipe or a device"));
            }
            contents(path).map_err(unreadable)?
        }
    };
    if bytes.len() > MAX {
        return Err(unusable("it is longer than 16 KiB"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(unusable(
            "it has characters that are not ASCII, which no header can carry",
        )),
    }
}

/// The beginning of a file, by one byte more than a key can have. It is read into one place, which is overwritten.
fn contents(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MAX + 1]);
    let mut file = fs::File::open(path)?;
    let mut read = 0;
    while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::base::Fingerprint;

    #[test]
    fn what_is_no_key_file_is_told_with_its_path() {
        let folder = std::env::temp_dir().join(format!("llmesh-key-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let long = "secret".repeat(200_000);
        for (path, why) in [
            (folder.clone(), "no file but a folder"),
            (PathBuf::from("/nowhere/key"), "cannot be read"),
            (PathBuf::from("/dev/null"), "no file but a folder, a pipe"),
            (write("empty", b""), "it is empty"),
            (write("long", long.as_bytes()), "longer than 16 KiB"),
            (write("two", b"secret\nsecret\n"), "several lines"),
            (write("wide", b"\xff\xfes\0e\0"), "not ASCII"),
        ] {
            let error = Key::read(&Credential::File(path.clone())).unwrap_err();
            let all = format!("{error} {error:?}");
            assert!(
                error.to_string().contains(&*path.to_string_lossy()),
                "{all}"
            );
            assert!(all.contains(why) && !all.contains("secret"), "{all}");
        }
        let whole = write("whole", "\u{feff}sk-1\r\n".as_bytes());
        let key = Key::read(&Credential::File(whole)).unwrap();
        assert_eq!(key.hash(), Fingerprint::of(b"sk-1"));
        std::fs::remove_dir_all(folder).unwrap();
        let unset = Credential::Env("LLMESH_TEST_NO_SUCH_KEY".to_owned());
        assert!(matches!(Key::read(&unset), Err(KeyError::Unset(_))));
    }
}
