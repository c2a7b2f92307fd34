//! yup-oauth2's service account with a keep-alive client; its default client opens a connection per request.

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::{Builder, Runtime};
use yup_oauth2::authenticator::Authenticator;
use yup_oauth2::{CustomHyperClientBuilder, ServiceAccountAuthenticator, ServiceAccountKey};

use crate::BenchResult;
use crate::fixture::{Fixture, ISSUER, SUBJECT};

pub struct YupPeer {
    runtime: Runtime,
    authenticator: Authenticator<HttpsConnector<HttpConnector>>,
}

impl YupPeer {
    pub fn new(fixture: &Fixture, key: String) -> BenchResult<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(fixture.tls()?)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(https);
        let key = ServiceAccountKey {
            key_type: None,
            project_id: None,
            private_key_id: None,
            private_key: key,
            client_email: ISSUER.to_owned(),
            client_id: None,
            auth_uri: None,
            token_uri: fixture.endpoint("yupo"),
            auth_provider_x509_cert_url: None,
            client_x509_cert_url: None,
        };
        let builder = ServiceAccountAuthenticator::with_client(key, CustomHyperClientBuilder::from(client));
        let authenticator = runtime.block_on(builder.subject(SUBJECT).build())?;
        Ok(Self { runtime, authenticator })
    }

    pub fn fetch(&self) -> BenchResult<()> {
        let scopes = ["signature", "impersonation"];
        let token = self.runtime.block_on(self.authenticator.force_refreshed_token(&scopes))?;
        std::hint::black_box(token.token().ok_or("no token")?);
        Ok(())
    }
}
