//! Optimisers.

/// Adam as on the PyTorch documentation pages "Adam" and "AdamW", without AMSGrad.
///
/// Step t = 1, 2, …, for parameter θ and gradient g: g ← g + weight_decay · θ, or
/// θ ← θ − lr · weight_decay · θ if the decay is decoupled; then
///
/// m ← β₁ · m + (1 − β₁) · g, v ← β₂ · v + (1 − β₂) · g²,
/// θ ← θ − lr · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + eps).
///
/// Source: D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization" (2015).
#[derive(Clone, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// β₁ and β₂: how much of the old moments is kept.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// How much the parameters are pulled towards 0.
    pub weight_decay: f64,
    /// Whether that is done beside the gradient, as AdamW does, and not through it.
    pub decoupled: bool,
    /// Steps taken.
    pub steps: i32,
    /// m: the running mean of the gradient.
    pub first_moment: Vec<f64>,
    /// v: the running mean of its square.
    pub second_moment: Vec<f64>,
}

impl Adam {
    /// Adam for `len` parameters, with moments of zero and PyTorch's defaults: lr 1e-3, betas
    /// 0.9 and 0.999, eps 1e-8, no weight decay.
    pub fn new(len: usize) -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            steps: 0,
            first_moment: vec![0.0; len],
            second_moment: vec![0.0; len],
        }
    }

    /// One step.
    ///
    /// # Panics
    ///
    /// If `parameters` or `gradient` has not the optimiser's length.
    pub fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        let len = self.first_moment.len();
        assert_eq!(parameters.len(), len, "parameters");
        assert_eq!(gradient.len(), len, "gradient");
        let [beta1, beta2] = self.betas;
        self.steps += 1;
        for i in 0..len {
            let (m, v) = (&mut self.first_moment[i], &mut self.second_moment[i]);
            let mut g = gradient[i];
            if self.decoupled {
                parameters[i] -= self.lr * self.weight_decay * parameters[i];
            } else {
                g += self.weight_decay * parameters[i];
            }
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g.powi(2);
            let unbiased_m = *m / (1.0 - beta1.powi(self.steps));
            let unbiased_v = *v / (1.0 - beta2.powi(self.steps));
            parameters[i] -= self.lr * unbiased_m / (unbiased_v.sqrt() + self.eps);
        }
    }
}

/// Stochastic gradient descent as on the PyTorch documentation page "SGD", without dampening.
///
/// g ← g + weight_decay · θ; velocity ← g in the first step, momentum · velocity + g afterwards;
/// θ ← θ − lr · velocity, or θ − lr · (g + momentum · velocity) with Nesterov's momentum.
#[derive(Clone, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// How much of the old velocity is kept; 0 for plain descent.
    pub momentum: f64,
    /// How much of the parameters is added to the gradient.
    pub weight_decay: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// The velocity, none before the first step.
    pub velocity: Option<Vec<f64>>,
}

impl Sgd {
    /// Descent without weight decay that has taken no step yet.
    pub fn new(lr: f64, momentum: f64) -> Self {
        Self { lr, momentum, weight_decay: 0.0, nesterov: false, velocity: None }
    }

    /// One step.
    ///
    /// # Panics
    ///
    /// If `parameters` and `gradient` differ in length, or from the step before.
    pub fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        assert_eq!(parameters.len(), gradient.len(), "one gradient each");
        let decayed: Vec<f64> =
            gradient.iter().zip(&*parameters).map(|(g, p)| g + self.weight_decay * p).collect();
        let velocity = match self.velocity.take() {
            None => decayed.clone(),
            Some(old) => {
                assert_eq!(old.len(), gradient.len(), "length changed");
                let kept = old.iter().map(|v| self.momentum * v);
                kept.zip(&decayed).map(|(kept, g)| kept + g).collect()
            }
        };
        for ((parameter, v), g) in parameters.iter_mut().zip(&velocity).zip(&decayed) {
            let direction = if self.nesterov { g + self.momentum * v } else { *v };
            *parameter -= self.lr * direction;
        }
        self.velocity = Some(velocity);
    }
}

/// Scales all gradients, seen as one vector, down to the 2-norm `max_norm` if theirs is larger, as on the PyTorch
/// documentation page "clip_grad_norm_": by min(1, max_norm / (norm + 1e-6)). Returns the norm before.
pub fn clip_gradient_norm(gradients: &mut [Vec<f64>], max_norm: f64) -> f64 {
    let norm = gradients.iter().flatten().map(|g| g.powi(2)).sum::<f64>().sqrt();
    let factor = (max_norm / (norm + 1e-6)).min(1.0);
    gradients.iter_mut().flatten().for_each(|g| *g *= factor);
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: [f64; 3] = [1.0, -2.0, 3.0];
    const GRADIENTS: [[f64; 3]; 3] = [[0.5, -1.0, 0.0], [0.25, 2.0, 1e-9], [-3.0, 0.125, 1.0]];

    /// Takes the three steps and compares the parameters after each.
    fn assert_path(mut step: impl FnMut(&mut [f64], &[f64]), path: [[f64; 3]; 3]) {
        let mut parameters = START;
        for (gradient, expected) in GRADIENTS.iter().zip(path) {
            step(&mut parameters, gradient);
            for (actual, expected) in parameters.iter().zip(expected) {
                assert!((actual - expected).abs() < 1e-14, "{actual} is not {expected}");
            }
        }
    }

    // The paths were computed by PyTorch 2.15 in float64.

    #[test]
    fn adam_with_default_settings() {
        let mut adam = Adam::new(3);
        let path = [
            [0.99900000002, -1.9990000000099999, 3.0],
            [0.9980678204047746, -1.9993661035347206, 2.9999508450688386],
            [0.9985639583738699, -1.9996843373788593, 2.999312031479924],
        ];
        assert_path(|parameters, gradient| adam.step(parameters, gradient), path);
    }

    #[test]
    fn adam_with_other_settings() {
        let mut adam = Adam { lr: 0.1, betas: [0.5, 0.75], eps: 0.01, ..Adam::new(3) };
        let path = [
            [0.9019607843137255, -1.900990099009901, 3.0],
            [0.8160422643142395, -1.961321598563415, 2.9999999933333337],
            [0.8944869344929798, -2.0011970577842493, 2.914405020448806],
        ];
        assert_path(|parameters, gradient| adam.step(parameters, gradient), path);
    }

    #[test]
    fn sgd_with_momentum() {
        let mut sgd = Sgd::new(0.1, 0.9);
        let path = [
            [0.95, -1.9, 3.0],
            [0.88, -2.01, 2.9999999999],
            [1.117, -2.1214999999999997, 2.89999999981],
        ];
        assert_path(|parameters, gradient| sgd.step(parameters, gradient), path);
    }

    #[test]
    fn sgd_without_momentum() {
        let mut sgd = Sgd::new(0.1, 0.0);
        let path = [[0.95, -1.9, 3.0], [0.925, -2.1, 2.9999999999], [1.225, -2.1125, 2.8999999999]];
        assert_path(|parameters, gradient| sgd.step(parameters, gradient), path);
    }

    #[test]
    fn adam_with_weight_decay() {
        let mut adam = Adam { lr: 0.1, weight_decay: 0.05, ..Adam::new(3) };
        let path = [
            [0.9000000018181818, -1.900000000909091, 2.9000000066666662],
            [0.8057717988668088, -1.9309563160348078, 2.8001027204857354],
            [0.8532645786158266, -1.9557103298256517, 2.7233726590504617],
        ];
        assert_path(|parameters, gradient| adam.step(parameters, gradient), path);
    }

    #[test]
    fn adam_with_decoupled_weight_decay() {
        let mut adam = Adam { lr: 0.1, weight_decay: 0.05, decoupled: true, ..Adam::new(3) };
        let path = [
            [0.895000002, -1.890000001, 2.985],
            [0.7973070404674624, -1.917160353467075, 2.965159506883855],
            [0.8429343021746507, -1.939397936113605, 2.8864523504579953],
        ];
        assert_path(|parameters, gradient| adam.step(parameters, gradient), path);
    }

    #[test]
    fn sgd_with_weight_decay() {
        let mut sgd = Sgd { weight_decay: 0.05, ..Sgd::new(0.1, 0.0) };
        let path = [
            [0.945, -1.89, 2.985],
            [0.915275, -2.08055, 2.9700749999],
            [1.210698625, -2.08264725, 2.8552246249005],
        ];
        assert_path(|parameters, gradient| sgd.step(parameters, gradient), path);
    }

    #[test]
    fn sgd_with_nesterovs_momentum_and_weight_decay() {
        let mut sgd = Sgd { weight_decay: 0.05, nesterov: true, ..Sgd::new(0.1, 0.9) };
        let path = [
            [0.8955, -1.791, 2.9715],
            [0.7949427499999999, -2.0648855, 2.93112074981],
            [1.2934190188749999, -2.14357553775, 2.6903055276058048],
        ];
        assert_path(|parameters, gradient| sgd.step(parameters, gradient), path);
    }

    #[test]
    fn clipping_scales_all_gradients_by_the_norm_of_all() {
        let mut gradients = [vec![3.0, -4.0], vec![12.0]];
        assert_eq!(clip_gradient_norm(&mut gradients, 13.5), 13.0);
        assert_eq!(gradients, [vec![3.0, -4.0], vec![12.0]]);
        assert_eq!(clip_gradient_norm(&mut gradients, 2.0), 13.0);
        // Computed by PyTorch 2.15 in float64.
        let expected = [0.46153842603550577, -0.615384568047341, 1.846153704142023];
        for (g, expected) in gradients.iter().flatten().zip(expected) {
            assert!((g - expected).abs() < 1e-14, "{g} is not {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "gradient")]
    fn wrong_length_panics() {
        Adam::new(2).step(&mut [0.0; 2], &[0.0; 3]);
    }
}
