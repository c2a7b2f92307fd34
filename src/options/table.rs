//! Every option, once: name, other names, type, default, one line of help.
//!
//! Parsing, redaction, the table that C callers read and `docs/options.md` all come from here. Vendors' names
//! and short names follow the pages of the DataDirect Autonomous REST Connector for ODBC; options of our own stand
//! where no vendor has a word.

use std::fmt::Write as _;

use crate::base::clock;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// Any text.
    Text,
    /// Any text that must not be seen; quotes around it belong to it.
    Secret,
    /// The path of a file.
    Path,
    /// https://…, or http://… to this machine.
    Url,
    /// A URL with GET or POST and a blank in front, or without.
    MethodUrl,
    /// A whole number within these bounds.
    Number(i64, i64),
    /// 0 or 1.
    Bool,
    /// A time by ISO 8601, with its zone.
    Time,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// The driver's or the driver manager's own: accepted and left alone.
    Passthrough,
}

impl OptionType {
    /// The word for the type in the option table.
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

    /// What a right value would be, for messages.
    #[must_use]
    pub fn expected_text(self) -> String {
        match self {
            Self::Text | Self::Secret | Self::Passthrough => "text".to_owned(),
            Self::Path => "the path of a file".to_owned(),
            Self::Url => "https://host/path".to_owned(),
            Self::MethodUrl => "https://host/path, with \"POST \" or \"GET \" in front or without".to_owned(),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Bool => "0 or 1".to_owned(),
            Self::Time => "a time with its zone, such as 2026-08-21T10:00:00Z".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }

    /// Whether `value` has this form; what URLs and texts mean is found out where they are used.
    #[must_use]
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Number(least, most) => {
                value.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number))
            }
            Self::Bool => matches!(value, "0" | "1"),
            Self::Time => clock::parse_rfc3339(value).is_some(),
            Self::Choice(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
            _ => true,
        }
    }
}

/// One option.
#[derive(Debug)]
pub struct OptionSpec {
    /// By which the code knows it.
    pub id: OptionId,
    /// As documentation spells it.
    pub name: &'static str,
    /// Its other names, short ones first.
    pub aliases: &'static [&'static str],
    /// What its values look like.
    pub option_type: OptionType,
    /// What holds without it; empty where nothing does.
    pub default: &'static str,
    /// One line of help.
    pub help: &'static str,
}

impl OptionSpec {
    /// Whether its value must not be seen.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.option_type == OptionType::Secret
    }

    /// Whether it decides where secrets are sent, to whom they are shown, or how they must have been kept.
    #[must_use]
    pub fn controls_destination(&self) -> bool {
        DESTINATION_OPTIONS.contains(&self.name) || self.name.starts_with("Proxy")
    }

    /// Whether it is a secret, or names a file of secrets that are put to use.
    #[must_use]
    pub fn is_credential(&self) -> bool {
        self.is_secret() || self.is_key_store() || self.sends_file_content()
    }

    /// Whether it names a key store, which may be a key on a token.
    #[must_use]
    pub fn is_key_store(&self) -> bool {
        matches!(self.name, "JWTCertStore" | "KeyStore")
    }

    /// Whether it names a file whose content is sent to a server.
    #[must_use]
    pub fn sends_file_content(&self) -> bool {
        self.name == "ClientAssertionFile"
    }

    /// All its names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// What a connection string may not say where a data source's secrets are in use, beside everything that begins with
/// Proxy. A name of which there is no option yet counts from the day on which there is one.
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
    ($($name:ident [$($alias:literal),*] $kind:expr, $default:literal, $help:literal;)*) => {
        /// The options, by which the code asks for them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is documented by its line of help")]
        pub enum OptionId { $($name),* }

        /// The table, in the order in which documentation shows it.
        pub static TABLE: &[OptionSpec] = &[$(OptionSpec {
            id: OptionId::$name,
            name: stringify!($name),
            aliases: &[$($alias),*],
            option_type: $kind,
            default: $default,
            help: $help,
        }),*];
    };
}

const JWT_ALGORITHMS: OptionType = OptionType::Choice(&[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "HS256", "HS384", "HS512",
    "EdDSA",
]);

define_options! {
    AuthenticationMethod ["am"] OptionType::Text, "inferred",
        "How to get the token, by the vendor's number or word: 55 OAuth2-JWTBearer, 51 OAuth2-AuthorizationCode and 56 OAuth2-PKCE (both with PKCE), 53 OAuth2-ClientCredentials, 52 OAuth2-Password, 54 OAuth2-RefreshToken, 50 OAuth2-AccessToken, 34 BearerToken, 25 HTTPHeader, 0 Basic, 15 None, 24 OAuth2 to infer it from the other options; beside them OAuth2-JWTClientAssertion (RFC 7523 section 2.2) and JWT (the signed JWT is the token).";
    ClaimsIssuer ["cliss"] OptionType::Text, "",
        "The iss claim: the client ID or consumer key that the authorization server knows.";
    ClaimsSubject ["clsub"] OptionType::Text, "",
        "The sub claim: the user or service for whom the token is.";
    ClaimsAudience [] OptionType::Text, "by provider, else the token URL",
        "The aud claim, compared by the server byte for byte.";
    JWTCertStore ["jwtcs"] OptionType::Path, "",
        "The file with the private key that signs: PKCS#12, JKS, JCEKS, PEM, DER or JSON, told apart by content. Or {pkcs11:token=…;object=…}, a key on a token (RFC 7512). What Google's or Box's JSON file says beside its key counts where nobody else says it: ClaimsIssuer and JWTKeyID; Google's TokenEndpoint; Box's ClientID, ClientSecret, ClaimsSubject and box_sub_type.";
    JWTCertPassword ["jwtcp"] OptionType::Secret, "",
        "The password of JWTCertStore, or of the key in JWTPrivateKey; of a token its PIN.";
    JWTCertAlias ["jwtca"] OptionType::Text, "the only key",
        "Which key of JWTCertStore signs, in any case; needed where it holds several.";
    JWTCertKeyPassword [] OptionType::Secret, "JWTCertPassword",
        "The key's own password, where it is not the store's.";
    JWTPrivateKey [] OptionType::Secret, "",
        "The private key itself instead of JWTCertStore: PEM or JSON, or base64 of what such a file may hold.";
    JWTSecret [] OptionType::Secret, "",
        "The shared secret of HS256, HS384 and HS512, as text or base64:…; as long as the hash or longer.";
    JWTAlgorithm [] JWT_ALGORITHMS, "by provider and key",
        "The signature algorithm of the assertion (RFC 7518 section 3.1).";
    JWTKeyID [] OptionType::Text, "",
        "The kid header: by which name the authorization server knows the key.";
    JWTThumbprint [] OptionType::Text, "by provider",
        "Which headers name the key's certificate: any of x5t, x5t#S256 and x5c, separated by commas.";
    JWTCertificate [] OptionType::Path, "",
        "The X.509 file of the key, PEM or DER, where no certificate stands beside the key.";
    JWTHeaders [] OptionType::Text, "",
        "More headers of the assertion, as a JSON object; they win over ours. None of crit, b64, jwk and jku.";
    ClaimsAdditional [] OptionType::Text, "",
        "More claims of the assertion, as a JSON object; they win over ours.";
    JWTLifetime [] OptionType::Number(1, 86_400), "by provider, else 300",
        "Seconds from iat to exp of the assertion.";
    JWTLifetimeMinutes [] OptionType::Number(1, 1440), "",
        "Minutes from iat to exp of the assertion, instead of JWTLifetime.";
    TokenURI ["o2tu"] OptionType::MethodUrl, "",
        "The token endpoint. Without a method in front it is asked by GET and, unless that answers, by POST; \"POST https://…\" asks by POST, \"GET https://…\" by GET alone. Without a token endpoint the signed JWT itself is the token.";
    TokenEndpoint [] OptionType::Url, "",
        "The token endpoint, asked by POST as RFC 6749 section 3.2 demands; instead of TokenURI.";
    Scope ["oas", "Auth_Scope"] OptionType::Text, "by provider",
        "The scopes to ask for, separated by blanks.";
    ScopeIn [] OptionType::Choice(&["Claim", "Parameter", "Both"]), "by provider, else Both",
        "Where Scope goes: a claim of the assertion, a parameter of the request, or both.";
    ClientID ["cid"] OptionType::Text, "",
        "The client ID. A JWT bearer request carries it only where ClientCredentialsMode is given or the provider wants it; the consent URL names it.";
    ClientSecret ["clse"] OptionType::Secret, "",
        "The client secret. A JWT bearer request carries it only where ClientCredentialsMode is given or the provider wants it.";
    ClientCredentialsMode ["clcm"]
        OptionType::Choice(&["0", "1", "2", "3", "Default", "Basic", "URL", "Post"]), "0",
        "How ClientID and ClientSecret are sent: 0 or 1 in a Basic header, 2 or 3 in the body of the POST; a URL never carries them.";
    GrantType [] OptionType::Text, "the RFC's",
        "Another grant_type for the JWT bearer grant.";
    TokenParameters [] OptionType::Secret, "",
        "More parameters of the token request, as a=b&c=d or a JSON object; none that the flow itself sends.";
    ClientAssertion [] OptionType::Secret, "",
        "A ready-made client assertion (RFC 7523 section 2.2); it is sent once.";
    ClientAssertionFile [] OptionType::Path, "",
        "A file that holds the client assertion, read each time, since whoever wrote it renews it. From a connection string, and from a FILEDSN that it names by its path, only if the host program allows it (AUTHGRANT_ALLOW_SECRET_REFERENCES).";
    RefreshToken ["rtok", "Auth_RefreshToken"] OptionType::Secret, "",
        "The refresh token (RFC 6749 section 6); where the server sends a newer one, that is used from then on.";
    OAuthCode ["oac"] OptionType::Secret, "",
        "An authorization code that a person has brought from the consent URL; it is exchanged once (methods 51 and 56).";
    EnableLoginPrompt ["elp"] OptionType::Bool, "0",
        "1 lets a call that needs a token open the browser for methods 51 and 56.";
    AccessToken ["Auth_AccessToken"] OptionType::Secret, "",
        "The access token itself, sent as it is; beside a refresh token, until it ends.";
    AccessTokenExpires ["Auth_Expires"] OptionType::Time, "what the token says",
        "When AccessToken ends.";
    User ["UID", "LogonID"] OptionType::Text, "",
        "The user's name, for methods 0 and 52.";
    Password ["pwd"] OptionType::Secret, "",
        "The user's password, for methods 0 and 52.";
    AuthHeader ["ah"] OptionType::Text, "",
        "The name of one more HTTP header, on the token request and on requests to the API; its value is SecurityToken.";
    SecurityToken ["st"] OptionType::Secret, "",
        "The value of the header that AuthHeader names.";
    Provider [] OptionType::Text, "by the token host",
        "The authorization server's profile by name (docs/providers.md), where its host does not tell.";
    AuthURI ["o2au"] OptionType::Url, "by provider",
        "The authorization endpoint, to which the consent URL leads.";
    RedirectURI ["o2ru"] OptionType::Url, "",
        "Where the browser returns to after consent, as registered with the authorization server.";
    ApplicationName [] OptionType::Text, "",
        "The application's name, for the page that a person sees after consent.";
    ConsentType [] OptionType::Choice(&["Individual", "Admin", "ExternalAdmin"]), "by provider, else Individual",
        "Who consents: each user, an administrator for all users of the organisation, or the administrator of another organisation.";
    AdminConsentScope [] OptionType::Text, "by provider",
        "What the administrator of another organisation consents to (admin_consent_scope).";
    ConsentTimeout [] OptionType::Number(1, 86_400), "300",
        "Seconds that a person has for consent.";
    LogoffURI ["o2lu"] OptionType::Url, "",
        "Called with the token when the last connection that uses it is closed, and by authgrant_logoff.";
    RestConfigFile ["rcf", "RESTConfigFile", "Config"] OptionType::Path, "",
        "The model file of the driver (.rest). Its method, URIs, scope and headers count where nobody else says them.";
    RestSamplePath ["rsp", "RESTSamplePath", "Sample"] OptionType::Text, "",
        "The endpoint that the driver samples, in full or as seen from HostName; authgrant_test_connection asks it with the token.";
    HealthURI [] OptionType::Text, "",
        "The endpoint that authgrant_test_connection asks with the token, instead of RestSamplePath.";
    TrustStore ["ts", "Truststore"] OptionType::Path, "the operating system's",
        "The file with the certificates of the authorities to trust, instead of the operating system's: PEM, JKS or PKCS#12, told apart by content.";
    TrustStorePassword ["tsp"] OptionType::Secret, "",
        "The password of TrustStore, where it is JKS or PKCS#12.";
    ValidateServerCertificate ["vsc"] OptionType::Bool, "1",
        "0 accepts any certificate, and so anybody's server. For tests alone.";
    HostNameInCertificate ["hnic"] OptionType::Text, "the URL's host",
        "The name that the server's certificate must be for, where that is not the URL's host; #SERVERNAME# is the URL's host. It counts for every server that is asked.";
    CryptoProtocolVersion ["cpv"] OptionType::Text, "TLSv1.3,TLSv1.2",
        "The versions of TLS that are offered: TLSv1.3, TLSv1.2, or both, separated by a comma. Older ones are not built in.";
    KeyStore ["ks"] OptionType::Path, "",
        "The file with the client's own certificate and its private key for mutual TLS, in any format that JWTCertStore takes. With ClientID and without ClientSecret, method 53 authenticates by it (RFC 8705).";
    KeyStorePassword ["ksp"] OptionType::Secret, "",
        "The password of KeyStore; of a token its PIN.";
    KeyPassword ["kp"] OptionType::Secret, "KeyStorePassword",
        "The password of the key in KeyStore, where it is not the store's.";
    KeyStoreAlias [] OptionType::Text, "the only key",
        "Which key of KeyStore is the client's; needed where it holds several.";
    KeyFileCheck [] OptionType::Bool, "0",
        "1 refuses JWTCertStore, KeyStore and ClientAssertionFile where others may read or write the file, by its mode; without it that is a warning. Where systems have no such modes, as Windows, nothing is looked at.";
    ProxyHost ["pxhn", "ProxyServer"] OptionType::Text, "the environment's",
        "The proxy to all https servers: a host, or http://host:port (CONNECT), or socks5://host:port, where the proxy looks names up. Without it https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY and no_proxy of the environment count, as they are at open, but not for this machine. http:// goes to this machine alone and never through a proxy.";
    ProxyPort ["pxpt"] OptionType::Number(0, 65_535), "0",
        "The port of ProxyHost; 0 is the one in ProxyHost, else 80 for HTTP and 1080 for SOCKS5.";
    ProxyUser ["pxu", "ProxyUID"] OptionType::Text, "",
        "The user that ProxyHost knows, for Basic authentication or SOCKS5's.";
    ProxyPassword ["ProxyPwd"] OptionType::Secret, "",
        "The password of ProxyUser.";
    ProxyMode ["pxm"] OptionType::Bool, "1 with ProxyHost",
        "0 goes to servers straight, whatever ProxyHost and the environment say; 1 demands ProxyHost.";
    LoginTimeout ["lt"] OptionType::Number(-1, 86_400), "60",
        "Seconds for a whole call, waiting for others included; 0 or -1 is no limit.";
    WSTimeout ["wst"] OptionType::Number(-1, 86_400), "120",
        "Seconds for one request to a server; 0 or -1 is no limit but that of the call.";
    AccessTokenLifetime [] OptionType::Number(1, 31_536_000), "by provider, else 300",
        "Seconds that a token is taken to live where neither the server nor the token says.";
    RefreshMargin [] OptionType::Number(0, 86_400), "a tenth of the token's life, 60 at most",
        "Seconds before a token's end from which on one caller renews it, while the others use it; a little earlier at random. 0: not before the end.";
    CacheScope [] OptionType::Choice(&["Process", "Connection"]), "Process",
        "Connection keeps the tokens of this connection from equal connections of the process.";
    DSN ["DataSourceName"] OptionType::Text, "",
        "The section of odbc.ini that says the rest, in the connection string alone; not looked up where Driver stands in front of it.";
    FILEDSN [] OptionType::Path, "",
        "The .dsn file that says the rest in its section [ODBC], in the connection string alone; of DSN and FILEDSN the first counts.";
    AllowOverride [] OptionType::Bool, "0",
        "In a DSN or FILEDSN: 1 lets a connection string change where its secrets are sent.";
    Driver [] OptionType::Passthrough, "", "The driver manager's own.";
    Description ["desc"] OptionType::Passthrough, "", "The driver's own.";
    HostName ["host"] OptionType::Passthrough, "",
        "The driver's own: the API's host. authgrant_test_connection asks a relative RestSamplePath or HealthURI there.";
    PortNumber ["port"] OptionType::Passthrough, "443", "The driver's own: the API's port, beside HostName.";
    SQLEngineMode [] OptionType::Passthrough, "", "The driver's own.";
    SchemaMap [] OptionType::Passthrough, "", "The driver's own.";
    CreateMap [] OptionType::Passthrough, "", "The driver's own.";
    LogConfigFile ["lgcf", "lcf"] OptionType::Passthrough, "", "The driver's own.";
    WSRetryCount ["wsrc"] OptionType::Passthrough, "", "The driver's own.";
}

impl OptionId {
    /// The option's name, as documentation spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.spec().map_or("", |option| option.name)
    }

    /// The option's line of the table.
    #[must_use]
    pub fn spec(self) -> Option<&'static OptionSpec> {
        TABLE.get(self as usize)
    }
}

/// The option of that name, in any case.
#[must_use]
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    TABLE.iter().find(|option| option.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The option whose name is most like `name`, if one is like it at all.
#[must_use]
pub fn find_similar(name: &str) -> Option<&'static OptionSpec> {
    let wanted = name.to_ascii_lowercase();
    TABLE
        .iter()
        .map(|option| {
            (strsim::normalized_damerau_levenshtein(&wanted, &option.name.to_ascii_lowercase()), option)
        })
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, option)| option)
}

/// The table as JSON, for C callers that build dialogs.
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

/// The table as the page `docs/options.md`.
#[must_use]
pub fn to_markdown() -> String {
    let mut page = String::from(
        "# Options\n\nWritten from `src/options/table.rs` by `make generated`; a test fails when they differ.\n\n\
         Names in any case. The aliases of an option are one name with it.\n\n\
         A secret may stand elsewhere: `env:NAME` is the content of an environment variable, `file:PATH` that of a text \
         file of at most 64 KiB, without the end of its last line, and `literal:TEXT` is TEXT itself, for a secret that \
         begins so; in small letters. `env:` and `file:` are taken from authgrant_set_option, from odbc.ini and from a \
         FILEDSN that is named without a folder; from a connection string, and from a FILEDSN that it names by its path, \
         only if the host program allows it (AUTHGRANT_ALLOW_SECRET_REFERENCES).\n\n\
         | option | aliases | value | default | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for option in TABLE {
        let kind = match option.option_type {
            OptionType::Secret => "text, secret".to_owned(),
            kind => kind.expected_text(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            option.name,
            option.aliases.iter().map(|alias| format!("`{alias}`")).collect::<Vec<_>>().join(", "),
            kind,
            option.default,
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
        let steers = |name: &str| find(name).unwrap().controls_destination();
        for option in TABLE.iter().filter(|option| matches!(option.option_type, OptionType::MethodUrl)) {
            assert!(option.controls_destination(), "{}", option.name);
        }
        assert!(steers("TokenEndpoint") && steers("vsc") && steers("rcf") && steers("ClaimsAudience"));
        assert!(!steers("Scope") && !steers("LoginTimeout") && !steers("JWTCertStore"));
    }

    #[test]
    fn suggestion_only_for_similar_names() {
        assert_eq!(find_similar("ClaimIssuer").unwrap().id, OptionId::ClaimsIssuer);
        assert_eq!(find_similar("JWTCertPasword").unwrap().id, OptionId::JWTCertPassword);
        assert!(find_similar("Zebra").is_none());
    }
}
