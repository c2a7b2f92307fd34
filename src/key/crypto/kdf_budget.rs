//! How much work a file asks for before it opens: bounded, as a call's deadline cannot interrupt a key derivation.

use super::pbe::Fault;

/// RFC 8018 asks for 1000 iterations, OWASP in 2023 for 600,000; files with a million exist.
const MAX_ROUNDS: u64 = 2_000_000;

/// What all derivations of one file may together take, so that no file with many parts or a slow digest, or a password to
/// be tried in many ways, holds a call up for five seconds: three in [`Cost::step`]s of a tenth of a microsecond, as they
/// were measured where five programs shared two processors.
const MAX_TOTAL: u64 = 32_000_000;

const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;

/// What one derivation, and what is decrypted by it, takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::key) struct Cost {
    /// Iterations as the file has them, and N*r*p of scrypt.
    pub(in crate::key) rounds: u64,
    /// How many times over: a key may be longer than what the digest gives.
    pub(in crate::key) blocks: u64,
    /// How long one of them takes, in tenths of a microsecond.
    pub(in crate::key) step: u64,
    /// To be decrypted. The slowest cipher, 3DES, does ten in a microsecond.
    pub(in crate::key) bytes: u64,
    pub(in crate::key) memory: u64,
}

/// What the derivations of one file may still take.
pub(in crate::key) struct Budget(u64);

impl Budget {
    pub(in crate::key) fn new() -> Self {
        Self(MAX_TOTAL)
    }

    /// Takes `cost` off, before the work is done.
    pub(in crate::key) fn charge(&mut self, cost: Cost) -> Result<(), Fault> {
        if cost.memory > MAX_SCRYPT_BYTES {
            return Err(Fault::Cost(format!(
                "asks for {} bytes of memory to be opened (scrypt), more than the {MAX_SCRYPT_BYTES} (64 MiB) that it \
                 may have",
                cost.memory
            )));
        }
        if cost.rounds > MAX_ROUNDS {
            return Err(Fault::Cost(format!(
                "asks for {} iterations of a key derivation, more than the {MAX_ROUNDS} that are done; write a copy \
                 with fewer (-iter of openssl pkcs8 and openssl pkcs12)",
                cost.rounds
            )));
        }
        let derived = cost.rounds.saturating_mul(cost.blocks.max(1)).saturating_mul(cost.step.max(1));
        let left = self.0.checked_sub(derived.saturating_add(cost.bytes));
        self.0 = left.ok_or_else(|| {
            Fault::Cost(
                "asks for more work in all than the three seconds that are spent on a file; write a copy with fewer \
                 iterations or with HMAC-SHA256 (-iter and -v2prf of openssl pkcs8, -iter of openssl pkcs12)"
                    .to_owned(),
            )
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pbe::scrypt;
    use super::*;
    use crate::base::error::Status;
    use crate::key::crypto::digest::Hash;
    use crate::key::fixtures::{Place, STORE_PASSWORD, bytes, run};
    use crate::key::{KeySource, open};

    fn refused(source: &KeySource) -> String {
        let started = std::time::Instant::now();
        let error = open(source).unwrap_err();
        assert_eq!(error.status(), Status::KeyStore, "{error}");
        assert!(started.elapsed().as_millis() < 200, "{error}");
        error.message().to_owned()
    }

    #[test]
    fn a_store_that_asks_for_too_much_is_refused_before_it_is_opened() {
        let place = Place::new();
        std::fs::write(place.file("rsa.pem"), bytes("rsa.pem")).unwrap();
        let export = "openssl pkcs12 -export -inkey rsa.pem -nocerts -passout pass:changeit";
        run(place.path(), &format!("{export} -iter 2000001 -out slow.p12"));
        let message = refused(&place.source("slow.p12", Some(STORE_PASSWORD)));
        assert!(message.contains("slow.p12 asks for 2000001 iterations"), "{message}");
        assert!(message.contains("the 2000000 that are done"), "{message}");
    }

    #[test]
    fn a_key_that_asks_for_too_much_is_refused_before_it_is_opened() {
        let place = Place::new();
        std::fs::write(place.file("rsa.pem"), bytes("rsa.pem")).unwrap();
        let encrypt = "openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -iter 2000001";
        run(place.path(), &format!("{encrypt} -out slow.pem"));
        let message = refused(&place.source("slow.pem", Some(STORE_PASSWORD)));
        assert!(message.contains("asks for 2000001 iterations"), "{message}");
    }

    fn charged(budget: &mut Budget, cost: Cost) -> Result<(), String> {
        budget.charge(cost).map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn a_file_may_take_a_million_for_each_of_its_parts_and_not_without_end() {
        let part = |step| Cost { rounds: 1_000_000, blocks: 2, step, ..Cost::default() };
        let mut budget = Budget::new();
        for _ in 0..2 {
            assert_eq!(charged(&mut budget, part(6)), Ok(()));
        }
        let message = charged(&mut budget, part(6)).unwrap_err();
        assert!(message.contains("more work in all than the three seconds"), "{message}");
        assert_eq!(charged(&mut budget, Cost { bytes: 8_000_000, ..Cost::default() }), Ok(()));
        charged(&mut budget, Cost { bytes: 1, ..Cost::default() }).unwrap_err();
    }

    /// By numbers that OpenSSL's own files have: its default, and the slowest of what its options allow.
    #[test]
    fn two_million_are_done_three_times_over_by_all_digests_but_the_slowest() {
        for (hash, fits) in
            [(Hash::Sha256, true), (Hash::Sha1, true), (Hash::Sha512, true), (Hash::Sha3To512, false)]
        {
            let mut budget = Budget::new();
            let mac =
                Cost { rounds: MAX_ROUNDS, blocks: 1, step: hash.step().div_ceil(2), ..Cost::default() };
            let blocks = 32_u64.div_ceil(u64::try_from(hash.size()).unwrap());
            let part = Cost { rounds: MAX_ROUNDS, blocks, step: hash.step(), ..Cost::default() };
            let all = [mac, part, part].iter().all(|cost| budget.charge(*cost).is_ok());
            assert_eq!(all, fits, "{hash:?}");
        }
    }

    #[test]
    fn scrypt_is_bounded_in_memory_and_in_work() {
        let check = |n: u64, r: u64, p: u64| charged(&mut Budget::new(), scrypt(n, r, p));
        assert_eq!(check(1 << 14, 8, 1), Ok(()));
        assert_eq!(check(1 << 16, 8, 1), Ok(()));
        let message = check(1 << 17, 8, 1).unwrap_err();
        assert!(message.contains("asks for 134217728 bytes of memory"), "{message}");
        let message = check(1 << 14, 8, 16).unwrap_err();
        assert!(message.contains("asks for 2097152 iterations"), "{message}");
        // Memory for each of many that are small.
        let message = check(2, 1, 999_999).unwrap_err();
        assert!(message.contains("asks for 126951552 bytes of memory"), "{message}");
    }
}
