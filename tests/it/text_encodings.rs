//! Text files in the encodings of Windows: UTF-16, and UTF-8 with a byte order mark. Through the C API.

use crate::support::c_api::open;
use crate::support::stores;
use crate::support::tempdir::TestDir;

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn byte_order_mark_is_ignored_in_every_text() {
    let dir = TestDir::new();
    let key = stores::path("openssl.pem");
    let encodings: [fn(&str) -> Vec<u8>; 3] = [
        |text| format!("\u{feff}{text}").into_bytes(),
        |text| utf16(&format!("\u{feff}{text}"), u16::to_le_bytes),
        |text| utf16(&format!("\u{feff}{text}"), u16::to_be_bytes),
    ];
    for encode in encodings {
        let section = format!("AuthenticationMethod=55\r\nClaimsIssuer=mü\r\nJWTCertStore={key}\r\n");
        dir.write(".odbc.ini", encode(&format!("[Sales]\r\n{section}")));
        dir.open("DSN=Sales").get_token().unwrap();
        let file_dsn = dir.write("sales.dsn", encode(&format!("[ODBC]\r\n{section}")));
        dir.open(&format!("FILEDSN={file_dsn}")).get_token().unwrap();
        let model = dir.write("a.rest", encode(r##"{"#headers":{"X-Key":"v"}}"##));
        let connection =
            open(&format!("am=55;ClaimsIssuer=me;JWTCertStore={key};RestConfigFile={model}")).unwrap();
        assert!(connection.get_headers().unwrap().contains(&("X-Key".to_owned(), "v".to_owned())));
        dir.write("token", encode("sécret\r\n"));
        let connection = open("am=0;User=u").unwrap();
        connection.set_option("Password", &format!("file:{}", dir.path("token"))).unwrap();
        let basic = ("Authorization".to_owned(), "Basic dTpzw6ljcmV0".to_owned());
        assert_eq!(connection.get_headers().unwrap(), [basic]);
    }
    let string = "\u{feff}am=50;AccessToken=t";
    let connection = open(string).unwrap();
    assert_eq!(connection.get_token().unwrap().value(), "t");
    assert!(connection.warnings().is_empty(), "{:?}", connection.warnings());
    let failure = open("\u{feff}am").map(|_| ()).unwrap_err();
    assert!(failure.message.contains("at offset 1:"), "{failure:?}");
}
