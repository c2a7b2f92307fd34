//! The page `docs/providers.md`: every profile with a connection string that works, and what is particular to it.

use std::fmt::Write as _;

use super::{Audience, ConsentProfile, JwtUse, Profile, ScopeLocation, profiles};
use crate::options::table;

const PAGE_HEADER: &str = "# Providers\n\n\
    Written from `src/provider/providers.json` and the option table by `make generated`; a test fails when they differ.\n\n\
    A profile is chosen by the host of the token URL, or by `Provider=name` whatever the host. It says what holds where \
    you say nothing: every option of your own wins over it. A server that is known neither by its host nor by a name \
    is asked as RFC 7523 has it.\n\n\
    The values below are made up. In URLs `{server}` is the scheme and host of the token URL, and `{tenant}` the first part of \
    its path. Adobe's JWT grant, which ended on 2025-06-30, has no profile.\n\n\
    | provider | hosts | known from |\n| --- | --- | --- |\n";

/// The page.
#[must_use]
pub fn as_markdown() -> String {
    let mut page = PAGE_HEADER.to_owned();
    // Writing to a String cannot fail.
    for profile in profiles() {
        let (name, known) = (&profile.name, profile.evidence.description());
        let _ = writeln!(page, "| [{name}](#{name}) | {} | {known} |", hosts_text(profile));
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
        let _ = writeln!(page, "* Secret: {}.", names.join(", "));
    }
    let _ = writeln!(page, "* Known from {}: {source}", profile.evidence.description());
}

fn is_secret_option(option: &str) -> bool {
    table::find(option).is_some_and(table::OptionSpec::is_secret)
}

fn hosts_text(profile: &Profile) -> String {
    if profile.hosts.is_empty() {
        return format!("by `Provider={}` alone", profile.name);
    }
    let hosts: Vec<_> = profile.hosts.iter().map(|host| format!("`{host}`")).collect();
    hosts.join(", ")
}

fn list_facts(profile: &Profile) -> Vec<String> {
    let mut facts = vec![match profile.jwt {
        JwtUse::AuthorizationGrant => "The JWT is exchanged for a token (RFC 7523 section 2.1).".to_owned(),
        JwtUse::ClientAuthentication => {
            "The JWT is the client's authentication (RFC 7523 section 2.2).".to_owned()
        }
        JwtUse::AccessToken => "The JWT is the token itself; there is no token endpoint.".to_owned(),
    }];
    facts.push(format!("aud is {}.", audience_text(&profile.audience)));
    if let [usual, others @ ..] = profile.algorithms.as_slice() {
        let others: Vec<_> = others.iter().map(|other| format!("{other:?}")).collect();
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!(", or as the key allows by {}", others.join(", ")),
        };
        facts.push(format!("It is signed by {usual:?}{others}."));
    }
    if !profile.cert_headers.is_empty() {
        facts.push(format!("The key's certificate is named in {}.", profile.cert_headers.join(", ")));
    }
    if profile.requires_key_id {
        facts.push("The key is found by its kid: `JWTKeyID`.".to_owned());
    }
    let most = profile.max_lifetime.map(|most| format!(", and is refused beyond {most}"));
    let usual = profile.lifetime.unwrap_or(300);
    facts.push(format!("It lives for {usual} seconds{}.", most.unwrap_or_default()));
    facts.push(scope_text(profile));
    if let Some(client) = profile.client {
        let place = if client.basic { "a Basic header" } else { "the body" };
        facts.push(format!("The client's id and secret go along in {place}."));
    }
    if let Some(seconds) = profile.token_lifetime {
        facts.push(format!("A token of which nobody says so is taken to live for {seconds} seconds."));
    }
    facts.extend(profile.consent.iter().flat_map(consent_facts));
    facts
}

fn consent_facts(ways: &ConsentProfile) -> impl Iterator<Item = String> {
    let own = ways.authorization_endpoint.as_ref().map(|url| format!("A person consents at `{url}`."));
    let needs = ways.individual_requirements.as_ref().map(|needs| format!("For that {needs}."));
    let admin = ways.admin_endpoint.as_ref().map(|url| format!("An administrator consents at `{url}`."));
    let steps = ways.admin_steps.as_ref().map(|steps| format!("Consent by an administrator: {steps}."));
    [own, needs, admin, steps].into_iter().flatten()
}

fn audience_text(audience: &Audience) -> String {
    match audience {
        Audience::TokenUrl => "the token URL to the letter".to_owned(),
        Audience::Host => "the bare host of the token URL".to_owned(),
        Audience::Origin => "the token URL's scheme and host".to_owned(),
        Audience::OriginWithSlash => "the token URL's scheme and host, with a slash behind".to_owned(),
        Audience::OriginAmong(known) => {
            format!("{}, as the token URL begins, else the first", known.join(" or "))
        }
        Audience::ClientId => "the client id".to_owned(),
        Audience::Literal(text) => format!("\"{text}\""),
        Audience::None => "absent".to_owned(),
        Audience::Configured => "what `ClaimsAudience` says".to_owned(),
        Audience::ConfiguredUnlessScope => {
            "what `ClaimsAudience` says, or absent where there is a scope".to_owned()
        }
    }
}

fn scope_text(profile: &Profile) -> String {
    let place = match profile.scope_location {
        ScopeLocation::Claim if profile.scope_is_array => "an array claim of the assertion",
        ScopeLocation::Claim => "a claim of the assertion",
        ScopeLocation::Parameter => "a parameter of the request",
        ScopeLocation::Both => "both a claim of the assertion and a parameter of the request",
        ScopeLocation::None => return "There is no place for a scope.".to_owned(),
    };
    let usual = profile.default_scope.as_ref().map(|scope| format!("; without one it is `{}`", scope.text));
    format!("The scope is {place}{}.", usual.unwrap_or_default())
}

impl Profile {
    /// A connection string that works, an option on each line.
    #[must_use]
    pub fn example_connection_string(&self) -> String {
        let pairs = self.example.iter().map(|(name, value)| {
            let quoted = value.contains([';', '{', '}', '=']);
            let value = if quoted { format!("{{{}}}", value.replace('}', "}}")) } else { value.clone() };
            format!("{name}={value};")
        });
        pairs.collect::<Vec<_>>().join("\n")
    }
}
