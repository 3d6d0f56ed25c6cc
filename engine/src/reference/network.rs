//! A whole network in `f64`: the layers one after another, forward and backward.

use super::activation;
use super::batch_norm::{BatchNorm, batch_norm, batch_norm_backward};
use super::conv2d::{Conv2dDims, conv2d, conv2d_backward};
use super::layer_norm::{LayerNorm, layer_norm, layer_norm_backward};
use super::linear::{LinearDims, linear, linear_backward};
use super::loss::Loss;

/// A layer with its parameters; they come in the order weight, bias.
#[derive(Clone, Debug)]
pub enum Layer {
    /// [`conv2d`].
    Conv2d {
        /// Sizes; the batch in them is not used, that of the call is.
        dims: Conv2dDims,
        /// `[O, C / groups, Kh, Kw]`.
        weight: Vec<f64>,
        /// `[O]`, if there is one.
        bias: Option<Vec<f64>>,
    },
    /// [`linear`].
    Linear {
        /// Values per row of the input.
        in_features: usize,
        /// Values per row of the output.
        out_features: usize,
        /// `[out, in]`.
        weight: Vec<f64>,
        /// `[out]`, if there is one.
        bias: Option<Vec<f64>>,
    },
    /// [`activation::relu`].
    Relu,
    /// [`activation::leaky_relu`].
    LeakyRelu {
        /// Slope at negative values.
        slope: f64,
    },
    /// [`activation::sigmoid`].
    Sigmoid,
    /// [`batch_norm`] with the statistics of the batch.
    BatchNorm {
        /// C, as long as `weight`; whatever is left of an image is its spatial size.
        weight: Vec<f64>,
        /// `[C]`.
        bias: Vec<f64>,
        /// Added to the variance.
        eps: f64,
    },
    /// [`layer_norm`].
    LayerNorm {
        /// `[features]`.
        weight: Vec<f64>,
        /// `[features]`.
        bias: Vec<f64>,
        /// Added to the variance.
        eps: f64,
    },
    /// Images to rows of features. The values stay where they are.
    Flatten,
}

impl Layer {
    fn forward(&self, batch: usize, x: &[f64]) -> Vec<f64> {
        match self {
            Self::Conv2d { dims, weight, bias } => {
                let dims = Conv2dDims { batch, ..dims.clone() };
                conv2d(&dims, x, weight, bias.as_deref())
            }
            &Self::Linear { in_features, out_features, ref weight, ref bias } => {
                let dims = LinearDims { batch, in_features, out_features };
                linear(&dims, x, weight, bias.as_deref())
            }
            Self::Relu => activation::relu(x),
            Self::LeakyRelu { slope } => activation::leaky_relu(*slope, x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::BatchNorm { weight, bias, eps } => {
                batch_norm(&batch_norm_of(batch, x, weight, bias, *eps), x).0
            }
            Self::LayerNorm { weight, bias, eps } => {
                layer_norm(&layer_norm_of(x, weight, bias, *eps), x)
            }
            Self::Flatten => x.to_vec(),
        }
    }

    /// Gradients by the input, and by each parameter in its order.
    fn backward(&self, batch: usize, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        match self {
            Self::Conv2d { dims, weight, bias } => {
                let dims = Conv2dDims { batch, ..dims.clone() };
                let gradients = conv2d_backward(&dims, x, weight, dy);
                let mut parameters = vec![gradients.weight];
                parameters.extend(bias.as_ref().map(|_| gradients.bias));
                (gradients.input, parameters)
            }
            &Self::Linear { in_features, out_features, ref weight, ref bias } => {
                let dims = LinearDims { batch, in_features, out_features };
                let gradients = linear_backward(&dims, x, weight, dy);
                let mut parameters = vec![gradients.weight];
                parameters.extend(bias.as_ref().map(|_| gradients.bias));
                (gradients.input, parameters)
            }
            Self::Relu => (activation::relu_backward(x, dy), vec![]),
            Self::LeakyRelu { slope } => (activation::leaky_relu_backward(*slope, x, dy), vec![]),
            Self::Sigmoid => (activation::sigmoid_backward(x, dy), vec![]),
            Self::BatchNorm { weight, bias, eps } => {
                let norm = batch_norm_of(batch, x, weight, bias, *eps);
                let gradients = batch_norm_backward(&norm, x, dy);
                (gradients.input, vec![gradients.weight, gradients.bias])
            }
            Self::LayerNorm { weight, bias, eps } => {
                let norm = layer_norm_of(x, weight, bias, *eps);
                let gradients = layer_norm_backward(&norm, x, dy);
                (gradients.input, vec![gradients.weight, gradients.bias])
            }
            Self::Flatten => (dy.to_vec(), vec![]),
        }
    }

    fn parameters(&self) -> Vec<(&'static str, &Vec<f64>)> {
        match self {
            Self::Conv2d { weight, bias, .. } | Self::Linear { weight, bias, .. } => {
                let mut parameters = vec![("weight", weight)];
                parameters.extend(bias.iter().map(|bias| ("bias", bias)));
                parameters
            }
            Self::BatchNorm { weight, bias, .. } | Self::LayerNorm { weight, bias, .. } => {
                vec![("weight", weight), ("bias", bias)]
            }
            Self::Relu | Self::LeakyRelu { .. } | Self::Sigmoid | Self::Flatten => vec![],
        }
    }

    fn parameters_mut(&mut self) -> Vec<&mut Vec<f64>> {
        match self {
            Self::Conv2d { weight, bias, .. } | Self::Linear { weight, bias, .. } => {
                let mut parameters = vec![weight];
                parameters.extend(bias);
                parameters
            }
            Self::BatchNorm { weight, bias, .. } | Self::LayerNorm { weight, bias, .. } => {
                vec![weight, bias]
            }
            Self::Relu | Self::LeakyRelu { .. } | Self::Sigmoid | Self::Flatten => vec![],
        }
    }
}

fn batch_norm_of<'a>(
    batch: usize,
    x: &[f64],
    weight: &'a [f64],
    bias: &'a [f64],
    eps: f64,
) -> BatchNorm<'a> {
    let channels = weight.len();
    BatchNorm { batch, channels, spatial: x.len() / (batch * channels), weight, bias, eps }
}

fn layer_norm_of<'a>(x: &[f64], weight: &'a [f64], bias: &'a [f64], eps: f64) -> LayerNorm<'a> {
    let features = weight.len();
    LayerNorm { rows: x.len() / features, features, weight, bias, eps }
}

/// Layers, each applied to the output of the one before.
#[derive(Clone, Debug)]
pub struct Network {
    /// The layers from input to output.
    pub layers: Vec<Layer>,
}

/// What one forward and backward pass finds.
#[derive(Clone, Debug)]
pub struct NetworkGradients {
    /// The loss.
    pub loss: f64,
    /// The output of the last layer.
    pub output: Vec<f64>,
    /// The gradient of the loss by the input of the network.
    pub input: Vec<f64>,
    /// The gradient by each parameter tensor, in the order of [`Network::parameters`].
    pub parameters: Vec<Vec<f64>>,
}

impl Network {
    /// The output for x, `batch` images or rows.
    ///
    /// # Panics
    ///
    /// If a layer cannot take what the one before yields.
    pub fn forward(&self, batch: usize, x: &[f64]) -> Vec<f64> {
        self.activations(batch, x).pop().unwrap_or_default()
    }

    /// x, then the output of each layer: element i is the input of layer i.
    ///
    /// # Panics
    ///
    /// If a layer cannot take what the one before yields.
    pub fn activations(&self, batch: usize, x: &[f64]) -> Vec<Vec<f64>> {
        let mut activations = vec![x.to_vec()];
        for (i, layer) in self.layers.iter().enumerate() {
            let output = layer.forward(batch, &activations[i]);
            activations.push(output);
        }
        activations
    }

    /// The loss of the output for x, and its gradients.
    ///
    /// # Panics
    ///
    /// If a layer cannot take what the one before yields, or `loss` cannot take the output.
    pub fn backward(&self, batch: usize, x: &[f64], loss: &Loss<'_>) -> NetworkGradients {
        let activations = self.activations(batch, x);
        let output = activations[self.layers.len()].clone();
        let loss = loss.of(&output);
        let mut upstream = loss.gradient;
        let mut parameters = Vec::new();
        for (layer, x) in self.layers.iter().zip(&activations).rev() {
            let (dx, gradients) = layer.backward(batch, x, &upstream);
            upstream = dx;
            // Backwards here, turned round as a whole below.
            parameters.extend(gradients.into_iter().rev());
        }
        parameters.reverse();
        NetworkGradients { loss: loss.value, output, input: upstream, parameters }
    }

    /// Name and values of each parameter tensor, layer by layer, weight before bias. The names
    /// are those of a PyTorch `Sequential`: `3.weight` belongs to the fourth layer.
    pub fn parameters(&self) -> Vec<(String, &[f64])> {
        let mut parameters = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            for (name, values) in layer.parameters() {
                parameters.push((format!("{i}.{name}"), values.as_slice()));
            }
        }
        parameters
    }

    /// The tensors of [`Network::parameters`], to be changed.
    pub fn parameters_mut(&mut self) -> Vec<&mut Vec<f64>> {
        let layers = self.layers.iter_mut();
        layers.flat_map(Layer::parameters_mut).collect()
    }
}

#[cfg(test)]
mod tests;
