//! What a connection would send and why: each thing with the option, the profile or the default that said it.

use serde::Serialize;

use super::jwt::{Jwt, jwt};
use super::{HIDDEN, Members, shown_value, without_query, written};
use crate::base::error::Result;
use crate::base::url;
use crate::connection::Connection;
use crate::grants::{self, ClientAuthMethod, RequestParameter};
use crate::key::KeySource;
use crate::options::{Name, Options, Value};
use crate::process::Process;
use crate::report::value_origin::{Said, Source, Sources};
use crate::resolve::{self, Config, Exchange, Flow, Header, Methods};

#[derive(Serialize)]
struct Report {
    method: Option<Said<Method>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Said<&'static str>>,
    /// What becomes the token.
    token: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assertion: Option<Jwt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    api: Api,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_url: Option<Said<String>>,
    trust: Trust,
    timeouts: Members<Said<Option<i64>>>,
}

#[derive(Serialize)]
struct Method {
    number: &'static str,
    word: &'static str,
    inferred: bool,
}

#[derive(Serialize)]
struct Request {
    url: Said<String>,
    methods: Said<&'static [&'static str]>,
    parameters: Vec<Line>,
    headers: Vec<Line>,
    client_authentication: Said<&'static str>,
    /// What was learnt of the server's clock, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead: Option<i64>,
}

/// A parameter or a header; a name may stand twice.
#[derive(Serialize)]
struct Line {
    name: String,
    value: String,
    from: Source,
}

#[derive(Serialize)]
struct Api {
    headers: Vec<Line>,
}

#[derive(Serialize)]
struct Trust {
    store: Said<String>,
    validate: Said<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Said<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Said<String>>,
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
        sources: Sources { options, signer: view.signer(), profile: resolve::profile(options) },
    };
    // It has RedirectURI in it, encoded.
    let hidden = |value: &Value| url::contains_secret(value.text.reveal(), false);
    let redirect_has_secret = options.get(Name::RedirectURI).is_some_and(hidden);
    let consent_url = connection.consent_url().ok().filter(|_| !redirect_has_secret);
    written(&explainer.report(consent_url))
}

struct Explainer<'a> {
    config: &'a Config,
    process: &'a Process,
    sources: Sources<'a>,
}

impl Explainer<'_> {
    fn report(&self, consent_url: Option<String>) -> Report {
        let exchange = match &self.config.flow {
            Flow::Exchange(exchange) => Some(&**exchange),
            _ => None,
        };
        let token_url = exchange.map(|exchange| exchange.endpoint.as_str());
        let signing = grants::assertion_config(self.config);
        Report {
            method: self.method(),
            provider: self.provider(),
            token: match &self.config.flow {
                Flow::Exchange(_) => "from the token endpoint",
                Flow::SignedJwt(_) => "the signed JWT",
                Flow::AccessToken(_) => "as given",
                Flow::Headers(_) => "none",
            },
            assertion: signing.map(|signing| jwt(signing, token_url, &self.sources, self.process)),
            request: exchange.map(|exchange| self.request(exchange)),
            api: Api { headers: self.api_headers() },
            consent_url: consent_url
                .map(|value| Said { value, from: self.sources.of(&[Name::AuthURI], false) }),
            trust: self.trust(),
            timeouts: self.timeouts(),
        }
    }

    fn method(&self) -> Option<Said<Method>> {
        let (number, word) = resolve::method(self.options(), self.sources.signer)?;
        let given = self.options().get(Name::AuthenticationMethod).map(|value| value.text.reveal());
        let inferred = given.is_none_or(|given| given == "24" || given.eq_ignore_ascii_case("OAuth2"));
        let from = self.sources.of(&[Name::AuthenticationMethod], true);
        Some(Said { value: Method { number, word, inferred }, from })
    }

    fn provider(&self) -> Option<Said<&'static str>> {
        let value = self.sources.profile?.name.as_str();
        let from = self.sources.option(Name::Provider).unwrap_or_else(|| Source::of("token host"));
        Some(Said { value, from })
    }

    fn request(&self, exchange: &Exchange) -> Request {
        let learnt = &self.process.endpoint_memory;
        let ahead = learnt.skew_secs(&exchange.endpoint);
        Request {
            url: Said {
                value: without_query(&exchange.endpoint),
                from: self.sources.of(&[Name::TokenEndpoint, Name::TokenURI], false),
            },
            methods: self.methods(exchange),
            parameters: grants::preview_parameters(exchange)
                .into_iter()
                .map(|one| self.parameter(one))
                .collect(),
            headers: self.request_headers(exchange),
            client_authentication: self.way(exchange),
            clock_ahead: (ahead != 0).then_some(ahead),
        }
    }

    fn methods(&self, exchange: &Exchange) -> Said<&'static [&'static str]> {
        match exchange.methods {
            Methods::GetThenPost if self.process.endpoint_memory.prefers_post(&exchange.endpoint) => {
                Said { value: &["POST"], from: Source::of("learnt from the server") }
            }
            Methods::GetThenPost => Said { value: &["GET", "POST"], from: Source::of("default") },
            Methods::Get => Said { value: &["GET"], from: self.who_said_the_method() },
            Methods::Post => Said { value: &["POST"], from: self.who_said_the_method() },
        }
    }

    /// TokenEndpoint is asked by POST, and so is TokenURI where a method stands in front, the provider is known, or a
    /// secret goes along.
    fn who_said_the_method(&self) -> Source {
        let in_front = |value: &Value| value.text.reveal().trim().contains([' ', '\t']);
        let written = self.options().get(Name::TokenURI).is_some_and(in_front);
        let names: &[Name] = if written { &[Name::TokenURI] } else { &[Name::TokenEndpoint] };
        self.sources.of(names, false)
    }

    fn parameter(&self, parameter: RequestParameter) -> Line {
        let RequestParameter { name, value, options } = parameter;
        let from = self.sources.of(options, options.is_empty() || name == "grant_type");
        let value = value.as_deref().map(shown_value);
        Line { name, value: value.unwrap_or_else(|| HIDDEN.to_owned()), from }
    }

    fn way(&self, exchange: &Exchange) -> Said<&'static str> {
        let by_certificate = exchange.trust.client.is_some();
        let names: &[Name] = match grants::client_auth_method(exchange) {
            ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost => {
                &[Name::ClientCredentialsMode]
            }
            ClientAuthMethod::ClientIdOnly if by_certificate => &[Name::KeyStore],
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
        Said { value, from: self.sources.of(names, true) }
    }

    fn request_headers(&self, exchange: &Exchange) -> Vec<Line> {
        let own = exchange.header.iter().map(|header| self.hidden(&header.name, &[Name::AuthHeader]));
        let basic = grants::client_auth_method(exchange) == ClientAuthMethod::ClientSecretBasic;
        own.chain(basic.then(|| self.hidden("Authorization", &[Name::ClientSecret]))).collect()
    }

    fn api_headers(&self) -> Vec<Line> {
        let own: Vec<Line> = match &self.config.flow {
            Flow::Headers(headers) => {
                headers.iter().map(|header| self.hidden(&header.name, self.credential())).collect()
            }
            Flow::AccessToken(_) => vec![self.hidden("Authorization", self.credential())],
            Flow::Exchange(_) | Flow::SignedJwt(_) => vec![Line {
                name: "Authorization".to_owned(),
                value: HIDDEN.to_owned(),
                from: Source::of("token"),
            }],
        };
        let mut lines = own;
        for header in &self.config.headers {
            if !lines.iter().any(|line| line.name.eq_ignore_ascii_case(&header.name)) {
                lines.push(self.more(header));
            }
        }
        lines
    }

    /// The option with what the API gets, where no token is fetched.
    fn credential(&self) -> &'static [Name] {
        match resolve::method(self.options(), self.sources.signer).map(|(_, word)| word) {
            Some("Basic") => &[Name::Password],
            Some("OAuth2-AccessToken") => &[Name::AccessToken],
            _ => &[Name::SecurityToken],
        }
    }

    /// AuthHeader's, one of the model's, or the profile's.
    fn more(&self, header: &Header) -> Line {
        let named = self.options().get(Name::AuthHeader);
        let from = if named.is_some_and(|named| named.text.reveal() == header.name) {
            self.sources.of(&[Name::AuthHeader], false)
        } else if self.options().model_headers().iter().any(|(name, _)| *name == header.name) {
            let model = self.options().get(Name::RestConfigFile).map(|model| model.text.reveal().to_owned());
            Source { place: model, ..Source::of("model file") }
        } else {
            self.sources.of(&[], false)
        };
        Line { name: header.name.clone(), value: HIDDEN.to_owned(), from }
    }

    fn hidden(&self, name: &str, options: &[Name]) -> Line {
        Line { name: name.to_owned(), value: HIDDEN.to_owned(), from: self.sources.of(options, true) }
    }

    fn trust(&self) -> Trust {
        let trust = &self.config.trust;
        let store = trust.store.as_ref().map_or("the operating system's", |store| store.as_configured());
        Trust {
            store: Said { value: shown_value(store), from: self.sources.of(&[Name::TrustStore], true) },
            validate: Said {
                value: trust.validate,
                from: self.sources.of(&[Name::ValidateServerCertificate], true),
            },
            client: trust.client.as_ref().and_then(KeySource::typed).map(|store| Said {
                value: shown_value(store),
                from: self.sources.of(&[Name::KeyStore], true),
            }),
            proxy: self.proxy(),
        }
    }

    /// The proxy on the way to the token endpoint.
    fn proxy(&self) -> Option<Said<String>> {
        let Flow::Exchange(exchange) = &self.config.flow else { return None };
        let proxy = exchange.trust.route.proxy_for(&exchange.endpoint).ok()??;
        let variable = || Source { place: Some(proxy.source.to_owned()), ..Source::of("environment") };
        let from = self.sources.option(Name::ProxyHost).unwrap_or_else(variable);
        Some(Said { value: proxy.url(), from })
    }

    /// Seconds; nothing is no limit.
    fn timeouts(&self) -> Members<Said<Option<i64>>> {
        let names = [Name::LoginTimeout, Name::WSTimeout, Name::ConsentTimeout];
        let said = names.into_iter().map(|name| {
            let usual = name.definition().map_or("", |definition| definition.default);
            let given = self.options().get(name).map_or(usual, |value| value.text.reveal());
            let value = given.parse().ok().filter(|seconds| *seconds > 0);
            (name.text().to_owned(), Said { value, from: self.sources.of(&[name], true) })
        });
        Members(said.collect())
    }

    fn options(&self) -> &Options {
        self.sources.options
    }
}
