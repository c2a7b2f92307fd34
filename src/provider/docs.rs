//! Generator of `docs/providers.md`: an example connection string and the specifics of every profile.

use std::fmt::Write as _;

use super::{Audience, ConsentProfile, DefaultSubject, JwtUse, Profile, ScopeLocation, profiles};
use crate::options::table;

const PAGE_HEADER: &str = "# Providers\n\n\
    Generated from `src/provider/providers.json` and the option table by `make generated`; a test fails if \
    this page is outdated.\n\n\
    A profile is selected by the host of the token URL, or by `Provider=name` for any host. It supplies \
    defaults; every option that you set overrides it. Without a profile, requests follow RFC 7523.\n\n\
    The values below are examples. In URLs, `{server}` is the scheme and host of the token URL, \
    `{tenant}` the first segment of its path, and `{parent}` the token URL without the last segment of its \
    path. In hosts, `*` stands for any characters. Adobe's JWT grant was discontinued on 2025-06-30 and has no \
    profile.\n\n\
    | provider | hosts | source |\n| --- | --- | --- |\n";

/// The page as Markdown.
#[must_use]
pub fn as_markdown() -> String {
    let mut page = PAGE_HEADER.to_owned();
    // Writing to a String cannot fail.
    for profile in profiles() {
        let (name, evidence) = (&profile.name, profile.evidence.description());
        let _ = writeln!(page, "| [{name}](#{name}) | {} | {evidence} |", hosts_text(profile));
    }
    for profile in profiles() {
        write_section(&mut page, profile);
    }
    page
}

fn write_section(page: &mut String, profile: &Profile) {
    let Profile { name, source, .. } = profile;
    let _ = writeln!(page, "\n## {name}\n\n```\n{}\n```\n", profile.example_connection_string());
    let secrets: Vec<_> = profile.example.iter().filter(|(option, _)| is_secret_option(option)).collect();
    for fact in list_facts(profile).into_iter().chain(profile.notes.iter().cloned()) {
        let _ = writeln!(page, "* {fact}");
    }
    if !secrets.is_empty() {
        let names: Vec<_> = secrets.iter().map(|(option, _)| format!("`{option}`")).collect();
        let _ = writeln!(page, "* Secret options: {}.", names.join(", "));
    }
    let _ = writeln!(page, "* Source ({}): {source}", profile.evidence.description());
}

fn is_secret_option(option: &str) -> bool {
    table::find(option).is_some_and(table::OptionSpec::is_secret)
}

fn hosts_text(profile: &Profile) -> String {
    if profile.hosts.is_empty() {
        return format!("only by `Provider={}`", profile.name);
    }
    join_hosts(&profile.hosts)
}

fn join_hosts(hosts: &[String]) -> String {
    let hosts: Vec<_> = hosts.iter().map(|host| format!("`{host}`")).collect();
    hosts.join(", ")
}

fn list_facts(profile: &Profile) -> Vec<String> {
    let mut facts = vec![match profile.jwt {
        JwtUse::AuthorizationGrant => "The JWT is exchanged for a token (RFC 7523 section 2.1).".to_owned(),
        JwtUse::ClientAuthentication => "The JWT authenticates the client (RFC 7523 section 2.2).".to_owned(),
        JwtUse::AccessToken => "The JWT is the access token; there is no token endpoint.".to_owned(),
    }];
    facts.extend(profile.default_subject.map(|subject| subject_text(subject).to_owned()));
    facts.push(format!("`aud` is {}.", audience_text(&profile.audience)));
    if let [default, others @ ..] = profile.algorithms.as_slice() {
        let others: Vec<_> = others.iter().map(|other| format!("{other:?}")).collect();
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!("; depending on the key also {}", others.join(", ")),
        };
        facts.push(format!("The algorithm is {default:?}{others}."));
    }
    if !profile.cert_headers.is_empty() {
        facts.push(format!("The key's certificate is identified by {}.", profile.cert_headers.join(", ")));
    }
    if profile.requires_key_id {
        facts.push("The server selects the key by `kid`: set `JWTKeyID`.".to_owned());
    }
    let limit = profile.max_lifetime.map(|max| format!("; the server accepts at most {max}"));
    let lifetime = profile.lifetime.unwrap_or(300);
    facts.push(format!("The lifetime is {lifetime} seconds{}.", limit.unwrap_or_default()));
    facts.push(scope_text(profile));
    if let Some(client) = profile.client {
        let place = if client.basic { "a Basic header" } else { "the body" };
        facts.push(format!("The client ID and secret are sent in {place}."));
    }
    if let Some(seconds) = profile.token_lifetime {
        facts.push(format!(
            "If the response has no `expires_in`, a lifetime of {seconds} seconds is assumed."
        ));
    }
    if !profile.bearer_types.is_empty() {
        let types = profile.bearer_types.join(", ");
        facts.push(format!("The `token_type` {types} is accepted, too; it means Bearer."));
    }
    facts.extend(profile.consent.iter().flat_map(consent_facts));
    facts.extend(profile.error_hints.iter().map(|(pattern, hint)| format!("`{pattern}`: {hint}.")));
    facts
}

fn consent_facts(consent: &ConsentProfile) -> impl Iterator<Item = String> {
    let user = consent.authorization_endpoint.as_ref().map(|url| format!("Users consent at `{url}`."));
    let requirements = consent.individual_requirements.as_ref();
    let requirements = requirements.map(|text| format!("Requirements for user consent: {text}."));
    let admin = consent.admin_endpoint.as_ref().map(|url| format!("An administrator consents at `{url}`."));
    let steps = consent.admin_steps.as_ref().map(|steps| format!("Administrator consent: {steps}."));
    [user, requirements, admin, steps].into_iter().flatten()
}

fn subject_text(subject: DefaultSubject) -> &'static str {
    match subject {
        DefaultSubject::Issuer => "`sub` is the same as `iss` unless `ClaimsSubject` is set.",
        DefaultSubject::None => "`sub` is absent unless `ClaimsSubject` is set.",
        DefaultSubject::Configured => "`sub` is required: set `ClaimsSubject`.",
    }
}

fn audience_text(audience: &Audience) -> String {
    match audience {
        Audience::TokenUrl => "the token URL, byte for byte".to_owned(),
        Audience::Host => "the host of the token URL".to_owned(),
        Audience::Origin => "the scheme and host of the token URL".to_owned(),
        Audience::OriginWithSlash => "the scheme and host of the token URL with a trailing slash".to_owned(),
        Audience::ByHost { texts, otherwise } => {
            let texts = texts.iter().map(|(text, hosts)| format!("`{text}` for {}", join_hosts(hosts)));
            format!("{}; otherwise `{otherwise}`", texts.collect::<Vec<_>>().join(", "))
        }
        Audience::ClientId => "the client ID".to_owned(),
        Audience::Literal(text) => format!("\"{text}\""),
        Audience::None => "absent".to_owned(),
        Audience::Configured => "the value of `ClaimsAudience`".to_owned(),
        Audience::ConfiguredUnlessScope => {
            "the value of `ClaimsAudience`, or absent if there is a scope".to_owned()
        }
    }
}

fn scope_text(profile: &Profile) -> String {
    let place = match profile.scope_location {
        ScopeLocation::Claim if profile.scope_is_array => "an array claim of the assertion",
        ScopeLocation::Claim => "a claim of the assertion",
        ScopeLocation::Parameter => "a parameter of the request",
        ScopeLocation::Both => "both a claim of the assertion and a parameter of the request",
        ScopeLocation::None => return "No scope is sent.".to_owned(),
    };
    let default = profile.default_scope.as_ref().map(|scope| {
        let others = scope.by_host.iter();
        let others = others.map(|(text, hosts)| format!(", `{text}` at {}", join_hosts(hosts)));
        format!("; the default is `{}`{}", scope.text, others.collect::<String>())
    });
    format!("The scope is {place}{}.", default.unwrap_or_default())
}

impl Profile {
    /// A working connection string, one option per line.
    #[must_use]
    pub fn example_connection_string(&self) -> String {
        let pairs = self.example.iter().map(|(name, value)| {
            let needs_braces = value.contains([';', '{', '}', '=']);
            let value =
                if needs_braces { format!("{{{}}}", value.replace('}', "}}")) } else { value.clone() };
            format!("{name}={value};")
        });
        pairs.collect::<Vec<_>>().join("\n")
    }
}
