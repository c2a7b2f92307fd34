//! How much work a file asks for before it opens: bounded, as a call's deadline cannot interrupt a key derivation.
//!
//! What stands inside encrypted content cannot be counted before that is decrypted; whoever wrote it knew the password.

use pkcs5::pbes2::{Kdf, PBES2_OID, Parameters};
use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{Decode, Encode};

use super::{KeySource, der};
use crate::error::Result;

/// About a second of work. RFC 8018 asks for 1000 iterations, OWASP in 2023 for 600,000.
const MAX_ROUNDS: u64 = 2_000_000;

const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;

/// The family of the PBES1 schemes of PKCS#12.
const PKCS12_PBE: &str = "1.2.840.113549.1.12.1.";

/// What opening a file takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Iterations of PBKDF2, PBES1 and the MAC, and N*r*p of scrypt, each of which takes about as long as one.
    rounds: u64,
    /// The most memory that one derivation takes.
    memory: u64,
}

impl Cost {
    /// That of one derivation.
    pub(super) fn of(kdf: &Kdf) -> Self {
        match kdf {
            Kdf::Pbkdf2(kdf) => Self::rounds(u64::from(kdf.iteration_count)),
            Kdf::Scrypt(kdf) => {
                let blocks = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size));
                Self {
                    rounds: blocks.saturating_mul(u64::from(kdf.parallelization)),
                    memory: blocks.saturating_mul(128),
                }
            }
            _ => Self::default(),
        }
    }

    /// That of the whole PKCS#12 file `pfx`: its MAC and everything in it that is under a password.
    pub(super) fn of_pfx(pfx: &[u8]) -> Self {
        let mut cost = Self::default();
        if let Some([_, _, mac, ..]) = der::sequence(pfx).as_deref() {
            cost.add(Self::rounds(der::inside(mac).map_or(0, |mac| iterations(mac.get(2)))));
        }
        // What cannot be read here is not opened either.
        der::pairs(pfx, &mut |scheme, parameters| {
            cost.add(of_scheme(scheme, parameters).unwrap_or_default());
        });
        cost
    }

    fn rounds(rounds: u64) -> Self {
        Self { rounds, memory: 0 }
    }

    fn add(&mut self, other: Self) {
        self.rounds = self.rounds.saturating_add(other.rounds);
        self.memory = self.memory.max(other.memory);
    }

    /// An error if this is more than a store may take.
    pub(super) fn check(self, source: &KeySource) -> Result<()> {
        if self.memory > MAX_SCRYPT_BYTES {
            return Err(source.broken(format!(
                "asks for {} bytes of memory to be opened (scrypt), more than the {MAX_SCRYPT_BYTES} (64 MiB) that it \
                 may have",
                self.memory
            )));
        }
        if self.rounds > MAX_ROUNDS {
            return Err(source.broken(format!(
                "asks for {} iterations of key derivation in all, more than the {MAX_ROUNDS} that are done; write a \
                 copy with fewer (-iter of openssl pkcs8 and openssl pkcs12)",
                self.rounds
            )));
        }
        Ok(())
    }
}

/// The cost of the AlgorithmIdentifier that begins with `scheme`; nothing unless it is one for a password.
fn of_scheme(scheme: &AnyRef<'_>, parameters: &AnyRef<'_>) -> Option<Cost> {
    let scheme = der::oid(scheme)?;
    if scheme == PBES2_OID {
        let parameters = parameters.to_der().ok()?;
        return Some(Cost::of(&Parameters::from_der(&parameters).ok()?.kdf));
    }
    let is_pbe = scheme.to_string().starts_with(PKCS12_PBE);
    is_pbe.then(|| Cost::rounds(der::inside(parameters).map_or(0, |inside| iterations(inside.get(1)))))
}

/// One unless it is said: the default of a MAC.
fn iterations(number: Option<&AnyRef<'_>>) -> u64 {
    let number = number.and_then(|number| number.decode_as::<i64>().ok());
    number.map_or(1, |number| u64::try_from(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use pkcs5::pbes2::{Salt, ScryptParams};

    use super::super::fixtures::{Place, STORE_PASSWORD, bytes, run};
    use super::super::open;
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
    fn the_iterations_of_a_store_are_those_of_its_keys_its_certificates_and_its_mac() {
        for (name, rounds) in [
            ("rsa.p12", 3 * 2048),
            ("rsa-legacy.p12", 3 * 2048),
            ("rsa-nomac.p12", 2048),
            ("rsa-quick.p12", 1),
            ("rsa-open.p12", 0),
        ] {
            assert_eq!(Cost::of_pfx(bytes(name)), Cost::rounds(rounds), "{name}");
        }
    }

    #[test]
    fn a_store_whose_bags_together_ask_for_too_much_is_refused_before_any_is_opened() {
        let place = Place::new();
        std::fs::write(place.file("rsa.pem"), bytes("rsa.pem")).unwrap();
        std::fs::write(place.file("ca.pem"), bytes("ca.pem")).unwrap();
        let export = "openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass:changeit -iter 700000";
        run(place.path(), &format!("{export} -out slow.p12"));
        let message = refused(&place.source("slow.p12", Some(STORE_PASSWORD)));
        assert!(message.contains("slow.p12 asks for 2100000 iterations"), "{message}");
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

    #[test]
    fn scrypt_is_bounded_in_memory_and_in_work() {
        let source = Place::new().source("k.pem", None);
        let check = |cost_parameter, block_size, parallelization| {
            let salt = Salt::new([7; 16]).unwrap();
            let key_length = None;
            let kdf = ScryptParams { salt, cost_parameter, block_size, parallelization, key_length };
            Cost::of(&Kdf::Scrypt(kdf)).check(&source).map_err(|error| error.message().to_owned())
        };
        assert_eq!(check(1 << 14, 8, 1), Ok(()));
        assert_eq!(check(1 << 16, 8, 1), Ok(()));
        let message = check(1 << 17, 8, 1).unwrap_err();
        assert!(message.contains("asks for 134217728 bytes of memory"), "{message}");
        let message = check(1 << 16, 8, 4).unwrap_err();
        assert!(message.contains("asks for 2097152 iterations"), "{message}");
        assert!(check(u64::MAX, u16::MAX, u16::MAX).is_err());
    }
}
