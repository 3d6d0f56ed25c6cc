//! How much there is to compute.

use super::{Layer, NetworkSpec, SpecError};

impl Layer {
    /// Multiplications and additions, each pair counted once, of one input for an output of this shape:
    /// those of convolutions and linear layers, products with padding included.
    pub(crate) fn multiply_adds(&self, output: &[usize]) -> u64 {
        let depth = match *self {
            Layer::Conv2d { in_channels, groups, kernel_size: [kh, kw], .. } => {
                product(&[in_channels / groups, kh, kw])
            }
            Layer::Linear { in_features, .. } => in_features as u64,
            _ => 0,
        };
        product(output).saturating_mul(depth)
    }
}

impl NetworkSpec {
    /// Floating-point operations of one input's way forward: two for each multiply-add of a convolution or
    /// a linear layer. All other layers count as nothing.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`].
    pub fn forward_flops(&self) -> Result<u64, SpecError> {
        Ok(self.layer_flops()?.into_iter().fold(0, u64::saturating_add))
    }

    /// The same of one input's share of a training step: forward, the gradients by all weights, and those
    /// by the inputs of all these layers but the first.
    ///
    /// # Errors
    /// As [`NetworkSpec::shapes`].
    pub fn training_flops(&self) -> Result<u64, SpecError> {
        let flops = self.layer_flops()?;
        let first = flops.iter().copied().find(|&flops| flops > 0).unwrap_or(0);
        Ok(self.forward_flops()?.saturating_mul(3).saturating_sub(first))
    }

    fn layer_flops(&self) -> Result<Vec<u64>, SpecError> {
        let shapes = self.shapes()?;
        let flops =
            |(layer, shape): (&Layer, &Vec<usize>)| layer.multiply_adds(shape).saturating_mul(2);
        Ok(self.layers.iter().zip(&shapes).map(flops).collect())
    }
}

fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{mnist_cnn, mnist_mlp};

    #[test]
    fn flops_of_the_tutorials_networks() {
        let convs = [2 * 10 * 144 * 25, 2 * 10 * 25 * 90];
        let forward = convs[0] + convs[1] + 2 * 250 * 10;
        assert_eq!(mnist_cnn().forward_flops(), Ok(forward));
        assert_eq!(mnist_cnn().training_flops(), Ok(3 * forward - convs[0]));
        let (first, last) = (2 * 784 * 200, 2 * 200 * 10);
        assert_eq!(mnist_mlp().forward_flops(), Ok(first + last));
        assert_eq!(mnist_mlp().training_flops(), Ok(2 * first + 3 * last));
    }

    #[test]
    fn groups_do_not_see_each_other() {
        let text = r#"{"type": "Conv2d", "in_channels": 4, "out_channels": 6, "kernel_size": [3, 2],
            "groups": 2}"#;
        let conv: Layer = serde_json::from_str(text).unwrap();
        assert_eq!(conv.multiply_adds(&[6, 5, 7]), 6 * 5 * 7 * 2 * 6);
        assert_eq!(Layer::batch_norm2d(6).multiply_adds(&[6, 5, 7]), 0);
    }
}
