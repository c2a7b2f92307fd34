//! What each grant needs beside a good client: an assertion, a password, a code, a refresh token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::assertion;
use crate::client::{Client, GrantType};
use crate::client_auth::{self, Credentials};
use crate::error::ErrorResponse;
use crate::grant_store::{AuthorizationCode, NewRefreshToken};
use crate::provider::{self, Provider};
use crate::state::State;
use crate::token_endpoint::{Grant, TokenRequest};

type GrantResult = Result<Grant, ErrorResponse>;

pub(crate) fn check_grant(state: &mut State, asked: &TokenRequest<'_>, grant: GrantType) -> GrantResult {
    let check = match grant {
        GrantType::JwtBearer => return check_jwt_bearer(state, asked),
        GrantType::ClientCredentials => check_client_credentials,
        GrantType::Password => check_password,
        GrantType::AuthorizationCode => check_authorization_code,
        GrantType::RefreshToken => check_refresh_token,
    };
    let client = client_auth::authenticate_client(state, asked, grant)?;
    check(state, client, asked)
}

// RFC 7523 2.1: the assertion says which client it is; its authentication beside it is as registered.
fn check_jwt_bearer(state: &mut State, asked: &TokenRequest<'_>) -> GrantResult {
    let assertion = asked.parameters.require("assertion")?;
    let at_once = state.config.provider.is_some_and(Provider::consumes_jti_on_receipt);
    if let Some((issuer, id)) = assertion::parse_unverified_id(assertion).filter(|_| at_once) {
        state.consume_jti(&issuer, Some(&id))?;
    }
    let checked = assertion::verify_grant_assertion(state, assertion, asked)?;
    let credentials = Credentials::parse(asked)?;
    client_auth::check_credentials(state, checked.client, &credentials, asked, GrantType::JwtBearer)?;
    let client = &state.clients[checked.client];
    client_auth::check_grant_allowed(client, GrantType::JwtBearer)?;
    let scope = assertion::select_granted_scope(client, checked.scope)?;
    let mut grant = Grant::new(client, checked.subject, scope);
    grant.id_token_nonce = provider::requests_id_token(&state.config, assertion).then_some(None);
    state.consume_jti(&grant.issuer, checked.jti.as_deref().filter(|_| !at_once))?;
    state.check_consent(grant.subject.as_deref())?;
    Ok(grant)
}

// RFC 6749 4.4: for confidential clients only, and without a refresh token.
fn check_client_credentials(state: &mut State, client: usize, asked: &TokenRequest<'_>) -> GrantResult {
    let client = &state.clients[client];
    if client.auth_method(GrantType::ClientCredentials).is_public() {
        return Err(ErrorResponse::unauthorized_client("client_credentials is not for a public client"));
    }
    let scope = assertion::select_granted_scope(client, requested_scope(asked))?;
    state.check_consent(Some(client.client_id()))?;
    Ok(Grant::new(client, Some(client.client_id().to_owned()), scope))
}

fn check_password(state: &mut State, client: usize, asked: &TokenRequest<'_>) -> GrantResult {
    let (name, password) = (asked.parameters.require("username")?, asked.parameters.require("password")?);
    let known = &state.clients[client];
    match known.options.users.get(name) {
        Some(expected) if expected == password => {}
        Some(expected) => {
            return Err(ErrorResponse::invalid_credential(format!(
                "the password is {password:?}, expected {expected:?}"
            )));
        }
        None => return Err(ErrorResponse::invalid_credential(format!("the user {name:?} is not known"))),
    }
    let grant = Grant::new(
        known,
        Some(name.to_owned()),
        assertion::select_granted_scope(known, requested_scope(asked))?,
    );
    let family = state.resettable.grant_store.new_family();
    Ok(add_refresh_token(state, client, grant, family))
}

fn check_authorization_code(state: &mut State, client: usize, asked: &TokenRequest<'_>) -> GrantResult {
    let known = &state.clients[client];
    let code = state.resettable.grant_store.check_code(asked.parameters.require("code")?)?;
    check_code_binding(code, known, asked)?;
    verify_pkce(code, asked.parameters.get("code_verifier"))?;
    let mut grant = Grant::new(known, Some(code.subject.clone()), code.scope.clone());
    let openid = code.scope.iter().flat_map(|scope| scope.split(' ')).any(|one| one == "openid");
    grant.id_token_nonce = openid.then(|| code.nonce.clone());
    let (text, family) = (code.value.clone(), code.family);
    state.resettable.grant_store.mark_code_used(&text);
    Ok(add_refresh_token(state, client, grant, family))
}

// RFC 6749 4.1.3.
fn check_code_binding(
    code: &AuthorizationCode,
    client: &Client,
    asked: &TokenRequest<'_>,
) -> Result<(), ErrorResponse> {
    let found = asked.parameters.get("redirect_uri");
    if code.issuer != client.issuer {
        return Err(ErrorResponse::invalid_credential("the code was given to another client"));
    }
    if asked.now >= code.expires_at {
        return Err(ErrorResponse::invalid_credential(format!(
            "the code ended {} s ago",
            asked.now - code.expires_at
        )));
    }
    if found != Some(&code.redirect_uri) {
        let expected = &code.redirect_uri;
        return Err(ErrorResponse::invalid_credential(format!(
            "redirect_uri is {found:?}, expected {expected:?}"
        )));
    }
    Ok(())
}

// RFC 7636 4.6, S256 only.
fn verify_pkce(code: &AuthorizationCode, found: Option<&str>) -> Result<(), ErrorResponse> {
    let (challenge, verifier) = match (&code.challenge, found) {
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            return Err(ErrorResponse::invalid_credential("a code_verifier came without a code_challenge"));
        }
        (Some(_), None) => return Err(ErrorResponse::invalid_request("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => (challenge, verifier),
    };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(ErrorResponse::invalid_request("code_verifier is not 43 to 128 unreserved characters"));
    }
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if hash != *challenge {
        return Err(ErrorResponse::invalid_credential(format!(
            "code_verifier hashes to {hash}, expected {challenge}"
        )));
    }
    Ok(())
}

fn check_refresh_token(state: &mut State, client: usize, asked: &TokenRequest<'_>) -> GrantResult {
    let known = &state.clients[client];
    let text = asked.parameters.require("refresh_token")?;
    let token = state.resettable.grant_store.check_refresh_token(text, &known.issuer)?.clone();
    let asked_scope = requested_scope(asked);
    let had: Vec<&str> = token.scope.iter().flat_map(|scope| scope.split(' ')).collect();
    if let Some(more) = asked_scope.iter().flat_map(|scope| scope.split(' ')).find(|one| !had.contains(one)) {
        return Err(ErrorResponse::invalid_scope(format!(
            "scope {more:?} is not one of {had:?}, which were granted"
        )));
    }
    let mut grant = Grant::new(known, token.subject, asked_scope.or_else(|| token.scope.clone()));
    grant.family = Some(token.family);
    // RFC 6749 6: a new refresh token has the scope of the old, whatever was asked for now.
    grant.new_refresh_token = state
        .config
        .rotate_refresh_tokens
        .then(|| NewRefreshToken { scope: token.scope, replaces: Some(text.to_owned()) });
    Ok(grant)
}

fn add_refresh_token(state: &State, client: usize, mut grant: Grant, family: u64) -> Grant {
    grant.family = Some(family);
    if state.clients[client].can_use(GrantType::RefreshToken) {
        grant.new_refresh_token = Some(NewRefreshToken::initial(&grant));
    }
    grant
}

fn requested_scope(asked: &TokenRequest<'_>) -> Option<String> {
    asked.parameters.get("scope").map(str::to_owned)
}
