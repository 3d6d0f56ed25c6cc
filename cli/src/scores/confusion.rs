//! The confusion matrix as text.

use crate::output::Output;
use loupe_model::ConfusionMatrix;

/// A matrix that would be wider is not printed.
const WIDTH: usize = 100;

/// Pairs of classes that are listed instead.
const PAIRS: usize = 20;

/// Column heads of more characters are replaced by numbers.
const LONG: usize = 5;

/// Prints the matrix under a heading that ends in `by`; where there are too many classes for a line, the pairs that are
/// confused most often.
pub(crate) fn print_confusion(
    output: &mut Output,
    matrix: &ConfusionMatrix,
    names: &[String],
    by: &str,
) {
    let numbered = names.iter().any(|name| name.chars().count() > LONG);
    let heads: Vec<String> = match numbered {
        true => (0..names.len()).map(|class| class.to_string()).collect(),
        false => names.to_vec(),
    };
    let labels: Vec<String> = match numbered {
        true => heads.iter().zip(names).map(|(head, name)| format!("{head:>2} {name}")).collect(),
        false => names.to_vec(),
    };
    let counts = matrix.rows().flatten().map(u64::to_string);
    let cell = widest(counts.chain(heads.iter().cloned())) + 1;
    let label = widest(labels.iter().cloned());
    if label + cell * heads.len() > WIDTH {
        print_pairs(output, matrix, names, by);
        return;
    }
    output.line(format_args!("\nwhich class is taken for which{by}: a row is a true class"));
    let head: String = heads.iter().map(|head| format!("{head:>cell$}")).collect();
    output.line(format_args!("{:label$}{head}", ""));
    for (name, row) in labels.iter().zip(matrix.rows()) {
        let count = |&count: &u64| match count {
            0 => format!("{:>cell$}", "·"),
            _ => format!("{count:>cell$}"),
        };
        let counts: String = row.iter().map(count).collect();
        output.line(format_args!("{name:label$}{counts}"));
    }
}

fn print_pairs(output: &mut Output, matrix: &ConfusionMatrix, names: &[String], by: &str) {
    output.line(format_args!("\nclasses that are taken for others most often{by}"));
    let pairs = matrix.confused(PAIRS);
    if pairs.is_empty() {
        output.line(format_args!("  none"));
    }
    for (label, predicted, count) in pairs {
        output.line(format_args!("{count:>7}  {} → {}", names[label], names[predicted]));
    }
}

fn widest(texts: impl Iterator<Item = String>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}
