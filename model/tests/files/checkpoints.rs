//! Checkpoints that no training has written.

use crate::edit::{edited, file, split, with_value};
use crate::weights::spec;
use crate::{Kind, Row};
use loupe_engine::Context;
use loupe_model::data::Dataset;
use loupe_model::{
    Error, Loss, Network, OptimizerOptions, Scored, SgdOptions, TrainOptions, Trainer, Training,
    read_safetensors,
};
use std::num::NonZeroUsize;
use std::path::Path;

const NAME: &str = "checkpoint.safetensors";

fn data() -> Dataset {
    Dataset::new((0..16).collect(), vec![0, 2, 1, 0], [2, 2], 3).unwrap()
}

fn training(data: &Dataset, checkpoint: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let sgd = OptimizerOptions::Sgd(SgdOptions { momentum: 0.5, ..SgdOptions::default() });
    let network = Network::new(spec(), 3)?;
    let trainer = Trainer::new(Context::serial(), network, Loss::CrossEntropy, sgd);
    let scored = Some(Scored { data, selects: true });
    let batch_size = NonZeroUsize::new(2).unwrap();
    let options = TrainOptions { epochs: 9, batch_size, ..TrainOptions::default() };
    let mut training = match checkpoint {
        Some(bytes) => Training::resume(trainer, data, scored, options, bytes)?,
        None => Training::new(trainer, data, scored, options)?,
    };
    for _ in 0..3 {
        training.step()?;
    }
    Ok(training.checkpoint())
}

fn resume(folder: &Path) -> Result<(), String> {
    let bytes = read_safetensors(&folder.join(NAME)).map_err(|error| error.to_string())?;
    training(&data(), Some(&bytes)).map(drop).map_err(|error| error.to_string())
}

#[test]
fn checkpoints() {
    let data = data();
    let whole = training(&data, None).unwrap();
    let edit = |from: &str, to: &str| edited(&whole, from, to);
    let number =
        |at: usize, number: i64| with_value(&whole, "position", 8 * at, &number.to_le_bytes());
    let row = |at: usize, number: f64| {
        with_value(&whole, "history.epochs", 8 * at, &number.to_le_bytes())
    };
    let (header, values) = split(&whole);
    let entry = |entry: &str| {
        let header = header.trim_end().strip_suffix('}').unwrap();
        [file(&format!("{header},{entry}}}"), 0), values.to_vec()].concat()
    };
    let end = values.len();
    let rows: &[Row] = &[
        ("nothing", vec![], "not a safetensors file: header too small"),
        (
            "half of it",
            whole[..whole.len() / 2].to_vec(),
            "not a safetensors file: invalid header length",
        ),
        (
            "a byte too few",
            whole[..whole.len() - 1].to_vec(),
            "not a safetensors file: incomplete metadata, file not fully covered",
        ),
        (
            "weights",
            Network::new(spec(), 3).unwrap().weights(),
            "a safetensors file, but not a loupe checkpoint 2",
        ),
        (
            "another version",
            edit("loupe checkpoint 2", "loupe checkpoint 3"),
            "a safetensors file, but not a loupe checkpoint 2",
        ),
        (
            "another option",
            edit("batch size: 2", "batch size: 3"),
            "the checkpoint is of a training with batch size 3, not 2",
        ),
        (
            "an option by another name",
            edit("\\nloss: ", "\\nlost: "),
            "a safetensors file, but not a loupe checkpoint 2",
        ),
        (
            "no position",
            edit("\"position\"", "\"positions\""),
            "no tensor position; the network needs one of shape [5]",
        ),
        (
            "a position of another type",
            edit("\"position\":{\"dtype\":\"I64\"", "\"position\":{\"dtype\":\"U64\""),
            "tensor position: expected elements of type I64, found U64",
        ),
        (
            "no weights",
            edit("\"network.2.bias\"", "\"network.2.gain\""),
            "no tensor network.2.bias; the network needs one of shape [3]",
        ),
        (
            "no state of the optimiser",
            edit("\"optimizer.2.bias.momentum_buffer\"", "\"optimizer.2.bias.m\""),
            "no tensor optimizer.2.bias.momentum_buffer; the network needs one of shape [3]",
        ),
        (
            "a part of the best network",
            edit("\"best.2.bias\"", "\"bess.2.bias\""),
            "no tensor best.2.bias; the network needs one of shape [3]",
        ),
        (
            "a tensor more",
            entry(&format!(r#""x":{{"dtype":"F32","shape":[0],"data_offsets":[{end},{end}]}}"#)),
            "tensor x of shape [0] belongs to no layer of the network",
        ),
        (
            "a history with an axis more",
            edit(
                "\"history.losses\":{\"dtype\":\"F32\",\"shape\":[3]",
                "\"history.losses\":{\"dtype\":\"F32\",\"shape\":[3,1]",
            ),
            "tensor history.losses: expected shape [3], found [3, 1]",
        ),
        (
            "2⁶⁰ losses",
            edit(
                "\"history.losses\":{\"dtype\":\"F32\",\"shape\":[3]",
                "\"history.losses\":{\"dtype\":\"F32\",\"shape\":[1152921504606846976]",
            ),
            "not a safetensors file: overflow computing buffer size from shape and/or element type",
        ),
        (
            "a negative epoch",
            number(0, -1),
            "the checkpoint contradicts itself: its position is negative",
        ),
        (
            "an epoch that is not there",
            number(0, 2),
            "the checkpoint contradicts itself: its history is not as long as the training",
        ),
        (
            "the last of all epochs",
            number(0, i64::MAX),
            "the checkpoint contradicts itself: its history is not as long as the training",
        ),
        (
            "a step behind the end of an epoch",
            number(1, 2),
            "the checkpoint contradicts itself: its position is not in an epoch of this data set",
        ),
        (
            "more right items than items",
            number(2, 3),
            "the checkpoint contradicts itself: its position is not in an epoch of this data set",
        ),
        (
            "steps of the optimiser below 0",
            number(4, i64::MIN),
            "the checkpoint contradicts itself: its position is negative",
        ),
        (
            "a sum of losses that is none",
            with_value(&whole, "loss_sum", 0, &f64::NAN.to_le_bytes()),
            "the checkpoint contradicts itself: its position is not in an epoch of this data set",
        ),
        (
            "a loss that is none",
            with_value(&whole, "history.losses", 4, &f32::INFINITY.to_le_bytes()),
            "the checkpoint contradicts itself: its history is not one of this data set",
        ),
        (
            "an epoch of another number",
            row(0, 2.0),
            "the checkpoint contradicts itself: its history is not one of this data set",
        ),
        (
            "half an item",
            row(2, 0.5),
            "the checkpoint contradicts itself: its history is not one of this data set",
        ),
        (
            "a best network without a best epoch",
            row(9, 0.0),
            "the checkpoint contradicts itself: its history does not say which epoch was the best",
        ),
    ];
    Kind { name: NAME, folder: |_| (), read: resume }.check(&whole, rows);
}
