//! Requests over HTTP.

use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;
use ureq::http::{HeaderMap, StatusCode, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

/// The most redirects that are followed.
const REDIRECTS: u32 = 5;

/// Asks servers for files. A proxy that the environment names (`HTTPS_PROXY` and the like) is used.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    timeout: Duration,
}

/// What a server has answered.
pub(super) enum Reply {
    Body {
        /// The place in the file of the first byte.
        start: u64,
        /// The length of the whole file, if the server says it.
        of: Option<u64>,
        /// What tells this content of the file from any other.
        etag: Option<String>,
        body: Box<dyn Read>,
    },
    /// The file ends before the first byte that was asked for.
    NothingMore { of: Option<u64> },
}

impl Client {
    /// A client that waits for `timeout` at most: for a name, a connection, an answer and each piece of it.
    /// It trusts servers with certificates of `trusted`, or of Mozilla's list.
    pub(crate) fn new(timeout: Duration, trusted: Option<Vec<Certificate<'static>>>) -> Client {
        let roots = match trusted {
            Some(certificates) => RootCerts::new_with_certs(&certificates),
            None => RootCerts::WebPki,
        };
        let some = Some(timeout);
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("loupe/", env!("CARGO_PKG_VERSION")))
            // A file that is packed anyway must not be packed for the way as well.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .timeout_resolve(some)
            .timeout_connect(some)
            .timeout_send_request(some)
            .timeout_recv_response(some)
            .timeout_per_read(some)
            .build();
        Client { agent: config.into(), timeout }
    }

    /// Asks for the bytes from `start` on. They are wanted of the content with this `etag` only, if it is
    /// known; of another the server is to give all bytes.
    pub(super) fn get(&self, url: &str, start: u64, etag: Option<&str>) -> Result<Reply, String> {
        let mut request = self.agent.get(url);
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
            if let Some(etag) = etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        let response = request.call().map_err(|error| self.describe(url, error))?;
        let status = response.status();
        let headers = response.headers();
        // Weak ones, W/"…", do not stand for equal bytes.
        let etag = text(headers, header::ETAG).filter(|etag| etag.starts_with('"'));
        let etag = etag.map(str::to_owned);
        let range = text(headers, header::CONTENT_RANGE).and_then(content_range);
        match (status, range) {
            (StatusCode::OK, _) => {
                let of = response.body().content_length();
                Ok(Reply::Body { start: 0, of, etag, body: boxed(response) })
            }
            (StatusCode::PARTIAL_CONTENT, Some((Some(start), of))) => {
                Ok(Reply::Body { start, of, etag, body: boxed(response) })
            }
            (StatusCode::PARTIAL_CONTENT, _) => {
                Err("answered with a part, but did not say which".into())
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, range) if start > 0 => {
                Ok(Reply::NothingMore { of: range.and_then(|(_, of)| of) })
            }
            (status, _) => Err(format!("answered {status}")),
        }
    }

    /// An error in words; `url` is what was asked for.
    pub(super) fn describe(&self, url: &str, error: Error) -> String {
        let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        let host = host.unwrap_or_default();
        let seconds = self.timeout.as_secs_f64();
        match error {
            Error::HostNotFound => {
                format!("cannot reach {host}: there is no such host, or no network")
            }
            Error::ConnectionFailed => format!("cannot reach {host}"),
            Error::Io(error) => match error.kind() {
                ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof => format!("the connection broke off ({error})"),
                // What rustls does not like.
                ErrorKind::InvalidData => format!("no secure connection to {host}: {error}"),
                _ => format!("cannot reach {host}: {error}"),
            },
            Error::Timeout(_) => format!("nothing came for {seconds} s"),
            Error::TooManyRedirects => format!("more than {REDIRECTS} redirects"),
            Error::Rustls(error) => format!("no secure connection to {host}: {error}"),
            error => error.to_string(),
        }
    }
}

fn boxed(response: ureq::http::Response<ureq::Body>) -> Box<dyn Read> {
    Box::new(response.into_body().into_reader())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `bytes 5-9/10` is `(Some(5), Some(10))`; `*` is `None`.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, of) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let number = |text: &str| text.trim().parse().ok();
    let start = match range.trim() {
        "*" => None,
        range => Some(number(range.split_once('-')?.0)?),
    };
    Some((start, number(of)))
}

/// Whether `text` is the address of a folder on the web.
pub(crate) fn is_url(text: &str) -> bool {
    let uri: Option<Uri> = text.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    })
}

/// The certificates of a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let shown = path.display();
    let pem = std::fs::read(path).with_context(|| format!("{shown}: cannot read certificates"))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let item = item.with_context(|| format!("{shown}: not a PEM file"))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!("{shown}: expected certificates in PEM, found none");
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(content_range("bytes */10"), Some((None, Some(10))));
        for text in ["", "bytes", "bytes 5", "bytes 5/10", "bytes x-9/10", "items 5-9/10"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for text in ["http://a.example/", "https://a.example/b", "http://127.0.0.1:80"] {
            assert!(is_url(text), "{text}");
        }
        for text in ["", "a.example", "ftp://a.example/", "file:///a", "http://", "http://a/?b"] {
            assert!(!is_url(text), "{text}");
        }
    }

    #[test]
    fn certificates_must_be_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate").unwrap();
        let error = certificates(file.path()).unwrap_err().to_string();
        assert!(error.contains("expected certificates in PEM"), "{error}");
    }
}
