//! `loupe inspect`

mod folder;
mod numbers;
mod pictures;
mod view;
mod walk;
mod words;

use crate::args::{CommonArguments, TrainedArguments};
use crate::data;
use crate::output::Output;
use crate::picked::{PickArguments, Picked};
use crate::recipe::Statistics;
use crate::screen::Screen;
use crate::trained::Trained;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use folder::Folder;
use loupe_model::data::Grey;
use loupe_model::{Error, NetworkSpec, Normalization, SpecError, trace};
use std::path::{Path, PathBuf};
use view::View;

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,

    #[command(flatten)]
    pub(crate) pick: PickArguments,

    /// Only resize the file of --picture, instead of bringing it to the form of MNIST's digits
    #[arg(long, requires = "picture")]
    pub(crate) raw: bool,

    /// By which statistics batch normalisations normalise [default: those of the picture at hand, as in the
    /// tutorial]
    #[arg(long, value_enum)]
    pub(crate) statistics: Option<Statistics>,

    /// Folder to write PNG pictures to [default: inspect-I in the folder of the run]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Write all values as JSON instead of text, and pictures only if --out is given
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

pub(crate) fn run(arguments: &InspectArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.common.threads)?;
    let trained = arguments.trained.open()?;
    let statistics = arguments.statistics.map(Into::into).or(trained.statistics());
    let folder = arguments.common.data(trained.recipe.as_ref()).to_owned();
    let Trained { name, network, classes, .. } = trained;
    let size = data::picture_size(network.spec());
    let mut picked = Picked::open(&arguments.pick, &folder, size)?;
    if arguments.pick.picture.is_some() {
        picked.picture = fitted(&picked, network.spec(), arguments.raw)?;
    }
    check_fit(&picked, network.spec())?;
    let inputs = picked.values();
    let trace = |normalization| trace::trace(&cx, &network, &inputs, normalization);
    let trace = match statistics {
        Some(normalization) => trace(normalization)?,
        None => match trace(Normalization::BatchStatistics) {
            // Of one value per channel these say nothing.
            Err(Error::Spec(SpecError::OneValuePerChannel { .. })) => {
                trace(Normalization::RunningStatistics)?
            }
            trace => trace?,
        },
    };
    let classes = classes.unwrap_or_else(|| picked.classes.clone());
    let view = View::new(&cx, &name, &network, &picked, classes, &trace)?;
    // Found out before anything is printed.
    let pictures = (!arguments.json || arguments.out.is_some())
        .then(|| {
            let path = match &arguments.out {
                Some(out) => out.clone(),
                None => default_folder(&arguments.trained.run, &picked.short),
            };
            let pictures = pictures::all(&view);
            let names = pictures.iter().map(|(name, _)| name.clone()).collect();
            Folder::open(&path, names).map(|folder| (folder, pictures))
        })
        .transpose()?;
    let numbers = numbers::all(&view);
    if arguments.json {
        output.line(format_args!("{numbers}"));
    } else {
        walk::print(&mut output, &view, Screen::of_stdout());
    }
    if let Some((folder, pictures)) = pictures {
        folder.write(numbers, &pictures)?;
        if !arguments.json {
            output.note(format_args!(
                "\nwrote {} pictures and the numbers to {}",
                pictures.len(),
                folder.path().display()
            ));
        }
    }
    output.finish()
}

/// The picture of a file in the size that the network takes.
fn fitted(picked: &Picked, spec: &NetworkSpec, raw: bool) -> Result<Grey> {
    let Some([height, width]) = data::picture_size(spec) else {
        bail!(
            "the network takes inputs of {:?}; expected [1, height, width], which a picture is",
            spec.input
        );
    };
    if raw {
        return Ok(picked.picture.resized(height, width));
    }
    let like = picked.picture.like_mnist(height, width);
    Ok(like.with_context(|| picked.name.clone())?.picture)
}

fn check_fit(picked: &Picked, spec: &NetworkSpec) -> Result<()> {
    let (input, [height, width]) = (spec.input_len()?, picked.size());
    if input == height * width {
        return Ok(());
    }
    bail!(
        "the network takes inputs of {:?}, {input} values, but {} has {height} × {width} pixels",
        spec.input,
        picked.name
    );
}

/// In the folder of the run, or beside the weights.
fn default_folder(run: &Path, short: &str) -> PathBuf {
    let folder = if run.is_dir() { run } else { run.parent().unwrap_or(Path::new("")) };
    folder.join(format!("inspect-{short}"))
}
