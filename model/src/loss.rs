//! Which loss is minimised.

use loupe_engine::loss::{
    CrossEntropyOptions, Reduction, bce, bce_with_logits, cross_entropy_probabilities, l1, mse,
};
use loupe_engine::{Context, Error};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss over outputs `[N, outputs]` and targets of the same shape. With [`LossOptions`] it is more than the
/// mean that PyTorch computes by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loss {
    /// PyTorch's `BCELoss`: binary cross-entropy of probabilities, over all outputs.
    #[default]
    #[serde(rename = "BCELoss")]
    Bce,
    /// PyTorch's `BCEWithLogitsLoss`: the same of logits.
    #[serde(rename = "BCEWithLogitsLoss")]
    BceWithLogits,
    /// PyTorch's `MSELoss`: the squared error, over all outputs.
    #[serde(rename = "MSELoss")]
    Mse,
    /// PyTorch's `L1Loss`: the absolute error, over all outputs.
    #[serde(rename = "L1Loss")]
    L1,
    /// PyTorch's `CrossEntropyLoss` of logits and class probabilities (here one-hot), over the inputs of the
    /// batch.
    #[serde(rename = "CrossEntropyLoss")]
    CrossEntropy,
}

impl Loss {
    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Bce => "BCELoss",
            Loss::BceWithLogits => "BCEWithLogitsLoss",
            Loss::Mse => "MSELoss",
            Loss::L1 => "L1Loss",
            Loss::CrossEntropy => "CrossEntropyLoss",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A loss with its options. `Loss::Mse.into()` is the one with PyTorch's defaults.
///
/// ```
/// use loupe_model::{Loss, LossOptions};
///
/// let smoothed = LossOptions { label_smoothing: 0.1, ..Loss::CrossEntropy.into() };
/// assert_eq!(smoothed.to_string(), "CrossEntropyLoss(label_smoothing=0.1)");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossOptions {
    /// Of which values.
    pub function: Loss,
    /// Their mean or their sum.
    pub reduction: Reduction,
    /// Of [`Loss::CrossEntropy`] alone: so much of each target is spread evenly over all outputs, 0 to 1.
    pub label_smoothing: f64,
    /// Of [`Loss::CrossEntropy`] alone: how much each class counts, `[outputs]`; 1 each if there are none. As in
    /// PyTorch with class probabilities, a mean is one over the inputs, whatever the weights are.
    pub weight: Option<Vec<f32>>,
}

impl From<Loss> for LossOptions {
    fn from(function: Loss) -> LossOptions {
        LossOptions { function, ..LossOptions::default() }
    }
}

impl LossOptions {
    /// The loss of `output` `[N, outputs]`, and its gradient by the output if there is room for it.
    ///
    /// # Errors
    /// As the function of this name in [`loupe_engine::loss`]; [`Error::Invalid`] for options that the loss
    /// does not have.
    pub fn evaluate(
        &self,
        cx: &Context,
        outputs: usize,
        output: &[f32],
        target: &[f32],
        gradient: Option<&mut [f32]>,
    ) -> Result<f32, Error> {
        let LossOptions { function, reduction, label_smoothing, ref weight } = *self;
        let pointwise = match function {
            Loss::Bce => bce,
            Loss::BceWithLogits => bce_with_logits,
            Loss::Mse => mse,
            Loss::L1 => l1,
            Loss::CrossEntropy => {
                let weight = weight.as_deref();
                let options = CrossEntropyOptions { label_smoothing, weight, reduction };
                return cross_entropy_probabilities(
                    cx, &options, outputs, output, target, gradient,
                );
            }
        };
        let refused = |what, expected, found| {
            Err(Error::Invalid { op: function.name(), what, expected, found })
        };
        if label_smoothing != 0.0 {
            let expected = "0: CrossEntropyLoss alone has it";
            return refused("label_smoothing", expected, label_smoothing.to_string());
        }
        if let Some(weight) = weight {
            let expected = "left out: CrossEntropyLoss alone has it";
            return refused("weight", expected, format!("{weight:?}"));
        }
        pointwise(cx, reduction, output, target, gradient)
    }

    /// Refuses options with which there is no loss of so many outputs.
    pub(crate) fn check(&self, outputs: usize) -> Result<(), Error> {
        // ½ is a probability and a logit.
        let row = vec![0.5; outputs];
        self.evaluate(&Context::serial(), outputs, &row, &row, None).map(|_| ())
    }
}

/// As PyTorch prints a module: the name, and in brackets what is not the default.
impl fmt::Display for LossOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LossOptions { function, reduction, label_smoothing, weight } = self;
        let options = [
            (*reduction == Reduction::Sum).then(|| "reduction=sum".to_owned()),
            (*label_smoothing != 0.0).then(|| format!("label_smoothing={label_smoothing}")),
            weight.as_ref().map(|weight| format!("weight={weight:?}")),
        ];
        let given: Vec<String> = options.into_iter().flatten().collect();
        match given.is_empty() {
            true => write!(f, "{function}"),
            false => write!(f, "{function}({})", given.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_reach_the_engine() {
        let cx = Context::serial();
        let (output, target) = ([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 0.0, 1.0]);
        let value =
            |options: LossOptions| options.evaluate(&cx, 2, &output, &target, None).unwrap();
        let ln2 = std::f32::consts::LN_2;
        assert_eq!(value(Loss::L1.into()), 1.0);
        let sum = LossOptions { reduction: Reduction::Sum, ..Loss::Mse.into() };
        assert_eq!(value(sum), 1.0 + 4.0 + 1.0);
        let weight = Some(vec![1.0, 5.0]);
        let weighted = LossOptions { weight, ..Loss::CrossEntropy.into() };
        assert!((value(weighted.clone()) - 3.0 * ln2).abs() < 1e-6);
        let smoothed = LossOptions { label_smoothing: 0.5, ..weighted };
        // (¾ · 1 + ¼ · 5 + ¼ · 1 + ¾ · 5) / 2 = 3
        assert!((value(smoothed.clone()) - 3.0 * ln2).abs() < 1e-6);
        let text = "CrossEntropyLoss(label_smoothing=0.5, weight=[1.0, 5.0])";
        assert_eq!(smoothed.to_string(), text);
        assert_eq!(LossOptions::from(Loss::Mse).to_string(), "MSELoss");
    }

    #[test]
    fn options_without_meaning_are_refused() {
        let refused = |options: LossOptions| options.check(3).unwrap_err().to_string();
        let weight = |len| Some(vec![1.0; len]);
        assert_eq!(
            refused(LossOptions { weight: weight(2), ..Loss::CrossEntropy.into() }),
            "cross_entropy_probabilities: weight must have 3 elements, found 2"
        );
        assert_eq!(
            refused(LossOptions { weight: weight(1), ..Loss::Mse.into() }),
            "MSELoss: weight must be left out: CrossEntropyLoss alone has it, found [1.0]"
        );
        assert_eq!(
            refused(LossOptions { label_smoothing: 0.1, ..Loss::Bce.into() }),
            "BCELoss: label_smoothing must be 0: CrossEntropyLoss alone has it, found 0.1"
        );
        refused(LossOptions { label_smoothing: f64::NAN, ..Loss::CrossEntropy.into() });
        for function in [Loss::Bce, Loss::BceWithLogits, Loss::Mse, Loss::L1, Loss::CrossEntropy] {
            assert_eq!(LossOptions::from(function).check(3), Ok(()));
        }
    }
}
