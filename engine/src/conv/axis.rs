//! One axis of a convolution: which input positions meet which kernel elements.
//!
//! Along one axis, output `o` is a sum over kernel elements `k` of the input at
//! `o · stride + k · dilation − padding`, where that lies within the input. Everything that has to
//! do with padding, stride and dilation is worked out here, once, when a geometry is made.

use std::ops::Range;

/// Positions on a line, each looking at an input line of `size` elements through several taps:
/// position `p` sees input `p · step + tap.offset` through a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// The number of positions.
    pub(super) positions: usize,
    /// Input elements from one position to the next.
    pub(super) step: usize,
    /// Elements of the line looked at.
    pub(super) size: usize,
    /// In the order of the kernel.
    pub(super) taps: Vec<Tap>,
}

/// One kernel element along an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Its place in the kernel.
    pub(super) kernel: usize,
    /// Where position 0 looks; it may lie outside the input.
    pub(super) offset: isize,
    /// The positions that see an element of the input; the others see padding.
    pub(super) valid: Range<usize>,
}

impl Tap {
    fn new(kernel: usize, offset: isize, step: usize, size: usize, positions: usize) -> Tap {
        // 0 ≤ p · step + offset < size  ⇔  −offset ≤ p · step < size − offset.
        let first = |bound: isize| match usize::try_from(bound) {
            Ok(bound) => bound.div_ceil(step).min(positions),
            Err(_) => 0,
        };
        let valid = first(-offset)..first(size as isize - offset);
        Tap { kernel, offset, valid }
    }

    /// The input element that position `p`, one of the valid ones, sees.
    #[inline(always)]
    pub(super) fn input(&self, p: usize, step: usize) -> usize {
        debug_assert!(self.valid.contains(&p));
        (p * step).wrapping_add_signed(self.offset)
    }
}

/// Sizes along one axis, already checked: all but the padding at least 1, and the dilated kernel
/// not longer than the padded input.
#[derive(Clone, Copy, Debug)]
pub(super) struct AxisOptions {
    pub(super) size: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl AxisOptions {
    /// The number of outputs: `⌊(size + 2 · padding − dilation · (kernel − 1) − 1) / stride⌋ + 1`.
    pub(super) fn outputs(self) -> usize {
        let extent = self.dilation * (self.kernel - 1) + 1;
        (self.size + 2 * self.padding - extent) / self.stride + 1
    }

    /// Outputs looking at inputs.
    pub(super) fn forward(self) -> Axis {
        let positions = self.outputs();
        let tap = |k: usize| {
            let offset = (k * self.dilation) as isize - self.padding as isize;
            Tap::new(k, offset, self.stride, self.size, positions)
        };
        Axis {
            positions,
            step: self.stride,
            size: self.size,
            taps: (0..self.kernel).map(tap).collect(),
        }
    }

    /// Inputs looking at the outputs that they are part of, sorted into `stride` phases.
    ///
    /// Input `h` meets kernel element `k` in output `(h + padding − k · dilation) / stride`, if the
    /// stride divides that. So only those inputs and kernel elements meet for which `h + padding`
    /// and `k · dilation` leave the same rest; within such a phase the outputs advance by one as
    /// the inputs advance by the stride, and every phase is a convolution of stride 1.
    ///
    /// Returned with each phase is its first input. Phases without inputs are left out.
    pub(super) fn backward(self) -> Vec<(usize, Axis)> {
        let stride = self.stride;
        let outputs = self.outputs();
        let phase = |first: usize| {
            let positions = (self.size - first).div_ceil(stride);
            let rest = (first + self.padding) % stride;
            let tap = |k: usize| {
                let shift = (first + self.padding) as isize - (k * self.dilation) as isize;
                Tap::new(k, shift / stride as isize, 1, outputs, positions)
            };
            let meets = |k: &usize| k * self.dilation % stride == rest;
            let taps = (0..self.kernel).filter(meets).map(tap).collect();
            (first, Axis { positions, step: 1, size: outputs, taps })
        };
        (0..stride.min(self.size)).map(phase).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_options() -> impl Iterator<Item = AxisOptions> {
        let sizes = (1..10).flat_map(|size| (1..5).map(move |kernel| (size, kernel)));
        let steps = (1..4).flat_map(|stride| (1..4).map(move |dilation| (stride, dilation)));
        sizes
            .flat_map(move |sizes| steps.clone().map(move |steps| (sizes, steps)))
            .flat_map(|((size, kernel), (stride, dilation))| {
                (0..4).map(move |padding| AxisOptions { size, kernel, stride, padding, dilation })
            })
            .filter(|o| o.dilation * (o.kernel - 1) < o.size + 2 * o.padding)
    }

    /// All (output, kernel, input) that meet, by the definition.
    fn meetings(o: AxisOptions) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        for output in 0..o.outputs() {
            for kernel in 0..o.kernel {
                for input in 0..o.size {
                    if output * o.stride + kernel * o.dilation == input + o.padding {
                        found.push((output, kernel, input));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn forward_meets_what_the_definition_says() {
        for options in all_options() {
            let axis = options.forward();
            let mut found = Vec::new();
            for output in 0..axis.positions {
                for tap in axis.taps.iter().filter(|tap| tap.valid.contains(&output)) {
                    found.push((output, tap.kernel, tap.input(output, axis.step)));
                }
            }
            assert_eq!(found, meetings(options), "{options:?}");
        }
    }

    #[test]
    fn backward_meets_the_same_the_other_way_round() {
        for options in all_options() {
            let mut found = Vec::new();
            for (first, axis) in options.backward() {
                for i in 0..axis.positions {
                    for tap in axis.taps.iter().filter(|tap| tap.valid.contains(&i)) {
                        let input = first + i * options.stride;
                        found.push((tap.input(i, axis.step), tap.kernel, input));
                    }
                }
            }
            found.sort_unstable();
            assert_eq!(found, meetings(options), "{options:?}");
        }
    }

    #[test]
    fn phases_cover_every_input_once() {
        for options in all_options() {
            let mut inputs: Vec<usize> = options
                .backward()
                .into_iter()
                .flat_map(|(first, axis)| (0..axis.positions).map(move |i| (first, i)))
                .map(|(first, i)| first + i * options.stride)
                .collect();
            inputs.sort_unstable();
            assert!(inputs.into_iter().eq(0..options.size), "{options:?}");
        }
    }
}
