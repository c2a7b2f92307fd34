//! Process-wide policy for connection strings from untrusted callers: permissions, restrictions and allowed
//! directories.
//!
//! The policy is stored in its own static and not in the shared process state: a forked child recreates that
//! state, but the restrictions must still apply in it. All bits are in one atomic integer, so that a fork
//! cannot leave a lock held and a reader never sees a mix of an old and a new policy.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::base::error::{ArgumentError, Error, Result, io_error_text};
use crate::base::sanitize;

/// What a policy can allow in a connection string. The caller's own API calls need no permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Permission {
    /// References to secrets in files or environment variables.
    References = 1,
    /// PKCS#11 modules given by path.
    Modules = 2,
    /// Stores for tokens (TokenCache).
    TokenCache = 4,
}

impl Permission {
    const ALL: [Self; 3] = [Self::References, Self::Modules, Self::TokenCache];

    /// The name of the constant in the C header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::References => "AUTHGRANT_ALLOW_SECRET_REFERENCES",
            Self::Modules => "AUTHGRANT_ALLOW_PKCS11_MODULE_PATH",
            Self::TokenCache => "AUTHGRANT_ALLOW_TOKEN_CACHE",
        }
    }
}

/// What a policy can forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Restriction {
    /// Token requests by GET.
    Get = 1,
    /// Disabled certificate validation.
    InsecureTls = 2,
    /// http:// to loopback addresses, except the redirect URI of a browser login.
    LoopbackHttp = 4,
    /// Opening a browser for a login.
    Prompt = 8,
    /// Key stores with insecure encryption.
    WeakStores = 16,
    /// Sharing tokens with other connections.
    Sharing = 32,
    /// File paths outside the allowed directories, and PKCS#11 URIs, in untrusted text.
    FilePaths = 64,
    /// TLS 1.2.
    Tls12 = 128,
}

impl Restriction {
    const ALL: [Self; 8] = [
        Self::Get,
        Self::InsecureTls,
        Self::LoopbackHttp,
        Self::Prompt,
        Self::WeakStores,
        Self::Sharing,
        Self::FilePaths,
        Self::Tls12,
    ];

    /// The name of the constant in the C header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "AUTHGRANT_FORBID_HTTP_GET",
            Self::InsecureTls => "AUTHGRANT_FORBID_INSECURE_TLS",
            Self::LoopbackHttp => "AUTHGRANT_FORBID_LOOPBACK_HTTP",
            Self::Prompt => "AUTHGRANT_FORBID_PROMPT",
            Self::WeakStores => "AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION",
            Self::Sharing => "AUTHGRANT_FORBID_SHARED_TOKENS",
            Self::FilePaths => "AUTHGRANT_FORBID_FILE_PATHS",
            Self::Tls12 => "AUTHGRANT_FORBID_TLS12",
        }
    }

    /// A relative clause for messages, to be appended to the rejected value: "which is forbidden by …", with
    /// the policy bit.
    #[must_use]
    pub fn rejection_text(self) -> String {
        format!("which is forbidden by the process policy ({})", self.name())
    }
}

/// The permissions and restrictions of connection strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    allow: u32,
    forbid: u32,
}

impl Policy {
    /// A policy with these bits of the C header.
    ///
    /// # Errors
    /// [`ArgumentError::Invalid`] for an unknown bit.
    pub fn new(allow: u32, forbid: u32) -> Result<Self> {
        let union = |bits: &mut dyn Iterator<Item = u32>| bits.fold(0, |all, bit| all | bit);
        let known_allow = union(&mut Permission::ALL.iter().map(|permission| *permission as u32));
        let known_forbid = union(&mut Restriction::ALL.iter().map(|restriction| *restriction as u32));
        for (argument, bits) in [("allow", allow & !known_allow), ("forbid", forbid & !known_forbid)] {
            if bits != 0 {
                let text = format!("{argument} has unknown bits {bits:#x}");
                return Err(Error::new(ArgumentError::Invalid, "policy", text));
            }
        }
        Ok(Self { allow, forbid })
    }

    /// The policy of this process.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.load()
    }

    /// Makes this the policy of the process.
    ///
    /// # Errors
    /// [`ArgumentError::Invalid`] if it relaxes the current policy after a connection has been opened.
    pub fn set(self) -> Result<()> {
        CURRENT.set(self)
    }

    /// Freezes the policy when a connection is opened: from now on it can only be tightened.
    pub fn freeze() {
        CURRENT.freeze();
    }

    /// Whether a connection has been opened.
    #[must_use]
    pub fn is_frozen() -> bool {
        CURRENT.is_frozen()
    }

    /// Whether the policy grants `permission`.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        self.allow & permission as u32 != 0
    }

    /// Whether the policy has `restriction`.
    #[must_use]
    pub fn forbids(self, restriction: Restriction) -> bool {
        self.forbid & restriction as u32 != 0
    }

    fn to_bits(self) -> u64 {
        u64::from(self.allow) | u64::from(self.forbid) << 16
    }

    #[allow(clippy::cast_possible_truncation, reason = "16 bits of each were packed")]
    fn from_bits(bits: u64) -> Self {
        Self { allow: (bits & 0xffff) as u32, forbid: (bits >> 16 & 0xffff) as u32 }
    }

    /// The changes by which this policy is less strict than `before`.
    fn relaxations(self, before: Self) -> Vec<String> {
        let added = Permission::ALL.iter().filter(|bit| self.allows(**bit) && !before.allows(**bit));
        let removed = Restriction::ALL.iter().filter(|bit| before.forbids(**bit) && !self.forbids(**bit));
        added
            .map(|bit| format!("set {}", bit.name()))
            .chain(removed.map(|bit| format!("clear {}", bit.name())))
            .collect()
    }
}

static CURRENT: PolicyCell = PolicyCell::new();

/// A directory in which untrusted text may name files although [`Restriction::FilePaths`] is set.
#[derive(Debug, PartialEq, Eq)]
struct AllowedDirectory {
    /// The absolute path as the caller passed it.
    configured: PathBuf,
    /// The canonical path at the time of the call, without symbolic links.
    canonical: PathBuf,
}

/// The allowed directories of the process: an append-only, lock-free list, so that a fork cannot leave a lock
/// held.
#[derive(Default)]
pub struct AllowedDirectories(OnceBox<DirectoryNode>);

struct DirectoryNode {
    directory: AllowedDirectory,
    next: AllowedDirectories,
}

static ALLOWED_DIRECTORIES: AllowedDirectories = AllowedDirectories::new();

impl AllowedDirectories {
    const fn new() -> Self {
        Self(OnceBox::new())
    }

    /// The allowed directories of this process.
    #[must_use]
    pub fn current() -> &'static Self {
        &ALLOWED_DIRECTORIES
    }

    /// Allows the directory at `path` in this process.
    ///
    /// # Errors
    /// [`ArgumentError::Invalid`] if `path` is not a directory, or is a new directory and a connection has
    /// been opened.
    pub fn allow(path: &str) -> Result<()> {
        ALLOWED_DIRECTORIES.add(path, CURRENT.is_frozen())
    }

    fn add(&self, path: &str, is_frozen: bool) -> Result<()> {
        let path_error = |reason: &str| {
            let text = format!("path \"{}\" {reason}", sanitize::path(path));
            Error::new(ArgumentError::Invalid, "policy", text)
        };
        let io_error =
            |error: std::io::Error| path_error(&format!("cannot be allowed: {}", io_error_text(&error)));
        if path.is_empty() {
            return Err(path_error("must name a directory"));
        }
        let configured = std::path::absolute(path).map_err(io_error)?;
        let canonical = std::fs::canonicalize(&configured).map_err(io_error)?;
        if !canonical.is_dir() {
            return Err(path_error("is not a directory"));
        }
        let directory = AllowedDirectory { configured, canonical };
        if self.iter().any(|known| *known == directory) {
            return Ok(());
        }
        if is_frozen {
            return Err(path_error(
                "cannot be allowed: a connection has been opened, so the policy can only be tightened; \
                 call authgrant_allow_directory before the first authgrant_open",
            ));
        }
        self.push(Box::new(DirectoryNode { directory, next: Self::new() }));
        Ok(())
    }

    fn push(&self, mut node: Box<DirectoryNode>) {
        let mut end = self;
        while let Err(rejected) = end.0.set(node) {
            let Some(last) = end.0.get() else { return };
            (node, end) = (rejected, &last.next);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &AllowedDirectory> {
        std::iter::successors(self.0.get(), |node| node.next.0.get()).map(|node| &node.directory)
    }

    /// The allowed directories that contain the absolute `path`, each with the rest of the path; none if
    /// `path` contains `..`. Compares path components only: it does not access the file system and does not
    /// resolve symbolic links.
    pub fn containing<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Path)> {
        let has_parent_dir = path.components().any(|part| part == std::path::Component::ParentDir);
        self.iter().filter(move |_| !has_parent_dir).filter_map(|directory| {
            [&directory.configured, &directory.canonical]
                .into_iter()
                .find_map(|directory| Some((directory.as_path(), path.strip_prefix(directory).ok()?)))
        })
    }
}

/// Set in a [`PolicyCell`] once a connection has been opened.
const FROZEN_BIT: u64 = 1 << 63;

/// An atomic cell with a policy and the frozen bit.
struct PolicyCell(AtomicU64);

impl PolicyCell {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn load(&self) -> Policy {
        Policy::from_bits(self.0.load(Ordering::Acquire))
    }

    fn is_frozen(&self) -> bool {
        self.0.load(Ordering::Acquire) & FROZEN_BIT != 0
    }

    fn freeze(&self) {
        self.0.fetch_or(FROZEN_BIT, Ordering::AcqRel);
    }

    fn set(&self, policy: Policy) -> Result<()> {
        let is_allowed = |current: u64| {
            current & FROZEN_BIT == 0 || policy.relaxations(Policy::from_bits(current)).is_empty()
        };
        let outcome = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |current| {
            is_allowed(current).then_some(policy.to_bits() | current & FROZEN_BIT)
        });
        outcome.map(drop).map_err(|current| {
            let text = format!(
                "cannot {}: a connection has been opened, so the policy can only be tightened; \
                 call authgrant_set_policy before the first authgrant_open",
                policy.relaxations(Policy::from_bits(current)).join(" or ")
            );
            Error::new(ArgumentError::Invalid, "policy", text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;

    fn policy(allow: u32, forbid: u32) -> Policy {
        Policy::new(allow, forbid).unwrap()
    }

    #[test]
    fn frozen_policy_can_only_be_tightened() {
        let cell = PolicyCell::new();
        for (allow, forbid) in [(3, 255), (1, 0), (3, 1)] {
            cell.set(policy(allow, forbid)).unwrap();
            assert_eq!(cell.load(), policy(allow, forbid));
        }
        cell.freeze();
        assert_eq!(cell.load(), policy(3, 1), "freezing keeps the bits");
        for (allow, forbid) in [(3, 1), (1, 1), (1, 33), (0, 255)] {
            cell.set(policy(allow, forbid)).unwrap();
            assert_eq!(cell.load(), policy(allow, forbid));
        }
        let error = cell.set(policy(2, 254)).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        for change in ["set AUTHGRANT_ALLOW_PKCS11_MODULE_PATH", "clear AUTHGRANT_FORBID_HTTP_GET"] {
            assert!(error.message().contains(change), "{error}");
        }
        assert_eq!(cell.load(), policy(0, 255), "a rejected change has no effect");
    }

    #[test]
    fn mixed_change_with_relaxation_is_rejected() {
        let cell = PolicyCell::new();
        cell.set(policy(1, 1)).unwrap();
        cell.freeze();
        assert!(cell.set(policy(0, 2)).is_err());
        assert!(cell.set(policy(3, 3)).is_err());
        assert_eq!(cell.load(), policy(1, 1));
    }

    #[test]
    fn unknown_policy_bits_are_rejected() {
        for (allow, forbid, argument) in [(8, 0, "allow"), (0, 256, "forbid"), (1 << 31, 0, "allow")] {
            let error = Policy::new(allow, forbid).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(argument), "{error}");
        }
    }

    #[test]
    fn allow_bit_grants_only_its_permission() {
        for permission in Permission::ALL {
            let single = policy(permission as u32, 255);
            let allowed: Vec<_> = Permission::ALL.into_iter().filter(|other| single.allows(*other)).collect();
            assert_eq!(allowed, [permission]);
        }
    }

    #[test]
    fn rejection_text_names_policy_bit() {
        for restriction in Restriction::ALL {
            let text = restriction.rejection_text();
            assert!(text.contains("policy") && text.contains(restriction.name()), "{text}");
        }
    }

    #[test]
    fn forbid_bit_sets_only_its_restriction() {
        for restriction in Restriction::ALL {
            let single = policy(3, restriction as u32);
            let forbidden: Vec<_> =
                Restriction::ALL.into_iter().filter(|other| single.forbids(*other)).collect();
            assert_eq!(forbidden, [restriction]);
        }
    }

    #[test]
    fn allowed_directory_matches_whole_path_components() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("keys");
        std::fs::create_dir(&directory).unwrap();
        let allowed = AllowedDirectories::new();
        let unnormalized = format!("{}/./", directory.display());
        allowed.add(&unnormalized, false).unwrap();
        allowed.add(root.path().join("keys").to_str().unwrap(), true).unwrap();
        assert_eq!(allowed.iter().count(), 1, "the same directory again");
        let rest =
            |path: &str| allowed.containing(&root.path().join(path)).next().map(|(_, rest)| rest.to_owned());
        assert_eq!(rest("keys/a/./b"), Some("a/b".into()));
        assert_eq!(rest("keys"), Some("".into()));
        for path in ["key", "keys2/a", "keys/../keys/a", "keys/a/..", "/keys/a"] {
            assert_eq!(rest(path), None, "{path}");
        }
    }

    #[test]
    fn missing_or_late_allowed_directory_is_rejected() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let allowed = AllowedDirectories::new();
        let missing = root.path().join("missing");
        for (path, frozen, reason) in [
            ("", false, "must name a directory"),
            (missing.to_str().unwrap(), false, "cannot be allowed"),
            (file.to_str().unwrap(), false, "is not a directory"),
            (root.path().to_str().unwrap(), true, "authgrant_open"),
        ] {
            let error = allowed.add(path, frozen).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(reason), "{error}");
        }
        assert_eq!(allowed.iter().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn allowed_directory_matches_canonical_path() {
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let allowed = AllowedDirectories::new();
        allowed.add(link.to_str().unwrap(), false).unwrap();
        let canonical = real.canonicalize().unwrap();
        for (path, directory) in [(link.join("a"), &link), (canonical.join("a"), &canonical)] {
            assert_eq!(
                allowed.containing(&path).collect::<Vec<_>>(),
                [(directory.as_path(), Path::new("a"))]
            );
        }
    }
}
