//! Which results meet which kernel elements, sorted so that results that meet the same are together.

use super::Conv2d;
use super::geometry::OP;
use crate::Error;

/// Entries of the tables of one direction, and products that meet along one axis. Layouts with tables
/// are for small images, which need far fewer.
const MOST_ENTRIES: usize = 1 << 22;

/// `Ok` if so many entries are no trouble.
fn check(entries: Option<usize>) -> Result<(), Error> {
    match entries {
        Some(entries) if entries <= MOST_ENTRIES => Ok(()),
        _ => Err(Error::Overflow { op: OP, what: "a table of what meets what" }),
    }
}

/// Results that meet the same kernel elements, and where these find what they are multiplied with.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Kernel elements `kh · Kw + kw`, in the order of their sources.
    pub(super) kernels: Vec<usize>,
    /// For each channel of the source and each kernel element: how many pixels its source lies behind
    /// the first source of the first channel.
    pub(super) offsets: Vec<usize>,
    pub(super) results: Vec<Place>,
}

/// A result, and its first source. Both are numbers of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) result: usize,
    pub(super) source: usize,
}

/// Results along an axis that meet the same kernel elements.
struct AxisClass {
    kernels: Vec<usize>,
    /// How far the source of each kernel element lies behind the first.
    steps: Vec<usize>,
    /// Results, each with its first source.
    places: Vec<(usize, usize)>,
}

/// What meets along an axis: a result, a kernel element and a source.
type Meeting = (usize, usize, usize);

/// Outputs as results, inputs as sources.
pub(super) fn forward(geometry: &Conv2d) -> Result<Vec<Class>, Error> {
    check_axes(geometry)?;
    let axes =
        [0, 1].map(|axis| axis_classes(geometry.output_size()[axis], meetings(geometry, axis)));
    let size = geometry.input_size();
    pair(axes, geometry.group_inputs(), size, geometry.output_size()[1], geometry)
}

/// Inputs as results, outputs as sources.
pub(super) fn backward(geometry: &Conv2d) -> Result<Vec<Class>, Error> {
    check_axes(geometry)?;
    let axes = [0, 1].map(|axis| {
        let turned = |(output, kernel, input)| (input, kernel, output);
        let meetings = meetings(geometry, axis).into_iter().map(turned).collect();
        axis_classes(geometry.input_size()[axis], meetings)
    });
    let size = geometry.output_size();
    pair(axes, geometry.group_outputs(), size, geometry.input_size()[1], geometry)
}

/// Sizes whose tables would be enormous are refused before they are begun.
fn check_axes(geometry: &Conv2d) -> Result<(), Error> {
    let kernel = geometry.options().kernel_size;
    for size in [geometry.input_size(), geometry.output_size()] {
        check(size[0].checked_mul(size[1]))?;
        for axis in 0..2 {
            check(size[axis].checked_mul(kernel[axis]))?;
        }
    }
    Ok(())
}

/// All (output, kernel element, input) that meet along an axis.
fn meetings(geometry: &Conv2d, axis: usize) -> Vec<Meeting> {
    let options = geometry.options();
    let (stride, padding) = (options.stride[axis], options.padding[axis]);
    let mut meetings = Vec::new();
    for output in 0..geometry.output_size()[axis] {
        for kernel in 0..options.kernel_size[axis] {
            let padded = output * stride + kernel * options.dilation[axis];
            if (padding..padding + geometry.input_size()[axis]).contains(&padded) {
                meetings.push((output, kernel, padded - padding));
            }
        }
    }
    meetings
}

fn axis_classes(results: usize, meetings: Vec<Meeting>) -> Vec<AxisClass> {
    let mut met = vec![Vec::new(); results];
    for (result, kernel, source) in meetings {
        met[result].push((source, kernel));
    }
    let mut classes: Vec<AxisClass> = Vec::new();
    for (result, mut met) in met.into_iter().enumerate() {
        met.sort_unstable();
        let first = met.first().map_or(0, |&(source, _)| source);
        let kernels: Vec<usize> = met.iter().map(|&(_, kernel)| kernel).collect();
        let place = (result, first);
        match classes.iter_mut().find(|class| class.kernels == kernels) {
            Some(class) => class.places.push(place),
            None => {
                let steps = met.iter().map(|&(source, _)| source - first).collect();
                classes.push(AxisClass { kernels, steps, places: vec![place] });
            }
        }
    }
    classes
}

/// The classes of both axes, each with each.
fn pair(
    [rows, cols]: [Vec<AxisClass>; 2],
    channels: usize,
    [source_height, source_width]: [usize; 2],
    result_width: usize,
    geometry: &Conv2d,
) -> Result<Vec<Class>, Error> {
    let taps = |classes: &[AxisClass]| classes.iter().map(|class| class.kernels.len()).sum();
    let [row_taps, col_taps]: [usize; 2] = [taps(&rows), taps(&cols)];
    check(row_taps.checked_mul(col_taps).and_then(|taps| taps.checked_mul(channels)))?;
    let kernel_width = geometry.options().kernel_size[1];
    let mut classes = Vec::new();
    for row in &rows {
        for col in &cols {
            let taps = || {
                row.kernels
                    .iter()
                    .zip(&row.steps)
                    .flat_map(|row| col.kernels.iter().zip(&col.steps).map(move |col| (row, col)))
            };
            let kernels = taps().map(|((kh, _), (kw, _))| kh * kernel_width + kw).collect();
            let plane = source_height * source_width;
            let offsets = (0..channels)
                .flat_map(|channel| {
                    taps().map(move |((_, h), (_, w))| channel * plane + h * source_width + w)
                })
                .collect();
            let mut results = Vec::with_capacity(row.places.len() * col.places.len());
            for &(result_row, source_row) in &row.places {
                for &(result_col, source_col) in &col.places {
                    results.push(Place {
                        result: result_row * result_width + result_col,
                        source: source_row * source_width + source_col,
                    });
                }
            }
            classes.push(Class { kernels, offsets, results });
        }
    }
    Ok(classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::Conv2dOptions;

    #[test]
    fn without_padding_all_outputs_are_of_one_class() {
        let options = Conv2dOptions { stride: [2, 2], ..Conv2dOptions::new(2, 3, [3, 3]) };
        let geometry = Conv2d::new(options, [7, 9]).unwrap();
        let [class] = &forward(&geometry).unwrap()[..] else { panic!("one class") };
        assert_eq!(class.kernels, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(class.offsets[..9], [0, 1, 2, 9, 10, 11, 18, 19, 20]);
        assert_eq!(class.offsets[9], 63);
        assert_eq!(class.results.len(), 12);
        assert_eq!(class.results[5], Place { result: 5, source: 2 * 9 + 2 });
    }

    /// Every product that the definition names is in the classes once, in both directions.
    #[test]
    fn classes_hold_every_meeting_once() {
        for (stride, padding, dilation) in [(1, 0, 1), (1, 1, 1), (2, 1, 1), (3, 2, 2), (2, 3, 3)] {
            let options = Conv2dOptions {
                stride: [stride, 1],
                padding: [padding, 1],
                dilation: [dilation, 1],
                ..Conv2dOptions::new(2, 3, [3, 2])
            };
            let geometry = Conv2d::new(options, [7, 5]).unwrap();
            let mut found = [Vec::new(), Vec::new()];
            for class in forward(&geometry).unwrap() {
                for place in &class.results {
                    for (&kernel, &offset) in class.kernels.iter().zip(&class.offsets) {
                        found[0].push((place.result, kernel, place.source + offset));
                    }
                }
            }
            for class in backward(&geometry).unwrap() {
                for place in &class.results {
                    for (&kernel, &offset) in class.kernels.iter().zip(&class.offsets) {
                        found[1].push((place.source + offset, kernel, place.result));
                    }
                }
            }
            let mut expected = Vec::new();
            for (ho, kh, h) in meetings(&geometry, 0) {
                for (wo, kw, w) in meetings(&geometry, 1) {
                    let output = ho * geometry.output_size()[1] + wo;
                    expected.push((output, kh * 2 + kw, h * 5 + w));
                }
            }
            expected.sort_unstable();
            for mut found in found {
                found.sort_unstable();
                assert_eq!(found, expected, "{options:?}");
            }
        }
    }

    #[test]
    fn enormous_tables_are_refused_at_once() {
        let refused = |options, size| {
            let geometry = Conv2d::new(options, size).unwrap();
            // One of the directions may be small.
            let error = forward(&geometry).and_then(|_| backward(&geometry)).unwrap_err();
            assert_eq!(error, Error::Overflow { op: OP, what: "a table of what meets what" });
        };
        let plain = Conv2dOptions::new;
        refused(plain(1, 1, [1, 1]), [1 << 20, 1 << 20]);
        refused(plain(1, 1, [1 << 19, 1]), [1 << 20, 1]);
        refused(Conv2dOptions { padding: [99, 99], ..plain(1, 1, [100, 100]) }, [100, 100]);
    }
}
