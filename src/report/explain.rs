//! What a connection would send and why: each thing with the option, the profile or the default that said it.

use serde::Serialize;

use super::jwt::{JwtReport, explain_jwt};
use super::{OrderedMap, REDACTED, redact_if_url, to_json, without_query};
use crate::base::error::Result;
use crate::base::url;
use crate::connection::Connection;
use crate::grants::{self, ClientAuthMethod, RequestParameter};
use crate::key::KeySource;
use crate::options::{OptionId, OptionValue, Options};
use crate::process::Process;
use crate::report::value_origin::{OriginFinder, ValueOrigin, WithOrigin};
use crate::resolve::{self, Config, EndpointMethods, Flow, HttpHeader, TokenEndpointConfig};

#[derive(Serialize)]
struct ExplainReport {
    method: Option<WithOrigin<MethodReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<WithOrigin<&'static str>>,
    /// What becomes the token.
    token: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assertion: Option<JwtReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<TokenRequestReport>,
    api: ApiReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_url: Option<WithOrigin<String>>,
    trust: TransportReport,
    timeouts: OrderedMap<WithOrigin<Option<i64>>>,
}

#[derive(Serialize)]
struct MethodReport {
    number: &'static str,
    word: &'static str,
    inferred: bool,
}

#[derive(Serialize)]
struct TokenRequestReport {
    url: WithOrigin<String>,
    methods: WithOrigin<&'static [&'static str]>,
    parameters: Vec<NamedValue>,
    headers: Vec<NamedValue>,
    client_authentication: WithOrigin<&'static str>,
    /// What was learnt of the server's clock, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead: Option<i64>,
}

/// A parameter or a header; a name may stand twice.
#[derive(Serialize)]
struct NamedValue {
    name: String,
    value: String,
    from: ValueOrigin,
}

#[derive(Serialize)]
struct ApiReport {
    headers: Vec<NamedValue>,
}

#[derive(Serialize)]
struct TransportReport {
    store: WithOrigin<String>,
    validate: WithOrigin<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<WithOrigin<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<WithOrigin<String>>,
}

/// The report of what `connection` would do.
///
/// # Errors
/// What is wrong with the options.
pub fn explain(connection: &Connection) -> Result<String> {
    let view = connection.view();
    let (config, options) = (view.config()?, view.options());
    let explainer = Explainer {
        config,
        process: view.process,
        origins: OriginFinder { options, signer: view.signer(), profile: resolve::resolve_profile(options) },
    };
    // It has RedirectURI in it, encoded.
    let hidden = |value: &OptionValue| url::contains_secret(value.text.reveal(), false);
    let redirect_has_secret = options.get(OptionId::RedirectURI).is_some_and(hidden);
    let consent_url = connection.consent_url().ok().filter(|_| !redirect_has_secret);
    to_json(&explainer.build_report(consent_url))
}

struct Explainer<'a> {
    config: &'a Config,
    process: &'a Process,
    origins: OriginFinder<'a>,
}

impl Explainer<'_> {
    fn build_report(&self, consent_url: Option<String>) -> ExplainReport {
        let exchange = match &self.config.flow {
            Flow::TokenEndpoint(exchange) => Some(&**exchange),
            _ => None,
        };
        let token_url = exchange.map(|exchange| exchange.endpoint.as_str());
        let signing = grants::assertion_config(self.config);
        ExplainReport {
            method: self.method(),
            provider: self.provider(),
            token: match &self.config.flow {
                Flow::TokenEndpoint(_) => "from the token endpoint",
                Flow::SignedJwt(_) => "the signed JWT",
                Flow::AccessToken(_) => "as given",
                Flow::Headers(_) => "none",
            },
            assertion: signing.map(|signing| explain_jwt(signing, token_url, &self.origins, self.process)),
            request: exchange.map(|exchange| self.request(exchange)),
            api: ApiReport { headers: self.api_headers() },
            consent_url: consent_url.map(|value| WithOrigin {
                value,
                from: self.origins.find_origin(&[OptionId::AuthURI], false),
            }),
            trust: self.transport(),
            timeouts: self.timeouts(),
        }
    }

    fn method(&self) -> Option<WithOrigin<MethodReport>> {
        let (number, word) = resolve::resolve_method(self.options(), self.origins.signer)?;
        let given = self.options().get(OptionId::AuthenticationMethod).map(|value| value.text.reveal());
        let inferred = given.is_none_or(|given| given == "24" || given.eq_ignore_ascii_case("OAuth2"));
        let from = self.origins.find_origin(&[OptionId::AuthenticationMethod], true);
        Some(WithOrigin { value: MethodReport { number, word, inferred }, from })
    }

    fn provider(&self) -> Option<WithOrigin<&'static str>> {
        let value = self.origins.profile?.name.as_str();
        let from =
            self.origins.option_origin(OptionId::Provider).unwrap_or_else(|| ValueOrigin::new("token host"));
        Some(WithOrigin { value, from })
    }

    fn request(&self, exchange: &TokenEndpointConfig) -> TokenRequestReport {
        let learnt = &self.process.endpoint_memory;
        let ahead = learnt.skew_secs(&exchange.endpoint);
        TokenRequestReport {
            url: WithOrigin {
                value: without_query(&exchange.endpoint),
                from: self.origins.find_origin(&[OptionId::TokenEndpoint, OptionId::TokenURI], false),
            },
            methods: self.http_methods(exchange),
            parameters: grants::preview_parameters(exchange)
                .into_iter()
                .map(|one| self.parameter(one))
                .collect(),
            headers: self.request_headers(exchange),
            client_authentication: self.client_authentication(exchange),
            clock_ahead: (ahead != 0).then_some(ahead),
        }
    }

    fn http_methods(&self, exchange: &TokenEndpointConfig) -> WithOrigin<&'static [&'static str]> {
        match exchange.methods {
            EndpointMethods::GetThenPost if self.process.endpoint_memory.prefers_post(&exchange.endpoint) => {
                WithOrigin { value: &["POST"], from: ValueOrigin::new("learnt from the server") }
            }
            EndpointMethods::GetThenPost => {
                WithOrigin { value: &["GET", "POST"], from: ValueOrigin::new("default") }
            }
            EndpointMethods::Get => WithOrigin { value: &["GET"], from: self.http_method_origin() },
            EndpointMethods::Post => WithOrigin { value: &["POST"], from: self.http_method_origin() },
        }
    }

    /// TokenEndpoint is asked by POST, and so is TokenURI where a method stands in front, the provider is known, or a
    /// secret goes along.
    fn http_method_origin(&self) -> ValueOrigin {
        let in_front = |value: &OptionValue| value.text.reveal().trim().contains([' ', '\t']);
        let written = self.options().get(OptionId::TokenURI).is_some_and(in_front);
        let names: &[OptionId] = if written { &[OptionId::TokenURI] } else { &[OptionId::TokenEndpoint] };
        self.origins.find_origin(names, false)
    }

    fn parameter(&self, parameter: RequestParameter) -> NamedValue {
        let RequestParameter { name, value, options } = parameter;
        let from = self.origins.find_origin(options, options.is_empty() || name == "grant_type");
        let value = value.as_deref().map(redact_if_url);
        NamedValue { name, value: value.unwrap_or_else(|| REDACTED.to_owned()), from }
    }

    fn client_authentication(&self, exchange: &TokenEndpointConfig) -> WithOrigin<&'static str> {
        let by_certificate = exchange.transport.client_key_source.is_some();
        let names: &[OptionId] = match grants::client_auth_method(exchange) {
            ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost => {
                &[OptionId::ClientCredentialsMode]
            }
            ClientAuthMethod::ClientIdOnly if by_certificate => &[OptionId::KeyStore],
            ClientAuthMethod::None | ClientAuthMethod::ClientIdOnly | ClientAuthMethod::ClientAssertion => {
                &[]
            }
        };
        let value = match grants::client_auth_method(exchange) {
            ClientAuthMethod::None => "none",
            ClientAuthMethod::ClientIdOnly if by_certificate => "client_id and certificate",
            ClientAuthMethod::ClientIdOnly => "client_id alone",
            ClientAuthMethod::ClientSecretBasic => "Basic header",
            ClientAuthMethod::ClientSecretPost => "in the body",
            ClientAuthMethod::ClientAssertion => "client assertion",
        };
        WithOrigin { value, from: self.origins.find_origin(names, true) }
    }

    fn request_headers(&self, exchange: &TokenEndpointConfig) -> Vec<NamedValue> {
        let own = exchange
            .extra_header
            .iter()
            .map(|header| self.redacted_value(&header.name, &[OptionId::AuthHeader]));
        let basic = grants::client_auth_method(exchange) == ClientAuthMethod::ClientSecretBasic;
        own.chain(basic.then(|| self.redacted_value("Authorization", &[OptionId::ClientSecret]))).collect()
    }

    fn api_headers(&self) -> Vec<NamedValue> {
        let own: Vec<NamedValue> = match &self.config.flow {
            Flow::Headers(headers) => headers
                .iter()
                .map(|header| self.redacted_value(&header.name, self.credential_options()))
                .collect(),
            Flow::AccessToken(_) => vec![self.redacted_value("Authorization", self.credential_options())],
            Flow::TokenEndpoint(_) | Flow::SignedJwt(_) => vec![NamedValue {
                name: "Authorization".to_owned(),
                value: REDACTED.to_owned(),
                from: ValueOrigin::new("token"),
            }],
        };
        let mut lines = own;
        for header in &self.config.headers {
            if !lines.iter().any(|line| line.name.eq_ignore_ascii_case(&header.name)) {
                lines.push(self.extra_header(header));
            }
        }
        lines
    }

    /// The option with what the API gets, where no token is fetched.
    fn credential_options(&self) -> &'static [OptionId] {
        match resolve::resolve_method(self.options(), self.origins.signer).map(|(_, word)| word) {
            Some("Basic") => &[OptionId::Password],
            Some("OAuth2-AccessToken") => &[OptionId::AccessToken],
            _ => &[OptionId::SecurityToken],
        }
    }

    /// AuthHeader's, one of the model's, or the profile's.
    fn extra_header(&self, header: &HttpHeader) -> NamedValue {
        let named = self.options().get(OptionId::AuthHeader);
        let from = if named.is_some_and(|named| named.text.reveal() == header.name) {
            self.origins.find_origin(&[OptionId::AuthHeader], false)
        } else if self.options().model_headers().iter().any(|(name, _)| *name == header.name) {
            let model =
                self.options().get(OptionId::RestConfigFile).map(|model| model.text.reveal().to_owned());
            ValueOrigin { place: model, ..ValueOrigin::new("model file") }
        } else {
            self.origins.find_origin(&[], false)
        };
        NamedValue { name: header.name.clone(), value: REDACTED.to_owned(), from }
    }

    fn redacted_value(&self, name: &str, options: &[OptionId]) -> NamedValue {
        NamedValue {
            name: name.to_owned(),
            value: REDACTED.to_owned(),
            from: self.origins.find_origin(options, true),
        }
    }

    fn transport(&self) -> TransportReport {
        let trust = &self.config.transport;
        let store =
            trust.trust_store.as_ref().map_or("the operating system's", |store| store.as_configured());
        TransportReport {
            store: WithOrigin {
                value: redact_if_url(store),
                from: self.origins.find_origin(&[OptionId::TrustStore], true),
            },
            validate: WithOrigin {
                value: trust.validate_certificate,
                from: self.origins.find_origin(&[OptionId::ValidateServerCertificate], true),
            },
            client: trust.client_key_source.as_ref().and_then(KeySource::as_configured).map(|store| {
                WithOrigin {
                    value: redact_if_url(store),
                    from: self.origins.find_origin(&[OptionId::KeyStore], true),
                }
            }),
            proxy: self.proxy(),
        }
    }

    /// The proxy on the way to the token endpoint.
    fn proxy(&self) -> Option<WithOrigin<String>> {
        let Flow::TokenEndpoint(exchange) = &self.config.flow else { return None };
        let proxy = exchange.transport.proxy.proxy_for(&exchange.endpoint).ok()??;
        let variable =
            || ValueOrigin { place: Some(proxy.source.to_owned()), ..ValueOrigin::new("environment") };
        let from = self.origins.option_origin(OptionId::ProxyHost).unwrap_or_else(variable);
        Some(WithOrigin { value: proxy.url(), from })
    }

    /// Seconds; nothing is no limit.
    fn timeouts(&self) -> OrderedMap<WithOrigin<Option<i64>>> {
        let names = [OptionId::LoginTimeout, OptionId::WSTimeout, OptionId::ConsentTimeout];
        let said = names.into_iter().map(|name| {
            let usual = name.spec().map_or("", |definition| definition.default);
            let given = self.options().get(name).map_or(usual, |value| value.text.reveal());
            let value = given.parse().ok().filter(|seconds| *seconds > 0);
            (name.as_str().to_owned(), WithOrigin { value, from: self.origins.find_origin(&[name], true) })
        });
        OrderedMap(said.collect())
    }

    fn options(&self) -> &Options {
        self.origins.options
    }
}
