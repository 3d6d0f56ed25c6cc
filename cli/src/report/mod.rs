//! A training as one web page: a file that needs no other, no script and no network.

mod parts;

use crate::draw::{Drawing, escaped};

/// What a page shows. What is empty or missing is left out.
#[derive(Debug, Default)]
pub(crate) struct Report<'a> {
    pub(crate) title: &'a str,
    /// Steps that were taken; see [`shows`].
    pub(crate) steps: usize,
    /// A sentence below the title: what was trained on what.
    pub(crate) subtitle: &'a str,
    /// How well the network does, by normalisation mode.
    pub(crate) scores: Vec<ScoreRow<'a>>,
    /// Other numbers of the headline: loss, time, images per second.
    pub(crate) numbers: Vec<(&'a str, String)>,
    /// Hints, one paragraph each; what stands between backticks is code.
    pub(crate) notes: Vec<String>,
    pub(crate) loss_chart: Option<&'a Drawing>,
    pub(crate) epochs: Vec<EpochRow>,
    pub(crate) confusion: Option<&'a Drawing>,
    pub(crate) classes: Vec<ClassRow<'a>>,
    pub(crate) mistakes: Option<&'a Drawing>,
    pub(crate) layers: Vec<LayerRow>,
    /// The configuration, as TOML.
    pub(crate) configuration: Option<&'a str>,
    /// Names and values: version, CPU, threads, data set and its checksums.
    pub(crate) environment: Vec<(&'a str, String)>,
}

/// A score by one normalisation mode.
#[derive(Debug)]
pub(crate) struct ScoreRow<'a> {
    /// `batch statistics` or `running statistics`.
    pub(crate) mode: &'a str,
    pub(crate) correct: usize,
    pub(crate) items: usize,
}

/// An epoch; accuracies are from 0 to 1.
#[derive(Debug)]
pub(crate) struct EpochRow {
    pub(crate) epoch: usize,
    pub(crate) mean_loss: f64,
    pub(crate) batch_accuracy: Option<f64>,
    pub(crate) running_accuracy: Option<f64>,
    /// None if the log does not say it.
    pub(crate) seconds: Option<f64>,
    pub(crate) images_per_second: Option<f64>,
}

/// A class and how well it is told from the others, from 0 to 1; none where nothing is divided by nothing.
#[derive(Debug)]
pub(crate) struct ClassRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) items: u64,
    pub(crate) precision: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) f1: Option<f64>,
}

/// A layer, as the network's file names it.
#[derive(Debug)]
pub(crate) struct LayerRow {
    pub(crate) name: String,
    pub(crate) output: String,
    pub(crate) parameters: usize,
}

/// The page.
pub(crate) fn html(report: &Report<'_>) -> String {
    let title = escaped(report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n{}{}\n<title>{title}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n",
        include_str!("head.html"),
        mark(report.steps),
        include_str!("style.css"),
    );
    if !report.subtitle.is_empty() {
        page += &format!("<p>{}</p>\n", escaped(report.subtitle));
    }
    page += "</header>\n";
    page += &parts::headline(report);
    page += &parts::figure("Loss and accuracy", report.loss_chart);
    page += &parts::epochs(&report.epochs);
    page += &parts::figure("Confusion matrix", report.confusion);
    page += &parts::classes(&report.classes);
    page += &parts::figure("Most wrong", report.mistakes);
    page += &parts::layers(&report.layers);
    page += &parts::configuration(report.configuration);
    page += &parts::environment(&report.environment);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Whether a page is the report of a training that has taken so many steps.
pub(crate) fn shows(page: &str, steps: usize) -> bool {
    page.contains(&mark(steps))
}

fn mark(steps: usize) -> String {
    format!("<meta name=\"steps\" content=\"{steps}\"/>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{LossChart, confusion, loss_chart};

    const NAME: &str = "<script>alert('1')</script> & \"more\"";

    /// The page is XML too, but for its first line and the tags of its head, which have no end.
    fn well_formed(page: &str) {
        let head = include_str!("head.html");
        let xml = page.replacen("<!DOCTYPE html>", "", 1).replace(head, "");
        roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{page}"));
    }

    #[test]
    fn everything_is_escaped_and_nothing_fetched() {
        let losses = LossChart { title: NAME, losses: &[0.5], epoch_ends: &[], accuracies: &[] };
        let report = Report {
            title: NAME,
            steps: 12,
            subtitle: NAME,
            scores: vec![ScoreRow { mode: NAME, correct: 9784, items: 10000 }],
            numbers: vec![(NAME, NAME.to_owned())],
            notes: vec![NAME.to_owned()],
            loss_chart: Some(&loss_chart(&losses)),
            epochs: vec![EpochRow {
                epoch: 1,
                mean_loss: f64::NAN,
                batch_accuracy: Some(0.9784),
                running_accuracy: None,
                seconds: Some(0.5),
                images_per_second: Some(120000.4),
            }],
            confusion: Some(&confusion(&[vec![1]], &[NAME.to_owned()], NAME)),
            classes: vec![ClassRow {
                name: NAME,
                items: 1000,
                precision: None,
                recall: Some(1.0),
                f1: Some(0.5),
            }],
            mistakes: None,
            layers: vec![LayerRow { name: NAME.into(), output: "[1, 2]".into(), parameters: 3720 }],
            configuration: Some(NAME),
            environment: vec![(NAME, NAME.to_owned())],
        };
        let page = html(&report);
        well_formed(&page);
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        let plain = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for fetch in ["http:", "https:", "//", "@import", "url(", "src=\"", "<link"] {
            assert!(!plain.contains(fetch), "{fetch}");
        }
        for text in ["97.84 %", "9,784 of 10,000", "120,000", "3,720", "<td>–</td>"] {
            assert!(page.contains(text), "{text}\n{page}");
        }
    }

    #[test]
    fn what_is_missing_is_left_out() {
        let page = html(&Report { title: "a run", steps: 12, ..Report::default() });
        well_formed(&page);
        assert!(shows(&page, 12) && !shows(&page, 1) && !shows(&page, 120));
        assert!(page.contains("<h1>a run</h1>"));
        for part in ["<section", "<table", "<svg", "<p"] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn two_modes_are_explained() {
        let row = |mode, correct| ScoreRow { mode, correct, items: 10000 };
        let scores = vec![row("batch statistics", 9784), row("running statistics", 9587)];
        let report = Report { title: "a run", scores, ..Report::default() };
        assert!(html(&report).contains("Why two accuracies?"));
        let one = Report { scores: vec![row("running statistics", 9587)], ..Report::default() };
        assert!(!html(&one).contains("Why two accuracies?"));
        let one = Report { notes: vec!["see `loupe <x>`".into()], ..one };
        assert!(html(&one).contains("<p>see <code>loupe &lt;x&gt;</code></p>"));
        let none = Report { scores: vec![ScoreRow { mode: "", correct: 0, items: 0 }], ..one };
        assert!(html(&none).contains("–"));
    }
}
