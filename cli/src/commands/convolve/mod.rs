//! `loupe convolve`

mod magnifier;
mod show;

use crate::args::CommonArguments;
use crate::data;
use crate::kernel::{self, Choice};
use crate::new_file::{NewFile, expect_ending};
use crate::output::Output;
use crate::picked::{PickArguments, Picked};
use crate::recipe::at_least_one;
use crate::screen::Screen;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use magnifier::Magnifier;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_long_help = format!("Kernels:\n{}\n\nA kernel is laid on the picture as it stands, not \
    turned: a layer Conv2d does the same.", kernel::list()))]
pub(crate) struct ConvolveArguments {
    /// A kernel by name, rows of numbers like "1 1; 0 0", or `list`; may be given several times
    #[arg(
        long,
        value_name = "NAME|NUMBERS",
        default_value = "box",
        allow_hyphen_values = true,
        value_parser = kernel::choice
    )]
    pub(crate) kernel: Vec<Choice>,

    /// Rows and columns of a kernel that is given by name [default: its own]
    #[arg(long, value_name = "N", value_parser = kernel::side)]
    pub(crate) size: Option<usize>,

    /// How many pixels the kernel moves on at a time
    #[arg(long, value_name = "S", default_value = "2", value_parser = at_least_one)]
    pub(crate) stride: NonZeroUsize,

    /// Rows and columns of zeros around the picture
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub(crate) padding: usize,

    #[command(flatten)]
    pub(crate) pick: PickArguments,

    /// Write picture, kernels and feature maps to this PNG file
    #[arg(long, value_name = "FILE.png")]
    pub(crate) out: Option<PathBuf>,

    /// Replace the PNG file if there is one
    #[arg(long, requires = "out")]
    pub(crate) force: bool,

    /// Write JSON instead of pictures
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

pub(crate) fn run(arguments: &ConvolveArguments, mut output: Output) -> Result<()> {
    if arguments.kernel.contains(&Choice::List) {
        output.line(format_args!("{}", kernel::list()));
        return output.finish();
    }
    if let Some(out) = &arguments.out {
        check_out(out, arguments)?;
    }
    let cx = data::context(&arguments.common.threads)?;
    let kernels = arguments.kernel.iter().map(|choice| choice.kernel(arguments.size));
    let kernels: Vec<_> =
        kernels.collect::<Result<_, _>>().map_err(|e| anyhow!("--kernel: {e}"))?;
    let picked = Picked::open(&arguments.pick, arguments.common.data(None), None)?;
    let (values, size) = (picked.values(), picked.size());
    let (stride, padding) = (arguments.stride.get(), arguments.padding);
    let mut magnifiers = Vec::with_capacity(kernels.len());
    for kernel in kernels {
        magnifiers.push(Magnifier::new(&cx, &values, size, kernel, stride, padding)?);
    }
    if arguments.json {
        output.line(format_args!("{}", show::json(&picked, &magnifiers)));
    } else {
        for line in show::text(&picked, &magnifiers, Screen::of_stdout()) {
            output.line(format_args!("{line}"));
        }
    }
    if let Some(out) = &arguments.out {
        let png = show::picture(&picked, &magnifiers).to_png();
        loupe_model::write_atomically(out, &png)
            .with_context(|| format!("{}: cannot write", out.display()))?;
        if !arguments.json {
            output.note(format_args!("wrote {}", out.display()));
        }
    }
    output.finish()
}

/// Whether a PNG file may be written here.
fn check_out(out: &Path, arguments: &ConvolveArguments) -> Result<()> {
    let shown = out.display();
    expect_ending(out, "png")?;
    let place = |file: &Path| file.canonicalize().ok();
    let same = |picture: &PathBuf| out.exists() && place(out) == place(picture);
    if arguments.pick.picture.as_ref().is_some_and(same) {
        bail!("{shown}: that is the picture itself; name another file with --out");
    }
    NewFile { out: out.to_owned(), force: arguments.force }.check()
}
