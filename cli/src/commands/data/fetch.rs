//! `loupe data fetch`

use super::progress::Progress;
use crate::args::seconds;
use crate::fetch::{Client, MirrorFailure, Outcome, certificates, fetch, is_right, is_url};
use crate::known::{FASHION_MNIST, KMNIST, KnownFile, KnownSet, MNIST, file_sha256};
use crate::output::Output;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use loupe_model::data::IdxFile;
use loupe_model::write_atomically;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    /// Which data set
    #[arg(value_enum)]
    pub(crate) set: SetName,

    /// Folder for the files [default: data/SET]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Address of a folder that has the four .gz files, instead of the known ones; may be repeated
    #[arg(long, value_name = "URL", value_parser = mirror)]
    pub(crate) mirror: Vec<String>,

    /// Replace packed files that are there and wrong
    #[arg(long)]
    pub(crate) force: bool,

    /// The longest to wait for a server's next word
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) timeout: f64,

    /// Write JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SetName {
    /// Handwritten digits, 11 MB
    Mnist,
    /// Pieces of clothing, 31 MB
    FashionMnist,
    /// Cursive Japanese characters, 21 MB
    Kmnist,
}

impl SetName {
    fn set(self) -> &'static KnownSet {
        match self {
            SetName::Mnist => &MNIST,
            SetName::FashionMnist => &FASHION_MNIST,
            SetName::Kmnist => &KMNIST,
        }
    }
}

fn mirror(text: &str) -> Result<String, &'static str> {
    let url = is_url(text).then(|| text.to_owned());
    url.ok_or("expected an address that begins with http:// or https://")
}

pub(crate) fn run(arguments: &FetchArguments, mut output: Output) -> Result<()> {
    let set = arguments.set.set();
    let folder = arguments.out.clone().unwrap_or_else(|| Path::new("data").join(set.name));
    let trusted = match std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        Some(path) => Some(certificates(Path::new(&path)).context("SSL_CERT_FILE")?),
        None => None,
    };
    let client = Client::new(Duration::from_secs_f64(arguments.timeout), trusted);
    let mirrors = match &arguments.mirror[..] {
        [] => set.mirrors.iter().map(|mirror| (*mirror).to_owned()).collect(),
        mirrors => mirrors.to_vec(),
    };
    // Files that stand in the way are found out before anything is received.
    let mut missing = Vec::new();
    for (name, known) in IdxFile::NAMES.iter().zip(&set.files) {
        if !is_there(set, &folder, name, known, arguments.force)? {
            missing.push((format!("{name}.gz"), known));
        }
    }
    let is_new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made: Vec<&Path> = folder.ancestors().take_while(is_new).collect();
    fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let mut sources = Vec::new();
    for (name, known) in &missing {
        let mut progress = Progress::new(name, known, arguments.json, &mut output);
        let outcome: Outcome = fetch(&client, &mirrors, &folder, name, known, &mut progress)?;
        progress.finish();
        match outcome {
            Ok(url) => {
                if !arguments.json {
                    output.note(format_args!("  {name} from {url}"));
                }
                sources.push(url);
            }
            Err(failures) => {
                for folder in made {
                    // Only if it is empty.
                    let _ = fs::remove_dir(folder);
                }
                bail!(not_to_be_had(set, &folder, name, &failures));
            }
        }
    }
    name_classes(set, &folder)?;
    if arguments.json {
        let fetched = missing.iter().zip(&sources);
        let fetched: Vec<_> =
            fetched.map(|((name, _), url)| json!({ "name": name, "url": url })).collect();
        let report = json!({
            "set": set.name,
            "folder": folder.display().to_string(),
            "fetched": fetched,
        });
        output.line(format_args!("{report:#}"));
    } else {
        let there = set.files.len() - missing.len();
        let how = match (there, missing.len()) {
            (_, 0) => "4 of 4 files present".into(),
            (0, _) => "4 files fetched".into(),
            (there, fetched) => format!("{there} of 4 files present, {fetched} fetched"),
        };
        output.line(format_args!("{}: {}, {how}", folder.display(), set.title));
    }
    output.finish()
}

/// Whether the file `name` is in the folder, packed or not, and right.
///
/// # Errors
/// If a wrong file is there and must not be replaced. A wrong file that is not packed never is: it is none
/// that was fetched.
fn is_there(
    set: &KnownSet,
    folder: &Path,
    name: &str,
    known: &KnownFile,
    force: bool,
) -> Result<bool> {
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.gz"));
    let read = |path: &Path| format!("{}: cannot read", path.display());
    if plain.exists() {
        let shown = plain.display();
        let found = file_sha256(&plain).with_context(|| read(&plain))?;
        match known.unpacked {
            Some(expected) if found == expected => return Ok(true),
            Some(expected) => bail!(
                "{shown}: not the file of {}: expected SHA-256 {expected}, found {found}; remove it, it \
                 would be read instead of {name}.gz",
                set.title
            ),
            None => bail!(
                "{shown}: the unpacked files of {} have no known checksum; remove it, it would be read \
                 instead of {name}.gz",
                set.title
            ),
        }
    }
    if !packed.exists() {
        return Ok(false);
    }
    if is_right(&packed, known).with_context(|| read(&packed))? {
        return Ok(true);
    }
    if !force {
        bail!(
            "{}: not the file of {}: expected SHA-256 {}, found {}; --force replaces it",
            packed.display(),
            set.title,
            known.packed,
            file_sha256(&packed).with_context(|| read(&packed))?
        );
    }
    Ok(false)
}

/// Writes the names of the classes beside the files, unless they are digits or there are names already.
fn name_classes(set: &KnownSet, folder: &Path) -> Result<()> {
    let path = folder.join("classes.txt");
    if set.classes == MNIST.classes || path.exists() {
        return Ok(());
    }
    let names = set.classes.map(|name| format!("{name}\n")).concat();
    write_atomically(&path, names.as_bytes())
        .with_context(|| format!("{}: cannot write", path.display()))
}

/// What to tell a user whom no mirror has served.
fn not_to_be_had(set: &KnownSet, folder: &Path, name: &str, failures: &[MirrorFailure]) -> String {
    let mut message = format!("{name} of {}: no mirror gives it", set.title);
    for failure in failures {
        let _ = write!(message, "\n  {failure}");
    }
    let _ = write!(
        message,
        "\nThe files can also be copied into {} by hand. Their SHA-256:",
        folder.display()
    );
    for (name, known) in IdxFile::NAMES.iter().zip(&set.files) {
        let _ = write!(message, "\n  {}  {name}.gz", known.packed);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_command_line_are_those_of_the_sets() {
        for name in SetName::value_variants() {
            let value = name.to_possible_value().unwrap();
            assert_eq!(value.get_name(), name.set().name);
        }
    }

    #[test]
    fn names_of_classes_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.txt");
        name_classes(&MNIST, folder.path()).unwrap();
        assert!(!path.exists());
        name_classes(&FASHION_MNIST, folder.path()).unwrap();
        let names = loupe_model::data::read_class_names(&path).unwrap().unwrap();
        assert_eq!(names, FASHION_MNIST.classes);
        name_classes(&KMNIST, folder.path()).unwrap();
        let unchanged = loupe_model::data::read_class_names(&path).unwrap().unwrap();
        assert_eq!(unchanged, names);
    }

    #[test]
    fn mirrors_are_addresses() {
        for set in [&MNIST, &FASHION_MNIST, &KMNIST] {
            assert!(!set.mirrors.is_empty());
            assert!(set.mirrors.iter().all(|url| mirror(url).is_ok()));
        }
        assert!(mirror("data/mnist").is_err());
    }
}
