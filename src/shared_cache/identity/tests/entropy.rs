//! Which credentials are enough without TokenCacheSecret.

use jsonwebtoken::Algorithm;

use super::*;
use crate::base::policy::Policy;
use crate::key::CallbackSigner;
use crate::resolve::resolve_with;

const OCT_RANDOM: &str = r#"{"kty":"oct","k":"kP3vX9rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQE"}"#;
const OCT_TEXT: &str = r#"{"kty":"oct","k":"c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M"}"#;

fn assert_refused(pairs: &[(&str, &str)], fragment: &str) {
    let error = identify_pairs(pairs).err().unwrap_or_else(|| panic!("not refused: {fragment}"));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("TokenCacheSecret")));
    assert!(error.message().contains(fragment), "{error}");
    let with_secret: Vec<_> = pairs.iter().copied().chain([CACHE_SECRET]).collect();
    assert!(matches!(identify_pairs(&with_secret), Ok(Sharing::Shared(_))), "{fragment}");
}

#[test]
fn private_keys_and_random_secrets_are_enough() {
    let secret = |value: &'static str| changed(&jwt_secret(), "JWTSecret", value);
    for pairs in [
        jwt(),
        changed(&jwt(), "JWTPrivateKey", keys::P256),
        changed(&jwt(), "JWTPrivateKey", keys::P384),
        changed(&jwt(), "JWTPrivateKey", keys::ED25519),
        client(),
        client_certificate(),
        client_assertion(),
        secret(RANDOM),
        secret("base64:kP3vX9rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQE="),
        secret(OCT_RANDOM),
        // The secret of the client does not have to be random, too.
        changed(&client_certificate(), "ClientSecret", "short"),
        changed(&changed(&jwt(), "ClientCredentialsMode", "3"), "ClientID", "c"),
        without(refresh(), "TokenCacheSecret"),
    ] {
        identity(&pairs);
    }
}

#[test]
fn guessable_credentials_require_cache_secret() {
    let secret = |value: &'static str| changed(&jwt_secret(), "JWTSecret", value);
    let public_client = without(without(refresh(), "ClientSecret"), "TokenCacheSecret");
    let without_secret = |pairs: Pairs| without(pairs, "TokenCacheSecret");
    for (pairs, fragment) in [
        (changed(&client(), "ClientSecret", "hunter2"), "ClientSecret is not recognized as random"),
        (secret("ThisIsTheSharedSecretOfOurProductionEnvironment"), "JWTSecret is not recognized"),
        (secret("base64:c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M="), "JWTSecret has fewer than 32"),
        (secret(OCT_TEXT), "JWTSecret has fewer than 32 bytes, or its bytes are text"),
        (without_secret(jwt_token()), "JWTCertStore is on a PKCS#11 token"),
        (without_secret(client_certificate_token()), "KeyStore is on a PKCS#11 token"),
        (without_secret(presigned()), "ClientAssertion is signed by another program"),
        (without_secret(presigned_file()), "ClientAssertionFile is signed by another program"),
        (without_secret(password()), "Password may be guessed"),
        (without_secret(login()), "a user who logged in"),
        (public_client, "RefreshToken is of an unknown length"),
    ] {
        assert_refused(&pairs, fragment);
    }
}

#[test]
fn signer_callback_requires_cache_secret() {
    let identify_signer = |algorithm, more: &[(&str, &str)]| {
        let signer = CallbackSigner::new(algorithm, Box::new(|_, _| panic!("the signer was called")));
        let pairs: Vec<_> = without(jwt(), "JWTPrivateKey").into_iter().chain(more.iter().copied()).collect();
        let cache = KeyCache::new([3; 32]);
        let resolution = resolve_with(&options(&pairs), Some(&signer), Policy::current(), &cache);
        let config = resolution.config.unwrap();
        let sharing = identify(&config, config.shared_cache.as_ref().unwrap(), &cache)?;
        let Sharing::Shared(Identity { name, .. }) = sharing else { panic!("not shared") };
        Ok::<_, Error>(name)
    };
    let error = identify_signer(Algorithm::RS256, &[]).unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("TokenCacheSecret")));
    assert!(error.message().contains("the signer (authgrant_set_signer)"), "{error}");
    let first = identify_signer(Algorithm::RS256, &[CACHE_SECRET]).unwrap();
    assert_eq!(identify_signer(Algorithm::RS256, &[CACHE_SECRET]).unwrap(), first, "another signer object");
    assert_ne!(identify_signer(Algorithm::RS512, &[CACHE_SECRET]).unwrap(), first);
    let certificate = ("JWTCertificate", "{dir}/rsa.crt");
    assert_ne!(identify_signer(Algorithm::RS256, &[CACHE_SECRET, certificate]).unwrap(), first);
}
