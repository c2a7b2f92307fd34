//! Texts and names as literals. They must not change between releases, machines and byte orders: processes with
//! different ones would not share tokens.

use super::*;

const TEXT_OF_JWT_CERTIFICATE: &str = "\
authgrant token v1
endpoint=27:https://login.example/token
methods=4:post
grant=10:jwt bearer
iss=2:me
iss has key fingerprint=1:0
sub=1:u
aud=27:https://login.example/token
assertion scope is array=1:0
assertion lifetime=3:300
key=9:assertion
key must not have weak encryption=1:0
key file must be private=1:0
public key=64:51ffa919781eb4622eb481bbf34703a2cdc2a6f674f991c636295bb9be111b83
certificate header=3:x5t
certificate header value=64:30d62db75ece05ba9869812af3daf1936ff0a97b5632cad54253303a2a89cc9a
validates certificate=1:1
tls versions=8:1.2, 1.3
";

const TEXT_OF_LOGIN: &str = "\
authgrant token v1
endpoint=27:https://login.example/token
methods=4:post
grant=18:authorization code
redirect uri=26:http://127.0.0.1:8400/done
refresh token=64:454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1
client id=1:c
client uses basic authentication=1:1
client secret=64:3ec83b6de82fa27853890907a7dd499aa017901e7bda036ed8691376700c4bd2
validates certificate=1:1
tls versions=8:1.2, 1.3
authorization endpoint=31:https://login.example/authorize
authorization scope=3:a b
user=5:alice
";

/// Connections, the SHA-256 digests of their texts, and their names.
fn vectors() -> Vec<(Pairs, &'static str, &'static str)> {
    vec![
        (
            jwt(),
            "6cc5ae3fe34abdcc74338671495e8425bae658d372d712f21b7f9113a22bd1b2",
            "2DpF3zobPTa7iG26WAYE6DonyrYPs-7-LARwqCbPjY8",
        ),
        (
            changed(&jwt(), "JWTPrivateKey", keys::ED25519),
            "c07c1c8f619cb6e34eeb04d2fd3b5b142dfd3acc479865976e24145977160939",
            "w5Mb7Pos2s1AaMuMGwJpnDHjZJ_WjH7IStD0tDibi6M",
        ),
        (
            changed(&jwt(), "JWTPrivateKey", keys::P384),
            "be0e9ca58cdc5a017a571b28066ce7f71c6a3ef04a415adc9bf892ca96fabd72",
            "o44uZ78KkZ2uyJUXZ-dQ8PADGL6TodP64lmTDi5qqIo",
        ),
        (
            jwt_certificate(),
            "0521da112af56fb7b05cbc96601449715cd94b816a260dfae3827ca424a82922",
            "P3t1MYC3tVkTWipD0OO79qfyIEgWzeEDHsLYpeGbdyU",
        ),
        (
            jwt_token(),
            "0ede483aa2d9b3ec9dbad122ed686a038498e2f097c7ad02770d34eb0f63c60b",
            "Ob0P7UIgeZAq53aZsJCZ3Pa7VMAisgKgf2Q-2I2HoFo",
        ),
        (
            jwt_secret(),
            "36bb41ce11d8ba03b5f265a207d1f952669294b6579e4f72ad8f19d9c73d5c48",
            "7hlUYYrUOSygwA8RF0bISMfftv_nAAM7F4S3kNr7coU",
        ),
        (
            client(),
            "158300bb17a3db61b4fec9b9176b2a92ddd2f103a2788dfb587ad4dc3603a470",
            "-qZdi8pH_AMvkLxoI1NjwI-cmfnaGzPWsqlCMzPZBQ8",
        ),
        (
            client_header(),
            "92bfa982a6fc33dad070e59f517f26e8c3b296b8ec5d8fc4913919805186455e",
            "9K0zKz2BtO2FWHLXRf5Bqfiq_e3vnfZK17YlpUNMS3U",
        ),
        (
            client_proxy(),
            "d470692501ab12781574f1456ed68414f8f7a39a0296979521ec98d2561f4588",
            "cMcwRHRwF1lhZ2_6AHE-NYQhJFFrypYo75ZvUl0RrCw",
        ),
        (
            client_certificate(),
            "3dbc1a05078c1996f6ed6f8f01917eb68c10539d70b404517a037cabaeffb223",
            "BPj2CwfLhXo4mCmjQLcBhumg2o-U9x96BjGKjIBaUXY",
        ),
        (
            client_assertion(),
            "870d1c600240c6948bcc784f9324cbbde6caf363780e84ba1e607bd9cd5723db",
            "zGTXJ6rOUMesHe_MmMwE082ISsVT33jKy4zsaPNeTvs",
        ),
        (
            presigned(),
            "ea81d85e63241dafbd648957e94693232820b4d4a8e8c9f2be4651a1dbe7abb0",
            "60BxMtdC1CxP52lBeUOyS7DmLiceks_6yAqQ3CtE4Tc",
        ),
        (
            presigned_file(),
            "151b0b8b8216e195215dccdfc9f056dbdbc2f940114b447a8a59bc4d0fd425eb",
            "Gz5ArKd2N-91PiWJaHirNsLJP8Dv9bniiGXnJLWrkmM",
        ),
        (
            password(),
            "efaa1663bcf2ead302265144cda9678cfd63b486bbfa09f9486543bcbf0fe782",
            "DL4MpedIDjCs3zg2gM7JCqqSgg8i0Yd39qZ-QOFuEOE",
        ),
        (
            refresh(),
            "34ad351cebd39e75004990a2a92d8a2e755f5251b85bbf683c192d5a5e3a3634",
            "uYChLv0NO21_XJCWA0gGsnL6csIES1L-HAaf66Pv3ek",
        ),
        (
            login(),
            "98b01e6d78a1e8591063d5ebd332fc4803e16c2bd5cce6c16bc20dae82ed28bd",
            "5qvVOA2TTTO0moUmKOyA-t-95JUsmKxspUhw69r_Hz8",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names_and_texts_are_those_of_version_1() {
    for (pairs, expected_digest, expected_name) in vectors() {
        let text = canonical_text(&pairs);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let found = (hex(digest.as_ref()), name(&pairs));
        assert_eq!((found.0.as_str(), found.1.as_str()), (expected_digest, expected_name), "{text}");
    }
    assert_eq!(canonical_text(&jwt_certificate()), TEXT_OF_JWT_CERTIFICATE);
    assert_eq!(canonical_text(&login()), TEXT_OF_LOGIN);
}

#[test]
fn content_key_is_that_of_version_1() {
    assert_eq!(hex(&sealed(&client())), "37323c72d841db21e8d27d53c17fc094b7cf8192a99200ea6494e885e4557bc9");
}
