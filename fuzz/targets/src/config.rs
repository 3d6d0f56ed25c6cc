//! Text as a configuration file of `loupe train`: refused, or a recipe that survives being written; its network, if it
//! is small, is trained as the recipe says.

use crate::recipe::{Changes, NetworkChoice, Recipe};
use crate::{Taken, network};
use loupe_engine::Context;
use loupe_model::data::Dataset;
use loupe_model::{Error, Network, NetworkSpec, Scored, Training};

/// Labels of the data set that is trained on.
const ITEMS: usize = 7;

/// Trains by the text.
pub fn run(text: &str) -> Taken {
    let changes: Changes = toml::from_str(text).ok()?;
    if let Some(NetworkChoice::Inline { spec, .. }) = &changes.network {
        spec.shapes().ok()?;
    }
    let recipe = Recipe::resolve(None, None, changes).ok()?;
    survives(&recipe);
    // A network of any other name would be a file.
    let is_known = match &recipe.network {
        NetworkChoice::Named(name) => name == "cnn",
        NetworkChoice::Inline { .. } => true,
    };
    if is_known {
        let spec = recipe.model().expect("its shapes are sound").spec;
        if network::is_small(&spec) {
            train(&recipe, &spec);
        }
    }
    Some(())
}

/// What is written says everything.
fn survives(recipe: &Recipe) {
    let text = recipe.to_toml();
    let changes = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let again = Recipe::resolve(None, None, changes).expect("the same recipe");
    assert_eq!(again.statistics, Some(recipe.judged_by()));
    assert_eq!(&Recipe { statistics: recipe.statistics, ..again }, recipe, "{text}");
}

fn train(recipe: &Recipe, spec: &NetworkSpec) {
    let new = || Network::new(spec.clone(), recipe.seed).expect("its shapes are sound");
    network::check(&new(), recipe.batch_size.get().min(3), |cx, net| recipe.trainer(cx, net));
    let Some(data) = data(spec) else { return };
    let by_threads = network::contexts().map(|cx| few_steps(recipe, cx, new(), &data));
    assert_eq!(by_threads[0], by_threads[1], "one thread and two");
}

/// Pictures of the network's size and in its classes, if it has as many as there may be.
fn data(spec: &NetworkSpec) -> Option<Dataset> {
    let [inputs, outputs] = [spec.input_len(), spec.output_len()].map(|len| len.ok());
    let size = match spec.input[..] {
        [1, height, width] => [height, width],
        _ => [1, inputs?],
    };
    let images = (0..ITEMS * inputs?).map(|i| (i * 37 % 256) as u8).collect();
    let labels = (0..ITEMS).map(|i| (i % outputs.unwrap_or(1)) as u8).collect();
    Dataset::new(images, labels, size, outputs?).ok()
}

/// The checkpoint after up to three steps, or why there is none.
fn few_steps(
    recipe: &Recipe,
    cx: Context,
    network: Network,
    data: &Dataset,
) -> Result<Vec<u8>, String> {
    let scored = Scored { data, selects: recipe.validation > 0.0 };
    let shown = |error: Error| error.to_string();
    let trainer = recipe.trainer(cx, network);
    let mut training =
        Training::new(trainer, data, Some(scored), recipe.options()).map_err(shown)?;
    for _ in 0..3 {
        match training.step() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error @ (Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. })) => {
                training.diagnose().map_err(shown)?;
                return Err(shown(error));
            }
            Err(error) => return Err(shown(error)),
        }
    }
    Ok(training.checkpoint())
}
