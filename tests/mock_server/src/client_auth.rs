//! Client authentication (RFC 6749 section 2.3, RFC 7521 section 4.2).
//!
//! A request may use one method only, which must be the registered one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::assertion;
use crate::client::{Client, ClientAuth, GrantType};
use crate::error::ErrorResponse;
use crate::state::State;
use crate::token_endpoint::TokenRequest;
use crate::urlencoded;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client credentials in a request.
pub(crate) struct Credentials {
    id: Option<String>,
    proof: Proof,
}

enum Proof {
    Absent,
    Basic(String),
    Body(String),
    Assertion(String),
}

impl Credentials {
    pub(crate) fn parse(request: &TokenRequest<'_>) -> Result<Self, ErrorResponse> {
        let id = request.parameters.get("client_id").map(str::to_owned);
        let mut proofs = Vec::new();
        let mut basic_id = None;
        if let Some((id, secret)) = parse_basic(request)? {
            basic_id = Some(id);
            proofs.push(Proof::Basic(secret));
        }
        if let Some(secret) = request.parameters.get("client_secret") {
            proofs.push(Proof::Body(secret.to_owned()));
        }
        if let Some(assertion) = parse_client_assertion(request)? {
            proofs.push(Proof::Assertion(assertion));
        }
        let proof = proofs.pop().unwrap_or(Proof::Absent);
        if let Some(other) = proofs.pop() {
            let (first, second) = (other.description(), proof.description());
            return Err(ErrorResponse::invalid_request(format!(
                "the client authenticates twice, {first} and {second}"
            )));
        }
        match (&basic_id, &id) {
            (Some(basic), Some(id)) if basic != id => Err(ErrorResponse::invalid_client(
                true,
                format!("client_id is {id:?}, but the client ID by Basic is {basic:?}"),
            )),
            (None, None) if matches!(proof, Proof::Body(_)) => {
                Err(ErrorResponse::invalid_request("client_secret without client_id"))
            }
            _ => Ok(Credentials { id: basic_id.or(id), proof }),
        }
    }
}

impl Proof {
    fn description(&self) -> &'static str {
        match self {
            Proof::Absent => "without credentials",
            Proof::Basic(_) => "by Basic",
            Proof::Body(_) => "by client_secret in the body",
            Proof::Assertion(_) => "by client_assertion",
        }
    }
}

/// Finds and authenticates the client of a grant that does not itself name the client, and checks that the
/// client may use the grant.
pub(crate) fn authenticate_client(
    state: &mut State,
    request: &TokenRequest<'_>,
    grant: GrantType,
) -> Result<usize, ErrorResponse> {
    let credentials = Credentials::parse(request)?;
    let client = match (&credentials.id, &credentials.proof) {
        (_, Proof::Assertion(jwt)) => assertion::find_unverified_client(state, jwt)?,
        (Some(id), proof) => state.find_client_by_id(id).ok_or_else(|| {
            ErrorResponse::invalid_client(proof.is_basic(), format!("the client ID {id:?} is not registered"))
        })?,
        (None, _) => {
            return Err(ErrorResponse::invalid_client(false, "the request does not identify the client"));
        }
    };
    check_credentials(state, client, &credentials, request, grant)?;
    check_grant_allowed(&state.clients[client], grant)?;
    Ok(client)
}

/// Checks the credentials against the registration of the client.
pub(crate) fn check_credentials(
    state: &mut State,
    client: usize,
    credentials: &Credentials,
    request: &TokenRequest<'_>,
    grant: GrantType,
) -> Result<(), ErrorResponse> {
    let registered = &state.clients[client];
    let by_basic = credentials.proof.is_basic();
    if let Some(id) = credentials.id.as_deref().filter(|id| *id != registered.client_id()) {
        let expected = registered.client_id();
        return Err(ErrorResponse::invalid_client(
            by_basic,
            format!("the client ID is {id:?}, expected {expected:?}"),
        ));
    }
    match (registered.auth_method(grant), &credentials.proof) {
        (ClientAuth::Public, Proof::Absent) => Ok(()),
        (ClientAuth::Certificate, Proof::Absent) => compare_certificate_subject(registered, request),
        (ClientAuth::Secret | ClientAuth::Basic, Proof::Basic(secret))
        | (ClientAuth::Secret | ClientAuth::Post, Proof::Body(secret)) => {
            compare_secret(registered, secret, by_basic)
        }
        (ClientAuth::Assertion, Proof::Assertion(jwt)) => {
            let jti = assertion::verify_client_assertion(state, client, jwt, request)?;
            let id = state.clients[client].client_id().to_owned();
            state.consume_jti(&id, jti.as_deref()).map_err(ErrorResponse::into_client_error)
        }
        (method, proof) => Err(ErrorResponse::invalid_client(by_basic, mismatch_text(method, proof))),
    }
}

/// Checks that a client may use a grant (RFC 6749 section 5.2).
pub(crate) fn check_grant_allowed(client: &Client, grant: GrantType) -> Result<(), ErrorResponse> {
    if client.can_use(grant) {
        return Ok(());
    }
    let (id, name) = (client.client_id(), grant.as_str());
    Err(ErrorResponse::unauthorized_client(format!(
        "the grant {name} is not registered for the client {id:?}"
    )))
}

impl Proof {
    fn is_basic(&self) -> bool {
        matches!(self, Proof::Basic(_))
    }
}

fn mismatch_text(registered: ClientAuth, proof: &Proof) -> String {
    match (registered, proof) {
        (ClientAuth::Public, Proof::Basic(_) | Proof::Body(_)) => {
            "the request contains a secret, but the client has none".to_owned()
        }
        (ClientAuth::Secret | ClientAuth::Basic | ClientAuth::Post, Proof::Absent) => {
            "the client secret is missing".to_owned()
        }
        (ClientAuth::Assertion, Proof::Absent) => "client_assertion is missing".to_owned(),
        _ => format!("the client authenticates {}, expected {registered:?}", proof.description()),
    }
}

fn compare_secret(client: &Client, found: &str, by_basic: bool) -> Result<(), ErrorResponse> {
    match client.options.secret.as_deref() {
        Some(expected) if expected == found => Ok(()),
        expected => {
            let expected = expected.unwrap_or("none");
            let reason = format!("the client secret is {found:?}, expected {expected:?}");
            Err(ErrorResponse::invalid_client(by_basic, reason))
        }
    }
}

fn compare_certificate_subject(client: &Client, request: &TokenRequest<'_>) -> Result<(), ErrorResponse> {
    let expected = client.options.certificate_subject.as_deref();
    let found = request.http.header("x-client-subject");
    if expected.is_some() && found == expected && request.http.header_count("x-client-subject") == 1 {
        return Ok(());
    }
    Err(ErrorResponse::invalid_client(
        false,
        format!("the certificate is for {found:?}, expected {expected:?}"),
    ))
}

fn parse_client_assertion(request: &TokenRequest<'_>) -> Result<Option<String>, ErrorResponse> {
    let (jwt, kind) =
        (request.parameters.get("client_assertion"), request.parameters.get("client_assertion_type"));
    match (jwt, kind) {
        (None, None) => Ok(None),
        (Some(jwt), Some(ASSERTION_TYPE)) => Ok(Some(jwt.to_owned())),
        (Some(_), Some(kind)) => {
            let reason = format!("client_assertion_type is {kind:?}, expected {ASSERTION_TYPE:?}");
            Err(ErrorResponse::invalid_client(false, reason))
        }
        (Some(_), None) => Err(ErrorResponse::invalid_request("client_assertion_type is missing")),
        (None, Some(_)) => {
            Err(ErrorResponse::invalid_request("client_assertion_type without client_assertion"))
        }
    }
}

fn parse_basic(request: &TokenRequest<'_>) -> Result<Option<(String, String)>, ErrorResponse> {
    match request.http.header_count("authorization") {
        0 => Ok(None),
        1 => decode_basic(request.http.header("authorization").unwrap_or_default()).map(Some),
        _ => Err(ErrorResponse::invalid_request("Authorization appears more than once")),
    }
}

fn decode_basic(value: &str) -> Result<(String, String), ErrorResponse> {
    let invalid = |reason: &str| ErrorResponse::invalid_client(true, format!("Authorization {reason}"));
    let (scheme, encoded) = value.split_once(' ').ok_or_else(|| invalid("is not a scheme and a value"))?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(invalid("is not Basic"));
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| invalid("is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))?;
    let (id, secret) = text.split_once(':').ok_or_else(|| invalid("has no colon"))?;
    let decode = |part| urlencoded::decode(part).map_err(|e| invalid(&e));
    Ok((decode(id)?, decode(secret)?))
}
