//! `loupe train`

use crate::args::{CommonArguments, at_least_one, learning_rate};
use crate::data;
use crate::model::Model;
use crate::output::{Output, Thousands};
use crate::run_folder::RunFolder;
use crate::scores::{hint, print_scores, score_modes};
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loupe_engine::Context;
use loupe_engine::optim::AdamOptions;
use loupe_model::data::{Dataset, Order, Split};
use loupe_model::{Event, Loss, Network, OptimizerOptions, TrainOptions, Trainer, train};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// cnn, mlp, or a network file (.toml or .json)
    #[arg(long, value_name = "NAME|FILE", default_value = "cnn")]
    pub(crate) model: String,

    /// Passes over the training digits; 0 leaves the initial weights
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) epochs: usize,

    /// Digits of a step
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) batch_size: NonZeroUsize,

    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value = "0.001", value_parser = learning_rate)]
    pub(crate) lr: f64,

    /// Seed of the initial weights and of the shuffling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Take the digits of each epoch in random order instead of file order
    #[arg(long)]
    pub(crate) shuffle: bool,

    /// Folder for the result; it must not hold one yet [default: runs/MODEL-N, the first N that is free]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

pub(crate) fn run(arguments: &TrainArguments, mut output: Output) -> Result<()> {
    let cx = data::context(&arguments.common.threads)?;
    let model = Model::named(&arguments.model)?;
    let network = Network::new(model.spec.clone(), arguments.seed)?;
    let training = data::open(&arguments.common, Split::Train, &model.spec)?;
    let test = data::open(&arguments.common, Split::Test, &model.spec)?;
    let options = TrainOptions {
        epochs: arguments.epochs,
        batch_size: arguments.batch_size,
        order: match arguments.shuffle {
            true => Order::Shuffled { seed: arguments.seed },
            false => Order::File,
        },
    };
    let adam = AdamOptions { lr: arguments.lr, ..AdamOptions::default() };
    let mut trainer = Trainer::new(cx, network, Loss::Bce, OptimizerOptions::Adam(adam));
    let folder = RunFolder::create(arguments.out.as_deref(), &model)?;
    if let Err(error) = folder.write_classes(&training) {
        folder.discard();
        return Err(error);
    }

    output.detail(format_args!(
        "{} digits to learn from and {} to be judged by, of {}",
        Thousands(training.len()),
        Thousands(test.len()),
        arguments.common.data.display()
    ));
    output.note(format_args!("{}", headline(arguments, &model, &trainer)));
    let trained = train_epochs(&mut trainer, &training, &options, &mut output)
        .and_then(|()| Ok(trainer.network().save_weights(&folder.weights())?));
    if let Err(error) = trained {
        folder.discard();
        return Err(error);
    }
    let scores = score_modes(trainer.context(), trainer.network(), &test)?;
    print_scores(&mut output, &scores);
    let hint = hint(&scores, Some(arguments.batch_size.get()), folder.path());
    if let Some(hint) = hint.filter(|_| arguments.epochs > 0) {
        output.note(format_args!("{hint}"));
    }
    output.note(format_args!("wrote {}", folder.path().display()));
    output.finish()
}

/// Trains, with a progress bar and a line for each epoch.
fn train_epochs(
    trainer: &mut Trainer,
    data: &Dataset,
    options: &TrainOptions,
    output: &mut Output,
) -> Result<()> {
    let mut progress = Progress::new(options, output.quiet());
    train(trainer, data, options, |_, event| {
        if let Some(line) = progress.on(event) {
            progress.bar.suspend(|| output.note(format_args!("{line}")));
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// What is trained, and with what.
fn headline(arguments: &TrainArguments, model: &Model, trainer: &Trainer) -> String {
    let cx: &Context = trainer.context();
    let order = if arguments.shuffle { "shuffled" } else { "in file order" };
    let threads = cx.threads().count();
    format!(
        "{}: {} parameters, batch size {} {order}, seed {}; {}, {threads} thread{}",
        model.name,
        Thousands(trainer.network().parameter_count()),
        arguments.batch_size,
        arguments.seed,
        cx.isa().tier().name(),
        if threads == 1 { "" } else { "s" },
    )
}

/// The progress bar, and the time of each epoch.
struct Progress {
    bar: ProgressBar,
    epochs: usize,
    started: Instant,
    steps: usize,
    /// The bar is redrawn after so many steps.
    stride: usize,
}

impl Progress {
    fn new(options: &TrainOptions, quiet: bool) -> Progress {
        let style =
            ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} %  {msg}  {eta} left")
                .expect("the template is valid")
                .progress_chars("=> ");
        // Hidden where standard error is no terminal.
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(10),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        bar.set_style(style);
        Progress { bar, epochs: options.epochs, started: Instant::now(), steps: 0, stride: 1 }
    }

    /// Takes note of an event; a line to print when an epoch is over.
    fn on(&mut self, event: Event) -> Option<String> {
        match event {
            Event::EpochStarted { epoch, steps } => {
                self.started = Instant::now();
                self.steps = steps;
                self.stride = (steps / 200).max(1);
                self.bar.reset();
                self.bar.set_length(steps as u64);
                self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
                None
            }
            Event::Step { step, loss, .. } => {
                if step % self.stride == 0 {
                    self.bar.set_position(step as u64);
                    self.bar.set_message(format!("loss {loss:.4}"));
                }
                None
            }
            Event::EpochFinished { epoch, mean_loss } => {
                let elapsed = self.started.elapsed();
                if epoch == self.epochs {
                    self.bar.finish_and_clear();
                }
                Some(epoch_line(epoch, self.epochs, mean_loss, elapsed, self.steps))
            }
            _ => None,
        }
    }
}

fn epoch_line(
    epoch: usize,
    epochs: usize,
    mean_loss: f64,
    elapsed: Duration,
    steps: usize,
) -> String {
    let seconds = elapsed.as_secs_f64();
    let step = seconds / steps.max(1) as f64 * 1e6;
    format!("epoch {epoch}/{epochs}  mean loss {mean_loss:.4}  {seconds:.2} s  {step:.2} µs/step")
}
