//! TLS and proxy settings of the token request: which server is trusted, and as whom it is asked.

use super::TokenDescription;
use crate::base::error::Result;
use crate::base::url::EndpointUrl;
use crate::net::proxy::{Proxy, ProxyCredentials, ProxyScheme};
use crate::net::tls::{TlsVersions, TransportConfig};

impl TokenDescription<'_> {
    /// Adds the settings for requests to `endpoint`. http has neither TLS nor a proxy.
    pub(super) fn add_transport(
        &mut self,
        transport: &TransportConfig,
        endpoint: &EndpointUrl,
    ) -> Result<()> {
        if !endpoint.is_https() {
            return Ok(());
        }
        let effective = transport.effective();
        let TransportConfig {
            // For messages.
            option_prefix: _,
            // By its content.
            trust_store: _,
            trust_store_password,
            validate_certificate,
            host_name_in_certificate,
            tls_versions,
            client_key_source,
            proxy,
        } = &*effective;
        self.text.add_flag("validates certificate", *validate_certificate);
        if let Some(content) = effective.trust_store_content()? {
            self.text.add_digest("trust store", &content);
        }
        self.add_optional_secret("trust store password", trust_store_password.as_ref());
        let host_name = host_name_in_certificate.as_ref().map(|name| name.to_str());
        self.text.add_optional("host name in certificate", host_name.as_deref());
        let versions = match tls_versions {
            TlsVersions::Tls12And13 => "1.2, 1.3",
            TlsVersions::Tls12 => "1.2",
            TlsVersions::Tls13 | TlsVersions::Tls13ByPolicy => "1.3",
        };
        self.text.add("tls versions", versions);
        if let Some(source) = client_key_source {
            self.add_client_key(source)?;
        }
        if let Some(proxy) = proxy.proxy_for(endpoint)? {
            self.add_proxy(proxy);
        }
        Ok(())
    }

    fn add_proxy(&mut self, proxy: &Proxy) {
        let Proxy { scheme, host, port, credentials, source: _ } = proxy;
        let scheme = match scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
        };
        self.text.add("proxy", scheme);
        self.text.add("proxy host", host);
        self.text.add("proxy port", port.to_string());
        if let Some(ProxyCredentials { name, password }) = credentials {
            self.add_secret("proxy user", name.reveal());
            self.add_secret("proxy password", password.reveal());
        }
    }
}
