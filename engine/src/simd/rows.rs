//! Loops down the columns of a matrix, 16 columns at a time.

use super::{Kernel, LANES, Simd};

/// Rows that are summed into one accumulator before it is added to the total, so that rounding
/// errors grow with `rows / 64 + 64` instead of `rows`.
const BLOCK: usize = 64;

/// Sums terms over the rows of matrices: `outputs[a][c] = Σᵣ f(inputs in row r, column c)[a]`.
///
/// An input is a slice and the distance between the beginnings of its rows; distance 0 repeats one
/// row. The number of columns is the outputs' length. The sum of no rows is 0.
///
/// # Panics
/// If the outputs differ in length or an input ends before its last row does.
#[inline(always)]
pub(crate) fn column_sums<S: Simd, const I: usize, const A: usize>(
    simd: S,
    rows: usize,
    inputs: [(&[f32], usize); I],
    outputs: [&mut [f32]; A],
    f: impl Fn([S::Vector; I]) -> [S::Vector; A],
) {
    let columns = outputs[0].len();
    assert!(outputs.iter().all(|output| output.len() == columns), "outputs of one length");
    for (input, stride) in inputs {
        let end = rows.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(columns));
        assert!(rows == 0 || end.is_some_and(|end| end <= input.len()), "inputs of all rows");
    }
    let inputs = inputs.map(|(input, stride)| (input.as_ptr(), stride));
    let targets = outputs.map(|output| output.as_mut_ptr());
    // Vectors side by side: their sums are chains of additions that do not wait for each other.
    let wide = match A {
        1 => 4,
        2 => 2,
        _ => 1,
    };
    let mut first = 0;
    while first < columns {
        let left = columns - first;
        // SAFETY: first + the step's columns ≤ columns, which is the length of every output; and
        // (rows - 1) · stride + columns lies within each input, as asserted above; without rows none is read.
        first += unsafe {
            match wide {
                4 if left >= 4 * LANES => {
                    step::<S, I, A, 4>(simd, rows, inputs, targets, [first, LANES], &f)
                }
                2 if left >= 2 * LANES => {
                    step::<S, I, A, 2>(simd, rows, inputs, targets, [first, LANES], &f)
                }
                _ => step::<S, I, A, 1>(simd, rows, inputs, targets, [first, LANES.min(left)], &f),
            }
        };
    }
}

/// [`column_sums`] of V vectors from column `first` on, of which the first `width` lanes are used; all of
/// them if there are several vectors. Returns the number of columns.
///
/// # Safety
/// Each input is valid for reading, and each target for writing, of these columns; inputs in all rows.
#[inline(always)]
unsafe fn step<S: Simd, const I: usize, const A: usize, const V: usize>(
    simd: S,
    rows: usize,
    inputs: [(*const f32, usize); I],
    targets: [*mut f32; A],
    [first, width]: [usize; 2],
    f: &impl Fn([S::Vector; I]) -> [S::Vector; A],
) -> usize {
    let mut x = [simd.zero(); I];
    let mut totals = [[simd.zero(); A]; V];
    for block in (0..rows).step_by(BLOCK) {
        let mut sums = [[simd.zero(); A]; V];
        for row in block..rows.min(block + BLOCK) {
            for v in 0..V {
                for (n, (input, stride)) in inputs.into_iter().enumerate() {
                    // SAFETY: the caller promises these columns of the row.
                    x[n] = unsafe {
                        let from = input.add(row * stride + first + v * LANES);
                        if width == LANES { simd.load(from) } else { simd.load_first(from, width) }
                    };
                }
                let terms = f(x);
                for a in 0..A {
                    sums[v][a] = simd.add(sums[v][a], terms[a]);
                }
            }
        }
        for v in 0..V {
            for a in 0..A {
                totals[v][a] = simd.add(totals[v][a], sums[v][a]);
            }
        }
    }
    for v in 0..V {
        for a in 0..A {
            // SAFETY: the caller promises these columns.
            unsafe {
                let to = targets[a].add(first + v * LANES);
                if width == LANES {
                    simd.store(totals[v][a], to);
                } else {
                    simd.store_first(totals[v][a], to, width);
                }
            }
        }
    }
    (V - 1) * LANES + width
}

/// [`column_sums`] of matrices themselves, whose rows begin `stride` floats apart.
pub(crate) struct SumRows<'a, const A: usize> {
    pub(crate) rows: usize,
    pub(crate) stride: usize,
    pub(crate) matrices: [&'a [f32]; A],
    pub(crate) outputs: [&'a mut [f32]; A],
}

impl<const A: usize> Kernel for SumRows<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let inputs = self.matrices.map(|matrix| (matrix, self.stride));
        column_sums(
            simd,
            self.rows,
            inputs,
            self.outputs,
            #[inline(always)]
            |x| x,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    /// Sums and weighted sums of the columns of a matrix whose rows have a gap of one NaN.
    struct Case {
        rows: usize,
        columns: usize,
    }

    impl Kernel for Case {
        type Output = [Vec<f32>; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [Vec<f32>; 2] {
            let Case { rows, columns } = self;
            let stride = columns + 1;
            let mut x: Vec<f32> = (0..rows * stride).map(|i| (i % 7) as f32 - 2.0).collect();
            x.iter_mut().skip(columns).step_by(stride).for_each(|gap| *gap = f32::NAN);
            let weight: Vec<f32> = (0..columns).map(|c| c as f32).collect();
            let mut sums = vec![f32::NAN; columns];
            let mut weighted = sums.clone();
            let mut alone = sums.clone();
            column_sums(simd, rows, [(&x, stride)], [&mut alone], |x| x);
            let outputs = [&mut sums[..], &mut weighted[..]];
            column_sums(simd, rows, [(&x, stride), (&weight, 0)], outputs, |[x, w]| {
                [x, simd.mul(x, w)]
            });
            assert_eq!(alone, sums, "one output and two");
            [sums, weighted]
        }
    }

    #[test]
    fn sums_of_whole_numbers_are_exact() {
        for isa in Isa::available() {
            for rows in [0, 1, 2, 63, 64, 65, 200] {
                for columns in [0, 1, 15, 16, 17, 40, 64, 150] {
                    let [sums, weighted] = isa.run(Case { rows, columns });
                    for c in 0..columns {
                        let expected: f32 =
                            (0..rows).map(|r| ((r * (columns + 1) + c) % 7) as f32 - 2.0).sum();
                        assert_eq!(sums[c], expected, "{isa:?} {rows} {columns}");
                        assert_eq!(weighted[c], c as f32 * expected, "{isa:?} {rows} {columns}");
                    }
                }
            }
        }
    }

    struct Short(usize, usize);

    impl Kernel for Short {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            column_sums(simd, self.0, [(&[0.0; 19], self.1)], [&mut [0.0; 10]], |x| x);
        }
    }

    #[test]
    #[should_panic(expected = "inputs of all rows")]
    fn an_input_that_ends_too_early_is_refused() {
        Isa::best().run(Short(2, 10));
    }

    #[test]
    #[should_panic(expected = "inputs of all rows")]
    fn a_position_that_overflows_is_refused() {
        Isa::best().run(Short(4, usize::MAX / 2));
    }
}
