//! What can be typed: the list of commands, and what several of them take. What one command takes stands
//! with the command.

use crate::commands::bench::BenchArguments;
use crate::commands::compare::CompareArguments;
use crate::commands::completions::CompletionsArguments;
use crate::commands::convolve::ConvolveArguments;
use crate::commands::data::DataArguments;
use crate::commands::doctor::DoctorArguments;
use crate::commands::eval::EvalArguments;
use crate::commands::explain::ExplainArguments;
use crate::commands::export::ExportArguments;
use crate::commands::inspect::InspectArguments;
use crate::commands::man::ManArguments;
use crate::commands::predict::PredictArguments;
use crate::commands::summary::SummaryArguments;
use crate::commands::train::TrainArguments;
use crate::interrupt;
use crate::recipe::{DATA, Recipe};
use crate::trained::Trained;
use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use loupe_model::data;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// When the program ends with which status.
pub(crate) const EXIT_STATUS: [(u8, &str); 4] = [
    (0, "if all went well"),
    (1, "after an error"),
    (2, "if the command line is wrong"),
    (interrupt::EXIT_CODE, "if Ctrl-C stopped a training, which is saved"),
];

/// Trains and scores small convolutional networks on the CPU.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = after_help()
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
}

/// How much is said on standard output.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Verbosity {
    /// Print results only: no headlines, progress or hints
    #[arg(long, short, global = true, conflicts_with = "verbose", display_order = 900)]
    pub(crate) quiet: bool,

    /// Print details too
    #[arg(long, short, global = true, display_order = 901)]
    pub(crate) verbose: bool,
}

fn after_help() -> String {
    let statuses = EXIT_STATUS.map(|(status, when)| format!("{status} {when}"));
    format!(
        "Exit status: {}.\nLOUPE_ISA=portable|avx2|avx512 chooses the CPU instructions; the default is the \
         best that the CPU has.",
        statuses.join(", ")
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network on MNIST, then score it on the test digits
    #[command(long_about = "Train a network on MNIST, then score it on the test digits.\n\n\
        Without arguments this is the tutorial's run: the convolutional network, batch size 1, 3 epochs \
        in file order, Adam on binary cross-entropy.")]
    Train(TrainArguments),
    /// Score a trained network by both normalisation modes, class by class
    Eval(EvalArguments),
    /// Say what pictures show
    #[command(long_about = "Say what pictures show.\n\n\
        The character on a picture is found, turned into white on black, scaled and centred as MNIST has its \
        digits; with --raw pictures are only resized. Images of IDX files are taken as they are. A network \
        that ends with a Sigmoid gives a score for each class by itself, any other a probability.")]
    Predict(PredictArguments),
    /// Show what a trained network does with one picture, layer by layer
    #[command(
        long_about = "Show what a trained network does with one picture, layer by layer: feature maps, what \
        normalisations change, and which pixels the winning class depends on. Kernels and maps are written \
        as PNG pictures too."
    )]
    Inspect(InspectArguments),
    /// Lay a kernel on a picture and see what it finds
    #[command(
        long_about = "Lay a kernel on a picture and see what it finds: the feature map, how its size \
        follows, and the sum at the place where the kernel finds most.\n\nWithout arguments a kernel of \
        2 × 2 ones takes steps of 2 pixels, a magnifier whose views do not overlap."
    )]
    Convolve(ConvolveArguments),
    /// Train several networks alike and say which is faster, smaller and better
    #[command(
        long_about = "Train several networks alike and say which is faster, smaller and better.\n\n\
        All see the same items in the same order, with the same seed and optimiser. They take steps by turns, \
        each on a clock of its own, so that a disturbed machine treats all alike. Without arguments this is \
        the tutorial's convolutional network beside the fully connected one that it replaced."
    )]
    Compare(CompareArguments),
    /// Find out why the two normalisation modes score differently, and mend running statistics
    #[command(
        long_about = "Find out why the two normalisation modes score differently: both scores, and how far \
        statistics of single images and of batches lie from the running ones at every batch normalisation. \
        With --reestimate, average the running statistics anew over the training images."
    )]
    Doctor(DoctorArguments),
    /// Look at, check or download a data set
    Data(DataArguments),
    /// Show a network layer by layer: shapes, parameters, arithmetic and memory
    Summary(SummaryArguments),
    /// Write a trained network to a file for PyTorch (.safetensors) or for other runtimes (.onnx)
    #[command(
        long_about = "Write a trained network to a file for PyTorch (.safetensors) or for other runtimes \
        (.onnx).\n\n\
        A safetensors file holds the weights with the names of a state_dict. An ONNX file holds the whole network \
        for inference, batches being of any size. Both say of which network they are, and of which classes; \
        loupe itself reads only the first."
    )]
    Export(ExportArguments),
    /// Show where the time and the memory of a training step go
    #[command(
        long_about = "Show where the time and the memory of a training step go: operation by \
        operation, how each is computed, on how many threads, and its share of the step and of the peak \
        of multiply-adds."
    )]
    Explain(ExplainArguments),
    /// Measure how fast this machine trains and infers
    #[command(
        long_about = "Measure how fast this machine trains and infers: the tutorial's two networks \
        by batch size and threads, beside the peak of multiply-adds that the CPU's best instructions reach."
    )]
    Bench(BenchArguments),
    /// Print the completions of a shell
    #[command(long_about = "Print the completions of a shell, for instance\n\n  \
        loupe completions bash > ~/.local/share/bash-completion/completions/loupe")]
    Completions(CompletionsArguments),
    /// Print the manual page, or write those of all commands
    Man(ManArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// Folder of the data set: the four MNIST files, plain or .gz, or a folder of pictures for each class
    /// [default: that of the run, if there is one, or else data/mnist]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

impl CommonArguments {
    /// The folder of the data set, for a network that was trained by this recipe, if one was.
    pub(crate) fn data<'a>(&'a self, recipe: Option<&'a Recipe>) -> &'a Path {
        let of_run = || recipe.map(|recipe| &*recipe.data);
        self.data.as_deref().or_else(of_run).unwrap_or(Path::new(DATA))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ThreadArguments {
    /// Threads; results do not depend on it [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// A trained network.
#[derive(Debug, Args)]
pub(crate) struct TrainedArguments {
    /// A folder that `train` has written, or a safetensors file with PyTorch's names
    pub(crate) run: PathBuf,

    /// cnn, mlp, or a network file (.toml or .json) [default: the network of the folder or file]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,
}

impl TrainedArguments {
    pub(crate) fn open(&self) -> Result<Trained> {
        Trained::open(&self.run, self.model.as_deref())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Split {
    Train,
    Test,
}

impl From<Split> for data::Split {
    fn from(split: Split) -> data::Split {
        match split {
            Split::Train => data::Split::Train,
            Split::Test => data::Split::Test,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Test => "test",
        })
    }
}

fn thread_count(text: &str) -> Result<NonZeroUsize, &'static str> {
    // A system that is asked for very many threads grinds to a halt instead of refusing.
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= 1024);
    count.ok_or("expected a whole number from 1 to 1024")
}

pub(crate) fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0);
    seconds.ok_or("expected a number above 0, at most 3600")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["0", "-1", "nan", "inf", "3601", "long"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
