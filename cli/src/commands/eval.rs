//! `loupe eval`

use super::print_scores;
use crate::args::{self, EvalArguments};
use crate::data;
use crate::model::Model;
use crate::output::Output;
use crate::run_folder::RunFolder;
use anyhow::{Result, bail};
use loupe_model::Network;
use loupe_model::data::Split;

pub(crate) fn run(arguments: &EvalArguments) -> Result<()> {
    let cx = data::context(&arguments.common.threads)?;
    let path = &arguments.weights;
    if !path.exists() {
        bail!(
            "{}: not found; expected a folder that train has written, or a weights file",
            path.display()
        );
    }
    let (weights, network) = match path.is_dir() {
        true => (RunFolder::open(path).weights(), Some(RunFolder::open(path).network())),
        false => (path.clone(), None),
    };
    let model = match (&arguments.model, network) {
        (Some(name), _) => Model::named(name)?,
        (None, Some(network)) => Model::from_file(&network)?,
        (None, None) => bail!(
            "{}: a weights file does not say of which network it is; name it with --model",
            path.display()
        ),
    };
    let mut network = Network::new(model.spec, 0)?;
    network.read_weights(&weights)?;
    let split = match arguments.split {
        args::Split::Train => Split::Train,
        args::Split::Test => Split::Test,
    };
    let data = data::open(&arguments.common, split)?;
    let mut output = Output::default();
    print_scores(&mut output, &cx, &network, &data)?;
    output.finish()
}
