//! tract: inference of the CNN.

use crate::{CNN, cnn_inference};
use loupe_benches::{Call, Case, Library};
use std::hint::black_box;
use std::sync::Once;
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

pub(crate) struct Tract;

impl Library for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn variants(&self, case: &Case) -> Vec<&'static str> {
        cnn_inference(case).map(|_| "plain").into_iter().collect()
    }

    fn prepare(&self, case: &Case, _: &str, threads: usize) -> Call {
        static THREADS: Once = Once::new();
        THREADS.call_once(|| {
            if threads > 1 {
                set_default_executor(Executor::multithread(threads));
            }
        });
        let batch = cnn_inference(case).expect("only inference of the CNN");
        let images: TValue =
            Tensor::from_shape(&[batch, 1, 28, 28], &Case::images(batch).0).expect("images").into();
        let model = tract_onnx::onnx()
            .model_for_read(&mut &CNN[..])
            .and_then(|model| model.with_input_fact(0, f32::fact([batch, 1, 28, 28]).into()))
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .expect("a model");
        let run = move || model.run(tvec!(images.clone())).expect("outputs");
        let output = run()[0].clone().into_tensor();
        let output = output.to_plain_array_view::<f32>().expect("floats").iter().copied().collect();
        Call::new(output, move || {
            black_box(run());
        })
    }
}
