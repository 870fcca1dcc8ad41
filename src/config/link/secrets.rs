//! `credentialName` to the secret that it names: in the folder of secrets, else among the Secret objects of the files.
//!
//! A folder holds a secret as Kubernetes mounts it, one file a key: `DIR/NAMESPACE/NAME/tls.crt`, or `DIR/NAME/tls.crt`.
//! As in Istio the authorities may be in a secret of their own, `NAME-cacert`, and the keys have two sets of names.

use std::path::Path;

use super::Linker;
use crate::{
    config::{
        diagnostic::Place,
        file_is_there,
        istio::client_tls::{Mode, TlsBlock},
        names,
        secrets::Secret,
    },
    model::tls::{Identity, Revoked, Roots, Tls, Verify},
};

/// The names of a certificate and its key.
const PAIRS: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];
/// The names of authorities.
const ROOTS: [&str; 2] = ["cacert", "ca.crt"];
/// The names of certificates that were taken back.
const REVOKED: [&str; 2] = ["crl", "ca.crl"];
/// How the name of a secret of authorities ends.
const OF_ROOTS: &str = "-cacert";

/// What a `credentialName` came to.
#[derive(Default)]
struct Found {
    identity: Option<Identity>,
    roots: Option<Roots>,
    revoked: Option<Revoked>,
}

// === impl Found ===

impl Found {
    /// Whether it has what a mode needs.
    fn is_enough(&self, mode: Mode) -> bool {
        match mode {
            Mode::Mutual => self.identity.is_some(),
            _ => self.roots.is_some(),
        }
    }

    fn put(self, mode: Mode, tls: &mut Tls) {
        if mode == Mode::Mutual {
            tls.identity = self.identity;
        }
        if let Verify::Chain { roots, revoked, .. } = &mut tls.verify {
            // Without authorities of its own the system's are asked, as anywhere else.
            *roots = self.roots.unwrap_or(Roots::System);
            *revoked = self.revoked;
        }
    }
}

// === impl Linker ===

impl Linker<'_> {
    /// Puts what a `credentialName` names into place. One that leads nowhere fails its cluster, by name.
    pub(super) fn credential(&self, block: &TlsBlock, host: &str, tls: &mut Tls) {
        let Some((name, place)) = &block.credential else {
            return;
        };
        let named = self.named(name, place);
        let found = named.iter().find_map(|(namespace, name)| {
            let found = self.in_folder(namespace, name);
            found.filter(|found| found.is_enough(block.mode))
        });
        let found = found.or_else(|| {
            let mut all = named.iter();
            all.find_map(|(namespace, name)| {
                let found = self.among_objects(namespace, name, place);
                found.filter(|found| found.is_enough(block.mode))
            })
        });
        if let Some(found) = found {
            return found.put(block.mode, tls);
        }
        let (message, hint) = self.missing_secret(block.mode, name, &named, host);
        self.report.warn(place, "unknown-secret", message, hint);
        match (&self.options.secrets, named.first()) {
            // Taken as it is once it is there.
            (Some(folder), Some((namespace, name))) => {
                to_come(folder, namespace, name).put(block.mode, tls);
            }
            _ => tls.unmet = Some(format!("the secret `{name}` is not known")),
        }
    }

    /// The secrets that a name may mean, by namespace and name: the rule's own namespace goes before the caller's.
    fn named<'n>(&'n self, name: &'n str, place: &'n Place) -> Vec<(&'n str, &'n str)> {
        let name = name.split_once("://").map_or(name, |(_, name)| name);
        let own = place.origin.namespace.as_str();
        let mut all = match name.split_once('/') {
            Some(whole) => vec![whole],
            None => vec![(own, name), (self.namespace.as_str(), name)],
        };
        let is_name = |text: &str| text.split('.').all(names::is_dns_label);
        all.retain(|(namespace, name)| is_name(namespace) && is_name(name));
        all.dedup();
        all
    }

    fn in_folder(&self, namespace: &str, name: &str) -> Option<Found> {
        let folder = self.options.secrets.as_deref()?;
        let is_there = self.options.files.unwrap_or(file_is_there);
        let of = |name: &str| [folder.join(namespace).join(name), folder.join(name)];
        let file = |secret: &Path, keys: [&str; 2]| {
            let mut paths = keys.into_iter().map(|key| secret.join(key));
            paths.find(|path| is_there(path))
        };
        let own = of(name);
        let of_roots = of(&format!("{name}{OF_ROOTS}"));
        let pairs = own.iter().flat_map(|secret| {
            PAIRS.map(|(certificate, key)| Identity::Files {
                certificate: secret.join(certificate),
                key: secret.join(key),
            })
        });
        let mut pairs = pairs.filter(|pair| match pair {
            Identity::Files { certificate, key } => is_there(certificate) && is_there(key),
            Identity::Secret(_) => false,
        });
        let both = || of_roots.iter().chain(&own);
        let roots = both().find_map(|secret| Some((secret, file(secret, ROOTS)?)));
        Some(Found {
            identity: pairs.next(),
            revoked: roots.as_ref().and_then(|(secret, _)| {
                let path = file(secret, REVOKED)?;
                Some(Revoked::File(path))
            }),
            roots: roots.map(|(_, path)| Roots::File(path)),
        })
    }

    fn among_objects(&self, namespace: &str, name: &str, place: &Place) -> Option<Found> {
        let get = |name: String| {
            let secret = self.secrets.get(&name)?;
            Some((name, secret))
        };
        let has = |secret: &Secret, key: &str| secret.values.0.contains_key(key);
        let own = get(format!("{namespace}/{name}"));
        let of_roots = get(format!("{namespace}/{name}{OF_ROOTS}"));
        let pair = |secret: &Secret| PAIRS.iter().any(|(c, k)| has(secret, c) && has(secret, k));
        let identity = own.as_ref().filter(|(_, secret)| pair(secret));
        let mut both = of_roots.iter().chain(&own);
        let roots = both.find(|(_, secret)| ROOTS.iter().any(|key| has(secret, key)));
        for (name, secret) in identity.iter().chain(&roots) {
            let with_roots = roots.is_some_and(|(of_roots, _)| of_roots == name);
            self.use_secret(name, secret, with_roots, place);
        }
        let lists = |(_, secret): &&(String, &Secret)| REVOKED.iter().any(|key| has(secret, key));
        Some(Found {
            identity: identity.map(|(name, _)| Identity::Secret(name.clone())),
            roots: roots.map(|(name, _)| Roots::Secret(name.clone())),
            revoked: roots
                .filter(lists)
                .map(|(name, _)| Revoked::Secret(name.clone())),
        })
    }

    /// Notes that a Secret object is used, and says what of it cannot be. A list of what was taken back is of the authorities
    /// beside it.
    fn use_secret(&self, name: &str, secret: &Secret, with_roots: bool, place: &Place) {
        self.used_secrets.borrow_mut().insert(name.to_owned());
        let known = PAIRS
            .iter()
            .flat_map(|(certificate, key)| [certificate, key]);
        let known: Vec<_> = known.chain(&ROOTS).chain(&REVOKED).copied().collect();
        for key in secret
            .unreadable
            .iter()
            .filter(|key| known.contains(&key.as_str()))
        {
            let message = format!("`{key}` of {} is no base64", secret.place);
            let hint = "encode it, or write it under `stringData` as it is";
            self.report.warn(place, "bad-secret", message, hint);
        }
        let mut lists = REVOKED.iter();
        if let Some(key) = lists.find(|key| secret.values.0.contains_key(**key) && !with_roots) {
            let message = format!(
                "`{key}` of {} has no effect: it stands beside no authorities",
                secret.place
            );
            let hint = "put it where `ca.crt` is";
            self.report.warn(place, "not-in-force", message, hint);
        }
    }

    fn missing_secret(
        &self,
        mode: Mode,
        name: &str,
        named: &[(&str, &str)],
        host: &str,
    ) -> (String, String) {
        let holds = match mode {
            Mode::Mutual => "a certificate and key (`tls.crt` and `tls.key`, or `cert` and `key`)",
            _ => "authorities (`ca.crt` or `cacert`)",
        };
        let message = format!(
            "no secret `{name}` with {holds} is known: requests to {host} are answered 503 (UF)"
        );
        let hint = match (&self.options.secrets, named.first()) {
            (Some(folder), Some((namespace, name))) => format!(
                "put it into {}, or load a Secret {namespace}/{name}",
                folder.join(namespace).join(name).display()
            ),
            (None, Some((namespace, name))) => format!(
                "load a Secret {namespace}/{name}, or name a folder of secrets with --secrets"
            ),
            (_, None) => "a secret's name has letters, digits, `-` and `.`".to_owned(),
        };
        (message, hint)
    }
}

/// A secret that is not in the folder yet, by the names that Kubernetes gives its keys.
fn to_come(folder: &Path, namespace: &str, name: &str) -> Found {
    let secret = folder.join(namespace).join(name);
    Found {
        identity: Some(Identity::Files {
            certificate: secret.join("tls.crt"),
            key: secret.join("tls.key"),
        }),
        roots: Some(Roots::File(secret.join("ca.crt"))),
        revoked: None,
    }
}
