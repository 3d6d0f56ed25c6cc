//! One axis of a pooling: which inputs each output sees.

use crate::Error;
use crate::planes::{check_size, invalid};

/// What one output sees of a line of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The inputs between the edges of the window. From one output to the next neither becomes smaller.
    pub(super) begin: usize,
    /// See `begin`.
    pub(super) end: usize,
    /// The inputs that are looked at are `first + t · dilation` for `t < count`; all lie between the edges.
    pub(super) first: usize,
    /// See `first`. It is 0 if a dilated window meets nothing but padding.
    pub(super) count: usize,
}

/// The windows on a line of inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Inputs.
    pub(super) size: usize,
    /// Distance of neighbouring inputs of a window.
    pub(super) dilation: usize,
    /// One for each output.
    pub(super) windows: Vec<Window>,
}

/// A window that moves over a padded line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sliding {
    pub(super) size: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Sliding {
    /// Output `o` looks at `o · stride + k · dilation − padding` for `k < kernel`, where there are inputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a number is 0 (the padding may be) or above 2²⁰, if the padding exceeds half of
    /// the kernel, or if the dilated kernel is larger than the padded line.
    pub(super) fn axis(self, op: &'static str) -> Result<Axis, Error> {
        let Sliding { size, kernel, stride, padding, dilation } = self;
        check_size(op, "an image size", size, 1)?;
        check_size(op, "a kernel size", kernel, 1)?;
        check_size(op, "a stride", stride, 1)?;
        check_size(op, "a padding", padding, 0)?;
        check_size(op, "a dilation", dilation, 1)?;
        let padded = size + 2 * padding;
        // At most 2⁴⁰: beyond what a usize of 32 bits holds.
        let extent = (kernel - 1).saturating_mul(dilation).saturating_add(1);
        if padding > kernel / 2 {
            let found = format!("{padding} for {kernel} elements");
            return Err(invalid(op, "a padding", "at most half of the kernel", found));
        }
        if extent > padded {
            let found = format!(
                "{kernel} elements at dilation {dilation} for {size} pixels with {padding} of padding at \
                 each side"
            );
            return Err(invalid(op, "the kernel", "no larger than the padded image", found));
        }
        let window = |output: usize| {
            // Places on the padded line.
            let start = output * stride;
            let skipped = padding.saturating_sub(start).div_ceil(dilation);
            let begin = start.max(padding) - padding;
            let end = (start + extent - padding).min(size);
            let first = (start + skipped * dilation).saturating_sub(padding);
            let seen = size.saturating_sub(first).div_ceil(dilation);
            let count = seen.min(kernel.saturating_sub(skipped));
            Window { begin, end, first, count }
        };
        let outputs = (padded - extent) / stride + 1;
        Ok(Axis { size, dilation, windows: (0..outputs).map(window).collect() })
    }
}

impl Axis {
    /// Output `o` of `outputs` looks at the inputs from `⌊o · size / outputs⌋` to below
    /// `⌈(o + 1) · size / outputs⌉`: windows of nearly one length that see everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a number is 0 or above 2²⁰.
    pub(super) fn adaptive(op: &'static str, size: usize, outputs: usize) -> Result<Axis, Error> {
        check_size(op, "an image size", size, 1)?;
        check_size(op, "an output size", outputs, 1)?;
        let window = |output: usize| {
            let (size, outputs, output) = (size as u64, outputs as u64, output as u64);
            let begin = (output * size / outputs) as usize;
            let end = ((output + 1) * size).div_ceil(outputs) as usize;
            Window { begin, end, first: begin, count: end - begin }
        };
        Ok(Axis { size, dilation: 1, windows: (0..outputs).map(window).collect() })
    }

    /// Whether there is one window, which looks at all inputs.
    pub(super) fn sees_all(&self) -> bool {
        self.windows.len() == 1 && self.windows[0].count == self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs that each output sees, by the definition.
    fn seen(o: Sliding) -> Vec<Vec<usize>> {
        let extent = (o.kernel - 1) * o.dilation + 1;
        let padded = o.size + 2 * o.padding;
        (0..)
            .map(|output| output * o.stride)
            .take_while(|start| start + extent <= padded)
            .map(|start| {
                let places = (0..o.kernel).map(|k| start + k * o.dilation);
                let inside = places.filter(|&p| p >= o.padding && p < o.padding + o.size);
                inside.map(|p| p - o.padding).collect()
            })
            .collect()
    }

    fn taps(axis: &Axis) -> Vec<Vec<usize>> {
        let taps = |w: &Window| (0..w.count).map(|t| w.first + t * axis.dilation).collect();
        axis.windows.iter().map(taps).collect()
    }

    #[test]
    fn windows_are_those_of_the_definition_and_their_edges_ascend() {
        for size in 1..9 {
            for kernel in 1..6 {
                for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (1, 2), (2, 3), (1, 4)] {
                    let extent = (kernel - 1) * dilation + 1;
                    for padding in 0..=kernel / 2 {
                        let sliding = Sliding { size, kernel, stride, padding, dilation };
                        let axis = sliding.axis("pool");
                        if extent > size + 2 * padding {
                            assert!(axis.is_err(), "{sliding:?}");
                            continue;
                        }
                        let axis = axis.unwrap();
                        assert_eq!(taps(&axis), seen(sliding), "{sliding:?}");
                        let edges = |w: &Window| {
                            let between = w.begin <= w.end && w.end <= size;
                            let last = w.first + w.count.saturating_sub(1) * dilation;
                            between && (w.count == 0 || w.begin <= w.first && last < w.end)
                        };
                        assert!(axis.windows.iter().all(edges), "{sliding:?} {axis:?}");
                        let ascends = |a: &Window, b: &Window| a.begin <= b.begin && a.end <= b.end;
                        assert!(axis.windows.is_sorted_by(ascends), "{sliding:?}");
                        assert_eq!(axis.windows[0].begin, 0);
                    }
                }
            }
        }
    }

    #[test]
    fn adaptive_windows_by_hand() {
        let windows = |size, outputs| taps(&Axis::adaptive("pool", size, outputs).unwrap());
        assert_eq!(windows(5, 3), [vec![0, 1], vec![1, 2, 3], vec![3, 4]]);
        assert_eq!(windows(6, 3), [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(windows(2, 4), [[0], [0], [1], [1]]);
        assert_eq!(windows(3, 1), [[0, 1, 2]]);
    }

    #[test]
    fn impossible_numbers_are_errors() {
        let ok = Sliding { size: 5, kernel: 3, stride: 1, padding: 1, dilation: 1 };
        let error = |sliding: Sliding| sliding.axis("pool").unwrap_err().to_string();
        for (what, huge, zero) in [
            ("an image size", Sliding { size: usize::MAX, ..ok }, Sliding { size: 0, ..ok }),
            ("a kernel size", Sliding { kernel: usize::MAX, ..ok }, Sliding { kernel: 0, ..ok }),
            ("a stride", Sliding { stride: usize::MAX, ..ok }, Sliding { stride: 0, ..ok }),
            ("a dilation", Sliding { dilation: usize::MAX, ..ok }, Sliding { dilation: 0, ..ok }),
        ] {
            assert_eq!(error(zero), format!("pool: {what} must be at least 1, found 0"));
            assert!(error(huge).starts_with(&format!("pool: {what} must be at most 2^20")));
        }
        let padding = Sliding { padding: usize::MAX, ..ok };
        assert!(error(padding).starts_with("pool: a padding must be at most 2^20"));
        assert_eq!(
            error(Sliding { padding: 2, ..ok }),
            "pool: a padding must be at most half of the kernel, found 2 for 3 elements"
        );
        assert_eq!(
            error(Sliding { dilation: 4, ..ok }),
            "pool: the kernel must be no larger than the padded image, found 3 elements at dilation 4 \
             for 5 pixels with 1 of padding at each side"
        );
        let enormous = Sliding { kernel: 1 << 20, dilation: 1 << 20, ..ok };
        assert!(error(enormous).contains("no larger than the padded image"));
        for (size, outputs) in [(0, 1), (1, 0), (usize::MAX, 1), (1, usize::MAX)] {
            assert!(Axis::adaptive("pool", size, outputs).is_err());
        }
    }
}
