//! What connection strings may do in this process, for hosts that take them from strangers.
//!
//! It stands in a static of its own and not among what a process shares: a forked child makes that anew, and what its
//! host has forbidden must hold there too. One atomic number holds all of it, so that a fork can leave no lock behind
//! locked, and nobody reads half of an old policy with half of a new one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::base::error::{Error, Result, Status};

/// What a policy can allow the text that is given to open; the host itself may do it anyhow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Permission {
    /// Secrets that stand elsewhere.
    References = 1,
    /// PKCS#11 modules by their path.
    Modules = 2,
}

impl Permission {
    const ALL: [Self; 2] = [Self::References, Self::Modules];

    /// The constant of the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::References => "AUTHGRANT_ALLOW_SECRET_REFERENCES",
            Self::Modules => "AUTHGRANT_ALLOW_PKCS11_MODULE_PATH",
        }
    }
}

/// What a policy can forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Restriction {
    /// Asking a token endpoint by GET.
    Get = 1,
    /// Accepting any certificate.
    InsecureTls = 2,
    /// http:// to this machine, but for the way back from a browser.
    LoopbackHttp = 4,
    /// Opening a browser.
    Prompt = 8,
    /// Key stores whose encryption is broken.
    WeakStores = 16,
    /// Tokens in common with other connections.
    Sharing = 32,
    /// File paths and PKCS#11 URIs of untrusted text, except below the allowed directories.
    FilePaths = 64,
}

impl Restriction {
    const ALL: [Self; 7] = [
        Self::Get,
        Self::InsecureTls,
        Self::LoopbackHttp,
        Self::Prompt,
        Self::WeakStores,
        Self::Sharing,
        Self::FilePaths,
    ];

    /// The constant of the header.
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
        }
    }

    /// What to put behind what somebody wanted: that the policy forbids it, and by which bit.
    #[must_use]
    pub fn rejection_text(self) -> String {
        format!("which the policy of this process forbids ({})", self.name())
    }
}

/// What connection strings may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    allow: u32,
    forbid: u32,
}

impl Policy {
    /// The policy with these bits of the header.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for a bit that means nothing.
    pub fn new(allow: u32, forbid: u32) -> Result<Self> {
        let known = |bits: &mut dyn Iterator<Item = u32>| bits.fold(0, |all, bit| all | bit);
        let allows = known(&mut Permission::ALL.iter().map(|allowed| *allowed as u32));
        let forbids = known(&mut Restriction::ALL.iter().map(|forbidden| *forbidden as u32));
        for (argument, bits) in [("allow", allow & !allows), ("forbid", forbid & !forbids)] {
            if bits != 0 {
                let text = format!("{argument} has the bits {bits:#x}, which mean nothing");
                return Err(Error::new(Status::InvalidArgument, "policy", text));
            }
        }
        Ok(Self { allow, forbid })
    }

    /// The one of this process.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.load()
    }

    /// Makes this the one of the process.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for one that loosens the present one after a connection has been opened.
    pub fn set(self) -> Result<()> {
        CURRENT.set(self)
    }

    /// A connection is being opened: from now on the policy can only be tightened.
    pub fn freeze() {
        CURRENT.freeze();
    }

    /// Whether it allows that.
    #[must_use]
    pub fn allows(self, what: Permission) -> bool {
        self.allow & what as u32 != 0
    }

    /// Whether it forbids that.
    #[must_use]
    pub fn forbids(self, what: Restriction) -> bool {
        self.forbid & what as u32 != 0
    }

    fn to_bits(self) -> u64 {
        u64::from(self.allow) | u64::from(self.forbid) << 16
    }

    #[allow(clippy::cast_possible_truncation, reason = "16 bits of each were packed")]
    fn from_bits(packed: u64) -> Self {
        Self { allow: (packed & 0xffff) as u32, forbid: (packed >> 16 & 0xffff) as u32 }
    }

    /// What of `before` this takes back.
    fn relaxations(self, before: Self) -> Vec<String> {
        let allows = Permission::ALL.iter().filter(|what| self.allows(**what) && !before.allows(**what));
        let forbids = Restriction::ALL.iter().filter(|what| before.forbids(**what) && !self.forbids(**what));
        allows
            .map(|what| format!("set {}", what.name()))
            .chain(forbids.map(|what| format!("take {} away", what.name())))
            .collect()
    }
}

static CURRENT: PolicyCell = PolicyCell::new();

/// A directory below which untrusted text may name files although [`Forbidden::FilePaths`] is set.
#[derive(Debug, PartialEq, Eq)]
struct AllowedDirectory {
    /// Absolute, as the application named it.
    configured: PathBuf,
    /// The same without symbolic links, as it was then.
    canonical: PathBuf,
}

/// The allowed directories of the process, in a list that only grows and takes no lock: a fork leaves none locked.
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

    /// Those of this process.
    #[must_use]
    pub fn current() -> &'static Self {
        &ALLOWED_DIRECTORIES
    }

    /// Allows the directory at `path` in this process.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] if it is not a directory, and for a new one after a connection has been opened.
    pub fn allow(path: &str) -> Result<()> {
        ALLOWED_DIRECTORIES.add(path, CURRENT.is_frozen())
    }

    fn add(&self, path: &str, is_frozen: bool) -> Result<()> {
        let refused = |why: &str| {
            Error::new(Status::InvalidArgument, "policy", format!("the argument path, \"{path}\", {why}"))
        };
        let unusable = |error: std::io::Error| refused(&format!("cannot be allowed: {error}"));
        if path.is_empty() {
            return Err(refused("must name a directory"));
        }
        let configured = std::path::absolute(path).map_err(unusable)?;
        let canonical = std::fs::canonicalize(&configured).map_err(unusable)?;
        if !canonical.is_dir() {
            return Err(refused("is not a directory"));
        }
        let directory = AllowedDirectory { configured, canonical };
        if self.iter().any(|known| *known == directory) {
            return Ok(());
        }
        if is_frozen {
            return Err(refused(
                "is a new directory, but a connection has been opened, and since then the policy can only be tightened. \
                 Call authgrant_allow_directory before the first authgrant_open",
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

    /// The allowed directories above the absolute `path`, each with the rest of the path; none if it has a `..`. Nothing is
    /// looked up: symbolic links are not seen here.
    pub fn containing<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Path)> {
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        self.iter().filter(move |_| !climbs).filter_map(|directory| {
            [&directory.configured, &directory.canonical]
                .into_iter()
                .find_map(|directory| Some((directory.as_path(), path.strip_prefix(directory).ok()?)))
        })
    }
}

/// Set in a [`Place`] once a connection has been opened.
const FROZEN_BIT: u64 = 1 << 63;

/// Where a policy stands.
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
        let may = |now: u64| now & FROZEN_BIT == 0 || policy.relaxations(Policy::from_bits(now)).is_empty();
        let outcome = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            may(now).then_some(policy.to_bits() | now & FROZEN_BIT)
        });
        outcome.map(drop).map_err(|now| {
            let text = format!(
                "a connection has been opened, and since then the policy can only be tightened; this would {}. \
                 Call authgrant_set_policy before the first authgrant_open",
                policy.relaxations(Policy::from_bits(now)).join(" and ")
            );
            Error::new(Status::InvalidArgument, "policy", text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: u32, forbid: u32) -> Policy {
        Policy::new(allow, forbid).unwrap()
    }

    #[test]
    fn frozen_policy_can_only_be_tightened() {
        let place = PolicyCell::new();
        for (allow, forbid) in [(3, 127), (1, 0), (3, 1)] {
            place.set(policy(allow, forbid)).unwrap();
            assert_eq!(place.load(), policy(allow, forbid));
        }
        place.freeze();
        assert_eq!(place.load(), policy(3, 1), "freezing changes nothing of it");
        for (allow, forbid) in [(3, 1), (1, 1), (1, 33), (0, 127)] {
            place.set(policy(allow, forbid)).unwrap();
            assert_eq!(place.load(), policy(allow, forbid));
        }
        let error = place.set(policy(2, 126)).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        let words =
            "this would set AUTHGRANT_ALLOW_PKCS11_MODULE_PATH and take AUTHGRANT_FORBID_HTTP_GET away";
        assert!(error.message().contains(words), "{error}");
        assert_eq!(place.load(), policy(0, 127), "what is refused changes nothing");
    }

    #[test]
    fn mixed_change_with_relaxation_is_rejected() {
        let place = PolicyCell::new();
        place.set(policy(1, 1)).unwrap();
        place.freeze();
        assert!(place.set(policy(0, 2)).is_err());
        assert!(place.set(policy(3, 3)).is_err());
        assert_eq!(place.load(), policy(1, 1));
    }

    #[test]
    fn unknown_policy_bits_are_rejected() {
        for (allow, forbid, argument) in [(4, 0, "allow"), (0, 128, "forbid"), (1 << 31, 0, "allow")] {
            let error = Policy::new(allow, forbid).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(argument), "{error}");
        }
    }

    #[test]
    fn allow_bit_grants_only_its_permission() {
        for what in Permission::ALL {
            let alone = policy(what as u32, 127);
            let allowed: Vec<_> = Permission::ALL.into_iter().filter(|other| alone.allows(*other)).collect();
            assert_eq!(allowed, [what]);
        }
    }

    #[test]
    fn rejection_text_names_policy_bit() {
        for what in Restriction::ALL {
            let text = what.rejection_text();
            assert!(text.contains("policy") && text.contains(what.name()), "{text}");
        }
    }

    #[test]
    fn forbid_bit_sets_only_its_restriction() {
        for what in Restriction::ALL {
            let alone = policy(3, what as u32);
            let forbidden: Vec<_> =
                Restriction::ALL.into_iter().filter(|other| alone.forbids(*other)).collect();
            assert_eq!(forbidden, [what]);
        }
    }

    #[test]
    fn allowed_directory_matches_whole_path_components() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("keys");
        std::fs::create_dir(&folder).unwrap();
        let allowed = AllowedDirectories::new();
        let spelled = format!("{}/./", folder.display());
        allowed.add(&spelled, false).unwrap();
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
        for (path, frozen, words) in [
            ("", false, "must name a directory"),
            (missing.to_str().unwrap(), false, "cannot be allowed"),
            (file.to_str().unwrap(), false, "is not a directory"),
            (root.path().to_str().unwrap(), true, "before the first authgrant_open"),
        ] {
            let error = allowed.add(path, frozen).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(words), "{error}");
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
