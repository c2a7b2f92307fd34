//! Limits on the work for opening a file, because the deadline of a call cannot interrupt a key derivation.

use super::decrypt_error::DecryptError;

/// Maximum number of iterations. RFC 8018 recommends 1000, OWASP in 2023 600,000; files with a million exist.
const MAX_ITERATIONS: u64 = 2_000_000;

/// Maximum total cost of all derivations for one file, so that a file with many parts, a slow digest, or a
/// password to be tried in many encodings does not block a call for five seconds: about three seconds in
/// units of 0.1 µs ([`KdfCost::unit_cost`]), measured with five programs on two processors. A fuzz target, which
/// opens a file thousands of times, has two milliseconds.
pub(super) const MAX_TOTAL_COST: u64 = if cfg!(fuzzing) { 20_000 } else { 32_000_000 };

const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;

/// Cost of one derivation and of the decryption with its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::key) struct KdfCost {
    /// Iterations in the file, or N*r*p of scrypt.
    pub(in crate::key) iterations: u64,
    /// Number of times that the iterations are repeated: a key may be longer than the output of the digest.
    pub(in crate::key) output_blocks: u64,
    /// Duration of an iteration, in units of 0.1 µs.
    pub(in crate::key) unit_cost: u64,
    /// Bytes to decrypt. The slowest cipher, 3DES, decrypts ten per microsecond.
    pub(in crate::key) decrypt_bytes: u64,
    pub(in crate::key) memory_bytes: u64,
}

/// Remaining budget for the derivations of one file.
pub(in crate::key) struct KdfBudget(u64);

impl KdfBudget {
    pub(in crate::key) fn new() -> Self {
        Self(MAX_TOTAL_COST)
    }

    /// Subtracts `cost`; to be called before the work is done.
    pub(in crate::key) fn charge(&mut self, cost: KdfCost) -> Result<(), DecryptError> {
        if cost.memory_bytes > MAX_SCRYPT_BYTES {
            return Err(DecryptError::TooExpensive(format!(
                "requires {} bytes of memory for scrypt, more than the limit of {MAX_SCRYPT_BYTES} (64 MiB)",
                cost.memory_bytes
            )));
        }
        if cost.iterations > MAX_ITERATIONS {
            return Err(DecryptError::TooExpensive(format!(
                "requires {} iterations of a key derivation, more than the limit of {MAX_ITERATIONS}; write \
                 a copy with fewer iterations (-iter of openssl pkcs8 and openssl pkcs12)",
                cost.iterations
            )));
        }
        let derived =
            cost.iterations.saturating_mul(cost.output_blocks.max(1)).saturating_mul(cost.unit_cost.max(1));
        let remaining = self.0.checked_sub(derived.saturating_add(cost.decrypt_bytes));
        self.0 = remaining.ok_or_else(|| {
            DecryptError::TooExpensive(
                "exceeds the key-derivation limit (about 3 s for a file); write a copy with fewer iterations \
                 or with HMAC-SHA256 (-iter and -v2prf of openssl pkcs8, -iter of openssl pkcs12)"
                    .to_owned(),
            )
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pbe::scrypt_cost;
    use super::*;
    use crate::base::error::Status;
    use crate::key::crypto::digest::DigestAlgorithm;
    use crate::key::fixtures::{KeyDir, STORE_PASSWORD, fixture_bytes, run_shell};
    use crate::key::{KeySource, open};

    fn open_error_message(source: &KeySource) -> String {
        let started = std::time::Instant::now();
        let error = open(source).unwrap_err();
        assert_eq!(error.status(), Status::KeyStore, "{error}");
        assert!(started.elapsed().as_millis() < 200, "{error}");
        error.message()
    }

    #[test]
    fn pkcs12_iterations_above_limit_are_rejected() {
        let dir = KeyDir::new();
        std::fs::write(dir.file_path("rsa.pem"), fixture_bytes("rsa.pem")).unwrap();
        let export = "openssl pkcs12 -export -inkey rsa.pem -nocerts -passout pass:changeit";
        run_shell(dir.path(), &format!("{export} -iter 2000001 -out slow.p12"));
        let message = open_error_message(&dir.source("slow.p12", Some(STORE_PASSWORD)));
        assert!(message.contains("slow.p12 requires 2000001 iterations"), "{message}");
        assert!(message.contains("limit of 2000000"), "{message}");
    }

    #[test]
    fn pkcs8_iterations_above_limit_are_rejected() {
        let dir = KeyDir::new();
        std::fs::write(dir.file_path("rsa.pem"), fixture_bytes("rsa.pem")).unwrap();
        let encrypt = "openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -iter 2000001";
        run_shell(dir.path(), &format!("{encrypt} -out slow.pem"));
        let message = open_error_message(&dir.source("slow.pem", Some(STORE_PASSWORD)));
        assert!(message.contains("2000001 iterations"), "{message}");
    }

    fn charge_budget(budget: &mut KdfBudget, cost: KdfCost) -> Result<(), String> {
        budget.charge(cost).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn kdf_budget_is_shared_by_file_parts() {
        let part =
            |unit_cost| KdfCost { iterations: 1_000_000, output_blocks: 2, unit_cost, ..KdfCost::default() };
        let mut budget = KdfBudget::new();
        for _ in 0..2 {
            assert_eq!(charge_budget(&mut budget, part(6)), Ok(()));
        }
        let message = charge_budget(&mut budget, part(6)).unwrap_err();
        assert!(message.contains("about 3 s"), "{message}");
        assert_eq!(
            charge_budget(&mut budget, KdfCost { decrypt_bytes: 8_000_000, ..KdfCost::default() }),
            Ok(())
        );
        charge_budget(&mut budget, KdfCost { decrypt_bytes: 1, ..KdfCost::default() }).unwrap_err();
    }

    /// With the digests that OpenSSL offers: its default, and the slowest ones.
    #[test]
    fn max_iterations_fit_budget_except_slowest_digest() {
        for (hash, is_within_budget) in [
            (DigestAlgorithm::Sha256, true),
            (DigestAlgorithm::Sha1, true),
            (DigestAlgorithm::Sha512, true),
            (DigestAlgorithm::Sha3_512, false),
        ] {
            let mut budget = KdfBudget::new();
            let mac = KdfCost {
                iterations: MAX_ITERATIONS,
                output_blocks: 1,
                unit_cost: hash.unit_cost().div_ceil(2),
                ..KdfCost::default()
            };
            let blocks = 32_u64.div_ceil(u64::try_from(hash.output_len()).unwrap());
            let part = KdfCost {
                iterations: MAX_ITERATIONS,
                output_blocks: blocks,
                unit_cost: hash.unit_cost(),
                ..KdfCost::default()
            };
            let all = [mac, part, part].iter().all(|cost| budget.charge(*cost).is_ok());
            assert_eq!(all, is_within_budget, "{hash:?}");
        }
    }

    #[test]
    fn scrypt_memory_and_cost_are_bounded() {
        let check = |n: u64, r: u64, p: u64| charge_budget(&mut KdfBudget::new(), scrypt_cost(n, r, p));
        assert_eq!(check(1 << 14, 8, 1), Ok(()));
        assert_eq!(check(1 << 16, 8, 1), Ok(()));
        let message = check(1 << 17, 8, 1).unwrap_err();
        assert!(message.contains("134217728 bytes"), "{message}");
        let message = check(1 << 14, 8, 16).unwrap_err();
        assert!(message.contains("2097152 iterations"), "{message}");
        // The memory of many small blocks.
        let message = check(2, 1, 999_999).unwrap_err();
        assert!(message.contains("126951552 bytes"), "{message}");
    }
}
