//! Many values as few columns.

/// What lies in one column of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    /// The middle of its values' places, the first of which is 1.
    pub(super) place: f64,
    pub(super) lowest: f64,
    /// A tenth of the values is below.
    pub(super) low: f64,
    /// A tenth of the values is above.
    pub(super) high: f64,
    pub(super) highest: f64,
    sum: f64,
    count: usize,
}

/// The values in at most `limit` columns of nearly equal size. What is not finite is left out, and so
/// are columns of nothing else.
pub(super) fn columns(values: &[f32], limit: usize) -> Vec<Column> {
    let count = values.len().min(limit);
    let bound = |i: usize| (values.len() as u128 * i as u128 / count as u128) as usize;
    (0..count).filter_map(|i| column(values, bound(i)..bound(i + 1))).collect()
}

fn column(values: &[f32], range: std::ops::Range<usize>) -> Option<Column> {
    let place = (range.start + 1 + range.end) as f64 / 2.0;
    let mut values: Vec<f32> =
        values[range].iter().copied().filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| f64::from(values[(last as f64 * share).round() as usize]);
    Some(Column {
        place,
        lowest: at(0.0),
        low: at(0.1),
        high: at(0.9),
        highest: at(1.0),
        sum: values.iter().map(|&value| f64::from(value)).sum(),
        count: values.len(),
    })
}

/// The mean of each column and its `radius` neighbours on either side, at its place.
pub(super) fn smoothed(columns: &[Column], radius: usize) -> Vec<(f64, f64)> {
    let mean = |i: usize| {
        let around = &columns[i.saturating_sub(radius)..(i + radius + 1).min(columns.len())];
        let sum: f64 = around.iter().map(|column| column.sum).sum();
        sum / around.iter().map(|column| column.count).sum::<usize>() as f64
    };
    columns.iter().enumerate().map(|(i, column)| (column.place, mean(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_columns_of_their_own() {
        let columns = columns(&[3.0, 1.0], 10);
        assert_eq!(columns.len(), 2);
        let Column { place, lowest, low, high, highest, .. } = columns[1];
        assert_eq!((place, lowest, low, high, highest), (2.0, 1.0, 1.0, 1.0, 1.0));
        assert_eq!(smoothed(&columns, 0), [(1.0, 3.0), (2.0, 1.0)]);
        assert_eq!(smoothed(&columns, 1), [(1.0, 2.0), (2.0, 2.0)]);
    }

    #[test]
    fn many_values_are_ranges() {
        let values: Vec<f32> = (0..1000).map(|i| ((i * 7) % 100) as f32).collect();
        let columns = columns(&values, 10);
        assert_eq!(columns.len(), 10);
        for (i, column) in columns.iter().enumerate() {
            assert_eq!(column.place, i as f64 * 100.0 + 50.5);
            assert_eq!((column.lowest, column.low), (0.0, 10.0));
            assert_eq!((column.high, column.highest), (89.0, 99.0));
        }
        assert!(smoothed(&columns, 2).iter().all(|&(_, mean)| mean == 49.5));
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        assert_eq!(columns(&[], 10), []);
        let columns = columns(&[f32::NAN, 2.0, f32::INFINITY, f32::NAN], 2);
        assert_eq!(columns.len(), 1);
        assert_eq!(smoothed(&columns, 5), [(1.5, 2.0)]);
    }
}
