//! `loupe compare`

mod claims;
mod entrant;
mod folder;
mod json;
mod names;
mod table;
mod turns;

use crate::args::ThreadArguments;
use crate::data;
use crate::draw::{RunCurves, curves};
use crate::environment;
use crate::interrupt::{self, Interrupt};
use crate::model::Model;
use crate::output::Output;
use crate::recipe::{NetworkChoice, Recipe, RecipeArguments};
use crate::run_folder::write;
use crate::training_data::Data;
use anyhow::{Context as _, Result, bail};
use claims::Claim;
use clap::Args;
use entrant::Entrant;
use folder::Folder;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// Two networks or more: cnn, mlp, or network files (.toml or .json)
    #[arg(value_name = "NETWORK", num_args = 2.., default_values = ["cnn", "mlp"])]
    pub(crate) networks: Vec<String>,

    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Folder for the result; it must not hold one yet [default: runs/compare-N, the first N that is free]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Write JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

/// All that was trained, and how.
struct Comparison<'d> {
    recipe: Recipe,
    folder: Folder,
    entrants: Vec<Entrant<'d>>,
    interrupted: bool,
    environment: Value,
}

pub(crate) fn run(arguments: &CompareArguments, output: Output) -> Result<ExitCode> {
    let mut output = if arguments.json { output.without_notes() } else { output };
    let recipe = arguments.recipe.resolve(arguments.recipe.changes())?;
    check(&recipe)?;
    let mut models =
        arguments.networks.iter().map(|name| Model::named(name)).collect::<Result<Vec<_>>>()?;
    let names = names::different(models.iter().map(|model| &*model.name));
    models.iter_mut().zip(names).for_each(|(model, name)| model.name = name);
    let cx = data::context(&arguments.threads)?;
    let data = open_data(&recipe, &models)?;
    let entrants = models.iter().map(|model| {
        let (_, data) = data
            .iter()
            .find(|(size, _)| *size == data::picture_size(&model.spec))
            .expect("opened for every size");
        Entrant::new(&cx, model, &recipe, data).with_context(|| model.name.clone())
    });
    let entrants: Vec<Entrant<'_>> = entrants.collect::<Result<_>>()?;
    let interrupt = Interrupt::watch()?;
    let of =
        |name: &String| Recipe { network: NetworkChoice::Named(name.clone()), ..recipe.clone() };
    let recipes: Vec<Recipe> = arguments.networks.iter().map(of).collect();
    let folder = Folder::create(arguments.out.as_deref(), &models)?;
    let environment = environment::of(&cx, &recipe);
    let mut comparison = Comparison { recipe, folder, entrants, interrupted: false, environment };
    let done = comparison.begin(&recipes).and_then(|()| {
        comparison.train(&interrupt, &mut output)?;
        comparison.write(arguments.json, &mut output)
    });
    if let Err(error) = done {
        comparison.folder.discard();
        return Err(error);
    }
    output.note(format_args!("wrote {}", comparison.folder.path().display()));
    output.finish()?;
    Ok(if comparison.interrupted {
        ExitCode::from(interrupt::EXIT_CODE)
    } else {
        ExitCode::SUCCESS
    })
}

/// Refuses what a configuration may say that would treat networks differently.
fn check(recipe: &Recipe) -> Result<()> {
    if recipe.max_seconds.is_some() || recipe.patience.is_some() {
        bail!(
            "compare trains all networks for the same number of epochs; take [stop] out of the configuration"
        );
    }
    if recipe.validation > 0.0 {
        bail!(
            "compare holds no items out; take validation = {} out of the configuration",
            recipe.validation
        );
    }
    Ok(())
}

/// The data set in each size of pictures that a network takes.
fn open_data(recipe: &Recipe, models: &[Model]) -> Result<Vec<(Option<[usize; 2]>, Data)>> {
    let mut sizes: Vec<_> = models.iter().map(|model| data::picture_size(&model.spec)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.into_iter().map(|size| Ok((size, Data::open(recipe, size)?))).collect()
}

impl Comparison<'_> {
    /// Writes down how each network is trained.
    fn begin(&self, recipes: &[Recipe]) -> Result<()> {
        self.folder.runs().iter().zip(&self.entrants).zip(recipes).try_for_each(
            |((folder, entrant), recipe)| {
                folder.write_classes(entrant.training().data())?;
                let environment = format!("{:#}\n", self.environment);
                write(&folder.environment(), environment.as_bytes())?;
                write(&folder.config(), recipe.to_toml().as_bytes())
            },
        )
    }

    fn train(&mut self, interrupt: &Interrupt, output: &mut Output) -> Result<()> {
        output.note(format_args!("{}", self.headline()));
        self.interrupted = turns::train(&mut self.entrants, &self.recipe, interrupt, output)?;
        self.entrants.iter_mut().try_for_each(Entrant::finish)
    }

    fn headline(&self) -> String {
        let recipe = &self.recipe;
        let names: Vec<&str> = self.entrants.iter().map(Entrant::name).collect();
        let cx = self.entrants[0].training().trainer().context();
        let threads = cx.threads().count();
        format!(
            "{}: batch size {} {}, seed {}; {}, {threads} thread{}",
            names.join(", "),
            recipe.batch_size,
            if recipe.shuffle { "shuffled" } else { "in file order" },
            recipe.seed,
            cx.isa().tier().name(),
            if threads == 1 { "" } else { "s" },
        )
    }

    /// Writes all files, and prints what has come of it.
    fn write(&self, json: bool, output: &mut Output) -> Result<()> {
        for (run, entrant) in self.folder.runs().iter().zip(&self.entrants) {
            entrant.training().network().save_weights(&run.weights())?;
        }
        let claims = match &self.entrants[..] {
            [new, old] => claims::claims(new, old, self.recipe.judged_by()),
            _ => Vec::new(),
        };
        self.draw()?;
        let report = json::comparison(self, &claims);
        write(&self.folder.numbers(), format!("{report:#}\n").as_bytes())?;
        if json {
            output.line(format_args!("{report:#}"));
        } else {
            self.print(&claims, output);
        }
        Ok(())
    }

    fn print(&self, claims: &[Claim], output: &mut Output) {
        if self.interrupted {
            output.note(format_args!("interrupted after {}", self.entrants[0].place()));
        }
        output.note(format_args!(""));
        for line in table::table(&self.entrants) {
            output.line(format_args!("{line}"));
        }
        if !claims.is_empty() {
            output.line(format_args!(""));
        }
        for claim in claims {
            output.line(format_args!("{claim}"));
        }
        output.note(format_args!(""));
    }

    /// Losses and accuracies of all networks.
    fn draw(&self) -> Result<()> {
        let by = self.recipe.judged_by();
        let accuracies: Vec<_> = self.entrants.iter().map(|e| e.accuracies(by)).collect();
        let runs = self.entrants.iter().zip(&accuracies).map(|(entrant, accuracies)| RunCurves {
            name: entrant.name(),
            losses: entrant.training().history().losses(),
            losses_per_epoch: entrant.training().steps_per_epoch(),
            accuracies,
        });
        let runs: Vec<_> = runs.collect();
        let names: Vec<&str> = self.entrants.iter().map(Entrant::name).collect();
        let picture = curves(&runs, &names.join(", "));
        let [svg, png] = self.folder.pictures();
        write(&svg, picture.to_svg().as_bytes())?;
        write(&png, &picture.to_rgb(1).to_png())
    }
}
