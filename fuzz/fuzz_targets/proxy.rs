//! The environment variables https_proxy (first line) and no_proxy (the others).

#![no_main]

use authgrant::base::secret::Secret;
use authgrant::base::url::EndpointUrl;
use authgrant::net::proxy::{Proxy, ProxyConfig, ProxyEnv};
use authgrant_fuzz::{CANARY, check_error, check_text, has_canary};
use libfuzzer_sys::fuzz_target;

const URLS: [&str; 4] = [
    "https://login.example.com/token",
    "https://10.1.2.3:8443",
    "https://[2001:db8::1]/",
    "https://localhost",
];

fuzz_target!(|text: &str| {
    if has_canary(text) {
        return;
    }
    let (proxy, no_proxy) = text.split_once('\n').unwrap_or((text, ""));
    for proxy in [proxy.to_owned(), format!("http://user:{CANARY}@{proxy}"), format!("{proxy}:{CANARY}")] {
        if let Ok(proxy) = Proxy::parse(&proxy, None, "https_proxy") {
            check_text(&proxy.to_string());
            check_text(&proxy.url());
            let again = Proxy::parse(&proxy.url(), None, "https_proxy").unwrap();
            assert_eq!((again.scheme, &again.host, again.port), (proxy.scheme, &proxy.host, proxy.port));
        }
        let env =
            ProxyEnv { proxy: Some(("https_proxy", Secret::new(proxy))), no_proxy: no_proxy.to_owned() };
        check_env(&env);
    }
});

fn check_env(env: &ProxyEnv) {
    let config = ProxyConfig::from_env(env);
    let _ = env.unusable_no_proxy_entries();
    for url in URLS {
        let url = EndpointUrl::parse(url).unwrap();
        if let Err(error) = config.proxy_for(&url) {
            check_error(&error);
        }
        // A host that is an entry of its own is never connected through the proxy.
        let own = ProxyEnv { no_proxy: format!("{},{}", env.no_proxy, url.host()), ..env.clone() };
        assert!(matches!(ProxyConfig::from_env(&own).proxy_for(&url), Ok(None)), "{own:?}");
    }
}
