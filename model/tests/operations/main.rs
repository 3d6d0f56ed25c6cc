//! Single operations of the engine against PyTorch, on every tier.
//!
//! `fixtures/README.md` says what the files hold. How far PyTorch's f32 is from f64 in each tensor is listed
//! there for `operations.safetensors.gz`, and beside the file of a room (`pool.md`). Each tolerance is about
//! four times the largest distance that is listed for the operation, as a share of the tensor's largest element. Where values span many magnitudes,
//! elements are compared one by one; a formula of a few roundings then has a few ε (1.2e-7) to err.
//!
//! | operation | largest distance | tolerance |
//! |---|---|---|
//! | `conv2d` | 3.1e-7 | 1.2e-6 of the largest |
//! | `conv_transpose2d` | 3.0e-7 | 1.2e-6 of the largest |
//! | `pad2d` y; dx | 0; 5.9e-8 | none; 3e-7 of the largest |
//! | `linear` | 1.4e-7 | 6e-7 of the largest |
//! | `batch_norm2d`; case `offset` | 1.2e-7; 8.9e-7 | 5e-7; 4e-6 of the largest |
//! | `layer_norm`; case `offset` | 1.8e-7; 6.1e-6 | 8e-7; 2.4e-5 of the largest |
//! | `relu`, `leaky_relu` | one rounding | none |
//! | `sigmoid` y; dx | 6.4e-8; 1.3e-7 | 5e-7 of each element; 5e-7 of the largest |
//! | `silu`, `tanh`, `gelu` y; dx | 2.9e-8; 1.4e-7 | 1e-6 of each element, `gelu` and 8e-7; 1e-6 of the largest |
//! | `softmax` y; dx | 1.3e-7; 8.9e-8 | 2e-6 of each element; 1e-6 and 1e-6 of each |
//! | `log_softmax` y; dx | 5.9e-8; 1.2e-6 | 1e-6 and 1e-6 of each element; 4e-6 and 1e-6 of each |
//! | `bce` | 6.2e-9 … 5.0e-8 | 5e-7 of each element |
//! | `bce_with_logits`, `mse`, `cross_entropy` | 1.4e-7 | 6e-7 of the largest |
//! | `sgd`, `adam` | 3.2e-8 | 5e-7 of the largest value that the parameter has had |

mod activation;
mod activations;
mod case;
mod conv;
mod linear;
mod loss;
mod norm;
mod norms;
mod optim;
mod pool;
#[path = "../support/mod.rs"]
mod support;
mod training;

use case::{Operation, check_file};

const OPERATIONS: [Operation; 13] = [
    ("adam", 1, optim::check_adam),
    ("batch_norm2d", 5, norm::check_batch_norm2d),
    ("bce", 4, loss::check_loss),
    ("bce_with_logits", 3, loss::check_loss),
    ("conv2d", 12, conv::check_conv2d),
    ("cross_entropy", 2, loss::check_loss),
    ("layer_norm", 4, norm::check_layer_norm),
    ("leaky_relu", 1, activation::check_activation),
    ("linear", 3, linear::check_linear),
    ("mse", 1, loss::check_loss),
    ("relu", 1, activation::check_activation),
    ("sgd", 2, optim::check_sgd),
    ("sigmoid", 1, activation::check_activation),
];

#[test]
fn every_tensor_of_every_case_agrees_with_pytorch() {
    check_file("operations.safetensors.gz", &OPERATIONS);
}
