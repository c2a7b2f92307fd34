//! Prime factors of an RSA private key from its modulus and exponents, for keys that are stored without them
//! (RFC 7518 section 6.3.2). NIST SP 800-56B revision 2, appendix C.2.

use crypto_bigint::{BoxedUint, Gcd, NonZero, Odd};
use zeroize::Zeroizing;

type Number = Zeroizing<BoxedUint>;
type NumberBytes = Zeroizing<Vec<u8>>;

/// Maximum length of the modulus in bytes, that of the longest supported key. Limits the work.
const MAX_MODULUS_LEN: usize = 1024;

/// Maximum length of the public exponent in bytes; common ones have one to three.
const MAX_EXPONENT_LEN: usize = 8;

/// Members of a private key that follow from the others, as unsigned big-endian numbers (RFC 8017 section
/// 3.2).
pub(in crate::key) struct CrtParameters {
    pub(in crate::key) p: NumberBytes,
    pub(in crate::key) q: NumberBytes,
    pub(in crate::key) dp: NumberBytes,
    pub(in crate::key) dq: NumberBytes,
    pub(in crate::key) qi: NumberBytes,
}

/// Computes the factors of the modulus `n` and what follows from them; `None` if the numbers are not those of
/// an RSA key with two prime factors.
pub(in crate::key) fn recover(n: &[u8], e: &[u8], d: &[u8]) -> Option<CrtParameters> {
    if n.len() > MAX_MODULUS_LEN || e.len() > MAX_EXPONENT_LEN || d.len() > n.len() {
        return None;
    }
    // The longest value is below n^2 * e.
    let bits = u32::try_from(n.len().checked_mul(2)?.checked_add(MAX_EXPONENT_LEN)?.checked_mul(8)?).ok()?;
    let number = |bytes| Some(Zeroizing::new(BoxedUint::from_be_slice(bytes, bits).ok()?));
    let one = Zeroizing::new(BoxedUint::one_with_precision(bits));
    let (n, e, d) = (number(n)?, number(e)?, number(d)?);

    let ed_minus_1 = minus(&product(&e, &d)?, &one)?;
    let a = product(&ed_minus_1, &Zeroizing::new(ed_minus_1.gcd_vartime(&*minus(&n, &one)?)))?;
    let (m, r) = divide(&a, &n)?;
    let (quotient, remainder) = divide(&minus(&n, &r)?, &Zeroizing::new(m.wrapping_add(&*one)))?;
    // The sum of the factors.
    let b = Zeroizing::new(quotient.wrapping_add(&*one));
    let square = minus(&product(&b, &b)?, &Zeroizing::new(n.shl_vartime(2)?))?;
    let difference = Zeroizing::new(square.checked_sqrt_vartime()?);
    let p = Zeroizing::new(b.wrapping_add(&*difference).shr_vartime(1)?);
    let q = Zeroizing::new(minus(&b, &difference)?.shr_vartime(1)?);
    if !bool::from(remainder.is_zero()) || *product(&p, &q)? != *n {
        return None;
    }
    let (_, dp) = divide(&d, &minus(&p, &one)?)?;
    let (_, dq) = divide(&d, &minus(&q, &one)?)?;
    let odd_p: Odd<BoxedUint> = Option::from(Odd::new((*p).clone()))?;
    let qi: Number = Zeroizing::new(Option::from(q.invert_odd_mod(&odd_p))?);
    let bytes = |number: &Number| Zeroizing::new(number.to_be_bytes().into_vec());
    Some(CrtParameters { p: bytes(&p), q: bytes(&q), dp: bytes(&dp), dq: bytes(&dq), qi: bytes(&qi) })
}

fn product(a: &Number, b: &Number) -> Option<Number> {
    Option::from(a.checked_mul(&**b)).map(Zeroizing::new)
}

/// `a - b`, unless that is negative.
fn minus(a: &Number, b: &Number) -> Option<Number> {
    let (difference, underflow) = a.underflowing_sub(&**b);
    (!bool::from(underflow)).then(|| Zeroizing::new(difference))
}

/// Quotient and remainder.
fn divide(a: &Number, b: &Number) -> Option<(Number, Number)> {
    let divisor: NonZero<BoxedUint> = Option::from(NonZero::new((**b).clone()))?;
    let (quotient, remainder) = a.div_rem_vartime(&divisor);
    Some((Zeroizing::new(quotient), Zeroizing::new(remainder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Textbook numbers: p = 61, q = 53, d = 413.
    const N: &[u8] = &[0x0C, 0xA1];
    const E: &[u8] = &[17];
    const D: &[u8] = &[0x01, 0x9D];

    fn trimmed(number: &[u8]) -> &[u8] {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        &number[zeros..]
    }

    #[test]
    fn small_key_is_factored() {
        let found = recover(N, E, D).unwrap();
        assert_eq!((trimmed(&found.p), trimmed(&found.q)), (&[61][..], &[53][..]));
        assert_eq!((trimmed(&found.dp), trimmed(&found.dq)), (&[53][..], &[49][..]));
        assert_eq!(trimmed(&found.qi), [38]);
    }

    fn padded(number: &[u8], length: usize) -> Vec<u8> {
        [&vec![0; length - number.len()][..], number].concat()
    }

    #[test]
    fn longest_modulus_and_exponent_are_accepted() {
        let recover_padded =
            |n: usize, e: usize, d: usize| recover(&padded(N, n), &padded(E, e), &padded(D, d));
        let found = recover_padded(MAX_MODULUS_LEN, MAX_EXPONENT_LEN, MAX_MODULUS_LEN).unwrap();
        assert_eq!((trimmed(&found.p), trimmed(&found.q)), (&[61][..], &[53][..]));
        assert!(recover_padded(MAX_MODULUS_LEN + 1, 1, 2).is_none());
        assert!(recover_padded(2, MAX_EXPONENT_LEN + 1, 2).is_none());
        assert!(recover_padded(2, 1, 3).is_none());

        // 2^64 - 59 and 2^64 - 83, with the exponent 2^64 - 1.
        let (p, q) = (18_446_744_073_709_551_557_u64, 18_446_744_073_709_551_533_u64);
        let n = (u128::from(p) * u128::from(q)).to_be_bytes();
        let d = 0x159a_7a6e_b8f4_a7dd_aeb5_9c26_af56_360b_u128.to_be_bytes();
        let found = recover(&n, &[0xFF; MAX_EXPONENT_LEN], &d).unwrap();
        assert_eq!((trimmed(&found.p), trimmed(&found.q)), (&p.to_be_bytes()[..], &q.to_be_bytes()[..]));
    }

    #[test]
    fn other_numbers_are_rejected() {
        let long = [0xFF; MAX_MODULUS_LEN + 1];
        for (n, e, d) in [
            (N, E, &[0x01, 0x9E][..]),
            (&[0x0C, 0xA3], E, D),
            // The factors are those of N, but e and d do not belong together.
            (N, &[3], &[0x06, 0xDB]),
            (N, &[0], &[0]),
            (&[0], E, &[1]),
            (&[1], &[1], &[1]),
            (N, E, &[1, 2, 3]),
            (&[0x0C, 0xA1], &[1; MAX_EXPONENT_LEN + 1], &[1]),
            (&long, E, &[3]),
        ] {
            assert!(recover(n, e, d).is_none(), "{n:?} {e:?} {d:?}");
        }
    }
}
