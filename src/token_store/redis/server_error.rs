//! The error replies of the server: what they mean, and what to do.

use super::context::StoreContext;
use crate::base::error::{Error, ErrorKind, NetworkError, OptionError};
use crate::base::redact::Redactor;
use crate::base::sanitize;

/// What precedes an error because of which EXEC executed nothing.
const DISCARDED: &str = "EXECABORT Transaction discarded because of: ";

/// The error for an error reply. Its text begins with a code in capitals.
pub(super) fn server_error(reply: &str, context: &StoreContext<'_>) -> Error {
    let reply = reply.strip_prefix(DISCARDED).unwrap_or(reply);
    let code = reply.split(' ').next().unwrap_or_default();
    let (kind, text): (ErrorKind, _) = match code {
        "NOAUTH" => return auth_error("requires a password; set TokenCachePassword", context),
        "WRONGPASS" => {
            return auth_error(
                "rejected the user or the password; check TokenCachePassword, and the user in TokenCache",
                context,
            );
        }
        "NOPERM" => (
            OptionError::Invalid.into(),
            format!(
                "denies a command to the user ({}); grant the commands and the keys that \
                 docs/token-sharing.md lists",
                excerpt(reply, context)
            ),
        ),
        "WRONGTYPE" => (
            OptionError::Invalid.into(),
            "has a key of another application with a name of the token cache; set another prefix in \
             TokenCache (?prefix=)"
                .to_owned(),
        ),
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" | "TRYAGAIN" => (
            NetworkError::Connection.into(),
            format!(
                "is a node of a Redis Cluster ({code}), which is not supported; set TokenCache to a server \
                 with one primary"
            ),
        ),
        _ => (NetworkError::Connection.into(), state_text(code, reply, context)),
    };
    context.error(kind, &text)
}

/// Describes an error that the state of the server causes.
fn state_text(code: &str, reply: &str, context: &StoreContext<'_>) -> String {
    let text = match code {
        "READONLY" => "is a replica, which is read-only; TokenCache must name the primary",
        "MASTERDOWN" => "is a replica without a connection to its primary; TokenCache must name the primary",
        "LOADING" => "is loading its data after a start; wait until it has completed",
        "OOM" => {
            "is out of memory and writes nothing; raise its maxmemory, or remove what else is stored there"
        }
        "MISCONF" => "cannot save its data to its disk and writes nothing; see the log of the server",
        "BUSY" => "is busy with a script; wait for its end, or end it with SCRIPT KILL",
        "NOREPLICAS" => {
            "has fewer replicas than its setting min-replicas-to-write and writes nothing; check its replicas"
        }
        "DENIED" => {
            "refuses connections from other machines (protected mode); configure a password on the server, and \
             set TokenCachePassword"
        }
        _ => return format!("replied with an error: {}", excerpt(reply, context)),
    };
    text.to_owned()
}

fn auth_error(text: &str, context: &StoreContext<'_>) -> Error {
    context.error(OptionError::Invalid, text).with_option("TokenCachePassword")
}

/// The text of the server without secrets. The server may repeat the arguments of a command, which are the
/// password or a value.
fn excerpt(reply: &str, context: &StoreContext<'_>) -> String {
    let text = reply.split(", with args beginning with").next().unwrap_or_default();
    let text = Redactor::new(context.location.password.iter()).redact(text);
    sanitize::excerpt(&text).to_string()
}
