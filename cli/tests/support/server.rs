//! A web server on the loopback interface that gives the files of the real MNIST, or what a test wants.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// The tag that the server gives all its files.
pub(crate) const ETAG: &str = "\"published\"";

/// A packed file of the real MNIST.
pub(crate) fn published(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The last part of the path.
    pub(crate) name: String,
    /// N of `Range: bytes=N-`.
    pub(crate) start: Option<usize>,
    pub(crate) if_range: Option<String>,
}

/// A server that runs until the test program ends.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that answers each request by `answer`, which writes to the connection; then the
    /// connection is closed.
    pub(crate) fn start(
        answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                let request = read(&stream);
                seen.lock().unwrap().push(request.clone());
                thread::spawn(move || answer(&request, &mut stream));
            }
        });
        Server { url, requests }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let mut request = Request {
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        start: None,
        if_range: None,
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (field, value) = line.split_once(": ").unwrap();
        match &field.to_lowercase()[..] {
            "range" => {
                let start = value.strip_prefix("bytes=").and_then(|value| value.strip_suffix('-'));
                request.start = Some(start.unwrap().parse().unwrap());
            }
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    request
}

/// Writes an answer of this status with these header lines. That nobody listens any more is no failure.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, headers: &[String], body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{}\r\n", headers.concat());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Gives the bytes that `request` asks for, of which only `sent` are sent before the connection is closed.
pub(crate) fn give(request: &Request, file: &[u8], sent: usize, stream: &mut TcpStream) {
    let start = request.start.unwrap_or(0);
    let Some(rest) = file.get(start..).filter(|rest| !rest.is_empty()) else {
        let range = format!("Content-Range: bytes */{}\r\n", file.len());
        return answer(stream, "416 Range Not Satisfiable", &[range], b"");
    };
    let mut headers =
        vec![format!("Content-Length: {}\r\n", rest.len()), format!("ETag: {ETAG}\r\n")];
    let sent = &rest[..rest.len().min(sent)];
    if request.start.is_none() {
        return answer(stream, "200 OK", &headers, sent);
    }
    headers.push(format!("Content-Range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len()));
    answer(stream, "206 Partial Content", &headers, sent);
}
