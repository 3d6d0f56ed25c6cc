//! How much there is to compute.

use super::{NetworkSpec, SpecError};

impl NetworkSpec {
    /// Floating-point operations of one input's way forward: two for each multiply-add of a convolution or
    /// a linear layer. All other layers count as nothing.
    ///
    /// # Errors
    /// As [`NetworkSpec::flatten`].
    pub fn forward_flops(&self) -> Result<u64, SpecError> {
        Ok(self.layer_flops()?.into_iter().fold(0, u64::saturating_add))
    }

    /// The same of one input's share of a training step: forward, the gradients by all weights, and those
    /// by the inputs of all these layers but the first.
    ///
    /// # Errors
    /// As [`NetworkSpec::flatten`].
    pub fn training_flops(&self) -> Result<u64, SpecError> {
        let flops = self.layer_flops()?;
        let first = flops.iter().copied().find(|&flops| flops > 0).unwrap_or(0);
        Ok(self.forward_flops()?.saturating_mul(3).saturating_sub(first))
    }

    fn layer_flops(&self) -> Result<Vec<u64>, SpecError> {
        let layers = self.flatten()?;
        Ok(layers.iter().map(|layer| layer.multiply_adds().saturating_mul(2)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{BatchNorm2d, Conv2d};
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
        let conv = Conv2d::new(4, 6, (3, 2)).groups(2);
        let spec = NetworkSpec::new([4, 7, 8]).add(BatchNorm2d::new(4)).add(conv);
        assert_eq!(spec.forward_flops(), Ok(2 * 6 * 5 * 7 * 2 * 6));
    }
}
