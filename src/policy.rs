//! What connection strings may do in this process, for hosts that take them from strangers.
//!
//! It stands in a static of its own and not among what a process shares: a forked child makes that anew, and what its
//! host has forbidden must hold there too. One atomic number holds all of it, so that a fork can leave no lock behind
//! locked, and nobody reads half of an old policy with half of a new one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result, Status};

/// What a policy can allow the text that is given to open; the host itself may do it anyhow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Allowed {
    /// Secrets that stand elsewhere.
    References = 1,
    /// PKCS#11 modules by their path.
    Modules = 2,
}

impl Allowed {
    const ALL: [Self; 2] = [Self::References, Self::Modules];

    /// The constant of the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::References => "AUTHGRANT_ALLOW_REFERENCES",
            Self::Modules => "AUTHGRANT_ALLOW_MODULES",
        }
    }
}

/// What a policy can forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Forbidden {
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
}

impl Forbidden {
    const ALL: [Self; 6] =
        [Self::Get, Self::InsecureTls, Self::LoopbackHttp, Self::Prompt, Self::WeakStores, Self::Sharing];

    /// The constant of the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "AUTHGRANT_FORBID_GET",
            Self::InsecureTls => "AUTHGRANT_FORBID_INSECURE_TLS",
            Self::LoopbackHttp => "AUTHGRANT_FORBID_LOOPBACK_HTTP",
            Self::Prompt => "AUTHGRANT_FORBID_PROMPT",
            Self::WeakStores => "AUTHGRANT_FORBID_WEAK_STORES",
            Self::Sharing => "AUTHGRANT_FORBID_SHARING",
        }
    }

    /// What to put behind what somebody wanted: that the policy forbids it, and by which bit.
    #[must_use]
    pub fn said(self) -> String {
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
        let allows = known(&mut Allowed::ALL.iter().map(|allowed| *allowed as u32));
        let forbids = known(&mut Forbidden::ALL.iter().map(|forbidden| *forbidden as u32));
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
        CURRENT.policy()
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
    pub fn allows(self, what: Allowed) -> bool {
        self.allow & what as u32 != 0
    }

    /// Whether it forbids that.
    #[must_use]
    pub fn forbids(self, what: Forbidden) -> bool {
        self.forbid & what as u32 != 0
    }

    fn pack(self) -> u64 {
        u64::from(self.allow) | u64::from(self.forbid) << 16
    }

    #[allow(clippy::cast_possible_truncation, reason = "16 bits of each were packed")]
    fn unpack(packed: u64) -> Self {
        Self { allow: (packed & 0xffff) as u32, forbid: (packed >> 16 & 0xffff) as u32 }
    }

    /// What of `before` this takes back.
    fn loosens(self, before: Self) -> Vec<String> {
        let allows = Allowed::ALL.iter().filter(|what| self.allows(**what) && !before.allows(**what));
        let forbids = Forbidden::ALL.iter().filter(|what| before.forbids(**what) && !self.forbids(**what));
        allows
            .map(|what| format!("set {}", what.name()))
            .chain(forbids.map(|what| format!("take {} away", what.name())))
            .collect()
    }
}

static CURRENT: Place = Place::new();

/// Set in a [`Place`] once a connection has been opened.
const FROZEN: u64 = 1 << 63;

/// Where a policy stands.
struct Place(AtomicU64);

impl Place {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn policy(&self) -> Policy {
        Policy::unpack(self.0.load(Ordering::Acquire))
    }

    fn freeze(&self) {
        self.0.fetch_or(FROZEN, Ordering::AcqRel);
    }

    fn set(&self, policy: Policy) -> Result<()> {
        let may = |now: u64| now & FROZEN == 0 || policy.loosens(Policy::unpack(now)).is_empty();
        let outcome = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            may(now).then_some(policy.pack() | now & FROZEN)
        });
        outcome.map(drop).map_err(|now| {
            let text = format!(
                "a connection has been opened, and since then the policy can only be tightened; this would {}. \
                 Call authgrant_set_policy before the first authgrant_open",
                policy.loosens(Policy::unpack(now)).join(" and ")
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
    fn before_the_first_connection_everything_may_be_set_and_afterwards_only_what_tightens() {
        let place = Place::new();
        for (allow, forbid) in [(3, 63), (1, 0), (3, 1)] {
            place.set(policy(allow, forbid)).unwrap();
            assert_eq!(place.policy(), policy(allow, forbid));
        }
        place.freeze();
        assert_eq!(place.policy(), policy(3, 1), "freezing changes nothing of it");
        for (allow, forbid) in [(3, 1), (1, 1), (1, 33), (0, 63)] {
            place.set(policy(allow, forbid)).unwrap();
            assert_eq!(place.policy(), policy(allow, forbid));
        }
        let error = place.set(policy(2, 62)).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        let words = "this would set AUTHGRANT_ALLOW_MODULES and take AUTHGRANT_FORBID_GET away";
        assert!(error.message().contains(words), "{error}");
        assert_eq!(place.policy(), policy(0, 63), "what is refused changes nothing");
    }

    #[test]
    fn one_bit_that_loosens_is_refused_beside_others_that_tighten() {
        let place = Place::new();
        place.set(policy(1, 1)).unwrap();
        place.freeze();
        assert!(place.set(policy(0, 2)).is_err());
        assert!(place.set(policy(3, 3)).is_err());
        assert_eq!(place.policy(), policy(1, 1));
    }

    #[test]
    fn bits_that_mean_nothing_are_refused() {
        for (allow, forbid, argument) in [(4, 0, "allow"), (0, 64, "forbid"), (1 << 31, 0, "allow")] {
            let error = Policy::new(allow, forbid).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(argument), "{error}");
        }
    }

    #[test]
    fn each_bit_allows_its_own_thing_alone() {
        for what in Allowed::ALL {
            let alone = policy(what as u32, 63);
            let allowed: Vec<_> = Allowed::ALL.into_iter().filter(|other| alone.allows(*other)).collect();
            assert_eq!(allowed, [what]);
        }
    }

    #[test]
    fn each_bit_forbids_its_own_thing_alone() {
        for what in Forbidden::ALL {
            let alone = policy(3, what as u32);
            let forbidden: Vec<_> =
                Forbidden::ALL.into_iter().filter(|other| alone.forbids(*other)).collect();
            assert_eq!(forbidden, [what]);
        }
    }
}
