//! Weights in safetensors files, named as in PyTorch's `state_dict`.
//!
//! A file holds every trainable tensor and, for each batch normalisation, `running_mean`,
//! `running_var` and `num_batches_tracked`, which is all that `load_state_dict(strict=True)` wants.

use crate::Error;
use crate::files::write_atomically;
use crate::network::Network;
use crate::parameters::NetworkLayout;
use crate::spec::NetworkSpec;
use crate::tensors_file::{self, TensorsFile};
use safetensors::View;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, serialize};
use std::borrow::Cow;
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
    /// The file holds far more than the network, and was not read.
    #[error("the tensors of the file take {found} bytes, those of the network {expected}")]
    Size {
        /// Bytes of the network's parameters and statistics.
        expected: u64,
        /// Bytes of the file's tensors.
        found: u64,
    },
    /// The bytes are no safetensors file.
    #[error("not a safetensors file: {0}")]
    Format(SafeTensorError),
    /// Two tensors have the same name.
    #[error("two tensors are called {name}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The file's description of its network is none.
    #[error("cannot read the network that the file describes: {reason}")]
    Description {
        /// What is wrong with it.
        reason: String,
    },
    /// The file does not say of which network it is.
    #[error("the file does not describe its network")]
    NoDescription,
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
        /// The type that is needed.
        expected: String,
        /// The type in the file.
        found: String,
    },
    /// A value with which nothing can be computed.
    #[error("{name} holds {found}; expected {expected}")]
    Value {
        /// The tensor.
        name: String,
        /// What is possible.
        expected: &'static str,
        /// The first value that is not.
        found: f32,
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

/// So many bytes more than a network has are read of a file, to say which tensors do not belong to it.
const FOREIGN: u64 = 64 << 20;

impl WeightsError {
    pub(crate) fn reading(path: &Path, reason: io::Error) -> WeightsError {
        WeightsError::Read { path: path.to_owned(), reason }
    }

    pub(crate) fn in_file(self, path: &Path) -> WeightsError {
        WeightsError::File { path: path.to_owned(), problem: Box::new(self) }
    }
}

impl Network {
    /// The weights as the bytes of a safetensors file.
    pub fn weights(&self) -> Vec<u8> {
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        serialize(self.stored(""), Some(metadata)).expect("names are unique and sizes fit memory")
    }

    /// Every tensor of a weights file, with `prefix` before its name.
    pub(crate) fn stored(&self, prefix: &str) -> Vec<(String, Stored)> {
        let tracked = i64::try_from(self.batches_tracked).unwrap_or(i64::MAX);
        let floats = self.tensors().chain(self.statistics());
        let floats = floats.map(|(info, values)| {
            (format!("{prefix}{}", info.name), Stored::floats(&info.shape, values))
        });
        let counters = self.counter_names();
        let counters =
            counters.map(|name| (format!("{prefix}{name}"), Stored::integers(&[], &[tracked])));
        floats.chain(counters).collect()
    }

    /// The network `spec` with the weights of a safetensors file's `bytes`, as [`Network::load_weights`] takes them.
    /// Of a network that a file describes itself this is the way: no more memory is taken than the file has
    /// weights for.
    ///
    /// # Errors
    /// [`Error::Weights`] that names the tensor; [`Error::Spec`] as [`NetworkSpec::shapes`].
    pub fn from_weights(spec: NetworkSpec, bytes: &[u8]) -> Result<Network, Error> {
        let NetworkLayout { parameters, statistics, .. } = NetworkLayout::new(&spec.flatten()?);
        let file = tensors_file::parse(bytes)?;
        let tensors: Tensors<'_> = file.tensors().into_iter().collect();
        for info in parameters.tensors.iter().chain(&statistics.tensors) {
            find(&tensors, &info.name, Dtype::F32, &info.shape)?;
        }
        let mut network = Network::new(spec, 0)?;
        network.load_weights(bytes)?;
        Ok(network)
    }

    /// The network `spec` with the weights of the file `path`; see [`Network::from_weights`].
    ///
    /// # Errors
    /// As there, with the name of the file; [`WeightsError::Read`].
    pub fn from_file(spec: NetworkSpec, path: &Path) -> Result<Network, Error> {
        let file = TensorsFile::open(path).map_err(|reason| WeightsError::reading(path, reason))?;
        Network::from_tensors_file(spec, path, file)
    }

    /// The same, of a file whose header has been read.
    pub(crate) fn from_tensors_file(
        spec: NetworkSpec,
        path: &Path,
        file: TensorsFile,
    ) -> Result<Network, Error> {
        let bytes = read_for(&NetworkLayout::new(&spec.flatten()?), path, file)?;
        Network::from_weights(spec, &bytes).map_err(|error| error.in_file(path))
    }

    /// Takes over the weights of a safetensors file's `bytes`. It must hold this network's tensors and
    /// no others; without `num_batches_tracked` the count is 0.
    ///
    /// # Errors
    /// A [`WeightsError`] that names the tensor; the network is then unchanged.
    pub fn load_weights(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        let file = tensors_file::parse(bytes)?;
        let mut tensors: Tensors<'_> = file.tensors().into_iter().collect();
        let loaded = self.loaded("", &mut tensors)?;
        none_left(&tensors)?;
        *self = loaded;
        Ok(())
    }

    /// This network with the values of the `tensors` that have `prefix` before their names; they are taken
    /// out.
    pub(crate) fn loaded(
        &self,
        prefix: &str,
        tensors: &mut Tensors<'_>,
    ) -> Result<Network, WeightsError> {
        let mut loaded = self.clone();
        let layout = &self.layout;
        for info in layout.parameters.tensors.iter().chain(&layout.statistics.tensors) {
            let values = loaded.tensor_mut(&info.name).expect("the network has this tensor");
            let name = format!("{prefix}{}", info.name);
            take_floats(tensors, &name, &info.shape, values)?;
        }
        loaded.batches_tracked = 0;
        for name in self.counter_names() {
            let name = format!("{prefix}{name}");
            if tensors.contains_key(&name) {
                let mut count = [0];
                take_integers(tensors, &name, &[], &mut count)?;
                loaded.batches_tracked = loaded.batches_tracked.max(count[0].max(0) as u64);
            }
        }
        Ok(loaded)
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

    /// Takes over the weights of the file `path`; see [`Network::load_weights`]. Of a file that holds far more than
    /// the network the header alone is read.
    ///
    /// # Errors
    /// A [`WeightsError`] that names the file and the tensor; the network is then unchanged.
    pub fn read_weights(&mut self, path: &Path) -> Result<(), WeightsError> {
        let file = TensorsFile::open(path).map_err(|reason| WeightsError::reading(path, reason))?;
        let bytes = read_for(&self.layout, path, file)?;
        self.load_weights(&bytes).map_err(|problem| problem.in_file(path))
    }

    /// An error if nothing can be computed with the values: they must be finite, and variances at least 0.
    ///
    /// # Errors
    /// [`WeightsError::Value`].
    pub fn check_values(&self) -> Result<(), WeightsError> {
        for (info, values) in self.tensors().chain(self.statistics()) {
            let fault = |expected, found: Option<&f32>| match found {
                Some(&found) => {
                    Err(WeightsError::Value { name: info.name.clone(), expected, found })
                }
                None => Ok(()),
            };
            fault("finite numbers", values.iter().find(|value| !value.is_finite()))?;
            if info.name.ends_with(".running_var") {
                fault("variances of at least 0", values.iter().find(|value| **value < 0.0))?;
            }
        }
        Ok(())
    }

    /// `<layer>.num_batches_tracked` of each batch normalisation.
    fn counter_names(&self) -> impl Iterator<Item = String> {
        let norms = self.layers().iter().filter(|layer| layer.layer.batch_norm().is_some());
        norms.map(|layer| format!("{}.num_batches_tracked", layer.path))
    }
}

/// The bytes of a file for a network of this layout.
fn read_for(
    layout: &NetworkLayout,
    path: &Path,
    file: TensorsFile,
) -> Result<Vec<u8>, WeightsError> {
    let infos = layout.parameters.tensors.iter().chain(&layout.statistics.tensors);
    let expected = 4 * infos.map(|info| info.range.len() as u64).sum::<u64>();
    let found = file.metadata().map_or(0, |metadata| metadata.data_len() as u64);
    if found > expected.saturating_add(FOREIGN) {
        return Err(WeightsError::Size { expected, found }.in_file(path));
    }
    file.read().map_err(|reason| WeightsError::reading(path, reason))
}

/// The tensors of a file by name.
pub(crate) type Tensors<'a> = HashMap<String, TensorView<'a>>;

/// A tensor that is to be written.
pub(crate) struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn floats(shape: &[usize], values: &[f32]) -> Stored {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn doubles(shape: &[usize], values: &[f64]) -> Stored {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { dtype: Dtype::F64, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn integers(shape: &[usize], values: &[i64]) -> Stored {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { dtype: Dtype::I64, shape: shape.to_vec(), bytes }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Takes the tensor `name` out of `tensors` and writes its values to `out`.
pub(crate) fn take_floats(
    tensors: &mut Tensors<'_>,
    name: &str,
    shape: &[usize],
    out: &mut [f32],
) -> Result<(), WeightsError> {
    let tensor = take(tensors, name, Dtype::F32, shape)?;
    read(&tensor, out, f32::from_le_bytes);
    Ok(())
}

/// As [`take_floats`].
pub(crate) fn take_doubles(
    tensors: &mut Tensors<'_>,
    name: &str,
    shape: &[usize],
    out: &mut [f64],
) -> Result<(), WeightsError> {
    let tensor = take(tensors, name, Dtype::F64, shape)?;
    read(&tensor, out, f64::from_le_bytes);
    Ok(())
}

/// As [`take_floats`].
pub(crate) fn take_integers(
    tensors: &mut Tensors<'_>,
    name: &str,
    shape: &[usize],
    out: &mut [i64],
) -> Result<(), WeightsError> {
    let tensor = take(tensors, name, Dtype::I64, shape)?;
    read(&tensor, out, i64::from_le_bytes);
    Ok(())
}

/// An error if a tensor has not been taken: the first by name, so that the message does not depend on the
/// hash map.
pub(crate) fn none_left(tensors: &Tensors<'_>) -> Result<(), WeightsError> {
    match tensors.iter().min_by(|(a, _), (b, _)| a.cmp(b)) {
        Some((name, tensor)) => {
            Err(WeightsError::Unknown { name: name.clone(), shape: tensor.shape().to_vec() })
        }
        None => Ok(()),
    }
}

fn read<T, const BYTES: usize>(
    tensor: &TensorView<'_>,
    out: &mut [T],
    from_le_bytes: impl Fn([u8; BYTES]) -> T,
) {
    let (values, _) = tensor.data().as_chunks();
    assert_eq!(values.len(), out.len(), "the room is that of the shape");
    for (out, &bytes) in out.iter_mut().zip(values) {
        *out = from_le_bytes(bytes);
    }
}

fn take<'a>(
    tensors: &mut Tensors<'a>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<TensorView<'a>, WeightsError> {
    find(tensors, name, dtype, shape)?;
    Ok(tensors.remove(name).expect("it has been found"))
}

/// An error unless there is a tensor `name` of this type and shape.
fn find(
    tensors: &Tensors<'_>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<(), WeightsError> {
    let tensor = tensors
        .get(name)
        .ok_or_else(|| WeightsError::Missing { name: name.to_owned(), shape: shape.to_vec() })?;
    if tensor.dtype() != dtype {
        let [expected, found] = [dtype, tensor.dtype()].map(|dtype| format!("{dtype:?}"));
        return Err(WeightsError::Type { name: name.to_owned(), expected, found });
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
