//! `loupe data verify`

use super::contents::Contents;
use super::{report, samples};
use crate::draw;
use crate::new_file::{NewFile, expect_ending};
use crate::output::{Output, Thousands};
use crate::recipe::DATA;
use anyhow::{Context, Result, bail};
use clap::Args;
use loupe_model::data::{Dataset, Shared};
use loupe_model::write_atomically;
use serde_json::{Value, json};
use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

/// The most images that are named one by one.
const NAMED: usize = 10;

/// Characters of a line of pictures.
const WIDTH: usize = 80;

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Folder of a data set
    #[arg(value_name = "DIR", default_value = DATA)]
    pub(crate) folder: PathBuf,

    /// Write a picture of ten images of each class, as PNG
    #[arg(long, value_name = "FILE")]
    pub(crate) grid: Option<PathBuf>,

    /// Replace the picture if there is one
    #[arg(long, requires = "grid")]
    pub(crate) force: bool,

    /// Write JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &VerifyArguments, mut output: Output) -> Result<()> {
    let folder = &arguments.folder;
    if let Some(grid) = &arguments.grid {
        expect_ending(grid, "png")?;
        NewFile { out: grid.clone(), force: arguments.force }.check()?;
    }
    // The cache would stand in for the files that are to be judged.
    let contents = Contents::read(folder, None)?;
    let shared = match (&contents.train, &contents.test) {
        (Some(train), Some(test)) => Some(test.shared_with(train)),
        _ => None,
    };
    if arguments.json {
        let mut report = report::to_json(folder, &contents);
        let constant =
            contents.splits().map(|(name, data)| (name.to_owned(), data.constant_images().into()));
        report.insert("constant_images".into(), Value::Object(constant.collect()));
        let shared = shared.map(|shared| {
            json!({ "images": shared.images, "otherwise_labelled": shared.otherwise_labelled })
        });
        report.insert("test_images_in_train".into(), shared.into());
        report.insert("faults".into(), contents.faults.clone().into());
        output.line(format_args!("{:#}", Value::Object(report)));
    } else {
        report::print_files(&mut output, folder, &contents);
        report::print_classes(&mut output, &contents, true);
        if let Some(pixels) = report::pixels(&contents) {
            output.line(format_args!("  {pixels}"));
        }
        if let Some(shared) = shared {
            output.line(format_args!("  {}", duplicates(shared)));
        }
        for (name, data) in contents.splits() {
            output.line(format_args!("  {}", constant(name, data)));
        }
        if let Some((_, data)) = contents.splits().next()
            && stdout().is_terminal()
        {
            let sheet = draw::terminal(&samples::sheet(data), WIDTH, draw::colour());
            output.note(format_args!("{}", sheet.trim_end_matches('\n')));
        }
    }
    if let (Some(path), Some((name, data))) = (&arguments.grid, contents.splits().next()) {
        let grid = samples::grid(data, &format!("{}, {name}", folder.display()));
        write_atomically(path, &grid.to_png())
            .with_context(|| format!("{}: cannot write", path.display()))?;
        if !arguments.json {
            output.note(format_args!("wrote {}", path.display()));
        }
    }
    match &contents.faults[..] {
        [] if arguments.json => {}
        [] => output.line(format_args!("no faults")),
        [fault] => bail!("{fault}"),
        faults => bail!("{} faults:\n  {}", faults.len(), faults.join("\n  ")),
    }
    output.finish()
}

fn duplicates(shared: Shared) -> String {
    let other = match shared.otherwise_labelled {
        0 => String::new(),
        other => format!(", {} with another label", Thousands(other)),
    };
    match shared.images {
        0 => "no test image is a training image too".into(),
        1 => format!("1 test image is a training image too{other}"),
        images => format!("{} test images are training images too{other}", Thousands(images)),
    }
}

fn constant(name: &str, data: &Dataset) -> String {
    let found = data.constant_images();
    let named: Vec<String> = found.iter().take(NAMED).map(usize::to_string).collect();
    let more = if found.len() > NAMED { ", …" } else { "" };
    let images = match found.len() {
        0 => return format!("no {name} image of one colour"),
        1 => "1 image".into(),
        count => format!("{} images", Thousands(count)),
    };
    format!("{images} of one colour in {name}: index {}{more}", named.join(", "))
}
