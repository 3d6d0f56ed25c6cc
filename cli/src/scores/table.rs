//! Precision, recall and F1 of every class, the modes side by side.

use super::Judgement;
use crate::output::Output;
use loupe_model::ConfusionMatrix;

/// Prints the table of the modes that are defined, with the mean loss below.
pub(crate) fn print_classes(
    output: &mut Output,
    judgements: &[Judgement],
    names: &[String],
    loss: &str,
) {
    let (mut headings, mut losses, mut matrices) = (String::new(), String::new(), Vec::new());
    for judgement in judgements {
        let Ok(judged) = &judgement.result else { continue };
        let mode = judgement.mode.map_or(String::new(), |mode| mode.to_string());
        headings += &format!("  {mode:>27}");
        losses += &format!("  {:>27}", format!("{:.4}", judged.mean_loss));
        matrices.push(judged.classification.confusion());
    }
    let Some(first) = matrices.first() else { return };
    let loss = format!("mean loss ({loss})");
    let labels = names.iter().map(|name| name.chars().count());
    let width = labels.chain([loss.len()]).max().unwrap_or(0);
    if !headings.trim().is_empty() {
        output.line(format_args!("{:width$} {:>7}{headings}", "", ""));
    }
    let columns = format!("  {:>9} {:>8} {:>8}", "precision", "recall", "F1");
    output.line(format_args!(
        "{:width$} {:>7}{}",
        "class",
        "items",
        columns.repeat(matrices.len())
    ));
    for (class, name) in names.iter().enumerate() {
        let of = |matrix: &ConfusionMatrix| {
            [matrix.precision(class), matrix.recall(class), matrix.f1(class)]
        };
        let numbers: String = matrices.iter().map(|matrix| columns_of(of(matrix))).collect();
        output.line(format_args!("{name:width$} {:>7}{numbers}", first.items(class)));
    }
    let averages = |matrix: &ConfusionMatrix| {
        let averages = matrix.averages();
        let numbers = averages.map(|mean| [mean.precision, mean.recall, mean.f1].map(Some));
        columns_of(numbers.unwrap_or([None; 3]))
    };
    let numbers: String = matrices.iter().map(averages).collect();
    output.line(format_args!("{:width$} {:>7}{numbers}", "mean of classes", first.score().items));
    output.line(format_args!("{loss:width$} {:>7}{losses}", ""));
}

/// Precision, recall and F1, or a dash for what is not defined.
fn columns_of(numbers: [Option<f64>; 3]) -> String {
    let [precision, recall, f1] =
        numbers.map(|number| number.map_or("–".to_owned(), |number| format!("{number:.4}")));
    format!("  {precision:>9} {recall:>8} {f1:>8}")
}
