//! rten: inference of the CNN.

use crate::{CNN, cnn_inference};
use loupe_benches::{Call, Case, Library};
use rten::{Model, RunOptions, ThreadPool};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::hint::black_box;
use std::sync::Arc;

pub(crate) struct Rten;

impl Library for Rten {
    fn name(&self) -> &'static str {
        "rten"
    }

    fn variants(&self, case: &Case) -> Vec<&'static str> {
        cnn_inference(case).map(|_| "plain").into_iter().collect()
    }

    fn prepare(&self, case: &Case, _: &str, threads: usize) -> Call {
        let batch = cnn_inference(case).expect("only inference of the CNN");
        let model = Model::load_static_slice(CNN).expect("a model");
        let images = NdTensor::from_data([batch, 1, 28, 28], Case::images(batch).0);
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        let run = move || {
            let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
            let output = model.run_one(images.view().into(), Some(options)).expect("outputs");
            let output: NdTensor<f32, 2> = output.try_into().expect("rows of floats");
            output
        };
        Call::new(run().to_vec(), move || {
            black_box(run());
        })
    }
}
