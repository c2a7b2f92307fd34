//! Checks of each grant in addition to client authentication: assertion, password, code, refresh token.

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

pub(crate) fn check_grant(state: &mut State, request: &TokenRequest<'_>, grant: GrantType) -> GrantResult {
    let check = match grant {
        GrantType::JwtBearer => return check_jwt_bearer(state, request),
        GrantType::ClientCredentials => check_client_credentials,
        GrantType::Password => check_password,
        GrantType::AuthorizationCode => check_authorization_code,
        GrantType::RefreshToken => check_refresh_token,
    };
    let client = client_auth::authenticate_client(state, request, grant)?;
    check(state, client, request)
}

// RFC 7523 section 2.1: the assertion identifies the client, which also authenticates as registered.
fn check_jwt_bearer(state: &mut State, request: &TokenRequest<'_>) -> GrantResult {
    let assertion = request.parameters.require("assertion")?;
    let consume_first = state.config.provider.is_some_and(Provider::consumes_jti_on_receipt);
    if let Some((issuer, id)) = assertion::parse_unverified_id(assertion).filter(|_| consume_first) {
        state.consume_jti(&issuer, Some(&id))?;
    }
    let verified = assertion::verify_grant_assertion(state, assertion, request)?;
    let credentials = Credentials::parse(request)?;
    client_auth::check_credentials(state, verified.client, &credentials, request, GrantType::JwtBearer)?;
    let client = &state.clients[verified.client];
    client_auth::check_grant_allowed(client, GrantType::JwtBearer)?;
    let scope = assertion::select_granted_scope(client, verified.scope)?;
    let mut grant = Grant::new(client, verified.subject, scope);
    grant.id_token_nonce = provider::requests_id_token(&state.config, assertion).then_some(None);
    state.consume_jti(&grant.issuer, verified.jti.as_deref().filter(|_| !consume_first))?;
    state.check_consent(grant.subject.as_deref())?;
    Ok(grant)
}

// RFC 6749 section 4.4: for confidential clients only, without a refresh token.
fn check_client_credentials(state: &mut State, client: usize, request: &TokenRequest<'_>) -> GrantResult {
    let client = &state.clients[client];
    if client.auth_method(GrantType::ClientCredentials).is_public() {
        return Err(ErrorResponse::unauthorized_client(
            "client_credentials cannot be used by a public client",
        ));
    }
    let scope = assertion::select_granted_scope(client, requested_scope(request))?;
    state.check_consent(Some(client.client_id()))?;
    Ok(Grant::new(client, Some(client.client_id().to_owned()), scope))
}

fn check_password(state: &mut State, client: usize, request: &TokenRequest<'_>) -> GrantResult {
    let (name, password) = (request.parameters.require("username")?, request.parameters.require("password")?);
    let registered = &state.clients[client];
    match registered.options.users.get(name) {
        Some(expected) if expected == password => {}
        Some(expected) => {
            return Err(ErrorResponse::invalid_credential(format!(
                "the password is {password:?}, expected {expected:?}"
            )));
        }
        None => return Err(ErrorResponse::invalid_credential(format!("the user {name:?} is unknown"))),
    }
    let grant = Grant::new(
        registered,
        Some(name.to_owned()),
        assertion::select_granted_scope(registered, requested_scope(request))?,
    );
    let family = state.resettable.grant_store.new_family();
    Ok(add_refresh_token(state, client, grant, family))
}

fn check_authorization_code(state: &mut State, client: usize, request: &TokenRequest<'_>) -> GrantResult {
    let registered = &state.clients[client];
    let code = state.resettable.grant_store.check_code(request.parameters.require("code")?)?;
    check_code_binding(code, registered, request)?;
    verify_pkce(code, request.parameters.get("code_verifier"))?;
    let mut grant = Grant::new(registered, Some(code.subject.clone()), code.scope.clone());
    let wants_id_token = code.scope.iter().flat_map(|scope| scope.split(' ')).any(|one| one == "openid");
    grant.id_token_nonce = wants_id_token.then(|| code.nonce.clone());
    let (text, family) = (code.value.clone(), code.family);
    state.resettable.grant_store.mark_code_used(&text);
    Ok(add_refresh_token(state, client, grant, family))
}

// RFC 6749 section 4.1.3.
fn check_code_binding(
    code: &AuthorizationCode,
    client: &Client,
    request: &TokenRequest<'_>,
) -> Result<(), ErrorResponse> {
    let found = request.parameters.get("redirect_uri");
    if code.issuer != client.issuer {
        return Err(ErrorResponse::invalid_credential("the code was issued to another client"));
    }
    if request.now >= code.expires_at {
        return Err(ErrorResponse::invalid_credential(format!(
            "the code expired {} s ago",
            request.now - code.expires_at
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

// RFC 7636 section 4.6, S256 only.
fn verify_pkce(code: &AuthorizationCode, found: Option<&str>) -> Result<(), ErrorResponse> {
    let (challenge, verifier) = match (&code.challenge, found) {
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            return Err(ErrorResponse::invalid_credential(
                "the request contains a code_verifier, but the authorization request had no code_challenge",
            ));
        }
        (Some(_), None) => return Err(ErrorResponse::invalid_request("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => (challenge, verifier),
    };
    let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(is_unreserved) {
        return Err(ErrorResponse::invalid_request(
            "code_verifier must consist of 43 to 128 unreserved characters",
        ));
    }
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if hash != *challenge {
        return Err(ErrorResponse::invalid_credential(format!(
            "code_verifier hashes to {hash}, expected {challenge}"
        )));
    }
    Ok(())
}

fn check_refresh_token(state: &mut State, client: usize, request: &TokenRequest<'_>) -> GrantResult {
    let registered = &state.clients[client];
    let text = request.parameters.require("refresh_token")?;
    let token = state.resettable.grant_store.check_refresh_token(text, &registered.issuer)?.clone();
    let narrowed = requested_scope(request);
    let granted: Vec<&str> = token.scope.iter().flat_map(|scope| scope.split(' ')).collect();
    if let Some(extra) = narrowed.iter().flat_map(|scope| scope.split(' ')).find(|one| !granted.contains(one))
    {
        return Err(ErrorResponse::invalid_scope(format!(
            "scope {extra:?} is not one of the granted scopes {granted:?}"
        )));
    }
    let mut grant = Grant::new(registered, token.subject, narrowed.or_else(|| token.scope.clone()));
    grant.family = Some(token.family);
    // RFC 6749 section 6: a new refresh token has the scope of the old one, even if this request narrows the
    // scope.
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

fn requested_scope(request: &TokenRequest<'_>) -> Option<String> {
    request.parameters.get("scope").map(str::to_owned)
}
