//! `loupe train`

mod arguments;
mod results;
mod session;

pub(crate) use arguments::TrainArguments;

use crate::data;
use crate::environment;
use crate::interrupt::{self, Interrupt};
use crate::model::Model;
use crate::output::{Output, Thousands};
use crate::recipe::{Changes, NetworkChoice, Recipe};
use crate::run_folder::RunFolder;
use crate::shell::Word;
use crate::training_data::Data;
use anyhow::{Context as _, Error, Result};
use loupe_engine::Tier;
use loupe_model::data::Dataset;
use loupe_model::{Network, SpecError, Training, read_safetensors};
use session::{Session, Stop};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(arguments: &TrainArguments, mut output: Output) -> Result<ExitCode> {
    let resumed = arguments.resume.as_deref().map(resumed_run).transpose()?;
    let recipe = match &resumed {
        Some(resumed) => resumed.recipe(arguments)?,
        None => arguments.recipe.resolve(arguments.changes())?,
    };
    if arguments.print_config {
        output.line(format_args!("{}", recipe.to_toml().trim_end()));
        output.finish()?;
        return Ok(ExitCode::SUCCESS);
    }
    let cx = data::context(&arguments.threads)?;
    let model = match &resumed {
        Some(resumed) => resumed.model(&recipe)?,
        None => recipe.model()?,
    };
    let network = Network::new(model.spec.clone(), recipe.seed)?;
    let data = Data::open(&recipe, data::picture_size(&model.spec))?;
    let trainer = recipe.trainer(cx, network);
    let (learn, scored, options) = (&data.training, Some(data.scored()), recipe.options());
    let of_trained = |error| with_items_left(error, learn.len(), recipe.batch_size.get());
    let training = match &resumed {
        Some(Resumed { checkpoint: Some(checkpoint), path, .. }) => {
            let resumed = Training::resume(trainer, learn, scored, options, checkpoint);
            resumed.map_err(|error| match error {
                loupe_model::Error::Checkpoint(_) => {
                    Error::new(error).context(path.display().to_string())
                }
                error => of_trained(error),
            })?
        }
        _ => Training::new(trainer, learn, scored, options).map_err(of_trained)?,
    };
    output.detail(format_args!(
        "{} items to learn from, {} to validate and {} to be judged by, of {}",
        Thousands(data.training.len()),
        Thousands(data.validation.as_ref().map_or(0, Dataset::len)),
        Thousands(data.test.len()),
        recipe.data.display()
    ));
    let warnings =
        resumed.as_ref().map_or(Vec::new(), |resumed| resumed.warnings(&recipe, &training));
    let interrupt = Interrupt::watch()?;
    let mut session = match resumed {
        Some(Resumed { folder, checkpoint: Some(_), .. }) => {
            Session::resume(folder, training, &recipe)?
        }
        Some(Resumed { folder, .. }) => Session::new(folder, training, &recipe, &data.training)?,
        None => {
            let folder = RunFolder::create(arguments.out.as_deref(), &model)?;
            Session::new(folder, training, &recipe, &data.training)?
        }
    };
    output.note(format_args!("{}", session.headline(&model.name, &recipe)));
    for warning in warnings {
        output.note(format_args!("{warning}"));
    }
    let stop = session.train(&recipe, data.judge(), &interrupt, &mut output);
    match session.ended(stop)? {
        Stop::Interrupted => {
            let folder = Word(session.folder().path());
            output.note(format_args!(
                "interrupted after {}; go on with: loupe train --resume {folder}",
                session.place()
            ));
            output.finish()?;
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
        Stop::Time => output.note(format_args!(
            "stopped after {:.1} s, after {}; go on with: loupe train --resume {}",
            session.seconds(),
            session.place(),
            Word(session.folder().path())
        )),
        Stop::Patience => output.note(format_args!(
            "stopped early: no better score for {} epochs",
            recipe.patience.map_or(0, usize::from)
        )),
        Stop::Epochs => {}
    }
    results::write_all(&session, &model.name, &recipe, &data, &mut output)?;
    output.note(format_args!("wrote {}", session.folder().path().display()));
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The error, with the items of the last step if there are too few of them.
fn with_items_left(error: loupe_model::Error, items: usize, batch: usize) -> Error {
    let few = matches!(error, loupe_model::Error::Spec(SpecError::OneValuePerChannel { .. }));
    let error = Error::new(error);
    if few && batch > 1 && items % batch == 1 {
        let items = Thousands(items);
        return error.context(format!(
            "{items} items in batches of {batch} leave one for the last step of an epoch"
        ));
    }
    error
}

/// A run that is to go on.
struct Resumed {
    folder: RunFolder,
    path: PathBuf,
    /// None if the training was ended before it had saved one.
    checkpoint: Option<Vec<u8>>,
    /// What its configuration says.
    recipe: Recipe,
}

fn resumed_run(run: &Path) -> Result<Resumed> {
    let folder = RunFolder::open_locked(run)?;
    let path = folder.checkpoint();
    let checkpoint = match read_safetensors(&path) {
        Ok(bytes) => Some(bytes),
        Err(_) if folder.has_learnt_nothing() => None,
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "{}: cannot read; expected the checkpoint of a training in {}",
                    path.display(),
                    run.display()
                )
            });
        }
    };
    let recipe = Recipe::resolve(None, Some(&folder.config()), Changes::default())?;
    Ok(Resumed { folder, path, checkpoint, recipe })
}

impl Resumed {
    /// The run's network, with the name that it had when the training began. If it stood in the configuration it is
    /// called like the folder.
    fn model(&self, recipe: &Recipe) -> Result<Model> {
        let mut model = self.folder.model()?;
        if let NetworkChoice::Named(name) = &recipe.network
            && let Some(stem) = Path::new(name).file_stem()
        {
            model.name = stem.to_string_lossy().into_owned();
        }
        Ok(model)
    }

    /// The run's recipe, with what may change in a training that goes on.
    fn recipe(&self, arguments: &TrainArguments) -> Result<Recipe> {
        let mut recipe = self.recipe.clone();
        let changes = arguments.changes();
        if let Some(epochs) = changes.epochs {
            recipe.epochs = epochs;
        }
        recipe.patience = changes.stop.patience.or(recipe.patience);
        recipe.max_seconds = changes.stop.max_seconds;
        if let Some(path) = changes.data.path {
            recipe.data = path;
        }
        recipe.check()?;
        Ok(recipe)
    }

    /// In what the result will differ from that of a training that was never interrupted.
    fn warnings(&self, recipe: &Recipe, training: &Training<'_>) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.checkpoint.is_none() {
            warnings.push("nothing was saved: the training begins again".to_owned());
            return warnings;
        }
        let (before, now) = (self.recipe.epochs, recipe.epochs);
        if before != now && recipe.schedule.depends_on_epochs() && training.position() != (0, 0) {
            warnings.push(format!(
                "the learning rates go by the number of epochs: so far they were those of \
                 {before} epochs, from here on they are those of {now}"
            ));
        }
        let tier = training.trainer().context().isa().tier();
        let rounds_twice = |tier| tier == Tier::Portable;
        let began = environment::tier(&self.folder.environment());
        if let Some(began) = began.filter(|&began| rounds_twice(began) != rounds_twice(tier)) {
            let [began, tier] = [began, tier].map(Tier::name);
            warnings.push(format!(
                "the training was begun on {began}; {tier} rounds otherwise, so the result is not \
                 that of one training on {began}"
            ));
        }
        warnings
    }
}
