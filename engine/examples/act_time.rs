#![allow(missing_docs)]
use loupe_engine::activation::*;
use loupe_engine::dropout::*;
use loupe_engine::*;
use std::time::Instant;
fn time(name: &str, n: usize, mut f: impl FnMut()) {
    let reps = (8_000_000 / n).max(3);
    let mut best = f64::MAX;
    for _ in 0..9 {
        let t = Instant::now();
        for _ in 0..reps {
            f();
        }
        best = best.min(t.elapsed().as_secs_f64() / reps as f64);
    }
    println!("{name:24} {:9.2} us {:.3} ns/elem", best * 1e6, best * 1e9 / n as f64);
}
fn main() {
    let cx = Context::from_env(Threads::serial()).unwrap();
    for n in [1 << 20, 1 << 12] {
        println!("-- {n}");
        let x: Vec<f32> = (0..n).map(|i| ((i * 7919) % 10007) as f32 / 1000.0 - 5.0).collect();
        let dy = x.clone();
        let mut y = vec![0.0; n];
        time("relu", n, || relu(&cx, &x, &mut y).unwrap());
        time("sigmoid", n, || sigmoid(&cx, &x, &mut y).unwrap());
        time("silu", n, || silu(&cx, &x, &mut y).unwrap());
        time("silu_backward", n, || silu_backward(&cx, &x, &dy, &mut y).unwrap());
        time("tanh", n, || tanh(&cx, &x, &mut y).unwrap());
        time("tanh_backward", n, || tanh_backward(&cx, &x, &dy, &mut y).unwrap());
        for a in [GeluApproximation::None, GeluApproximation::Tanh] {
            time(&format!("gelu {a:?}"), n, || gelu(&cx, a, &x, &mut y).unwrap());
            time(&format!("gelu_backward {a:?}"), n, || {
                gelu_backward(&cx, a, &x, &dy, &mut y).unwrap()
            });
        }
        let d = Dropout { p: 0.3, key: 5 };
        time("dropout", n, || dropout(&cx, &d, &x, &mut y).unwrap());
    }
    for [outer, classes, inner] in [
        [1024, 10, 1],
        [1, 10, 1],
        [1024, 32, 1],
        [1024, 64, 1],
        [1024, 65, 1],
        [128, 1000, 1],
        [128, 1024, 1],
        [16, 10, 256],
        [16, 10, 49],
        [64, 10, 4],
        [1, 21, 65536],
    ] {
        let n = outer * classes * inner;
        let dims = Softmax { outer, classes, inner };
        let x: Vec<f32> = (0..n).map(|i| ((i * 7919) % 10007) as f32 / 1000.0 - 5.0).collect();
        let dy = x.clone();
        let mut y = vec![0.0; n];
        let mut dx = vec![0.0; n];
        time(&format!("softmax {outer} {classes} {inner}"), n, || {
            softmax(&cx, &dims, &x, &mut y).unwrap()
        });
        time("  backward", n, || softmax_backward(&cx, &dims, &y, &dy, &mut dx).unwrap());
        time("  log", n, || log_softmax(&cx, &dims, &x, &mut y).unwrap());
        time("  log backward", n, || log_softmax_backward(&cx, &dims, &y, &dy, &mut dx).unwrap());
    }
}
