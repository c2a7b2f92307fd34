//! How much work a file asks for before it opens: bounded, as a call's deadline cannot interrupt a key derivation.

use super::pbe::Fault;

/// About a second of work. RFC 8018 asks for 1000 iterations, OWASP in 2023 for 600,000; files with a million exist.
const MAX_ROUNDS: u64 = 2_000_000;

/// What all derivations of one file may take together, so that no file with many parts, or a password to be tried in
/// many ways, holds a call up for more than some seconds.
const MAX_TOTAL: u64 = 8_000_000;

const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;

/// What one derivation takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Iterations as the file has them, and N*r*p of scrypt, each of which takes about as long as one.
    pub(super) rounds: u64,
    /// How many times over: a key may be longer than what the digest gives.
    pub(super) blocks: u64,
    pub(super) memory: u64,
}

/// What the derivations of one file may still take.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_TOTAL)
    }

    /// Takes `cost` off, before the work is done.
    pub(super) fn charge(&mut self, cost: Cost) -> Result<(), Fault> {
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
        let left = self.0.checked_sub(cost.rounds.saturating_mul(cost.blocks.max(1)));
        self.0 = left.ok_or_else(|| {
            Fault::Cost(format!(
                "asks for more than {MAX_TOTAL} iterations of key derivation in all; write a copy with fewer (-iter \
                 of openssl pkcs12)"
            ))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Place, STORE_PASSWORD, bytes, run};
    use super::super::{KeySource, open};
    use super::*;
    use crate::error::Status;

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

    fn charged(budget: &mut Budget, rounds: u64, blocks: u64, memory: u64) -> Result<(), String> {
        budget.charge(Cost { rounds, blocks, memory }).map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn a_file_may_take_a_million_for_each_of_its_parts_and_not_without_end() {
        let mut budget = Budget::new();
        for _ in 0..4 {
            assert_eq!(charged(&mut budget, 1_000_000, 2, 0), Ok(()));
        }
        let message = charged(&mut budget, 1, 1, 0).unwrap_err();
        assert!(message.contains("more than 8000000 iterations of key derivation in all"), "{message}");
    }

    #[test]
    fn scrypt_is_bounded_in_memory_and_in_work() {
        let check = |n: u64, r: u64, p: u64| charged(&mut Budget::new(), n * r * p, 1, 128 * n * r);
        assert_eq!(check(1 << 14, 8, 1), Ok(()));
        assert_eq!(check(1 << 16, 8, 1), Ok(()));
        let message = check(1 << 17, 8, 1).unwrap_err();
        assert!(message.contains("asks for 134217728 bytes of memory"), "{message}");
        let message = check(1 << 16, 8, 4).unwrap_err();
        assert!(message.contains("asks for 2097152 iterations"), "{message}");
    }
}
