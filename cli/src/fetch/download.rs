//! One file from one URL, in as many requests as it takes.

use super::Observer;
use super::client::{Client, Reply};
use super::part::Part;
use std::io::{self, Read};

/// The most requests for a file from one URL.
const REQUESTS: usize = 5;

/// Why a file could not be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// This URL does not give it; another may.
    Mirror(String),
    /// It cannot be written.
    Disk(io::Error),
}

/// What one request came to.
enum Answer {
    /// The part is complete, as far as the server says.
    Complete,
    /// Another request may bring more.
    Cut(String),
}

/// Completes `part`, which then has at most `limit` bytes; whether they are the right ones is not judged.
///
/// A connection that breaks off is opened again for the missing bytes. A server that knows no ranges gives
/// the file from its beginning, in place of what was there.
pub(super) fn download(
    client: &Client,
    url: &str,
    part: &mut Part,
    limit: u64,
    observer: &mut dyn Observer,
) -> Result<(), Failure> {
    let mut etag = None;
    let mut reason = String::new();
    for _ in 0..REQUESTS {
        match request(client, url, part, limit, &mut etag, observer)? {
            Answer::Complete => return Ok(()),
            Answer::Cut(cut) => reason = cut,
        }
    }
    Err(Failure::Mirror(format!("{reason}, at the last of {REQUESTS} requests")))
}

fn request(
    client: &Client,
    url: &str,
    part: &mut Part,
    limit: u64,
    etag: &mut Option<String>,
    observer: &mut dyn Observer,
) -> Result<Answer, Failure> {
    let start = part.len();
    let (mut body, of) = match client.get(url, start, etag.as_deref()).map_err(Failure::Mirror)? {
        Reply::Body { start: found, of, etag: found_etag, body } => {
            if found != start {
                // From the beginning, although the rest was asked for; or from elsewhere.
                part.clear().map_err(Failure::Disk)?;
            }
            if found != part.len() {
                return Ok(Answer::Cut(format!("answered with bytes from {found} on")));
            }
            *etag = found_etag;
            (body, of)
        }
        Reply::NothingMore { of } if of == Some(start) => return Ok(Answer::Complete),
        Reply::NothingMore { .. } => {
            part.clear().map_err(Failure::Disk)?;
            return Ok(Answer::Cut(format!("has no bytes from {start} on")));
        }
    };
    let too_long = |part: &mut Part, bytes: u64| {
        part.clear().map_err(Failure::Disk)?;
        let reason = format!("too long: expected at most {limit} bytes, found {bytes} or more");
        Err(Failure::Mirror(reason))
    };
    if let Some(of) = of.filter(|of| *of > limit) {
        return too_long(part, of);
    }
    let mut piece = vec![0; 1 << 16];
    loop {
        observer.received(part.len(), of);
        let cut = match body.read(&mut piece) {
            Ok(0) if of.is_none_or(|of| of == part.len()) => return Ok(Answer::Complete),
            Ok(0) => "the connection was closed".into(),
            Ok(count) if part.len() + count as u64 > limit => {
                return too_long(part, part.len() + count as u64);
            }
            Ok(count) => {
                part.append(&piece[..count]).map_err(Failure::Disk)?;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => client.describe(url, error.into()),
        };
        let of = of.map_or_else(String::new, |of| format!(" of {of}"));
        return Ok(Answer::Cut(format!("{cut} after {}{of} bytes", part.len())));
    }
}
