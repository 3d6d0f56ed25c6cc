//! The sections of the page.

use super::{ClassRow, EpochRow, LayerRow, Report};
use crate::draw::{Drawing, escaped};
use crate::output::Thousands;

const WHY_TWO: &str = "<strong>Why two accuracies?</strong> A batch normalisation takes mean and variance \
    either from the images at hand (batch statistics; here each image is a batch of its own) or from averages \
    kept during training (running statistics). The smaller the batches of the training, the worse the averages \
    describe a single image.";

pub(super) fn headline(report: &Report<'_>) -> String {
    if report.scores.is_empty() && report.numbers.is_empty() && report.notes.is_empty() {
        return String::new();
    }
    let mut cards = String::new();
    for score in &report.scores {
        let share = score.correct as f64 / score.items as f64;
        let (mode, value) = (escaped(score.mode), percent(Some(share)));
        let (correct, items) = (Thousands(score.correct), Thousands(score.items));
        cards += &format!(
            "<div class=\"card score\"><dt>{mode}</dt><dd>{value}</dd>\
             <dd class=\"small\">{correct} of {items}</dd></div>\n"
        );
    }
    for (name, value) in &report.numbers {
        let (name, value) = (escaped(name), escaped(value));
        cards += &format!("<div class=\"card\"><dt>{name}</dt><dd>{value}</dd></div>\n");
    }
    let mut html = String::from("<section>\n");
    if !cards.is_empty() {
        html += &format!("<dl class=\"cards\">\n{cards}</dl>\n");
    }
    if let [first, second, ..] = report.scores.as_slice()
        && first.correct != second.correct
    {
        html += &format!("<p>{WHY_TWO}</p>\n");
    }
    for note in &report.notes {
        html += &format!("<p>{}</p>\n", with_code(note));
    }
    html + "</section>\n"
}

/// Text in which what stands between backticks is code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(i, part)| match i % 2 {
            0 => escaped(part),
            _ => format!("<code>{}</code>", escaped(part)),
        })
        .collect()
}

/// A drawing, which scrolls where the page is too narrow to read it.
pub(super) fn figure(title: &str, drawing: Option<&Drawing>) -> String {
    let Some(drawing) = drawing else { return String::new() };
    section(title, &format!("<figure class=\"scroll\">\n{}</figure>\n", drawing.to_svg()))
}

pub(super) fn epochs(epochs: &[EpochRow]) -> String {
    let heads =
        ["epoch", "mean loss", "batch statistics", "running statistics", "time", "images/s"];
    let rows = epochs.iter().map(|row| {
        let shown = |text: Option<String>| text.unwrap_or("–".to_owned());
        let images = row.images_per_second;
        vec![
            row.epoch.to_string(),
            format!("{:.4}", row.mean_loss),
            percent(row.batch_accuracy),
            percent(row.running_accuracy),
            shown(row.seconds.map(|seconds| format!("{seconds:.2} s"))),
            shown(images.map(|images| Thousands(images.round() as usize).to_string())),
        ]
    });
    table("Epochs", &heads, rows)
}

pub(super) fn classes(classes: &[ClassRow<'_>]) -> String {
    let rows = classes.iter().map(|row| {
        vec![
            row.name.to_owned(),
            percent(row.precision),
            percent(row.recall),
            percent(row.f1),
            Thousands(usize::try_from(row.items).unwrap_or(usize::MAX)).to_string(),
        ]
    });
    table("Classes", &["class", "precision", "recall", "F1", "items"], rows)
}

pub(super) fn layers(layers: &[LayerRow]) -> String {
    let total: usize = layers.iter().map(|row| row.parameters).sum();
    let total = [String::from("all"), String::new(), Thousands(total).to_string()];
    let row = |row: &LayerRow| {
        vec![row.name.clone(), row.output.clone(), Thousands(row.parameters).to_string()]
    };
    let total = (!layers.is_empty()).then(|| total.to_vec());
    table("Network", &["layer", "output", "parameters"], layers.iter().map(row).chain(total))
}

pub(super) fn configuration(toml: Option<&str>) -> String {
    let Some(toml) = toml else { return String::new() };
    let toml = escaped(toml.trim_end());
    section("Configuration", &format!("<pre class=\"scroll\"><code>{toml}\n</code></pre>\n"))
}

pub(super) fn environment(values: &[(&str, String)]) -> String {
    if values.is_empty() {
        return String::new();
    }
    let row = |(name, value): &(&str, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value))
    };
    let rows: String = values.iter().map(row).collect();
    section(
        "Environment",
        &format!(
            "<div class=\"scroll\">\n<table class=\"names\">\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        ),
    )
}

/// A table whose first column names the rows.
fn table(title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut body = String::new();
    for row in rows {
        body += "<tr>";
        for (i, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            match i {
                0 => body += &format!("<th scope=\"row\">{cell}</th>"),
                _ => body += &format!("<td>{cell}</td>"),
            }
        }
        body += "</tr>\n";
    }
    if body.is_empty() {
        return String::new();
    }
    let heads: String =
        heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escaped(head))).collect();
    section(
        title,
        &format!(
            "<div class=\"scroll\">\n<table>\n<thead><tr>{heads}</tr></thead>\n\
             <tbody>\n{body}</tbody>\n</table>\n</div>\n"
        ),
    )
}

fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escaped(title))
}

fn percent(share: Option<f64>) -> String {
    match share {
        Some(share) if share.is_finite() => format!("{:.2} %", share * 100.0),
        _ => "–".to_owned(),
    }
}
