//! API endpoint for the connection test: HealthURI, otherwise RestSamplePath.

use crate::base::error::{Error, OptionError, Result};
use crate::base::url::{self, EndpointUrl};
use crate::options::{OptionId, OptionValue, Options};

/// The endpoint and the option that set it; `None` if neither option is set.
///
/// # Errors
/// [`OptionError::Invalid`] for a URL to which a token must not be sent, [`OptionError::Missing`] for a
/// relative URL without HostName.
pub(super) fn resolve_test_endpoint(options: &Options) -> Result<Option<(OptionId, EndpointUrl)>> {
    let names = [OptionId::HealthURI, OptionId::RestSamplePath].into_iter();
    let Some((name, value)) = names.filter_map(|name| Some((name, options.get(name)?))).next() else {
        return Ok(None);
    };
    let text = value.text.reveal().trim();
    let absolute = if url::parse_scheme(text).is_some() {
        text.to_owned()
    } else {
        resolve_against_host(options, name, text)?
    };
    let url =
        EndpointUrl::parse(&absolute).map_err(|reason| option_error(OptionError::Invalid, name, &reason))?;
    Ok(Some((name, url)))
}

fn resolve_against_host(options: &Options, name: OptionId, relative: &str) -> Result<String> {
    let names = [OptionId::HostName, OptionId::PortNumber];
    if let Some(error) =
        Error::combine(names.iter().filter_map(|name| options.error_when_used(*name)).collect())
    {
        return Err(error);
    }
    let text = |value: &OptionValue| value.text.reveal().trim().trim_end_matches('/').to_owned();
    let Some(host) = options.get(OptionId::HostName).map(text).filter(|host| !host.is_empty()) else {
        let reason = "is relative, but HostName is not set; set HostName, or an absolute URL such as \
                      https://host/path";
        return Err(option_error(OptionError::Missing, name, reason));
    };
    let host = match options.get(OptionId::PortNumber).map(text) {
        Some(port) => with_port(&host, &port),
        None => host,
    };
    Ok(url::resolve_reference(&host, relative))
}

/// Adds `port` to `host`, unless `host` already has a port.
fn with_port(host: &str, port: &str) -> String {
    let (scheme, rest) = host.split_once("://").unwrap_or(("https", host));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let after_brackets = authority.rsplit(']').next().unwrap_or_default();
    if after_brackets.contains(':') || port.is_empty() {
        return host.to_owned();
    }
    format!("{scheme}://{authority}:{port}{path}")
}

fn option_error(kind: OptionError, name: OptionId, reason: &str) -> Error {
    Error::new(kind, "options", format!("{} {reason}", name.as_str())).with_option(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;

    fn parse_endpoint(text: &str) -> Result<Option<(OptionId, EndpointUrl)>> {
        resolve_test_endpoint(&Options::parse(text).unwrap())
    }

    #[test]
    fn relative_path_resolves_against_host_and_port() {
        for (text, url) in [
            ("HostName=api.example;RestSamplePath=/v1/me", "https://api.example/v1/me"),
            ("HostName=https://api.example/;RestSamplePath=v1/me", "https://api.example/v1/me"),
            (
                "HostName=api.example;PortNumber=8443;RestSamplePath=/me?a=b",
                "https://api.example:8443/me?a=b",
            ),
            ("HostName=http://127.0.0.1:81;port=82;RestSamplePath=/me", "http://127.0.0.1:81/me"),
            ("HostName=http://[::1];port=82;rsp=/me", "http://[::1]:82/me"),
            ("HostName=https://a.example/base;port=8;RestSamplePath=me", "https://a.example:8/base/me"),
            ("HostName=a.example;RestSamplePath=/me;HealthURI=https://b.example/up", "https://b.example/up"),
        ] {
            let (_, endpoint) = parse_endpoint(text).unwrap().unwrap();
            assert_eq!(endpoint.as_str(), url, "{text}");
        }
        assert!(parse_endpoint("HostName=a.example").unwrap().is_none());
    }

    #[test]
    fn unsafe_test_endpoint_is_rejected() {
        for (text, status, option) in [
            ("RestSamplePath=/me", Status::MissingOption, "RestSamplePath"),
            ("HealthURI=me;HostName= / ", Status::MissingOption, "HealthURI"),
            ("HealthURI=http://api.example/me", Status::InvalidOption, "HealthURI"),
            ("HostName=http://api.example;RestSamplePath=/me", Status::InvalidOption, "RestSamplePath"),
            ("HostName=a.example;port=x;RestSamplePath=/me", Status::InvalidOption, "RestSamplePath"),
            (
                "HostName=a.example;RestSamplePath=//user:pw@b.example/",
                Status::InvalidOption,
                "RestSamplePath",
            ),
        ] {
            let error = parse_endpoint(text).unwrap_err();
            assert_eq!((error.status(), error.option()), (status, Some(option)), "{text}: {error}");
        }
    }
}
