//! Explain report: what a connection would send, each value with its origin (option, profile, default).

use serde::Serialize;

use super::jwt::{JwtReport, explain_jwt};
use super::{OrderedMap, REDACTED, redact_if_url, to_json, without_query};
use crate::base::clock;
use crate::base::error::Result;
use crate::base::url;
use crate::connection::Connection;
use crate::grants::{self, ClientAuthMethod, Parameter};
use crate::key::KeySource;
use crate::options::{AuthMethod, OptionId, OptionValue, Options};
use crate::process::Process;
use crate::report::value_origin::{OriginFinder, ValueOrigin, WithOrigin};
use crate::resolve::{Config, EndpointMethods, Flow, ResolvedMethod, TokenEndpointConfig};
use crate::shared_cache::{self, Sharing};
use crate::token::AccessToken;

#[derive(Serialize)]
struct ExplainReport {
    method: Option<WithOrigin<MethodReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<WithOrigin<&'static str>>,
    /// How the access token is obtained.
    token: &'static str,
    /// The usable token in the cache of this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached: Option<CachedTokenReport>,
    /// The store of TokenCache.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_cache: Option<SharedCacheReport>,
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
struct CachedTokenReport {
    /// `cache`: this process requested the token. `shared cache`: another process did.
    from: &'static str,
    /// The machine that shared the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    /// When it shared the token, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_at: Option<String>,
}

impl CachedTokenReport {
    fn new(token: &AccessToken) -> Self {
        match token.shared_origin() {
            None => Self { from: "cache", machine: None, shared_at: None },
            Some(origin) => Self {
                from: "shared cache",
                machine: Some(origin.machine.clone()),
                shared_at: clock::format_rfc3339(origin.written_at),
            },
        }
    }
}

#[derive(Serialize)]
struct SharedCacheReport {
    store: WithOrigin<String>,
    /// Why the token is not shared, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_shared: Option<String>,
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
    /// The server's known clock skew in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead: Option<i64>,
}

/// A parameter or a header; names may repeat.
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

/// The explain report of `connection`.
///
/// # Errors
/// Missing or invalid options, as for getting a token.
pub fn explain(connection: &Connection) -> Result<String> {
    let view = connection.view();
    let (config, options, stages) = (view.config()?, view.options(), &view.resolution().stages);
    let explainer = Explainer {
        config,
        method: stages.method,
        process: view.process,
        origins: OriginFinder { options, signer: view.signer(), profile: stages.profile },
    };
    // The consent URL contains RedirectURI in encoded form, which redaction would not find.
    let has_secret = |value: &OptionValue| url::contains_secret(value.text.reveal(), false);
    let redirect_has_secret = options.get(OptionId::RedirectURI).is_some_and(has_secret);
    let consent_url = connection.consent_url().ok().filter(|_| !redirect_has_secret);
    let cached = connection.cached_token().as_deref().map(CachedTokenReport::new);
    to_json(&ExplainReport { cached, ..explainer.build_report(consent_url) })
}

struct Explainer<'a> {
    config: &'a Config,
    method: Option<ResolvedMethod>,
    process: &'a Process,
    origins: OriginFinder<'a>,
}

impl Explainer<'_> {
    fn build_report(&self, consent_url: Option<String>) -> ExplainReport {
        let exchange = self.config.flow.token_endpoint();
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
            cached: None,
            shared_cache: self.shared_cache(),
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
        let ResolvedMethod { number, name, is_inferred, .. } = self.method?;
        let from = self.origins.find_origin(&[OptionId::AuthenticationMethod], true);
        Some(WithOrigin { value: MethodReport { number, word: name, inferred: is_inferred }, from })
    }

    fn shared_cache(&self) -> Option<SharedCacheReport> {
        let shared = self.config.shared_cache.as_ref()?;
        let not_shared = match shared_cache::identify(self.config, shared, &self.process.key_cache) {
            Ok(Sharing::Shared(_)) => None,
            Ok(Sharing::NotShared(reason)) => Some(reason.to_owned()),
            Err(error) => Some(error.message()),
        };
        let from = self.origins.find_origin(&[OptionId::TokenCache], false);
        Some(SharedCacheReport { store: WithOrigin { value: shared.location.describe(), from }, not_shared })
    }

    fn provider(&self) -> Option<WithOrigin<&'static str>> {
        let value = self.origins.profile?.name.as_str();
        let from =
            self.origins.option_origin(OptionId::Provider).unwrap_or_else(|| ValueOrigin::new("token host"));
        Some(WithOrigin { value, from })
    }

    fn request(&self, exchange: &TokenEndpointConfig) -> TokenRequestReport {
        let request = grants::build_unsigned_request(exchange);
        let skew_secs = self.process.endpoint_memory.skew_secs(&exchange.endpoint);
        TokenRequestReport {
            url: WithOrigin {
                value: without_query(&exchange.endpoint),
                from: self.origins.find_origin(&[OptionId::TokenEndpoint, OptionId::TokenURI], false),
            },
            methods: self.http_methods(exchange),
            parameters: request.parameters.iter().map(|parameter| self.parameter(parameter)).collect(),
            headers: request.headers.iter().map(|header| self.request_header(header)).collect(),
            client_authentication: self.client_authentication(exchange),
            clock_ahead: (skew_secs != 0).then_some(skew_secs),
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

    /// The origin of a fixed HTTP method. TokenEndpoint is always requested by POST; TokenURI is if it has
    /// the prefix POST, the provider is known, or the request contains a secret.
    fn http_method_origin(&self) -> ValueOrigin {
        let has_method_prefix =
            |value: &OptionValue| value.text.reveal().trim().contains(char::is_whitespace);
        let is_explicit = self.options().get(OptionId::TokenURI).is_some_and(has_method_prefix);
        let names: &[OptionId] = if is_explicit { &[OptionId::TokenURI] } else { &[OptionId::TokenEndpoint] };
        self.origins.find_origin(names, false)
    }

    fn parameter(&self, parameter: &Parameter<'_>) -> NamedValue {
        let Parameter { name, options, .. } = *parameter;
        let from = self.origins.find_origin(options, options.is_empty() || name == "grant_type");
        let value = parameter.shown_value().map_or_else(|| REDACTED.to_owned(), redact_if_url);
        NamedValue { name: name.to_owned(), value, from }
    }

    fn client_authentication(&self, exchange: &TokenEndpointConfig) -> WithOrigin<&'static str> {
        let has_certificate = exchange.transport.client_key_source.is_some();
        let names: &[OptionId] = match grants::client_auth_method(exchange) {
            ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost => {
                &[OptionId::ClientCredentialsMode]
            }
            ClientAuthMethod::ClientIdOnly if has_certificate => &[OptionId::KeyStore],
            ClientAuthMethod::None | ClientAuthMethod::ClientIdOnly | ClientAuthMethod::ClientAssertion => {
                &[]
            }
        };
        let value = match grants::client_auth_method(exchange) {
            ClientAuthMethod::None => "none",
            ClientAuthMethod::ClientIdOnly if has_certificate => "client_id and certificate",
            ClientAuthMethod::ClientIdOnly => "client_id alone",
            ClientAuthMethod::ClientSecretBasic => "Basic header",
            ClientAuthMethod::ClientSecretPost => "in the body",
            ClientAuthMethod::ClientAssertion => "client assertion",
        };
        WithOrigin { value, from: self.origins.find_origin(names, true) }
    }

    fn api_headers(&self) -> Vec<NamedValue> {
        let mut reported: Vec<NamedValue> = match &self.config.flow {
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
        for header in &self.config.headers {
            if !reported.iter().any(|known| known.name.eq_ignore_ascii_case(&header.name)) {
                reported.push(self.extra_header(&header.name));
            }
        }
        reported
    }

    /// The option with the API credential of a method without token request.
    fn credential_options(&self) -> &'static [OptionId] {
        match self.method.map(|method| method.method) {
            Some(AuthMethod::Basic) => &[OptionId::Password],
            Some(AuthMethod::AccessToken) => &[OptionId::AccessToken],
            _ => &[OptionId::SecurityToken],
        }
    }

    /// A header set by AuthHeader, the model file or the profile.
    fn extra_header(&self, name: &str) -> NamedValue {
        let auth_header = self.options().get(OptionId::AuthHeader);
        let from = if auth_header.is_some_and(|value| value.text.reveal() == name) {
            self.origins.find_origin(&[OptionId::AuthHeader], false)
        } else if self.options().model_headers().iter().any(|(model_name, _)| model_name == name) {
            let model =
                self.options().get(OptionId::RestConfigFile).map(|model| model.text.reveal().to_owned());
            ValueOrigin { place: model, ..ValueOrigin::new("model file") }
        } else {
            self.origins.find_origin(&[], false)
        };
        NamedValue { name: name.to_owned(), value: REDACTED.to_owned(), from }
    }

    fn request_header(&self, header: &Parameter<'_>) -> NamedValue {
        if header.options.contains(&OptionId::AuthHeader) {
            self.extra_header(header.name)
        } else {
            self.redacted_value(header.name, header.options)
        }
    }

    fn redacted_value(&self, name: &str, options: &[OptionId]) -> NamedValue {
        NamedValue {
            name: name.to_owned(),
            value: REDACTED.to_owned(),
            from: self.origins.find_origin(options, true),
        }
    }

    fn transport(&self) -> TransportReport {
        let transport = &self.config.transport;
        let store =
            transport.trust_store.as_ref().map_or("the operating system's", |store| store.as_configured());
        TransportReport {
            store: WithOrigin {
                value: redact_if_url(store),
                from: self.origins.find_origin(&[OptionId::TrustStore], true),
            },
            validate: WithOrigin {
                value: transport.validate_certificate,
                from: self.origins.find_origin(&[OptionId::ValidateServerCertificate], true),
            },
            client: transport.client_key_source.as_ref().and_then(KeySource::as_configured).map(|store| {
                WithOrigin {
                    value: redact_if_url(store),
                    from: self.origins.find_origin(&[OptionId::KeyStore], true),
                }
            }),
            proxy: self.proxy(),
        }
    }

    /// The proxy for the token endpoint.
    fn proxy(&self) -> Option<WithOrigin<String>> {
        let Flow::TokenEndpoint(exchange) = &self.config.flow else { return None };
        let proxy = exchange.transport.proxy.proxy_for(&exchange.endpoint).ok()??;
        let environment =
            || ValueOrigin { place: Some(proxy.source.to_owned()), ..ValueOrigin::new("environment") };
        let from = self.origins.option_origin(OptionId::ProxyHost).unwrap_or_else(environment);
        Some(WithOrigin { value: proxy.url(), from })
    }

    /// Timeouts in seconds; `None` is no limit.
    fn timeouts(&self) -> OrderedMap<WithOrigin<Option<i64>>> {
        let names = [OptionId::LoginTimeout, OptionId::WSTimeout, OptionId::ConsentTimeout];
        let timeouts = names.into_iter().map(|name| {
            let default = name.spec().map_or("", |spec| spec.default);
            let text = self.options().get(name).map_or(default, |value| value.text.reveal());
            let value = text.parse().ok().filter(|seconds| *seconds > 0);
            (name.as_str().to_owned(), WithOrigin { value, from: self.origins.find_origin(&[name], true) })
        });
        OrderedMap(timeouts.collect())
    }

    fn options(&self) -> &Options {
        self.origins.options
    }
}
