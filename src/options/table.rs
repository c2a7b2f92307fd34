//! Table of all connection options: name, aliases, type, default, effect, one line of help.
//!
//! Single source for parsing, redaction, warnings about options without effect, the tests of what connections share, the
//! option table of the C API and `docs/options.md`. Names and short
//! names follow the documentation of the DataDirect Autonomous REST Connector for ODBC; options without a
//! vendor equivalent are our own.

use std::fmt::Write as _;

use super::effect::{
    ACCESS_TOKEN, ALL, BASIC, BEARER_TOKEN, CLIENT_ASSERTION, CLIENT_SECRET, EffectKind, HEADER_TOKEN,
    JWT_BEARER, LOGIN, OptionEffect, OptionEffect as Effect, PASSWORD, REFRESH_TOKEN, SIGNED_JWT, SIGNING,
    TOKEN_REQUEST,
};
use crate::base::clock;

/// The type of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// Any text.
    Text,
    /// Any text that must not be shown; enclosing quotes are part of the value.
    Secret,
    /// A file path.
    Path,
    /// https://…, or http://… for a loopback address.
    Url,
    /// A URL with an optional prefix "GET " or "POST ".
    MethodUrl,
    /// An integer within these bounds, inclusive.
    Number(i64, i64),
    /// 0 or 1.
    Bool,
    /// A time in ISO 8601 with a time zone.
    Time,
    /// One of these words, compared by [`is_word`].
    Choice(&'static [&'static str]),
    /// An option of the driver or the driver manager: accepted and not interpreted.
    Passthrough,
}

impl OptionType {
    /// The name of the type in the option table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Path => "path",
            Self::Url => "url",
            Self::MethodUrl => "method and url",
            Self::Number(..) => "number",
            Self::Bool => "switch",
            Self::Time => "time",
            Self::Choice(_) => "choice",
            Self::Passthrough => "driver",
        }
    }

    /// A description of valid values, for messages.
    #[must_use]
    pub fn expected_text(self) -> String {
        match self {
            Self::Text | Self::Secret | Self::Passthrough => "text".to_owned(),
            Self::Path => "a file path".to_owned(),
            Self::Url => "https://host/path".to_owned(),
            Self::MethodUrl => "https://host/path, optionally preceded by \"POST \" or \"GET \"".to_owned(),
            Self::Number(min, max) => format!("a whole number from {min} to {max}"),
            Self::Bool => "0 or 1".to_owned(),
            Self::Time => "a time with a time zone, such as 2026-08-21T10:00:00Z".to_owned(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
        }
    }

    /// Whether `value` has this type. URLs and texts are validated where they are used.
    #[must_use]
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Number(min, max) => value.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number)),
            Self::Bool => matches!(value, "0" | "1"),
            Self::Time => clock::parse_rfc3339(value).is_some(),
            Self::Choice(choices) => choices.iter().any(|choice| is_word(value, choice)),
            _ => true,
        }
    }
}

/// Whether `text` is the vendor's `word`. Blanks, hyphens and case do not matter: documentation of vendors writes
/// the same word as `OAuth2-JWTBearer` and as `OAuth2-JWT Bearer`.
#[must_use]
pub fn is_word(text: &str, word: &str) -> bool {
    let letters = |text: &str| {
        let letters = text.chars().filter(|c| !matches!(c, ' ' | '\t' | '-'));
        letters.map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    letters(text) == letters(word)
}

/// One option.
#[derive(Debug)]
pub struct OptionSpec {
    /// Its identifier in the code.
    pub id: OptionId,
    /// The name as documented.
    pub name: &'static str,
    /// Aliases, short ones first.
    pub aliases: &'static [&'static str],
    /// The type of its value.
    pub option_type: OptionType,
    /// The default, as documented; empty if there is none.
    pub default: &'static str,
    /// What it changes, and with which methods.
    pub effect: OptionEffect,
    /// One line of help.
    pub help: &'static str,
}

impl OptionSpec {
    /// Whether its value must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.option_type == OptionType::Secret
    }

    /// Whether it determines where secrets are sent, which servers are trusted, or how key files must be
    /// protected.
    #[must_use]
    pub fn controls_destination(&self) -> bool {
        DESTINATION_OPTIONS.contains(&self.name) || self.name.starts_with("Proxy")
    }

    /// Whether it is a secret or names a file of secrets.
    #[must_use]
    pub fn is_credential(&self) -> bool {
        self.is_secret() || self.is_key_store() || self.sends_file_content()
    }

    /// Whether it names a key store, which may be a key on a PKCS#11 token.
    #[must_use]
    pub fn is_key_store(&self) -> bool {
        matches!(self.name, "JWTCertStore" | "KeyStore")
    }

    /// Whether it names a file whose content is sent to a server.
    #[must_use]
    pub fn sends_file_content(&self) -> bool {
        self.name == "ClientAssertionFile"
    }

    /// The name and all aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Options that a connection string must not override if it uses secrets of a data source, in addition to all
/// options whose names begin with Proxy. A name without an option takes effect as soon as the option exists.
const DESTINATION_OPTIONS: &[&str] = &[
    "TokenURI",
    "TokenEndpoint",
    "AuthURI",
    "LogoffURI",
    "RestSamplePath",
    "HealthURI",
    "RestConfigFile",
    "TrustStore",
    "HostNameInCertificate",
    "ValidateServerCertificate",
    "ClaimsAudience",
    "Provider",
    "KeyFileCheck",
];

macro_rules! define_options {
    ($($name:ident [$($alias:literal),*] $option_type:expr, $default:literal, $effect:expr, $help:literal;)*) => {
        /// The identifiers of all options.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the help text of the table documents each")]
        pub enum OptionId { $($name),* }

        /// The table, in the order of the documentation.
        pub static TABLE: &[OptionSpec] = &[$(OptionSpec {
            id: OptionId::$name,
            name: stringify!($name),
            aliases: &[$($alias),*],
            option_type: $option_type,
            default: $default,
            effect: $effect,
            help: $help,
        }),*];
    };
}

const JWT_ALGORITHMS: OptionType = OptionType::Choice(&[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "HS256", "HS384", "HS512",
    "EdDSA",
]);

define_options! {
    AuthenticationMethod ["am"] OptionType::Text, "inferred", Effect::token(ALL),
        "The authentication method, as the vendor's number or name: 55 OAuth2-JWTBearer, 51 OAuth2-AuthorizationCode and 56 OAuth2-PKCE (both with PKCE), 53 OAuth2-ClientCredentials, 52 OAuth2-Password, 54 OAuth2-RefreshToken, 50 OAuth2-AccessToken, 34 BearerToken, 25 HTTPHeader, 0 Basic, 15 None, 24 OAuth2 to infer it from the other options; in addition OAuth2-JWTClientAssertion (RFC 7523 section 2.2) and JWT (the signed JWT is the token).";
    ClaimsIssuer ["cliss"] OptionType::Text, "", Effect::token_and_consent(&[SIGNING, LOGIN]),
        "The iss claim: the client ID or consumer key registered with the authorization server.";
    ClaimsSubject ["clsub"] OptionType::Text, "", Effect::token(&[SIGNING]),
        "The sub claim: the user or service for which the token is issued. Required by some providers (docs/providers.md); otherwise a JWT without it is a warning, unless the provider or the method has a default: for a client assertion it is iss.";
    ClaimsAudience [] OptionType::Text, "by provider, else the token URL", Effect::token(&[SIGNING]),
        "The aud claim; the server compares it byte for byte. If the signed JWT itself is the token, there is no default, and a JWT without it is a warning.";
    JWTCertStore ["jwtcs"] OptionType::Path, "", Effect::token(&[SIGNING]),
        "The file with the signing key: PKCS#12, JKS, JCEKS, PEM, DER or JSON, detected by content. Or {pkcs11:token=…;object=…}, a key on a PKCS#11 token (RFC 7512). A JSON file of Google or Box also supplies defaults: ClaimsIssuer and JWTKeyID; for Google TokenEndpoint; for Box ClientID, ClientSecret, ClaimsSubject and box_sub_type.";
    JWTCertPassword ["jwtcp"] OptionType::Secret, "", Effect::key_access(&[SIGNING]),
        "The password of JWTCertStore or of the key in JWTPrivateKey; for a PKCS#11 token, its PIN.";
    JWTCertAlias ["jwtca"] OptionType::Text, "the only key, or by certificate", Effect::token(&[SIGNING]),
        "The alias of the signing key in JWTCertStore or the name of its certificate, case-insensitive. If there are several keys, the default is the one that JWTKeyID names or that alone supports JWTAlgorithm, else, with a warning, the one whose certificate is the newest valid one; if that leaves several, the option is required.";
    JWTCertKeyPassword [] OptionType::Secret, "JWTCertPassword", Effect::key_access(&[SIGNING]),
        "The password of the signing key, if it differs from the password of the store.";
    JWTPrivateKey [] OptionType::Secret, "", Effect::token(&[SIGNING]),
        "The private key itself, instead of JWTCertStore: PEM (also with \\n instead of line breaks) or JSON (also a JSON Web Key of kty oct), or base64 of the content of a key file.";
    JWTSecret [] OptionType::Secret, "", Effect::token(&[SIGNING]),
        "The shared secret for HS256, HS384 and HS512: text, base64:…, or a JSON Web Key of kty oct, whose kid and alg apply; at least as long as the hash. A file (file:…) that is not text is used byte by byte.";
    JWTAlgorithm [] JWT_ALGORITHMS, "by provider and key", Effect::token(&[SIGNING]),
        "The signature algorithm of the assertion (RFC 7518 section 3.1).";
    JWTKeyID [] OptionType::Text, "", Effect::token(&[SIGNING]),
        "The kid header: the key ID registered with the authorization server. Without JWTCertAlias it also selects one of several keys: by the kid of a JSON Web Key Set, in other stores by the alias, x5t or x5t#S256.";
    JWTThumbprint [] OptionType::Text, "by provider", Effect::token(&[SIGNING]),
        "The headers that identify the certificate of the key: any of x5t, x5t#S256 and x5c, separated by commas.";
    JWTCertificate [] OptionType::Path, "", Effect::token(&[SIGNING]),
        "The file with the X.509 certificate of the key, PEM or DER, if the key store has none. It is sent as JWTThumbprint or the provider specifies; without either it is a warning.";
    JWTHeaders [] OptionType::Text, "", Effect::token(&[SIGNING]),
        "Additional headers of the assertion, as a JSON object; they override generated ones. Not allowed: crit, b64, jwk, jku.";
    ClaimsAdditional [] OptionType::Text, "", Effect::token(&[SIGNING]),
        "Additional claims of the assertion, as a JSON object; they override generated ones.";
    JWTLifetime [] OptionType::Number(1, 315_360_000), "by provider, else 300", Effect::token(&[SIGNING]),
        "The lifetime of the assertion (iat to exp) in seconds. More than a day is a warning.";
    JWTLifetimeMinutes [] OptionType::Number(1, 5_256_000), "", Effect::token(&[SIGNING]),
        "The lifetime of the assertion in minutes, instead of JWTLifetime.";
    TokenURI ["o2tu"] OptionType::MethodUrl, "", Effect::token_and_consent(&[TOKEN_REQUEST, SIGNED_JWT]),
        "The token endpoint. Without a method, GET is tried first, then POST; \"POST https://…\" uses only POST, \"GET https://…\" only GET. Without a token endpoint the signed JWT itself is the token.";
    TokenEndpoint [] OptionType::Url, "", Effect::token_and_consent(&[TOKEN_REQUEST, SIGNED_JWT]),
        "The token endpoint, instead of TokenURI. Always uses POST (RFC 6749 section 3.2).";
    Scope ["oas", "Auth_Scope"] OptionType::Text, "by provider",
        Effect::token_and_consent(&[TOKEN_REQUEST, SIGNED_JWT]),
        "The requested scopes, separated by spaces.";
    ScopeIn [] OptionType::Choice(&["Claim", "Parameter", "Both"]), "by provider, else Both",
        Effect::token(&[SIGNING]),
        "Where Scope is sent: as a claim of the assertion, as a parameter of the request, or both.";
    ClientID ["cid"] OptionType::Text, "", Effect::token_and_consent(&[TOKEN_REQUEST]),
        "The client ID. A JWT bearer request contains it only if ClientCredentialsMode is set or the provider requires it; the consent URL always contains it.";
    ClientSecret ["clse"] OptionType::Secret, "", Effect::token(&[CLIENT_SECRET]),
        "The client secret. A JWT bearer request contains it only if ClientCredentialsMode is set or the provider requires it.";
    ClientCredentialsMode ["clcm"]
        OptionType::Choice(&["0", "1", "2", "3", "Default", "Basic", "URL", "Post"]), "0",
        Effect::token(&[CLIENT_SECRET]),
        "How ClientID and ClientSecret are sent: 0 or 1 in a Basic authorization header, 2 or 3 in the POST body. They are never sent in a URL. With method 55 and 3 (Post), ClientID is sent without a secret if ClientSecret is not set.";
    GrantType [] OptionType::Text, "by RFC 7523", Effect::token(&[JWT_BEARER]),
        "The grant_type of the JWT bearer grant, if it differs from RFC 7523.";
    TokenParameters [] OptionType::Secret, "", Effect::token(&[TOKEN_REQUEST]),
        "Additional parameters of the token request, as a=b&c=d or a JSON object. Parameters that the grant itself sends are not allowed.";
    ClientAssertion [] OptionType::Secret, "", Effect::token(&[CLIENT_ASSERTION]),
        "A presigned client assertion (RFC 7523 section 2.2). A process sends it once, for all of its connections; then it is AUTHGRANT_TOKEN_EXPIRED until another one is set. It counts as sent if the server may have processed it: not if the request could not be sent, and not after HTTP 429 or 503, a redirect, or HTTP 404 or 405 without an OAuth error. The token is cached and shared as any other.";
    ClientAssertionFile [] OptionType::Path, "", Effect::token(&[CLIENT_ASSERTION]),
        "A file with the client assertion. It is read for each request, because another program renews it. Unlike ClientAssertion, it may be sent several times, as the tokens of platforms such as Kubernetes are. Not allowed in a connection string, nor in a FILEDSN that a connection string names by path, unless the caller allows it (AUTHGRANT_ALLOW_SECRET_REFERENCES).";
    RefreshToken ["rtok", "Auth_RefreshToken"] OptionType::Secret, "", Effect::token(&[REFRESH_TOKEN, LOGIN]),
        "The refresh token (RFC 6749 section 6). If the server rotates it, the new one is used from then on.";
    OAuthCode ["oac"] OptionType::Secret, "", Effect::token(&[LOGIN]),
        "An authorization code that the user obtained through the consent URL; it is exchanged only once (methods 51 and 56).";
    EnableLoginPrompt ["elp"] OptionType::Bool, "0", Effect::new(EffectKind::Local, &[]).elsewhere(&[LOGIN]),
        "1 allows a call that needs a token to open the browser (methods 51 and 56).";
    AccessToken ["Auth_AccessToken"] OptionType::Secret, "", Effect::token(&[ACCESS_TOKEN, REFRESH_TOKEN, LOGIN]),
        "The access token itself, sent unchanged; with a refresh token, it is used until it expires.";
    AccessTokenExpires ["Auth_Expires"] OptionType::Time, "from the token",
        Effect::token(&[ACCESS_TOKEN, BEARER_TOKEN, REFRESH_TOKEN, LOGIN]),
        "The expiration time of AccessToken.";
    User ["UID", "LogonID"] OptionType::Text, "", Effect::token(&[PASSWORD, BASIC]),
        "The user name, for methods 0 and 52.";
    Password ["pwd"] OptionType::Secret, "", Effect::token(&[PASSWORD, BASIC]),
        "The password of the user, for methods 0 and 52.";
    AuthHeader ["ah"] OptionType::Text, "",
        Effect::token(&[TOKEN_REQUEST, HEADER_TOKEN, BASIC]).elsewhere(&[SIGNED_JWT, ACCESS_TOKEN]),
        "The name of an additional HTTP header of the token request and of API requests; its value is SecurityToken. Authorization is for the token request only. For more headers, use #headers in RestConfigFile.";
    SecurityToken ["st"] OptionType::Secret, "",
        Effect::token(&[TOKEN_REQUEST, HEADER_TOKEN, BEARER_TOKEN]).elsewhere(&[SIGNED_JWT, ACCESS_TOKEN]),
        "The value of the header named by AuthHeader.";
    Provider [] OptionType::Text, "by the token host", Effect::token(&[TOKEN_REQUEST, SIGNED_JWT]).elsewhere(ALL),
        "The name of the provider profile (docs/providers.md), if the token host does not determine it.";
    AuthURI ["o2au"] OptionType::Url, "by provider", Effect::token(&[LOGIN]).elsewhere(ALL),
        "The authorization endpoint: the base of the consent URL.";
    RedirectURI ["o2ru"] OptionType::Url, "", Effect::token(&[LOGIN]).elsewhere(ALL),
        "The redirect URI to which the browser returns after consent, as registered with the authorization server. Port 0 stands for any free port, if the server accepts every port of a loopback address (RFC 8252 section 7.3): authgrant_authorize replaces it, and there is no consent URL to show or share.";
    ApplicationName [] OptionType::Text, "", Effect::LOCAL,
        "The name of the application, shown on the page that ends the consent in the browser.";
    ConsentType [] OptionType::Choice(&["Individual", "Admin", "ExternalAdmin"]), "by provider, else Individual",
        Effect::token(&[LOGIN]).elsewhere(ALL),
        "Who gives consent: each user, an administrator for all users of the organisation, or the administrator of another organisation.";
    AdminConsentScope [] OptionType::Text, "by provider", Effect::token(&[LOGIN]).elsewhere(ALL),
        "The scope for the consent of the administrator of another organisation (admin_consent_scope).";
    ConsentTimeout [] OptionType::Number(1, 86_400), "300", Effect::LOCAL,
        "The time limit for the user's consent, in seconds.";
    LogoffURI ["o2lu"] OptionType::Url, "", Effect::token(ALL),
        "The token revocation endpoint (RFC 7009). authgrant_logoff revokes the refresh token and the access token there. Closing the last connection that uses a token does the same, except for tokens that are configured or were exported (authgrant_completed_string, refresh token callback). With LogoffMode=EndSession it is the end-session endpoint.";
    LogoffMode [] OptionType::Choice(&["Revoke", "EndSession"]), "Revoke", Effect::LOCAL,
        "EndSession: authgrant_logoff ends the session of the user at the end-session endpoint of LogoffURI (OpenID Connect RP-Initiated Logout) instead of revoking tokens: it sends the ID token of the login, which must have the scope openid. Closing a connection does not end the session, because other applications share it.";
    RestConfigFile ["rcf", "RESTConfigFile", "Config"] OptionType::Path, "", Effect::OPTIONS,
        "The model file of the driver (.rest). It supplies defaults for the authentication method, URIs and scope, and HTTP headers (#headers) for the token request and API requests; Authorization is for the token request only, Accept for API requests only. AuthHeader overrides the header of the same name. A file that does not exist is a warning, and one that cannot be read is an error.";
    RestSamplePath ["rsp", "RESTSamplePath", "Sample"] OptionType::Text, "", Effect::LOCAL,
        "The endpoint that the driver samples, absolute or relative to HostName; authgrant_test_connection requests it with the token.";
    HealthURI [] OptionType::Text, "", Effect::LOCAL,
        "The endpoint that authgrant_test_connection requests with the token, instead of RestSamplePath.";
    TrustStore ["ts", "Truststore"] OptionType::Path, "the operating system's", Effect::TRANSPORT,
        "The file with the trusted CA certificates, instead of the trust store of the operating system: PEM, JKS or PKCS#12, detected by content.";
    TrustStorePassword ["tsp"] OptionType::Secret, "", Effect::TRANSPORT,
        "The password of TrustStore, if it is JKS or PKCS#12.";
    ValidateServerCertificate ["vsc"] OptionType::Bool, "1", Effect::TRANSPORT,
        "0 disables the validation of server certificates, so that any server is accepted. Use for testing only.";
    HostNameInCertificate ["hnic"] OptionType::Text, "the URL's host", Effect::TRANSPORT,
        "The name that the server certificate must contain, if it differs from the host of the URL; #SERVERNAME# means the host of the URL. It applies to every server.";
    CryptoProtocolVersion ["cpv"] OptionType::Text, "TLSv1.3,TLSv1.2", Effect::TRANSPORT,
        "The offered TLS versions: TLSv1.3, TLSv1.2, or both, separated by a comma. Older versions are not supported.";
    KeyStore ["ks"] OptionType::Path, "", Effect::TRANSPORT,
        "The file with the client certificate and its private key for mutual TLS, in any format of JWTCertStore. If the server needs intermediate CA certificates, they must be in the file, too: the handshake sends the certificate of the key and those that issued it, in any order in the file. With ClientID and without ClientSecret, method 53 authenticates with it (RFC 8705), and so does method 55 with ClientCredentialsMode or if the provider requires client authentication. Not used for http:// URLs.";
    KeyStorePassword ["ksp"] OptionType::Secret, "", Effect::TRANSPORT,
        "The password of KeyStore; for a PKCS#11 token, its PIN.";
    KeyPassword ["kp"] OptionType::Secret, "KeyStorePassword", Effect::TRANSPORT,
        "The password of the key in KeyStore, if it differs from KeyStorePassword.";
    KeyStoreAlias [] OptionType::Text, "the only key", Effect::TRANSPORT,
        "The alias of the client's key in KeyStore; required if there are several keys.";
    KeyFileCheck [] OptionType::Bool, "0", Effect::token(&[TOKEN_REQUEST, SIGNED_JWT]).elsewhere(ALL),
        "1 makes it an error if file permissions allow others to read or write JWTCertStore, KeyStore or ClientAssertionFile; with 0 it is a warning. No effect on systems without such permissions, such as Windows.";
    ProxyHost ["pxhn", "ProxyServer"] OptionType::Text, "the environment's", Effect::TRANSPORT,
        "The proxy for all https servers: a host, or http://host:port (CONNECT), or socks5://host:port, where the proxy resolves host names. Default: https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY and no_proxy of the environment, read when the connection is opened and not applied to loopback addresses. http:// URLs are for loopback addresses only and never use a proxy.";
    ProxyPort ["pxpt"] OptionType::Number(0, 65_535), "0", Effect::TRANSPORT,
        "The port of the proxy; 0 means the port in ProxyHost, else 80 for HTTP and 1080 for SOCKS5.";
    ProxyUser ["pxu", "ProxyUID"] OptionType::Text, "", Effect::TRANSPORT,
        "The user name for the proxy (Basic or SOCKS5 authentication).";
    ProxyPassword ["ProxyPwd"] OptionType::Secret, "", Effect::TRANSPORT,
        "The password of ProxyUser.";
    ProxyMode ["pxm"] OptionType::Bool, "1 with ProxyHost", Effect::TRANSPORT,
        "0 disables proxies, ignoring ProxyHost and the environment; 1 requires ProxyHost.";
    LoginTimeout ["lt"] OptionType::Number(-1, 86_400), "60", Effect::LOCAL,
        "The time limit for a whole call in seconds, including the time spent waiting for other threads; 0 or -1 for no limit.";
    WSTimeout ["wst"] OptionType::Number(-1, 86_400), "120", Effect::LOCAL,
        "The time limit for one HTTP request in seconds; 0 or -1 for no limit other than LoginTimeout.";
    AccessTokenLifetime [] OptionType::Number(1, 31_536_000), "by provider, else 300",
        Effect::token(&[TOKEN_REQUEST]),
        "The assumed lifetime of a token in seconds, if neither the server nor the token states one. A lifetime of 0 in the response counts as none.";
    RefreshMargin [] OptionType::Number(0, 86_400), "a tenth of the token's lifetime, at most 60", Effect::LOCAL,
        "How many seconds before expiry a token is refreshed; the start is randomized slightly earlier. One caller refreshes it while the others keep using it. 0: not before it expires.";
    CacheScope [] OptionType::Choice(&["Process", "Connection"]), "Process", Effect::token(ALL),
        "Connection: tokens of this connection are not shared with equal connections of the process.";
    TokenCache [] OptionType::Text, "this process alone", Effect::LOCAL,
        "The store through which processes and machines share tokens, encrypted: file:PATH is a folder for the processes of one user on one machine (file: alone is the folder authgrant of the user's cache directory), redis://host:port/database, rediss:// (TLS) or unix:///path a Redis server for a fleet, application: the callbacks of authgrant_set_token_store. A URL may contain the user, as in redis://user@host, and ?prefix= for the keys. See docs/token-sharing.md. In a connection string only with the permission AUTHGRANT_ALLOW_TOKEN_CACHE, like all options that begin with TokenCache.";
    TokenCachePassword [] OptionType::Secret, "", Effect::LOCAL,
        "The password of the Redis server.";
    TokenCacheSecret [] OptionType::Secret, "", Effect::shared_entry(&[TOKEN_REQUEST]),
        "The secret from which the keys of shared entries are derived, at least 32 random bytes, the same in all processes: text, or base64: and the encoded bytes; best by env: or file:. Required unless a credential of the connection is a private key or recognized as a random secret of at least 32 bytes (64 hexadecimal digits, 43 characters of base64), and always for methods 51, 52 and 56 (docs/token-sharing.md).";
    TokenCacheTimeout [] OptionType::Number(10, 60_000), "500", Effect::LOCAL,
        "The time limit for one operation of the store in milliseconds, with connecting and authentication. After a failure the connection goes on without the store, which is asked again after 1, 2, 4 … 60 s.";
    TokenCacheWait [] OptionType::Number(0, 3600), "5", Effect::LOCAL,
        "How many seconds a call waits for the request of another process before it requests a token itself, but at most half of its remaining time.";
    TokenCachePrompted [] OptionType::Bool, "0", Effect::token(&[REFRESH_TOKEN, LOGIN]).elsewhere(ALL),
        "1: tokens of users who logged in (methods 51, 54 and 56) are shared, too. Requires TokenCacheUser.";
    TokenCacheUser [] OptionType::Text, "", Effect::token(&[REFRESH_TOKEN, LOGIN]).elsewhere(ALL),
        "The user to whom the shared tokens of a login belong, as the application identifies the user. After it has changed, the connection does not use the tokens of the previous user. Never accepted in a connection string of an untrusted origin: authgrant_set_option or a data source sets it.";
    TokenCacheTrustStore [] OptionType::Path, "the operating system's", Effect::LOCAL,
        "The file with the trusted CA certificates for rediss://, in any format of TrustStore. The options for the OAuth server (TrustStore, ValidateServerCertificate, HostNameInCertificate, KeyStore, ProxyHost) do not apply to the Redis server.";
    DSN ["DataSourceName"] OptionType::Text, "", Effect::OPTIONS,
        "The data source: a section of odbc.ini with further options. Only in a connection string; ignored if Driver precedes it.";
    FILEDSN [] OptionType::Path, "", Effect::OPTIONS,
        "The file data source: a .dsn file whose section [ODBC] has further options. Only in a connection string; of DSN and FILEDSN, the first one is used.";
    AllowOverride [] OptionType::Bool, "0", Effect::LOCAL,
        "In a DSN or FILEDSN: 1 allows a connection string to change where the secrets of the data source are sent.";
    Driver [] OptionType::Passthrough, "", Effect::LOCAL, "For the driver manager.";
    Description ["desc"] OptionType::Passthrough, "", Effect::LOCAL, "For the driver.";
    HostName ["host"] OptionType::Passthrough, "", Effect::LOCAL,
        "For the driver: the host of the API. authgrant_test_connection resolves a relative RestSamplePath or HealthURI against it.";
    PortNumber ["port"] OptionType::Passthrough, "443", Effect::LOCAL, "For the driver: the port of the API on HostName.";
    SQLEngineMode [] OptionType::Passthrough, "", Effect::LOCAL, "For the driver.";
    SchemaMap [] OptionType::Passthrough, "", Effect::LOCAL, "For the driver.";
    CreateMap [] OptionType::Passthrough, "", Effect::LOCAL, "For the driver.";
    LogConfigFile ["lgcf", "lcf"] OptionType::Passthrough, "", Effect::LOCAL, "For the driver.";
    WSRetryCount ["wsrc"] OptionType::Passthrough, "", Effect::LOCAL, "For the driver.";
}

/// The options that name the signing key of an assertion. A signer callback replaces them.
pub const SIGNING_KEY_OPTIONS: &[OptionId] =
    &[OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret];

impl OptionId {
    /// The name as documented.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.spec().map_or("", |option| option.name)
    }

    /// The row of the option table.
    #[must_use]
    pub fn spec(self) -> Option<&'static OptionSpec> {
        TABLE.get(self as usize)
    }
}

/// Finds an option by name or alias, case-insensitive.
#[must_use]
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    TABLE.iter().find(|option| option.names().any(|own| own.eq_ignore_ascii_case(name)))
}

/// Finds the option whose name is most similar to `name`, if any is similar enough to suggest.
#[must_use]
pub fn find_similar(name: &str) -> Option<&'static OptionSpec> {
    let name = name.to_ascii_lowercase();
    TABLE
        .iter()
        .map(|option| {
            (strsim::normalized_damerau_levenshtein(&name, &option.name.to_ascii_lowercase()), option)
        })
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, option)| option)
}

/// The table as JSON, for C callers that build configuration dialogs.
#[must_use]
pub fn to_json() -> String {
    let rows: Vec<_> = TABLE
        .iter()
        .map(|option| {
            serde_json::json!({
                "name": option.name,
                "aliases": option.aliases,
                "type": option.option_type.name(),
                "values": option.option_type.expected_text(),
                "default": option.default,
                "secret": option.is_secret(),
                "help": option.help,
            })
        })
        .collect();
    serde_json::Value::Array(rows).to_string()
}

/// The table as Markdown, the content of `docs/options.md`.
#[must_use]
pub fn to_markdown() -> String {
    let mut page = String::from(
        "# Options\n\nGenerated from `src/options/table.rs` and `src/options/syntax.md` by `make generated`; a test checks that \
         they match.\n\n",
    );
    page.push_str(include_str!("syntax.md"));
    page.push_str(
        "## Table\n\nOption names are case-insensitive. An alias is equivalent to the name.\n\n\
         The value of a secret may be a reference: `env:NAME` is the value of an environment variable, \
         `file:PATH` is the content of a text file of at most 64 KiB without its last line break, and \
         `literal:TEXT` is TEXT itself, for a secret that begins with one of these prefixes. Prefixes are \
         lower case. `env:` and `file:` are allowed in authgrant_set_option, in odbc.ini and in a FILEDSN \
         that is named without a directory. In a connection string, and in a FILEDSN that it names by path, \
         they are allowed only with AUTHGRANT_ALLOW_SECRET_REFERENCES.\n\n\
         The column \"separates tokens\" has the authentication methods with which two connections that differ in \
         this option never share a token, neither in one process nor through TokenCache, which identifies a key file by \
         its content and not by its password. With the other methods the option does not affect the token. Connections \
         with a configured token or a login (methods 34, 50, 51, 54 and 56) share none in a process in any case. 51 \
         stands for 56, too.\n\n\
         | option | aliases | value | default | separates tokens | meaning |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for option in TABLE {
        let value = match option.option_type {
            OptionType::Secret => "text, secret".to_owned(),
            other => other.expected_text(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} |",
            option.name,
            option.aliases.iter().map(|alias| format!("`{alias}`")).collect::<Vec<_>>().join(", "),
            value,
            option.default,
            option.effect.to_markdown(),
            option.help,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn option_names_are_unique() {
        let mut owners: HashMap<String, OptionId> = HashMap::new();
        for option in TABLE {
            assert_eq!(option.id.as_str(), option.name);
            for name in option.names() {
                let owner = *owners.entry(name.to_ascii_lowercase()).or_insert(option.id);
                assert_eq!(owner, option.id, "{name}");
            }
        }
    }

    #[test]
    fn find_is_case_insensitive_and_knows_aliases() {
        assert_eq!(find("TOKENURI").unwrap().id, OptionId::TokenURI);
        assert_eq!(find("TokenUri").unwrap().id, OptionId::TokenURI);
        assert_eq!(find("o2tu").unwrap().id, OptionId::TokenURI);
        assert!(find("TokenURL").is_none());
    }

    #[test]
    fn proxy_and_endpoint_options_control_destination() {
        let controls = |name: &str| find(name).unwrap().controls_destination();
        for option in TABLE.iter().filter(|option| matches!(option.option_type, OptionType::MethodUrl)) {
            assert!(option.controls_destination(), "{}", option.name);
        }
        assert!(
            controls("TokenEndpoint") && controls("vsc") && controls("rcf") && controls("ClaimsAudience")
        );
        assert!(!controls("Scope") && !controls("LoginTimeout") && !controls("JWTCertStore"));
    }

    #[test]
    fn suggestion_only_for_similar_names() {
        assert_eq!(find_similar("ClaimIssuer").unwrap().id, OptionId::ClaimsIssuer);
        assert_eq!(find_similar("JWTCertPasword").unwrap().id, OptionId::JWTCertPassword);
        assert!(find_similar("Zebra").is_none());
        // Three of ten characters differ.
        assert!(find_similar("TrustQQQre").is_none());
        assert_eq!(find_similar("TrustQQore").unwrap().id, OptionId::TrustStore);
    }

    #[test]
    fn value_must_have_type_of_option() {
        let number = OptionType::Number(1, 10);
        let choice = OptionType::Choice(&["Process", "Connection"]);
        for (option_type, accepted, rejected) in [
            (OptionType::Bool, &["0", "1"][..], &["", "2", "01", "true"][..]),
            (number, &["1", "10"], &["0", "11", "1.5", "x"]),
            (choice, &["process", "Connection"], &["", "Processes"]),
            (OptionType::Time, &["2026-08-21T10:00:00Z"], &["2026-08-21T10:00:00"]),
            (OptionType::Text, &["", "a"], &[]),
        ] {
            for value in accepted {
                assert!(option_type.accepts(value), "{option_type:?} {value}");
            }
            for value in rejected {
                assert!(!option_type.accepts(value), "{option_type:?} {value}");
            }
        }
    }
}
