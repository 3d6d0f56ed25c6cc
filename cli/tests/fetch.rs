//! `loupe data fetch`, from a server on the loopback interface.

mod support;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::server::{ETAG, Request, Server, answer, give, published};
use support::{Run, Sandbox};

const FILES: [&str; 4] = [
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
];

/// The smallest file; the tests of what can go wrong let it be missing and the others be there.
const SMALL: &str = FILES[1];

/// A folder `set` that lacks the smallest file.
fn nearly_complete() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("set")).unwrap();
    for name in FILES.iter().filter(|name| **name != SMALL) {
        sandbox.write(&format!("set/{name}"), published(name));
    }
    sandbox
}

fn fetch(sandbox: &Sandbox, mirrors: &[&str], more: &str) -> Run {
    let mirrors: String = mirrors.iter().map(|url| format!(" --mirror {url}")).collect();
    sandbox
        .loupe(&format!("data fetch mnist --out set{mirrors} {more}"))
        .env("NO_PROXY", "127.0.0.1")
        .env("SSL_CERT_FILE", "")
}

/// Asserts that the smallest file is there, and right, and that no part is left.
#[track_caller]
fn assert_complete(sandbox: &Sandbox) {
    assert_eq!(sandbox.list("set"), FILES);
    assert_eq!(sandbox.read(&format!("set/{SMALL}")), published(SMALL));
}

/// A server that gives all files, and parts of them.
fn whole_files() -> Server {
    Server::start(|request, stream| give(request, &published(&request.name), usize::MAX, stream))
}

fn starts(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(|request| request.start).collect()
}

#[test]
fn the_whole_set_is_fetched_once() {
    let sandbox = Sandbox::new();
    let server = whole_files();
    let stdout = fetch(&sandbox, &[&server.url], "").succeeds();
    assert!(stdout.ends_with("set: MNIST, 4 files fetched\n"), "{stdout}");
    assert!(stdout.contains(&format!("{SMALL} from {}{SMALL}", server.url)), "{stdout}");
    assert_eq!(sandbox.list("set"), FILES);
    for name in FILES {
        assert_eq!(sandbox.read(&format!("set/{name}")), published(name), "{name}");
    }
    assert_eq!(server.requests().len(), 4);

    let again = fetch(&sandbox, &[&server.url], "--quiet").succeeds();
    assert_eq!(again, "set: MNIST, 4 of 4 files present\n");
    assert_eq!(server.requests().len(), 4);

    fs::remove_file(sandbox.path(&format!("set/{SMALL}"))).unwrap();
    let json = fetch(&sandbox, &[&server.url], "--json").succeeds();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["set"], "mnist");
    assert_eq!(report["fetched"][0]["name"], SMALL);
    assert_eq!(report["fetched"].as_array().unwrap().len(), 1);
    assert_complete(&sandbox);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_ended() {
    let sandbox = nearly_complete();
    let server =
        Server::start(|request, stream| give(request, &published(&request.name), 2000, stream));
    fetch(&sandbox, &[&server.url], "").succeeds();
    assert_complete(&sandbox);
    assert_eq!(starts(&server), [None, Some(2000), Some(4000)]);
    assert_eq!(server.requests()[1].if_range.as_deref(), Some(ETAG));
}

#[test]
fn what_an_earlier_run_has_left_is_gone_on_with() {
    let sandbox = nearly_complete();
    let part = format!("set/{SMALL}.part");
    let server = whole_files();
    let whole = published(SMALL);
    for (left, expected) in [
        (&whole[..3000], &[Some(3000)][..]),
        // Complete, but without its name.
        (&whole[..], &[Some(whole.len())]),
        // Of another file: only the checksum tells.
        (&[7; 3000], &[Some(3000), None]),
        // Longer than the file.
        (&[7; 5000], &[Some(5000), None]),
        (&[], &[None]),
    ] {
        sandbox.write(&part, left);
        let before = server.requests().len();
        fetch(&sandbox, &[&server.url], "").succeeds();
        assert_eq!(starts(&server)[before..], *expected);
        assert_complete(&sandbox);
        fs::remove_file(sandbox.path(&format!("set/{SMALL}"))).unwrap();
    }
}

#[test]
fn a_server_without_ranges_starts_again() {
    let sandbox = nearly_complete();
    sandbox.write(&format!("set/{SMALL}.part"), &published(SMALL)[..3000]);
    let server = Server::start(|request, stream| {
        let whole = Request { start: None, ..request.clone() };
        give(&whole, &published(&request.name), usize::MAX, stream);
    });
    fetch(&sandbox, &[&server.url], "").succeeds();
    assert_complete(&sandbox);
    assert_eq!(starts(&server), [Some(3000)]);
}

#[test]
fn a_wrong_file_never_gets_its_name() {
    let sandbox = nearly_complete();
    let mut wrong = published(SMALL);
    wrong[100] ^= 1;
    let server = Server::start(move |request, stream| give(request, &wrong, usize::MAX, stream));
    let parts = [
        &format!("{SMALL} of MNIST: no mirror gives it")[..],
        "wrong checksum: expected SHA-256 f7ae60f9",
        "copied into set by hand",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  train-images-idx3-ubyte.gz",
    ];
    fetch(&sandbox, &[&server.url], "").fails(1, &parts);
    assert_eq!(sandbox.list("set").len(), 3);
}

#[test]
fn a_file_that_was_packed_otherwise_is_right() {
    let sandbox = nearly_complete();
    let mut unpacked = Vec::new();
    GzDecoder::new(&published(SMALL)[..]).read_to_end(&mut unpacked).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&unpacked).unwrap();
    let packed = packed.finish().unwrap();
    assert_ne!(packed, published(SMALL));
    let server = Server::start(move |request, stream| give(request, &packed, usize::MAX, stream));
    fetch(&sandbox, &[&server.url], "").succeeds();
    assert_eq!(sandbox.list("set"), FILES);
    let present = fetch(&sandbox, &[&server.url], "").succeeds();
    assert_eq!(present, "set: MNIST, 4 of 4 files present\n");
}

#[test]
fn mirrors_are_tried_in_turn() {
    let sandbox = nearly_complete();
    let missing =
        Server::start(|_, stream| answer(stream, "404 Not Found", &[], b"<h1>Not here</h1>"));
    let there = whole_files();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}/");
    let mirrors = [&closed[..], &missing.url, &there.url];
    let stdout = fetch(&sandbox, &mirrors, "").succeeds();
    for part in [
        "cannot reach 127.0.0.1: Connection refused",
        "answered 404 Not Found; trying the next mirror",
        &there.url,
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert_complete(&sandbox);

    fs::remove_dir_all(sandbox.path("set")).unwrap();
    let parts = ["cannot reach 127.0.0.1", "answered 404 Not Found", "by hand"];
    fetch(&sandbox, &mirrors[..2], "--quiet").fails(1, &parts);
    assert!(!sandbox.has("set"), "an empty folder is left");
    let run = sandbox.loupe(&format!("data fetch kmnist --mirror {closed} --out a/b/set"));
    run.env("NO_PROXY", "127.0.0.1").fails(1, &["cannot reach 127.0.0.1", "by hand"]);
    assert!(!sandbox.has("a"), "an empty folder is left");
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let sandbox = nearly_complete();
    let target = whole_files();
    let url = target.url.clone();
    let elsewhere = Server::start(move |request, stream| {
        let location = format!("Location: {url}{}\r\n", request.name);
        answer(stream, "302 Found", &[location], b"");
    });
    fetch(&sandbox, &[&elsewhere.url], "").succeeds();
    assert_complete(&sandbox);

    fs::remove_file(sandbox.path(&format!("set/{SMALL}"))).unwrap();
    let circle = Server::start(|request, stream| {
        answer(stream, "302 Found", &[format!("Location: {}\r\n", request.name)], b"");
    });
    fetch(&sandbox, &[&circle.url], "").fails(1, &["more than 5 redirects"]);
    assert_eq!(circle.requests().len(), 6);
}

#[test]
fn a_file_that_always_ends_early_keeps_what_there_is() {
    let sandbox = nearly_complete();
    let server = Server::start(|request, stream| {
        let whole = Request { start: None, ..request.clone() };
        give(&whole, &published(&request.name), 1000, stream);
    });
    let reason = "after 1000 of 4542 bytes, at the last of 5 requests";
    fetch(&sandbox, &[&server.url], "").fails(1, &["the connection", reason]);
    assert_eq!(server.requests().len(), 5);
    assert_eq!(sandbox.read(&format!("set/{SMALL}.part")).len(), 1000);
    assert!(!sandbox.has(&format!("set/{SMALL}")));
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for() {
    let sandbox = nearly_complete();
    let silence = |stream: &mut TcpStream, sent: &[u8]| {
        let _ = stream.write_all(sent);
        std::thread::sleep(Duration::from_secs(20));
    };
    let from_the_start = Server::start(move |_, stream| silence(stream, b""));
    let within = Server::start(move |_, stream| {
        silence(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4542\r\n\r\nsome bytes");
    });
    for server in [from_the_start, within] {
        let parts = ["nothing came for 0.2 s"];
        fetch(&sandbox, &[&server.url], "--timeout 0.2").fails(1, &parts);
        assert!(!sandbox.has(&format!("set/{SMALL}")));
    }
}

#[test]
fn a_body_without_end_is_not_received() {
    let sandbox = nearly_complete();
    let announced = Server::start(|_, stream| {
        answer(stream, "200 OK", &["Content-Length: 1000000000000\r\n".into()], &[0; 100]);
    });
    let parts = ["too long: expected at most 10008 bytes, found 1000000000000 or more"];
    fetch(&sandbox, &[&announced.url], "").fails(1, &parts);

    let endless = Server::start(|_, stream| {
        answer(stream, "200 OK", &[], b"");
        while stream.write_all(&[0; 4096]).is_ok() {}
    });
    let parts = ["too long: expected at most 10008 bytes, found ", " or more"];
    fetch(&sandbox, &[&endless.url], "").fails(1, &parts);
    assert_eq!(sandbox.list("set").len(), 3);
}

#[test]
fn wrong_files_are_replaced_only_on_demand() {
    let sandbox = nearly_complete();
    let server = whole_files();
    let name = format!("set/{SMALL}");
    sandbox.write(&name, "mine");
    let parts = [&format!("{name}: not the file of MNIST")[..], "--force replaces it"];
    fetch(&sandbox, &[&server.url], "").fails(1, &parts);
    assert_eq!(sandbox.read(&name), b"mine");
    assert!(server.requests().is_empty());
    fetch(&sandbox, &[&server.url], "--force").succeeds();
    assert_complete(&sandbox);

    let plain = format!("set/{}", SMALL.trim_end_matches(".gz"));
    sandbox.write(&plain, "mine");
    let parts = [&format!("{plain}: not the file of MNIST")[..], "remove it"];
    fetch(&sandbox, &[&server.url], "--force").fails(1, &parts);
    assert_eq!(sandbox.read(&plain), b"mine");
}

#[test]
fn folders_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.write("set", "a file");
    fetch(&sandbox, &["http://127.0.0.1:9/"], "").fails(1, &["set: cannot make the folder: "]);

    let sandbox = nearly_complete();
    fs::create_dir(sandbox.path(&format!("set/{SMALL}.part"))).unwrap();
    let parts = [&format!("set/{SMALL}.part: cannot write: ")[..]];
    fetch(&sandbox, &["http://127.0.0.1:9/"], "").fails(1, &parts);
}

/// A limit for the length of files stands for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let sandbox = nearly_complete();
    let server = whole_files();
    let parts = [&format!("set/{SMALL}.part: cannot write: ")[..]];
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    fetch(&sandbox, &[&server.url], "").through_shell(script).fails(1, &parts);
    assert!(!sandbox.has(&format!("set/{SMALL}")));
    // With room again it goes on.
    fetch(&sandbox, &[&server.url], "").succeeds();
    assert_complete(&sandbox);
}

#[test]
fn the_command_line() {
    let sandbox = Sandbox::new();
    for (arguments, parts) in [
        ("", ["<SET>", "Usage"]),
        ("cifar", ["'cifar'", "mnist, fashion-mnist, kmnist"]),
        ("mnist --mirror here", ["'here'", "begins with http:// or https://"]),
        ("mnist --timeout 0", ["'0'", "expected a number above 0"]),
    ] {
        sandbox.loupe(&format!("data fetch {arguments}")).fails(2, &parts);
    }
    sandbox.write("none.pem", "");
    let run = fetch(&sandbox, &["https://127.0.0.1:9/"], "");
    let parts = ["SSL_CERT_FILE: none.pem: expected certificates in PEM, found none"];
    run.env("SSL_CERT_FILE", "none.pem").fails(1, &parts);
    assert!(!sandbox.has("set"));
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let sandbox = nearly_complete();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request, stream| {
        count.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(300));
        give(request, &published(&request.name), usize::MAX, stream);
    });
    let runs = std::thread::scope(|scope| {
        let run = || fetch(&sandbox, &[&server.url], "").ends();
        let other = scope.spawn(run);
        [run(), other.join().unwrap()]
    });
    assert!(runs.iter().any(|(code, _)| *code == Some(0)), "{runs:?}");
    for (code, message) in runs {
        assert!(code == Some(0) || message.contains("another process"), "{message}");
    }
    assert_complete(&sandbox);
}
