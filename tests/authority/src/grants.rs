//! What each grant needs beside a good client: an assertion, a password, a code, a refresh token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::assertion;
use crate::client::{Client, GrantType};
use crate::client_auth::{self, Credentials};
use crate::provider::{self, Provider};
use crate::refusal::Refusal;
use crate::state::State;
use crate::token::{Asked, Grant};
use crate::vault::{Code, Renewal};

type Outcome = Result<Grant, Refusal>;

pub(crate) fn check(state: &mut State, asked: &Asked<'_>, grant: GrantType) -> Outcome {
    let check = match grant {
        GrantType::JwtBearer => return jwt_bearer(state, asked),
        GrantType::ClientCredentials => client_credentials,
        GrantType::Password => password,
        GrantType::AuthorizationCode => authorization_code,
        GrantType::RefreshToken => refresh_token,
    };
    let client = client_auth::authenticate(state, asked, grant)?;
    check(state, client, asked)
}

// RFC 7523 2.1: the assertion says which client it is; its authentication beside it is as registered.
fn jwt_bearer(state: &mut State, asked: &Asked<'_>) -> Outcome {
    let assertion = asked.parameters.needed("assertion")?;
    let at_once = state.config.provider.is_some_and(Provider::uses_ids_up_at_once);
    if let Some((issuer, id)) = assertion::unverified_id(assertion).filter(|_| at_once) {
        state.use_up(&issuer, Some(&id))?;
    }
    let checked = assertion::check(state, assertion, asked)?;
    let credentials = Credentials::read(asked)?;
    client_auth::check(state, checked.client, &credentials, asked, GrantType::JwtBearer)?;
    let client = &state.clients[checked.client];
    client_auth::allowed(client, GrantType::JwtBearer)?;
    let scope = assertion::granted_scope(client, checked.scope)?;
    let mut grant = Grant::plain(client, checked.subject, scope);
    grant.id_token = provider::wants_id_token(&state.config, assertion).then_some(None);
    state.use_up(&grant.issuer, checked.jti.as_deref().filter(|_| !at_once))?;
    state.consent_given(grant.subject.as_deref())?;
    Ok(grant)
}

// RFC 6749 4.4: for confidential clients only, and without a refresh token.
fn client_credentials(state: &mut State, client: usize, asked: &Asked<'_>) -> Outcome {
    let client = &state.clients[client];
    if client.auth(GrantType::ClientCredentials).is_public() {
        return Err(Refusal::unauthorized("client_credentials is not for a public client"));
    }
    let scope = assertion::granted_scope(client, scope(asked))?;
    state.consent_given(Some(client.client_id()))?;
    Ok(Grant::plain(client, Some(client.client_id().to_owned()), scope))
}

fn password(state: &mut State, client: usize, asked: &Asked<'_>) -> Outcome {
    let (name, password) = (asked.parameters.needed("username")?, asked.parameters.needed("password")?);
    let known = &state.clients[client];
    match known.options.users.get(name) {
        Some(expected) if expected == password => {}
        Some(expected) => {
            return Err(Refusal::not_good(format!("the password is {password:?}, expected {expected:?}")));
        }
        None => return Err(Refusal::not_good(format!("the user {name:?} is not known"))),
    }
    let grant = Grant::plain(known, Some(name.to_owned()), assertion::granted_scope(known, scope(asked))?);
    let family = state.seen.vault.new_family();
    Ok(with_refresh_token(state, client, grant, family))
}

fn authorization_code(state: &mut State, client: usize, asked: &Asked<'_>) -> Outcome {
    let known = &state.clients[client];
    let code = state.seen.vault.code(asked.parameters.needed("code")?)?;
    code_is_theirs(code, known, asked)?;
    verifier(code, asked.parameters.get("code_verifier"))?;
    let mut grant = Grant::plain(known, Some(code.subject.clone()), code.scope.clone());
    let openid = code.scope.iter().flat_map(|scope| scope.split(' ')).any(|one| one == "openid");
    grant.id_token = openid.then(|| code.nonce.clone());
    let (text, family) = (code.text.clone(), code.family);
    state.seen.vault.use_code(&text);
    Ok(with_refresh_token(state, client, grant, family))
}

// RFC 6749 4.1.3.
fn code_is_theirs(code: &Code, client: &Client, asked: &Asked<'_>) -> Result<(), Refusal> {
    let found = asked.parameters.get("redirect_uri");
    if code.issuer != client.issuer {
        return Err(Refusal::not_good("the code was given to another client"));
    }
    if asked.now >= code.ends {
        return Err(Refusal::not_good(format!("the code ended {} s ago", asked.now - code.ends)));
    }
    if found != Some(&code.redirect_uri) {
        let expected = &code.redirect_uri;
        return Err(Refusal::not_good(format!("redirect_uri is {found:?}, expected {expected:?}")));
    }
    Ok(())
}

// RFC 7636 4.6, S256 only.
fn verifier(code: &Code, found: Option<&str>) -> Result<(), Refusal> {
    let (challenge, verifier) = match (&code.challenge, found) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(Refusal::not_good("a code_verifier came without a code_challenge")),
        (Some(_), None) => return Err(Refusal::request("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => (challenge, verifier),
    };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(Refusal::request("code_verifier is not 43 to 128 unreserved characters"));
    }
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if hash != *challenge {
        return Err(Refusal::not_good(format!("code_verifier hashes to {hash}, expected {challenge}")));
    }
    Ok(())
}

fn refresh_token(state: &mut State, client: usize, asked: &Asked<'_>) -> Outcome {
    let known = &state.clients[client];
    let text = asked.parameters.needed("refresh_token")?;
    let token = state.seen.vault.refresh_token(text, &known.issuer)?.clone();
    let asked_scope = scope(asked);
    let had: Vec<&str> = token.scope.iter().flat_map(|scope| scope.split(' ')).collect();
    if let Some(more) = asked_scope.iter().flat_map(|scope| scope.split(' ')).find(|one| !had.contains(one)) {
        return Err(Refusal::scope(format!("scope {more:?} is not one of {had:?}, which were granted")));
    }
    let mut grant = Grant::plain(known, token.subject, asked_scope.or_else(|| token.scope.clone()));
    grant.family = Some(token.family);
    // RFC 6749 6: a new refresh token has the scope of the old, whatever was asked for now.
    grant.renewal = state
        .config
        .rotate_refresh_tokens
        .then(|| Renewal { scope: token.scope, replaces: Some(text.to_owned()) });
    Ok(grant)
}

fn with_refresh_token(state: &State, client: usize, mut grant: Grant, family: u64) -> Grant {
    grant.family = Some(family);
    if state.clients[client].may_use(GrantType::RefreshToken) {
        grant.renewal = Some(Renewal::of(&grant));
    }
    grant
}

fn scope(asked: &Asked<'_>) -> Option<String> {
    asked.parameters.get("scope").map(str::to_owned)
}
