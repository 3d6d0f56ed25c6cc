//! Normalisations by running statistics, folded into the products beside them.
//!
//! With fixed statistics a batch normalisation is y = s · x + t for each channel, s = weight / √(variance + eps) and
//! t = bias − s · mean. Behind a product it scales the product's weights and moves its bias; in front of one it
//! scales the weights by which the product takes each channel. Zeros that a convolution pads its input with are
//! not normalised, so a convolution padded by zeros takes in only what stands behind it. `Dropout` does nothing.

use crate::layers::{Layer, Residual};
use crate::network::Network;
use crate::spec::{FlatLayer, NetworkSpec, SpecError};

/// The same network for inference, without the batch normalisations that a product can take in.
pub(super) fn fold(network: &Network) -> Result<Network, SpecError> {
    let spec = network.spec();
    let mut reader = Reader { network, next: 0 };
    let layers = fold_all(reader.read(&spec.layers));
    let folded = NetworkSpec { input: spec.input.clone(), layers: words(&layers) };
    let mut result = Network::new(folded, 0)?;
    let (mut parameters, mut statistics) = (Vec::new(), Vec::new());
    collect(layers, &mut parameters, &mut statistics);
    let places = result.layout.clone();
    for (info, values) in places.parameters.tensors.iter().zip(parameters) {
        result.parameters[info.range.clone()].copy_from_slice(&values);
    }
    for (info, values) in places.statistics.tensors.iter().zip(statistics) {
        result.statistics[info.range.clone()].copy_from_slice(&values);
    }
    result.touch();
    Ok(result)
}

/// A layer and its values.
struct Valued {
    layer: Layer,
    parameters: Vec<Vec<f32>>,
    /// Running mean and variance.
    statistics: Vec<Vec<f32>>,
    /// Those of a block: its layers and its shortcut.
    branches: Option<[Vec<Valued>; 2]>,
}

struct Reader<'a> {
    network: &'a Network,
    /// In the flat list.
    next: usize,
}

impl Reader<'_> {
    fn read(&mut self, layers: &[Layer]) -> Vec<Valued> {
        layers.iter().map(|layer| self.read_one(layer)).collect()
    }

    fn read_one(&mut self, layer: &Layer) -> Valued {
        let branches = match layer {
            Layer::Residual(block) => Some([self.read(&block.layers), self.read(&block.shortcut)]),
            _ => None,
        };
        let FlatLayer { layer, .. } = &self.network.layers()[self.next];
        let tensors = &self.network.layout.layers[self.next];
        self.next += 1;
        let values = |buffer: &[f32], places: &[std::ops::Range<usize>]| -> Vec<Vec<f32>> {
            places.iter().map(|place| buffer[place.clone()].to_vec()).collect()
        };
        Valued {
            layer: layer.clone(),
            parameters: values(&self.network.parameters, &tensors.parameters),
            statistics: values(
                &self.network.statistics,
                tensors.running.as_ref().map_or(&[], |running| &running[..]),
            ),
            branches,
        }
    }
}

fn words(layers: &[Valued]) -> Vec<Layer> {
    let word = |valued: &Valued| match &valued.branches {
        None => valued.layer.clone(),
        Some([layers, shortcut]) => {
            Residual { layers: words(layers), shortcut: words(shortcut) }.into()
        }
    };
    layers.iter().map(word).collect()
}

/// Values in the order of the flat list.
fn collect(layers: Vec<Valued>, parameters: &mut Vec<Vec<f32>>, statistics: &mut Vec<Vec<f32>>) {
    for valued in layers {
        for branch in valued.branches.into_iter().flatten() {
            collect(branch, parameters, statistics);
        }
        parameters.extend(valued.parameters);
        statistics.extend(valued.statistics);
    }
}

fn fold_all(layers: Vec<Valued>) -> Vec<Valued> {
    let mut folded: Vec<Valued> = Vec::with_capacity(layers.len());
    for mut valued in layers {
        if matches!(valued.layer, Layer::Dropout(_)) {
            continue;
        }
        if let Some(branches) = valued.branches {
            valued.branches = Some(branches.map(fold_all));
        }
        if let Some(map) = valued.map()
            && let Some(before) = folded.last_mut()
            && before.map_outputs(&map)
        {
            continue;
        }
        folded.push(valued);
    }
    let mut at = 0;
    while at < folded.len() {
        let taken = folded[at].map().is_some_and(|map| {
            let views = folded[at + 1..].iter().take_while(|next| next.layer.is_view()).count();
            let next = folded.get_mut(at + 1 + views);
            next.is_some_and(|next| next.map_inputs(&map, views > 0))
        });
        if taken {
            folded.remove(at);
        } else {
            at += 1;
        }
    }
    folded
}

/// y = scale · x + shift, for each channel.
struct ChannelMap {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Valued {
    /// What a batch normalisation does.
    fn map(&self) -> Option<ChannelMap> {
        let [eps, _] = self.layer.batch_norm()?;
        let ([weight, bias], [mean, variance]) = (&self.parameters[..], &self.statistics[..])
        else {
            unreachable!("a batch normalisation has four tensors");
        };
        let wide = |&value: &f32| f64::from(value);
        let scale: Vec<f64> = weight
            .iter()
            .zip(variance)
            .map(|(weight, variance)| wide(weight) / (wide(variance) + f64::from(eps)).sqrt())
            .collect();
        let shift = scale.iter().zip(bias).zip(mean);
        let shift = shift.map(|((scale, bias), mean)| wide(bias) - scale * wide(mean)).collect();
        Some(ChannelMap { scale, shift })
    }

    /// Makes the map part of the layer in front of it; whether it could.
    fn map_outputs(&mut self, map: &ChannelMap) -> bool {
        let outputs = map.scale.len();
        // Input channels that a group of so many outputs shares, if the weight begins with inputs.
        let (bias, transposed) = match &mut self.layer {
            Layer::Conv2d(conv) => (&mut conv.bias, None),
            Layer::ConvTranspose2d(conv) => (
                &mut conv.bias,
                Some([conv.in_channels, conv.out_channels].map(|n| n / conv.groups)),
            ),
            Layer::Linear(linear) => (&mut linear.bias, None),
            _ => return false,
        };
        if !std::mem::replace(bias, true) {
            self.parameters.push(vec![0.0; outputs]);
        }
        let [weight, bias] = &mut self.parameters[..] else { unreachable!("weight and bias") };
        let rows = transposed.map_or(outputs, |[inputs, _]| inputs * outputs);
        let row_len = weight.len() / rows;
        for (row, weights) in weight.chunks_exact_mut(row_len).enumerate() {
            let output = match transposed {
                None => row,
                Some([inputs, of_group]) => row / (inputs * of_group) * of_group + row % of_group,
            };
            let scale = map.scale[output];
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
        }
        for (bias, (scale, shift)) in bias.iter_mut().zip(map.scale.iter().zip(&map.shift)) {
            *bias = (f64::from(*bias) * scale + shift) as f32;
        }
        true
    }

    /// Makes the map part of the layer behind it; whether it could. Behind a view, neighbouring features are
    /// those of one channel.
    fn map_inputs(&mut self, map: &ChannelMap, behind_view: bool) -> bool {
        let channels = map.scale.len();
        // Elements of a row of the weight, and neighbours among them that belong to one channel; groups.
        let (row_len, run, groups, bias) = match &mut self.layer {
            Layer::Conv2d(conv) if !behind_view && !conv.is_padded_by_zeros() => {
                let kernel = conv.kernel_size[0] * conv.kernel_size[1];
                let inputs = conv.in_channels / conv.groups;
                (inputs * kernel, kernel, conv.groups, &mut conv.bias)
            }
            Layer::Linear(linear) if linear.in_features.is_multiple_of(channels) => {
                let run = linear.in_features / channels;
                (linear.in_features, run, 1, &mut linear.bias)
            }
            _ => return false,
        };
        let outputs = self.parameters[0].len() / row_len;
        if !std::mem::replace(bias, true) {
            self.parameters.push(vec![0.0; outputs]);
        }
        let [weight, bias] = &mut self.parameters[..] else { unreachable!("weight and bias") };
        let rows = weight.chunks_exact_mut(row_len).zip(bias).enumerate();
        for (output, (row, bias)) in rows {
            let first = output / (outputs / groups) * (row_len / run);
            let mut sum = f64::from(*bias);
            for (channel, weights) in row.chunks_exact_mut(run).enumerate() {
                let (scale, shift) = (map.scale[first + channel], map.shift[first + channel]);
                for weight in weights {
                    sum += f64::from(*weight) * shift;
                    *weight = (f64::from(*weight) * scale) as f32;
                }
            }
            *bias = sum as f32;
        }
        true
    }
}
