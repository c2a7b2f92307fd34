//! HTML result pages that the user sees after the redirect. Each page is self-contained: no external
//! resources, no scripts.
//!
//! External text (the application's name, the server's error) is HTML-escaped. In addition, the
//! Content-Security-Policy blocks scripts and resources.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::secret::Secret;
use crate::token_response::sanitize_for_display;

const STYLE: &str = include_str!("page.css");

const CHECK_ICON: &str = r#"<circle cx="24" cy="24" r="21"/><path d="M15 25l6 6 12-13"/>"#;
const CROSS_ICON: &str = r#"<circle cx="24" cy="24" r="21"/><path d="M17 17l14 14M31 17L17 31"/>"#;
const WARNING_ICON: &str = r#"<circle cx="24" cy="24" r="21"/><path d="M24 13v14M24 34v.5"/>"#;

/// The result pages of one login or consent.
#[derive(Clone, Debug, Default)]
pub struct ResultPages {
    application: Option<String>,
    is_login: bool,
}

/// A page with its HTTP status.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResultPage {
    status: &'static str,
    html: String,
    /// The target of a redirect.
    location: Option<Secret>,
}

impl ResultPages {
    /// Pages that show `application`, the value of ApplicationName, if it is not empty.
    #[must_use]
    pub fn new(application: Option<&str>) -> Self {
        let application = application.map(sanitize_for_display).filter(|name| !name.is_empty());
        Self { application, is_login: false }
    }

    /// The same pages with the texts of a login instead of a consent.
    #[must_use]
    pub fn for_login(self) -> Self {
        Self { is_login: true, ..self }
    }

    /// The page after a successful consent or login.
    pub(super) fn success(&self) -> ResultPage {
        if self.is_login {
            return self.login_success();
        }
        let thanks = match &self.application {
            Some(name) => {
                format!("Thank you for granting consent to <strong>{}</strong>.", escape_html(name))
            }
            None => "Thank you for granting consent.".to_owned(),
        };
        let text = format!(
            "<p>{thanks}</p><p class=\"next\">You can close this window; the application will continue \
             automatically.</p>"
        );
        render_page("200 OK", "good", CHECK_ICON, "Consent received", &text)
    }

    fn login_success(&self) -> ResultPage {
        let name = self.application_html();
        let text = format!(
            "<p>You are logged in to {name}.</p><p class=\"next\">You can close this window; the application \
             will continue automatically.</p>"
        );
        render_page("200 OK", "good", CHECK_ICON, "Logged in", &text)
    }

    /// The page for a valid redirect after the first one, such as a reload.
    pub(super) fn already_completed() -> ResultPage {
        let text = "<p>This response has already been received.</p>\
                    <p class=\"next\">You can close this window.</p>";
        render_page("200 OK", "good", CHECK_ICON, "Already done", text)
    }

    /// The page for an error response: the server's `error` and its description.
    pub(super) fn failure(&self, error: &str, description: Option<&str>) -> ResultPage {
        let (title, summary) = if self.is_login {
            ("The login was not completed", format!("You are not logged in to {}.", self.application_html()))
        } else {
            ("Consent was not given", format!("There is no consent for {}.", self.application_html()))
        };
        let description =
            description.map(|text| format!(r#"<p dir="auto">{}</p>"#, escape_html(text))).unwrap_or_default();
        let text = format!(
            "<p>{summary} The authorization server reported:</p>\
             <blockquote>{description}<p><code>{}</code></p></blockquote>\
             <p class=\"next\">You can close this window; the application has been notified and can try \
             again.</p>",
            escape_html(error)
        );
        render_page("200 OK", "bad", CROSS_ICON, title, &text)
    }

    /// The page if the application could not continue with the server's response. `message` is the error.
    pub(super) fn incomplete(&self, message: &str) -> ResultPage {
        let (title, summary) = if self.is_login {
            ("The login was not completed", format!("You are not logged in to {}:", self.application_html()))
        } else {
            let name = self.application_html();
            ("The application cannot continue", format!("Your consent was received, but {name} failed:"))
        };
        let text = format!(
            "<p>{summary}</p><blockquote><p dir=\"auto\">{}</p></blockquote>\
             <p class=\"next\">You can close this window; the application has been notified and can try \
             again.</p>",
            escape_html(&sanitize_for_display(message))
        );
        render_page("200 OK", "bad", CROSS_ICON, title, &text)
    }

    /// Sends the browser to `url`, which is an authorization URL.
    pub(super) fn redirect(url: &Secret) -> ResultPage {
        let text = "<p>The authorization server is asked again.</p>";
        let page = render_page("302 Found", "note", WARNING_ICON, "Redirecting", text);
        ResultPage { location: Some(url.clone()), ..page }
    }

    /// The application's name as HTML for use inside a sentence.
    fn application_html(&self) -> String {
        let name = self.application.as_deref().map(|name| format!("<strong>{}</strong>", escape_html(name)));
        name.unwrap_or_else(|| "the application".to_owned())
    }

    /// The page for a rejected request. `reason` is a text of this crate; it is escaped as a precaution.
    pub(super) fn rejected(status: &'static str, reason: &str) -> ResultPage {
        let text = format!(
            "<p>{}</p><p class=\"next\">Nothing was changed. If you were about to give consent, go back to \
             the application and start again.</p>",
            escape_html(reason)
        );
        render_page(status, "note", WARNING_ICON, "This visit was not expected", &text)
    }
}

fn render_page(status: &'static str, class: &str, icon: &str, title: &str, text: &str) -> ResultPage {
    let html = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main class="{class}">
<svg viewBox="0 0 48 48" aria-hidden="true" focusable="false">{icon}</svg>
<h1>{title}</h1>
<div role="status">{text}</div>
</main>
</body>
</html>
"#
    );
    ResultPage { status, html, location: None }
}

impl ResultPage {
    /// The HTTP response; without the body if `head_only`.
    pub(super) fn to_http(&self, head_only: bool) -> Vec<u8> {
        let extra = match &self.location {
            Some(url) => format!("Location: {}\r\n", url.reveal()),
            None if self.status.starts_with("405") => "Allow: GET, HEAD\r\n".to_owned(),
            None => String::new(),
        };
        let head = format!(
            "HTTP/1.1 {}\r\n{extra}Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Content-Security-Policy: {}\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            self.html.len(),
            content_security_policy()
        );
        let mut response = head.into_bytes();
        if !head_only {
            response.extend_from_slice(self.html.as_bytes());
        }
        response
    }
}

/// Forbids resources, scripts, forms and framing; allows the embedded stylesheet by its hash.
fn content_security_policy() -> String {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Escapes `text` for HTML content and quoted attribute values.
fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('1')</script>\"&";
    const ESCAPED: &str = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;";

    #[test]
    fn external_text_is_html_escaped() {
        let pages = ResultPages::new(Some(HOSTILE));
        let login = pages.clone().for_login();
        for page in [
            login.success(),
            login.failure(HOSTILE, None),
            login.incomplete(HOSTILE),
            pages.success(),
            pages.failure(HOSTILE, Some(HOSTILE)),
            pages.incomplete(HOSTILE),
            ResultPages::rejected("400 Bad Request", HOSTILE),
        ] {
            assert!(!page.html.contains("<script"), "{}", page.html);
            assert!(page.html.contains(ESCAPED), "{}", page.html);
        }
    }

    #[test]
    fn csp_allows_only_embedded_stylesheet() {
        let response = String::from_utf8(ResultPages::default().success().to_http(false)).unwrap();
        let style = response.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        let policy =
            response.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: ")).unwrap();
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'"
            )
        );
        assert!(!style.contains("url(") && !style.contains("@import"));
        let body = response.split("</style>").nth(1).unwrap();
        for tag in body.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
            for attribute in [" style=", " src=", " href=", " on"] {
                assert!(!tag.contains(attribute), "{tag}");
            }
        }
    }

    #[test]
    fn response_head_forbids_caching_and_referrer() {
        let page = ResultPages::default().success();
        let response = String::from_utf8(page.to_http(false)).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        for line in [
            "HTTP/1.1 200 OK",
            "Content-Type: text/html; charset=utf-8",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
            "Connection: close",
            &format!("Content-Length: {}", body.len()),
        ] {
            assert!(head.lines().any(|header| header == line), "{line} in {head}");
        }
        assert_eq!(String::from_utf8(page.to_http(true)).unwrap(), format!("{head}\r\n\r\n"));
    }

    #[test]
    fn success_page_names_configured_application() {
        let named = ResultPages::new(Some("Report Builder")).success();
        assert!(named.html.contains("granting consent to <strong>Report Builder</strong>"));
        for unnamed in [None, Some(""), Some(" \n")] {
            let page = ResultPages::new(unnamed).success();
            assert!(page.html.contains("Thank you for granting consent.<"), "{}", page.html);
            assert!(page.html.contains("You can close this window"));
        }
    }

    /// The relative luminance of WCAG 2.
    fn relative_luminance(color: &str) -> f64 {
        let digits = color.trim_start_matches('#');
        let digits: String =
            if digits.len() == 3 { digits.chars().flat_map(|c| [c, c]).collect() } else { digits.to_owned() };
        let channel = |offset: usize| {
            let value = f64::from(u8::from_str_radix(&digits[offset..offset + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }

    fn contrast_ratio(one: &str, other: &str) -> f64 {
        let (one, other) = (relative_luminance(one), relative_luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_colors_meet_minimum_contrast() {
        let schemes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let color = |name: &str| {
                let value = scheme.split(&format!("--{name}: ")).nth(1).unwrap();
                value.split(';').next().unwrap()
            };
            for front in ["text", "soft", "good", "bad", "note"] {
                for back in ["sheet", "ground"] {
                    let ratio = contrast_ratio(color(front), color(back));
                    assert!(ratio >= 4.5, "{front} on {back}: {ratio}");
                }
            }
        }
    }
}
