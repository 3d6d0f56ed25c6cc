//! Times a peer on the cases that standard input names, and prints JSON as loupe's program `case` does.
//! Arguments: name of the peer, threads, seconds for each case. Without arguments, prints the names.

use loupe_benches::serve;
use loupe_peers::libraries;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        libraries().iter().for_each(|library| println!("{}", library.name()));
        return ExitCode::SUCCESS;
    }
    let served = (|| {
        let [name, threads, seconds] = &arguments[..] else { return None };
        let library = libraries().into_iter().find(|library| library.name() == name)?;
        Some(serve(library, threads.parse().ok()?, seconds.parse().ok()?, std::io::stdin().lock()))
    })();
    match served {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => eprintln!("{error}"),
        None => eprintln!("usage: peer NAME THREADS SECONDS"),
    }
    ExitCode::FAILURE
}
