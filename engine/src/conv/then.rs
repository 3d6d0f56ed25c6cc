//! What a forward pass of a unit does for a batch normalisation behind it.

use crate::Error;
use crate::error::expect_len;
use crate::norm::batch::UnitConstants;

/// What follows a unit's convolution and activation, channel by channel: the parts of a batch
/// normalisation that are cheapest while y is at hand.
#[derive(Debug)]
pub enum Then<'a> {
    /// Nothing.
    Nothing,
    /// The mean of y and the sum of the squares of its distances from it are written. They are the
    /// [moments](crate::norm::batch::UnitNorm::moments) of the unit.
    Measure([&'a mut [f32]; 2]),
    /// y is normalised, to the bits that
    /// [`UnitNorm::normalize`](crate::norm::batch::UnitNorm::normalize) computes.
    Normalize(UnitConstants<'a>),
}

impl<'a> Then<'a> {
    /// What is measured and what is normalised by, of so many channels.
    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    pub(super) fn parts(
        self,
        op: &'static str,
        channels: usize,
    ) -> Result<(Option<[&'a mut [f32]; 2]>, Option<UnitConstants<'a>>), Error> {
        let check = |len| expect_len(op, "a number of each channel", channels, len);
        Ok(match self {
            Then::Nothing => (None, None),
            Then::Measure(moments) => {
                moments.iter().try_for_each(|moments| check(moments.len()))?;
                (Some(moments), None)
            }
            Then::Normalize(constants) => {
                let UnitConstants { mean, scale, bias } = constants;
                [mean, scale, bias].iter().try_for_each(|values| check(values.len()))?;
                (None, Some(constants))
            }
        })
    }
}
