//! One axis of a convolution: which input positions meet which kernel elements.
//!
//! Along one axis, output `o` is a sum over kernel elements `k` of the input at
//! `o · stride + k · dilation − padding`, where that lies within the input. Everything that has to
//! do with padding, stride and dilation is worked out here, once, when a geometry is made.
//!
//! The input line is cut into *phase lines*: those elements whose numbers leave the same rest under
//! the stride, with zeros at both ends for the padding. In phase lines a kernel element's inputs lie
//! side by side: position `p` sees element `p + shift`. That is what lets a vector of positions be one
//! load.

/// A line of `size` input elements as phase lines: element `j` of the line of `rest` is input
/// `(first + j) · step + rest`, or 0 if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Elements of the input line.
    pub(super) size: usize,
    pub(super) step: usize,
    pub(super) first: isize,
    /// One for each phase line that a tap needs.
    pub(super) rests: Vec<usize>,
    /// Elements of a phase line.
    pub(super) len: usize,
    /// The largest shift of a tap.
    pub(super) max_shift: usize,
}

/// Positions side by side that look at phase lines through taps, and where their results belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) count: usize,
    /// In the order of the kernel.
    pub(super) taps: Vec<Tap>,
    /// Position `p` computes result `target + p · target_step`.
    pub(super) target: usize,
    pub(super) target_step: usize,
}

/// A kernel element and the phase line that it sees: position `p` sees element `p + shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) kernel: usize,
    /// Among the axis' rests.
    pub(super) line: usize,
    pub(super) shift: usize,
}

impl Axis {
    /// The input that element `j` of a phase line is, if it is not padding.
    #[inline(always)]
    pub(super) fn input(&self, line: usize, j: usize) -> Option<usize> {
        let input = (self.first + j as isize) * self.step as isize + self.rests[line] as isize;
        usize::try_from(input).ok().filter(|&input| input < self.size)
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
    /// Outputs at the end that are not computed; fewer than there are.
    pub(super) left_out: usize,
}

impl AxisOptions {
    /// The number of outputs: `⌊(size + 2 · padding − dilation · (kernel − 1) − 1) / stride⌋ + 1`, without
    /// those that are left out.
    pub(super) fn outputs(self) -> usize {
        let extent = self.dilation * (self.kernel - 1) + 1;
        (self.size + 2 * self.padding - extent) / self.stride + 1 - self.left_out
    }

    /// Outputs looking at inputs.
    pub(super) fn forward(self) -> (Axis, Positions) {
        let looks: Vec<_> = (0..self.kernel)
            .map(|kernel| {
                let offset = (kernel * self.dilation) as isize - self.padding as isize;
                (kernel, offset)
            })
            .collect();
        let grid = Grid { count: self.outputs(), target: 0, target_step: 1, looks };
        let (axis, mut positions) = axis(self.size, self.stride, vec![grid]);
        (axis, positions.pop().expect("one grid"))
    }

    /// Inputs looking at the outputs that they are part of, sorted into phases.
    ///
    /// Input `h` meets kernel element `k` in output `(h + padding − k · dilation) / stride`, if the
    /// stride divides that. So only those inputs and kernel elements meet for which `h + padding`
    /// and `k · dilation` leave the same rest; among the inputs of one rest the outputs advance by one
    /// as the inputs advance by the stride, and each such phase is a convolution of stride 1.
    ///
    /// Where the stride is longer than the kernel, some inputs meet nothing; they belong to no phase.
    pub(super) fn backward(self) -> (Axis, Vec<Positions>) {
        let stride = self.stride;
        let padding = self.padding % stride;
        let first = |kernel| (kernel * self.dilation + stride - padding) % stride;
        // Kernel elements by the first input that they meet.
        let mut meetings: Vec<(usize, usize)> = (0..self.kernel)
            .map(|kernel| (first(kernel), kernel))
            .filter(|&(first, _)| first < self.size)
            .collect();
        meetings.sort_unstable();
        let look = |&(first, kernel): &(usize, usize)| {
            let from = (first + self.padding) as isize - (kernel * self.dilation) as isize;
            (kernel, from / stride as isize)
        };
        let grids = meetings.chunk_by(|a, b| a.0 == b.0).map(|phase| Grid {
            count: (self.size - phase[0].0).div_ceil(stride),
            target: phase[0].0,
            target_step: stride,
            looks: phase.iter().map(look).collect(),
        });
        axis(self.outputs(), 1, grids.collect())
    }
}

/// Positions whose kernel elements see input `position · step + offset`.
struct Grid {
    count: usize,
    target: usize,
    target_step: usize,
    /// Kernel elements and their offsets.
    looks: Vec<(usize, isize)>,
}

/// Phase lines of `size` inputs that hold all that the grids see.
fn axis(size: usize, step: usize, grids: Vec<Grid>) -> (Axis, Vec<Positions>) {
    let looks = || grids.iter().flat_map(|grid| &grid.looks);
    let quotient = |offset: isize| offset.div_euclid(step as isize);
    let rest = |offset: isize| offset.rem_euclid(step as isize) as usize;
    let first = looks().map(|&(_, offset)| quotient(offset)).min().unwrap_or(0);
    let last = looks().map(|&(_, offset)| quotient(offset)).max().unwrap_or(0);
    let mut rests: Vec<usize> = looks().map(|&(_, offset)| rest(offset)).collect();
    rests.sort_unstable();
    rests.dedup();
    let tap = |&(kernel, offset): &(usize, isize)| Tap {
        kernel,
        line: rests.binary_search(&rest(offset)).expect("the rest of a look"),
        shift: (quotient(offset) - first) as usize,
    };
    let max_shift = (last - first) as usize;
    let count = grids.iter().map(|grid| grid.count).max().unwrap_or(0);
    let positions = grids
        .iter()
        .map(|grid| Positions {
            count: grid.count,
            taps: grid.looks.iter().map(tap).collect(),
            target: grid.target,
            target_step: grid.target_step,
        })
        .collect();
    (Axis { size, step, first, rests, len: count + max_shift, max_shift }, positions)
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
                (0..4).map(move |padding| AxisOptions {
                    size,
                    kernel,
                    stride,
                    padding,
                    dilation,
                    left_out: 0,
                })
            })
            .filter(|o| o.dilation * (o.kernel - 1) < o.size + 2 * o.padding)
            .flat_map(|o| (0..o.outputs().min(3)).map(move |n| AxisOptions { left_out: n, ..o }))
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

    /// All (result, kernel, seen element).
    fn seen(axis: &Axis, positions: &Positions) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        for p in 0..positions.count {
            for tap in &positions.taps {
                assert!(p + tap.shift < axis.len, "a tap looks beyond the phase line");
                if let Some(input) = axis.input(tap.line, p + tap.shift) {
                    let result = positions.target + p * positions.target_step;
                    found.push((result, tap.kernel, input));
                }
            }
        }
        found
    }

    #[test]
    fn forward_meets_what_the_definition_says() {
        for options in all_options() {
            let (axis, positions) = options.forward();
            assert_eq!(seen(&axis, &positions), meetings(options), "{options:?}");
        }
    }

    #[test]
    fn backward_meets_the_same_the_other_way_round() {
        for options in all_options() {
            let (axis, phases) = options.backward();
            let mut found: Vec<_> = phases
                .iter()
                .flat_map(|positions| seen(&axis, positions))
                .map(|(input, kernel, output)| (output, kernel, input))
                .collect();
            found.sort_unstable();
            assert_eq!(found, meetings(options), "{options:?}");
        }
    }

    #[test]
    fn phases_share_no_input() {
        for options in all_options() {
            let (_, phases) = options.backward();
            let result = |phase: &Positions, p| phase.target + p * phase.target_step;
            let inputs = phases.iter().flat_map(|phase| (0..phase.count).map(|p| result(phase, p)));
            let mut inputs: Vec<usize> = inputs.collect();
            inputs.sort_unstable();
            assert!(inputs.is_sorted_by(|a, b| a < b), "{options:?}");
            assert!(inputs.iter().all(|&input| input < options.size), "{options:?}");
        }
    }
}
