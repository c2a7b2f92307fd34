//! How much work a file asks for before it opens: bounded, as a call's deadline cannot interrupt a key derivation.

use super::pbe::DecryptError;

/// RFC 8018 asks for 1000 iterations, OWASP in 2023 for 600,000; files with a million exist.
const MAX_ITERATIONS: u64 = 2_000_000;

/// What all derivations of one file may together take, so that no file with many parts or a slow digest, or a password to
/// be tried in many ways, holds a call up for five seconds: three in [`Cost::step`]s of a tenth of a microsecond, as they
/// were measured where five programs shared two processors.
const MAX_TOTAL_COST: u64 = 32_000_000;

const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;

/// What one derivation, and what is decrypted by it, takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::key) struct KdfCost {
    /// Iterations as the file has them, and N*r*p of scrypt.
    pub(in crate::key) iterations: u64,
    /// How many times over: a key may be longer than what the digest gives.
    pub(in crate::key) output_blocks: u64,
    /// How long one of them takes, in tenths of a microsecond.
    pub(in crate::key) unit_cost: u64,
    /// To be decrypted. The slowest cipher, 3DES, does ten in a microsecond.
    pub(in crate::key) decrypt_bytes: u64,
    pub(in crate::key) memory_bytes: u64,
}

/// What the derivations of one file may still take.
pub(in crate::key) struct KdfBudget(u64);

impl KdfBudget {
    pub(in crate::key) fn new() -> Self {
        Self(MAX_TOTAL_COST)
    }

    /// Takes `cost` off, before the work is done.
    pub(in crate::key) fn charge(&mut self, cost: KdfCost) -> Result<(), DecryptError> {
        if cost.memory_bytes > MAX_SCRYPT_BYTES {
            return Err(DecryptError::TooExpensive(format!(
                "asks for {} bytes of memory to be opened (scrypt), more than the {MAX_SCRYPT_BYTES} (64 MiB) that it \
                 may have",
                cost.memory_bytes
            )));
        }
        if cost.iterations > MAX_ITERATIONS {
            return Err(DecryptError::TooExpensive(format!(
                "asks for {} iterations of a key derivation, more than the {MAX_ITERATIONS} that are done; write a copy \
                 with fewer (-iter of openssl pkcs8 and openssl pkcs12)",
                cost.iterations
            )));
        }
        let derived =
            cost.iterations.saturating_mul(cost.output_blocks.max(1)).saturating_mul(cost.unit_cost.max(1));
        let left = self.0.checked_sub(derived.saturating_add(cost.decrypt_bytes));
        self.0 = left.ok_or_else(|| {
            DecryptError::TooExpensive(
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
        error.message().to_owned()
    }

    #[test]
    fn pkcs12_iterations_above_limit_are_rejected() {
        let place = KeyDir::new();
        std::fs::write(place.file_path("rsa.pem"), fixture_bytes("rsa.pem")).unwrap();
        let export = "openssl pkcs12 -export -inkey rsa.pem -nocerts -passout pass:changeit";
        run_shell(place.path(), &format!("{export} -iter 2000001 -out slow.p12"));
        let message = open_error_message(&place.source("slow.p12", Some(STORE_PASSWORD)));
        assert!(message.contains("slow.p12 asks for 2000001 iterations"), "{message}");
        assert!(message.contains("the 2000000 that are done"), "{message}");
    }

    #[test]
    fn pkcs8_iterations_above_limit_are_rejected() {
        let place = KeyDir::new();
        std::fs::write(place.file_path("rsa.pem"), fixture_bytes("rsa.pem")).unwrap();
        let encrypt = "openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -iter 2000001";
        run_shell(place.path(), &format!("{encrypt} -out slow.pem"));
        let message = open_error_message(&place.source("slow.pem", Some(STORE_PASSWORD)));
        assert!(message.contains("asks for 2000001 iterations"), "{message}");
    }

    fn charge_budget(budget: &mut KdfBudget, cost: KdfCost) -> Result<(), String> {
        budget.charge(cost).map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn kdf_budget_is_shared_by_file_parts() {
        let part =
            |step| KdfCost { iterations: 1_000_000, output_blocks: 2, unit_cost: step, ..KdfCost::default() };
        let mut budget = KdfBudget::new();
        for _ in 0..2 {
            assert_eq!(charge_budget(&mut budget, part(6)), Ok(()));
        }
        let message = charge_budget(&mut budget, part(6)).unwrap_err();
        assert!(message.contains("more work in all than the three seconds"), "{message}");
        assert_eq!(
            charge_budget(&mut budget, KdfCost { decrypt_bytes: 8_000_000, ..KdfCost::default() }),
            Ok(())
        );
        charge_budget(&mut budget, KdfCost { decrypt_bytes: 1, ..KdfCost::default() }).unwrap_err();
    }

    /// By numbers that OpenSSL's own files have: its default, and the slowest of what its options allow.
    #[test]
    fn max_iterations_fit_budget_except_slowest_digest() {
        for (hash, fits) in [
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
            assert_eq!(all, fits, "{hash:?}");
        }
    }

    #[test]
    fn scrypt_memory_and_cost_are_bounded() {
        let check = |n: u64, r: u64, p: u64| charge_budget(&mut KdfBudget::new(), scrypt_cost(n, r, p));
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
