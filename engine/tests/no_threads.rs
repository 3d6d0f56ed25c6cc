//! One thread means that none is started. The only test of its process: others would start threads.

use loupe_engine::conv::{
    Conv2d, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input, conv2d_backward_weight,
};
use loupe_engine::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use std::fs;

/// The threads of this process, by number and name; none where the system does not say.
fn running() -> Option<Vec<(String, String)>> {
    let task = |task: fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        (task.file_name().into_string().unwrap(), name)
    };
    let mut tasks: Vec<_> =
        fs::read_dir("/proc/self/task").ok()?.map(|entry| task(entry.unwrap())).collect();
    tasks.sort();
    Some(tasks)
}

/// Convolutions and a product that are large enough to be shared out.
fn compute(cx: &Context) {
    let mut random = Random::new(1);
    let mut uniform = |len| random.uniform_f32(len, -1.0, 1.0);
    let geometry = Conv2d::new(Conv2dOptions::new(8, 16, [3, 3]), [24, 24]).unwrap();
    let batch = 20;
    let (x, dy) = (uniform(batch * geometry.input_len()), uniform(batch * geometry.output_len()));
    let weight = uniform(geometry.weight_len());
    let (mut y, mut dx, mut dweight) = (dy.clone(), x.clone(), weight.clone());
    let parameters = Conv2dParameters { weight: &weight, bias: None };
    conv2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    conv2d_backward_input(cx, &geometry, &weight, &dy, &mut dx).unwrap();
    conv2d_backward_weight(cx, &geometry, &x, &dy, &mut dweight, None).unwrap();
    let shape = [200, 200];
    let a = Matrix::row_major(&x[..40_000], shape).unwrap();
    let mut c = vec![0.0; 40_000];
    let c = MatrixMut::row_major(&mut c, shape).unwrap();
    gemm(cx, a, a.transposed(), c, GemmOptions::default()).unwrap();
}

#[test]
fn one_thread_starts_no_thread() {
    let Some(before) = running() else {
        return;
    };
    for threads in [Threads::serial(), Threads::new(1).unwrap()] {
        for isa in Isa::available() {
            compute(&Context::new(isa, threads.clone()));
            assert_eq!(running().unwrap(), before, "{isa:?}");
        }
    }
    // The same test sees threads where there are some.
    let threads = Threads::new(3).unwrap();
    compute(&Context::new(Isa::best(), threads.clone()));
    assert_eq!(running().unwrap().len(), before.len() + 2);
}
