//! Weights files that say of which network they are.
//!
//! A safetensors file may hold text besides its tensors. The entry `loupe` is a [`Description`] as JSON; other
//! programs read past it.

use crate::network::Network;
use crate::spec::NetworkSpec;
use crate::tensors_file::TensorsFile;
use crate::weights::WeightsError;
use safetensors::tensor::{Metadata, SafeTensors};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The entry's name.
pub(crate) const ENTRY: &str = "loupe";

/// What [`Network::weights`] begins with, behind the header's length. A second entry would come in the random
/// order of a hash map, so it is put in behind this.
const BEGINNING: &[u8] = br#"{"__metadata__":{"format":"pt""#;

/// Bytes of the header's length, of which the header's own length is a multiple.
const WORD: usize = 8;

/// The network that the weights of a file are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Its layers.
    pub network: NetworkSpec,
    /// The names of its classes, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

impl Description {
    /// The description in a safetensors file's `bytes`, if there is one.
    ///
    /// # Errors
    /// [`WeightsError::Format`] if the bytes are no safetensors file, [`WeightsError::Description`] if the
    /// entry is no description.
    pub fn of(bytes: &[u8]) -> Result<Option<Description>, WeightsError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(WeightsError::Format)?;
        Description::within(&metadata)
    }

    /// The description in the file `path`, of which only the header is read.
    ///
    /// # Errors
    /// [`WeightsError::Read`], or as [`Description::of`], with the name of the file.
    pub fn read(path: &Path) -> Result<Option<Description>, WeightsError> {
        let file = TensorsFile::open(path).map_err(|reason| WeightsError::reading(path, reason))?;
        Description::of_file(&file).map_err(|problem| problem.in_file(path))
    }

    pub(crate) fn of_file(file: &TensorsFile) -> Result<Option<Description>, WeightsError> {
        match file.metadata() {
            Some(metadata) => Description::within(metadata),
            None => Description::of(file.header()),
        }
    }

    fn within(metadata: &Metadata) -> Result<Option<Description>, WeightsError> {
        let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let Some(text) = entry else { return Ok(None) };
        let parsed: Result<Description, _> = serde_json::from_str(text);
        let description =
            parsed.map_err(|reason| WeightsError::Description { reason: reason.to_string() })?;
        if let (Some(names), Ok(outputs)) = (&description.classes, description.network.output_len())
            && names.len() != outputs
        {
            let reason = format!("it gives {outputs} outputs, but has {} classes", names.len());
            return Err(WeightsError::Description { reason });
        }
        Ok(Some(description))
    }
}

impl Network {
    /// The weights as the bytes of a safetensors file, with a [`Description`] of this network and the names of
    /// its `classes`. A layer of your own cannot be described: of a network that has one these are the
    /// weights alone.
    pub fn described_weights(&self, classes: Option<&[String]>) -> Vec<u8> {
        let weights = self.weights();
        let (len, rest) = weights.split_at(WORD);
        let len = u64::from_le_bytes(len.try_into().expect("eight bytes")) as usize;
        let (header, values) = rest.split_at(len);
        let behind = header.strip_prefix(BEGINNING).expect("weights begin in this way");
        let Some(text) = self.description(classes) else { return weights };
        let text = serde_json::to_string(&text).expect("text is JSON");
        let mut header = [BEGINNING, format!(",\"{ENTRY}\":{text}").as_bytes(), behind].concat();
        header.resize(header.len().next_multiple_of(WORD), b' ');
        [&(header.len() as u64).to_le_bytes(), &header[..], values].concat()
    }

    /// A [`Description`] as text, unless the network has a layer of your own.
    pub(crate) fn description(&self, classes: Option<&[String]>) -> Option<String> {
        let network = self.spec().clone();
        let description = Description { network, classes: classes.map(<[String]>::to_vec) };
        serde_json::to_string(&description).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};
    use safetensors::tensor::{TensorView, serialize};
    use std::collections::HashMap;

    #[test]
    fn a_file_says_of_which_network_it_is() {
        let names: Vec<String> = ["\"a\"", "ü\\", "c"].map(String::from).to_vec();
        for (spec, classes) in [(mnist_cnn(), None), (mnist_mlp(), Some(&names[..]))] {
            let network = Network::new(spec, 3).unwrap();
            let bytes = network.described_weights(classes);
            assert_eq!(bytes, network.described_weights(classes));
            let description = Description::of(&bytes).unwrap().unwrap();
            assert_eq!(&description.network, network.spec());
            assert_eq!(description.classes.as_deref(), classes);
            let mut loaded = Network::new(description.network, 4).unwrap();
            loaded.load_weights(&bytes).unwrap();
            assert_eq!(loaded.weights(), network.weights());
            assert!(bytes.ends_with(&network.weights()[network.weights().len() - 4000..]));
        }
    }

    #[test]
    fn other_files_say_nothing_or_nonsense() {
        let network = Network::new(mnist_cnn(), 0).unwrap();
        assert_eq!(Description::of(&network.weights()).unwrap(), None);
        assert!(matches!(Description::of(b"nothing"), Err(WeightsError::Format(_))));
        let entry = HashMap::from([(ENTRY.to_owned(), "[1]".to_owned())]);
        let bytes = serialize(Vec::<(&str, TensorView<'_>)>::new(), Some(entry)).unwrap();
        let error = Description::of(&bytes).unwrap_err();
        assert!(matches!(error, WeightsError::Description { .. }), "{error}");
    }
}
