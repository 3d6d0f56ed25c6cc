//! What `info` and `verify` both show.

use super::contents::{Contents, Kind};
use crate::output::{Output, Thousands};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Characters of the longest bar.
const BAR: usize = 30;

/// Prints the headline and the files.
pub(super) fn print_files(output: &mut Output, folder: &Path, contents: &Contents) {
    let what = match (contents.kind, contents.is(), contents.known) {
        (_, Some(set), _) => format!("{}, as published", set.title),
        (_, None, Some((set, belong))) => {
            let count = belong.iter().filter(|belongs| **belongs).count();
            format!("{count} of the 4 files of {}", set.title)
        }
        (Kind::Idx, None, None) => "no set with a known checksum".into(),
        (Kind::Pictures { resized: false }, ..) => "folders of pictures".into(),
        (Kind::Pictures { resized: true }, ..) => {
            "folders of pictures of several sizes; what follows is of pictures brought to that of the first".into()
        }
    };
    output.line(format_args!("{}: {what}", folder.display()));
    for file in contents.files.iter().flatten() {
        let dims: Vec<String> = file.dims.iter().map(|dim| Thousands(*dim).to_string()).collect();
        let packed = if file.found.packed.is_some() {
            format!(", {} unpacked", Thousands(file.unpacked_bytes))
        } else {
            String::new()
        };
        output.line(format_args!(
            "  {:<27}{:>16}  {:>11} bytes{packed}",
            file.name(),
            dims.join(" × "),
            Thousands(file.bytes as usize).to_string(),
        ));
    }
}

/// Prints how many images each class has in each split; with a bar for all of them if `bars`.
pub(super) fn print_classes(output: &mut Output, contents: &Contents, bars: bool) {
    let splits: Vec<(&str, Vec<usize>)> =
        contents.splits().map(|(name, data)| (name, data.class_counts())).collect();
    if splits.is_empty() {
        return;
    }
    let names = &contents.classes;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let row = |name: &str, cells: &[String], bar: &str| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>9}")).collect();
        format!("  {name:<width$}{cells}  {bar}").trim_end().to_owned()
    };
    let heads: Vec<String> = splits.iter().map(|(name, _)| (*name).to_owned()).collect();
    output.line(format_args!("{}", row("class", &heads, "")));
    let total = |class: usize| splits.iter().map(|(_, counts)| counts[class]).sum::<usize>();
    let most = (0..names.len()).map(total).max().unwrap_or(0);
    for (class, name) in names.iter().enumerate() {
        let cells: Vec<String> =
            splits.iter().map(|(_, counts)| Thousands(counts[class]).to_string()).collect();
        let bar = if bars { bar(total(class), most) } else { String::new() };
        output.line(format_args!("{}", row(name, &cells, &bar)));
    }
    let sums: Vec<String> = splits
        .iter()
        .map(|(_, counts)| Thousands(counts.iter().sum::<usize>()).to_string())
        .collect();
    output.line(format_args!("{}", row("all", &sums, "")));
}

/// A bar of eighths of characters, the longest for `most`.
fn bar(count: usize, most: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let length = (count as f64 / most.max(1) as f64 * (BAR * 8) as f64).round() as usize;
    "█".repeat(length / 8) + EIGHTHS[length % 8]
}

/// The size of the images and the statistics of their pixels.
pub(super) fn pixels(contents: &Contents) -> Option<String> {
    let (name, data) = contents.splits().next()?;
    let statistics = data.pixel_statistics();
    Some(format!(
        "{} × {} pixels, x / 255 of mean {:.4} and standard deviation {:.4} ({name})",
        data.height(),
        data.width(),
        statistics.mean,
        statistics.deviation,
    ))
}

/// The same as a JSON object.
pub(super) fn to_json(folder: &Path, contents: &Contents) -> Map<String, Value> {
    let mut report = Map::new();
    report.insert("folder".into(), folder.display().to_string().into());
    let kind = match contents.kind {
        Kind::Idx => "idx",
        Kind::Pictures { .. } => "pictures",
    };
    report.insert("kind".into(), kind.into());
    report.insert("known".into(), contents.is().map(|set| set.name).into());
    let files = contents.files.iter().flatten().map(|file| {
        json!({
            "name": file.name(),
            "bytes": file.bytes,
            "unpacked_bytes": file.unpacked_bytes,
            "dims": file.dims,
            "sha256": file.found.unpacked,
            "packed_sha256": file.found.packed,
        })
    });
    report.insert("files".into(), files.collect());
    report.insert("classes".into(), contents.classes.clone().into());
    let splits: Map<String, Value> = contents
        .splits()
        .map(|(name, data)| {
            let statistics = data.pixel_statistics();
            let split = json!({
                "images": data.len(),
                "height": data.height(),
                "width": data.width(),
                "class_counts": data.class_counts(),
                "mean": statistics.mean,
                "deviation": statistics.deviation,
            });
            (name.to_owned(), split)
        })
        .collect();
    report.insert("splits".into(), splits.into());
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(7, 7), "█".repeat(BAR));
        assert_eq!(bar(1, 2), "█".repeat(BAR / 2));
        assert_eq!(bar(1, BAR * 8), "▏");
        assert_eq!(bar(15, BAR * 8), "█▉");
    }
}
