//! Weights in safetensors files, named as in PyTorch's `state_dict`.
//!
//! A file holds every trainable tensor and, for each batch normalisation, `running_mean`,
//! `running_var` and `num_batches_tracked`, which is all that `load_state_dict(strict=True)` wants.

use crate::files::write_atomically;
use crate::network::Network;
use crate::parameters::TensorInfo;
use crate::spec::Layer;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// A weights file that cannot be read, does not fit the network, or cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{path}: cannot read the weights: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The file cannot be written. A file that was there before is unchanged.
    #[error("{path}: cannot write the weights: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The bytes are no safetensors file.
    #[error("not a safetensors file: {0}")]
    Format(SafeTensorError),
    /// The file's description of its network is none.
    #[error("cannot read the network that the file describes: {reason}")]
    Description {
        /// What is wrong with it.
        reason: String,
    },
    /// The network has a tensor that the file lacks.
    #[error("no tensor {name}; the network needs one of shape {shape:?}")]
    Missing {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        shape: Vec<usize>,
    },
    /// The file has a tensor that the network lacks.
    #[error("tensor {name} of shape {shape:?} belongs to no layer of the network")]
    Unknown {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        shape: Vec<usize>,
    },
    /// A tensor has another shape than the network's.
    #[error("tensor {name}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor has another element type.
    #[error("tensor {name}: expected elements of type {expected}, found {found}")]
    Type {
        /// The tensor.
        name: String,
        /// `F32`, or `I64` for `num_batches_tracked`.
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A problem in a file.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<WeightsError>,
    },
}

impl Network {
    /// The weights as the bytes of a safetensors file.
    pub fn weights(&self) -> Vec<u8> {
        let tracked = i64::try_from(self.batches_tracked).unwrap_or(i64::MAX).to_le_bytes();
        let floats: Vec<(&TensorInfo, Vec<u8>)> = self
            .tensors()
            .chain(self.statistics())
            .map(|(info, values)| (info, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let mut views: Vec<(String, TensorView<'_>)> = floats
            .iter()
            .map(|(info, bytes)| (info.name.clone(), view(Dtype::F32, &info.shape, bytes)))
            .collect();
        for name in self.counter_names() {
            views.push((name, view(Dtype::I64, &[], &tracked)));
        }
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        serialize(views, Some(metadata)).expect("names are unique and sizes fit memory")
    }

    /// Takes over the weights of a safetensors file's `bytes`. It must hold this network's tensors and
    /// no others; without `num_batches_tracked` the count is 0.
    ///
    /// # Errors
    /// A [`WeightsError`] that names the tensor; the network is then unchanged.
    pub fn load_weights(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        let file = SafeTensors::deserialize(bytes).map_err(WeightsError::Format)?;
        let mut tensors: HashMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        let mut loaded = self.clone();
        let infos = |tensors: &[TensorInfo]| tensors.to_vec();
        for info in infos(&self.layout.parameters.tensors)
            .into_iter()
            .chain(infos(&self.layout.statistics.tensors))
        {
            let tensor = tensors.remove(&info.name).ok_or_else(|| WeightsError::Missing {
                name: info.name.clone(),
                shape: info.shape.clone(),
            })?;
            check(&info.name, &tensor, Dtype::F32, "F32", &info.shape)?;
            let values = loaded.tensor_mut(&info.name).expect("the network has this tensor");
            for (value, bytes) in values.iter_mut().zip(tensor.data().chunks_exact(4)) {
                *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
            }
        }
        loaded.batches_tracked = 0;
        for name in self.counter_names() {
            if let Some(tensor) = tensors.remove(&name) {
                check(&name, &tensor, Dtype::I64, "I64", &[])?;
                let bytes = tensor.data().try_into().expect("a scalar has eight bytes");
                let count = i64::from_le_bytes(bytes);
                loaded.batches_tracked = loaded.batches_tracked.max(count.max(0) as u64);
            }
        }
        // The first by name, so that the message does not depend on the hash map.
        if let Some((name, tensor)) = tensors.into_iter().min_by(|(a, _), (b, _)| a.cmp(b)) {
            return Err(WeightsError::Unknown { name, shape: tensor.shape().to_vec() });
        }
        *self = loaded;
        Ok(())
    }

    /// Writes the weights to `path`: beside it first, then in its place, so that the file is always
    /// either the old one or the new one.
    ///
    /// # Errors
    /// [`WeightsError::Write`].
    pub fn save_weights(&self, path: &Path) -> Result<(), WeightsError> {
        write_atomically(path, &self.weights())
            .map_err(|reason| WeightsError::Write { path: path.to_owned(), reason })
    }

    /// Takes over the weights of the file `path`; see [`Network::load_weights`].
    ///
    /// # Errors
    /// A [`WeightsError`] that names the file and the tensor; the network is then unchanged.
    pub fn read_weights(&mut self, path: &Path) -> Result<(), WeightsError> {
        let bytes = std::fs::read(path)
            .map_err(|reason| WeightsError::Read { path: path.to_owned(), reason })?;
        self.load_weights(&bytes).map_err(|problem| WeightsError::File {
            path: path.to_owned(),
            problem: Box::new(problem),
        })
    }

    /// `<layer>.num_batches_tracked` of each batch normalisation.
    fn counter_names(&self) -> impl Iterator<Item = String> {
        let norms = self.spec().layers.iter().enumerate();
        norms
            .filter(|(_, layer)| matches!(layer, Layer::BatchNorm2d { .. }))
            .map(|(index, _)| format!("{index}.num_batches_tracked"))
    }
}

fn view<'a>(dtype: Dtype, shape: &[usize], bytes: &'a [u8]) -> TensorView<'a> {
    TensorView::new(dtype, shape.to_vec(), bytes).expect("the bytes fill the shape")
}

fn check(
    name: &str,
    tensor: &TensorView<'_>,
    dtype: Dtype,
    type_name: &'static str,
    shape: &[usize],
) -> Result<(), WeightsError> {
    if tensor.dtype() != dtype {
        let found = format!("{:?}", tensor.dtype());
        return Err(WeightsError::Type { name: name.to_owned(), expected: type_name, found });
    }
    if tensor.shape() != shape {
        return Err(WeightsError::Shape {
            name: name.to_owned(),
            expected: shape.to_vec(),
            found: tensor.shape().to_vec(),
        });
    }
    Ok(())
}
