//! A model file (RestConfigFile): its options, and the headers of API requests.

#![no_main]

use authgrant_fuzz::{CANARY, c_api, check_connection, check_result, files, has_canary};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|content: &[u8]| {
    if has_canary(content) {
        return;
    }
    files::confine();
    open(content);
    if let Ok(Value::Object(mut model)) = serde_json::from_slice(content)
        && let Some(Value::Object(headers)) = model.get_mut("#headers")
    {
        headers.values_mut().for_each(|value| *value = Value::from(CANARY));
        let planted = Value::Object(model).to_string();
        open(planted.as_bytes());
    }
});

fn open(content: &[u8]) {
    let path = files::write("model.rest", content);
    for method in
        ["AuthenticationMethod=50;AccessToken=token", "AuthenticationMethod=53;ClientID=a;ClientSecret=b"]
    {
        let Some(connection) = check_result(c_api::open(&format!("{method};RestConfigFile={path}"))) else {
            continue;
        };
        check_connection(&connection);
        // With the other method, headers need a request.
        if method.contains("AccessToken")
            && let Some(headers) = check_result(connection.get_headers())
        {
            for text in headers.iter().flat_map(|(name, value)| [name, value]) {
                assert!(!text.contains(['\r', '\n']), "{text:?}");
            }
        }
    }
}
