//! A whole network in `f64`: forward and backward, layer by layer.

mod layer;

pub use layer::Layer;

use super::loss::Loss;

/// Layers in an order in which each reads only what is there.
///
/// *Values* are numbered: 0 is the network's input, i + 1 the output of step i. The last one is the network's output.
#[derive(Clone, Debug)]
pub struct Network {
    /// From input to output.
    pub steps: Vec<Step>,
}

/// What is done with values that are there.
#[derive(Clone, Debug)]
pub enum Step {
    /// A layer, applied to this value.
    Layer(Layer, usize),
    /// The sum of these values, which are of one length.
    Sum(Vec<usize>),
}

/// What one forward and backward pass finds.
#[derive(Clone, Debug)]
pub struct NetworkGradients {
    /// The loss.
    pub loss: f64,
    /// The output of the network.
    pub output: Vec<f64>,
    /// The gradient of the loss by the input of the network.
    pub input: Vec<f64>,
    /// The gradient by each parameter tensor, in the order of [`Network::parameters`].
    pub parameters: Vec<Vec<f64>>,
}

impl Network {
    /// Layers, each applied to the output of the one before.
    pub fn chain(layers: impl IntoIterator<Item = Layer>) -> Network {
        let steps = layers.into_iter().enumerate();
        Network { steps: steps.map(|(value, layer)| Step::Layer(layer, value)).collect() }
    }

    /// The output for x, `batch` images or rows.
    ///
    /// # Panics
    ///
    /// If a layer cannot take what it reads.
    pub fn forward(&self, batch: usize, x: &[f64]) -> Vec<f64> {
        self.values(batch, vec![x.to_vec()]).pop().unwrap_or_default()
    }

    /// All values. The input and those of the first steps that are `known` are not computed again.
    ///
    /// # Panics
    ///
    /// If a layer cannot take what it reads, or not even the input is known.
    pub fn values(&self, batch: usize, known: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let first = known.len().checked_sub(1).expect("the input is known");
        let mut values = known;
        for step in &self.steps[first..] {
            let output = match step {
                Step::Layer(layer, value) => layer.forward(batch, &values[*value]),
                Step::Sum(of) => {
                    let mut sum = vec![0.0; values[of[0]].len()];
                    of.iter().for_each(|&value| add(&mut sum, &values[value]));
                    sum
                }
            };
            values.push(output);
        }
        values
    }

    /// The loss of the output for x, and its gradients.
    ///
    /// # Panics
    ///
    /// If a layer cannot take what it reads, or `loss` cannot take the output.
    pub fn backward(&self, batch: usize, x: &[f64], loss: &Loss<'_>) -> NetworkGradients {
        let values = self.values(batch, vec![x.to_vec()]);
        let output = values[self.steps.len()].clone();
        let loss = loss.of(&output);
        // The gradient by each value: what all that read it add to it.
        let mut by: Vec<_> = values.iter().map(|value| vec![0.0; value.len()]).collect();
        by[self.steps.len()] = loss.gradient;
        let mut parameters = Vec::new();
        for (i, step) in self.steps.iter().enumerate().rev() {
            let upstream = std::mem::take(&mut by[i + 1]);
            match step {
                Step::Layer(layer, value) => {
                    let (x, y) = (&values[*value], &values[i + 1]);
                    let (dx, gradients) = layer.backward(batch, x, y, &upstream);
                    add(&mut by[*value], &dx);
                    // Backwards here, turned round as a whole below.
                    parameters.extend(gradients.into_iter().rev());
                }
                Step::Sum(of) => of.iter().for_each(|&value| add(&mut by[value], &upstream)),
            }
        }
        parameters.reverse();
        let input = by.swap_remove(0);
        NetworkGradients { loss: loss.value, output, input, parameters }
    }

    /// Name and values of each parameter tensor, step by step, weight before bias: `3.weight` belongs to the
    /// fourth step.
    pub fn parameters(&self) -> Vec<(String, &[f64])> {
        let mut named = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            if let Step::Layer(layer, _) = step {
                let tensors = layer.parameters().into_iter();
                named.extend(tensors.map(|(name, values)| (format!("{i}.{name}"), &values[..])));
            }
        }
        named
    }

    /// The tensors of [`Network::parameters`], to be changed.
    pub fn parameters_mut(&mut self) -> Vec<&mut Vec<f64>> {
        let mut tensors = Vec::new();
        for step in &mut self.steps {
            if let Step::Layer(layer, _) = step {
                tensors.extend(layer.parameters_mut());
            }
        }
        tensors
    }
}

fn add(sum: &mut [f64], values: &[f64]) {
    assert_eq!(sum.len(), values.len(), "values of one length");
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests;
