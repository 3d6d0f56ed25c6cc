//! How to bring a PyTorch model here, and all that is different there. (A page of documentation.)
//!
//! # Layers
//!
//! A model is written down once more as a [`NetworkSpec`](crate::NetworkSpec). [Layers](crate::layers) have
//! the names, arguments and defaults of PyTorch's modules, and print like these:
//!
//! | PyTorch | here |
//! |---|---|
//! | `nn.Sequential(a, b)` | `NetworkSpec::new(shape).add(a).add(b)`, with the shape of one input, without the batch |
//! | `nn.Conv2d(1, 8, 5, stride=2)` | `Conv2d::new(1, 8, 5).stride(2)` |
//! | `nn.Linear(10, 5, bias=False)` | `Linear::new(10, 5).bias(false)` |
//! | `nn.ReLU()`, `nn.Flatten()` | `ReLU`, `Flatten` |
//! | `x.view(-1, 250)` | `View::new([250])` |
//! | `x.mean(dim=(2, 3))` | `AdaptiveAvgPool2d::new(1)`, then `Flatten` |
//! | `nn.InstanceNorm2d(8, affine=True)` | `GroupNorm::new(8, 8)` |
//! | `self.layers(x) + x` | `Residual::new().add(…)` |
//! | `self.layers(x) + self.shortcut(x)` | `Residual::new().add(…).shortcut(…)` |
//! | anything else | a [`Module`](crate::layers::Module) of your own |
//!
//! # Weights
//!
//! Tensors are called by the number of their layer in the list, as in a `Sequential`: `0.weight`. Within a
//! block they are called `3.layers.0.weight` and `3.shortcut.0.weight`, as in this module:
//!
//! ```python
//! class Residual(nn.Module):
//!     def __init__(self, layers, shortcut=()):
//!         super().__init__()
//!         self.layers = nn.Sequential(*layers)
//!         self.shortcut = nn.Sequential(*shortcut)
//!
//!     def forward(self, x):
//!         return self.layers(x) + self.shortcut(x)
//! ```
//!
//! A `Sequential` is saved as it is; where modules have names, these become numbers first:
//!
//! ```python
//! from safetensors.torch import save_file
//!
//! numbers = {"conv1": 0, "norm1": 2, "fc": 4}     # places in the list of layers
//! tensors = {}
//! for name, tensor in model.state_dict().items():
//!     module, tensor_name = name.split(".", 1)
//!     tensors[f"{numbers[module]}.{tensor_name}"] = tensor
//! save_file(tensors, "net.safetensors")
//! ```
//!
//! A file must hold all tensors of the network in `float32` and no others; the error names the one that does not fit.
//! `num_batches_tracked` may be missing. In the other direction, [`Network::weights`](crate::Network::weights) is
//! what `load_state_dict(load_file("net.safetensors"), strict=True)` takes.
//!
//! ```
//! use loupe_engine::Context;
//! use loupe_model::layers::{BatchNorm2d, Conv2d, Flatten, Linear, ReLU};
//! use loupe_model::{Network, NetworkSpec, Predictor};
//!
//! let spec = NetworkSpec::new([1, 8, 8])
//!     .add(Conv2d::new(1, 4, 3)) // conv1
//!     .add(ReLU)
//!     .add(BatchNorm2d::new(4)) // norm1
//!     .add(Flatten)
//!     .add(Linear::new(144, 10)); // fc
//! # let bytes = Network::new(spec.clone(), 0)?.weights();
//! # let read = |_| Ok::<_, loupe_model::Error>(bytes);
//! let bytes = read("net.safetensors")?;
//! let predictor = Predictor::from_weights(Context::serial(), spec, &bytes)?;
//! let mut scores = [0.0; 10];
//! predictor.predict(&[0.5; 64], &mut scores)?;
//! # Ok::<(), loupe_model::Error>(())
//! ```
//!
//! # What is different
//!
//! Numbers agree but for rounding, since sums are taken in another order: outputs and gradients to about six
//! digits, a hundred steps of training as far as the tests of this crate state.
//!
//! Layers:
//! - Shapes are those of one input, known when the network is built. There are `f32` and CPUs only.
//! - Normalisations have affine parameters, batch normalisations running statistics and a `momentum` that is a number.
//! - `padding` is a number or a pair, not `"same"`. `Upsample` takes whole factors in the mode `nearest`. Poolings
//!   have no `ceil_mode`, `AvgPool2d` no `divisor_override`.
//! - `Softmax` counts its axis with the batch, as there, but cannot run over the batch; without one it is 1.
//! - `GroupNorm` of a group of one value gives the bias; PyTorch refuses that for a batch of one.
//! - `Dropout` has random numbers of its own, which follow from the trainer's seed and the number of the step.
//!
//! Training and evaluation:
//! - There is no `train()` and `eval()`. A [`Trainer`](crate::Trainer) trains; a [`Plan`](crate::Plan), a
//!   [`trace`](crate::trace) and scores take the [`Normalization`](crate::Normalization): by running statistics, as
//!   after `eval()`, or by those of the batch. Dropout drops in training alone. A [`Predictor`](crate::Predictor) goes
//!   by running statistics.
//! - There is no tape. Gradients by parameters are [`Trainer::gradients`](crate::Trainer::gradients), those by inputs
//!   and all values in between come from a [`trace`](crate::trace).
//! - Initial values have PyTorch's distributions, but are other numbers for the same seed.
//! - Targets are `[N, outputs]`. `CrossEntropyLoss` takes probabilities, of data sets one-hot: so a weighted mean
//!   is divided by N, and not by the sum of the weights as for indices of classes. There is no `reduction="none"`.
//! - Adam and AdamW have no `amsgrad`, SGD has no `dampening`, none has `maximize`; all parameters have the same
//!   options. Moments below the smallest normal number become 0.
//! - Gradients are clipped as with `error_if_nonfinite=True`. A loss that is not finite is an error
//!   ([`Training::step`](crate::Training::step)), before the parameters have moved.
//! - [`Schedule`](crate::Schedule)s are stepped with every step of the training, and `StepLR` with every epoch.
//!   `LinearLR` leads to 0 by default, `OneCycleLR` leaves the momentum alone.
//! - Pixels of data sets become numbers from 0 to 1; nothing is subtracted or divided by.
