//! What there is to see, as PNG files.

use super::view::{Seen, View, maps, times};
use crate::draw::{self, Rgb, Tile};
use crate::maps::{Scale, number, range};
use loupe_model::Layer;
use loupe_model::trace::{NormStatistics, Range};

/// A grid shows so many pictures at most.
const TILES: usize = 1024;
/// A picture of a grid is about so many pixels wide.
const WIDTH: usize = 120;

/// File names and files, in order.
pub(super) fn all(view: &View<'_>) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("input.png".to_owned(), input(view))];
    let last = view.network.spec().layers.len().saturating_sub(1).to_string().len();
    for seen in view.layers() {
        let Seen { path, layer, .. } = &seen;
        let kind = layer.to_string();
        let kind = kind.split('(').next().unwrap_or_default();
        let name = |what: &str| format!("layer-{}-{kind}{what}.png", padded(path, last));
        match layer {
            Layer::View(_) | Layer::Flatten(_) => continue,
            Layer::Conv2d(_) => files.push((name("-kernels"), kernels(view, &seen))),
            _ => {}
        }
        let picture = match &seen.after.statistics {
            Some(statistics) => norm(&seen, statistics),
            None => feature_maps(&seen),
        };
        files.push((name(""), picture));
    }
    files.push(("gradient.png".into(), gradient(view)));
    files.into_iter().map(|(name, picture)| (name, picture.to_png())).collect()
}

/// The path with its first number so many digits long, so that names sort in the order of the layers.
fn padded(path: &str, digits: usize) -> String {
    let number = path.split('.').next().unwrap_or_default().len();
    "0".repeat(digits.saturating_sub(number)) + path
}

fn tile(picture: Rgb, caption: String) -> Tile {
    Tile { picture, caption, accent: None }
}

/// The grid, and in its title how many tiles it does not show.
fn grid(mut tiles: Vec<Tile>, columns: usize, width: usize, title: &str, count: usize) -> Rgb {
    tiles.truncate(TILES);
    let title = match count > tiles.len() {
        true => format!("{title}; the first {} of {count}", tiles.len()),
        false => title.to_owned(),
    };
    draw::grid(&tiles, columns, (WIDTH / width).clamp(1, 40), &title)
}

fn input(view: &View<'_>) -> Rgb {
    let size = view.picked.size();
    let picture = Scale::Grey(1.0).picture(&view.trace.inputs, size);
    let scale = (280 / size[1]).max(1);
    draw::grid(&[tile(picture, times(&view.network.spec().input))], 1, scale, &view.title())
}

/// A row for each kernel: what it wants to see of each map.
fn kernels(view: &View<'_>, seen: &Seen<'_>) -> Rgb {
    let name = format!("{}.weight", seen.path);
    let (info, weights) = view
        .network
        .tensors()
        .find(|(info, _)| info.name == name)
        .expect("a convolution has a weight");
    let (depth, size) = (info.shape[1], [info.shape[2], info.shape[3]]);
    let scale = Scale::of(weights);
    let planes = weights.chunks_exact(size[0] * size[1]).enumerate().take(TILES);
    let caption = |plane: usize| match depth {
        1 => format!("kernel {plane}"),
        _ => format!("{} on {}", plane / depth, plane % depth),
    };
    let tiles = planes.map(|(i, plane)| tile(scale.picture(plane, size), caption(i))).collect();
    let columns = if depth == 1 { 5 } else { depth.min(32) };
    let what = if depth == 1 { "kernels" } else { "kernels on maps" };
    let title = format!("{}: {what}, weights {}", seen.layer, range(&Range::of(weights)));
    let width = if depth == 1 { size[1] } else { size[1] * 2 };
    grid(tiles, columns, width, &title, info.shape[0] * depth)
}

fn feature_maps(seen: &Seen<'_>) -> Rgb {
    let (count, size) = maps(&seen.after.shape);
    let output = &seen.after.output;
    let scale = Scale::of(output);
    let title = format!("{}: {}", seen.layer, range(&Range::of(output)));
    if seen.after.shape.len() < 2 {
        return vector(seen, scale, &title);
    }
    let tiles = output.chunks_exact(size[0] * size[1]).take(TILES).enumerate();
    let caption = |map: usize, values: &[f32]| {
        let Range { min, max, .. } = Range::of(values);
        format!("{map}: {} to {}", number(min), number(max))
    };
    let tiles = tiles
        .map(|(map, values)| tile(scale.picture(values, size), caption(map, values)))
        .collect();
    grid(tiles, 5, size[1], &title, count)
}

/// Values without axes of an image: a tile for each of few, rows of a strip for many.
fn vector(seen: &Seen<'_>, scale: Scale, title: &str) -> Rgb {
    let output = &seen.after.output;
    if output.len() <= 32 {
        let value = |(i, &value): (usize, &f32)| {
            tile(scale.picture(&[value], [1, 1]), format!("{i}: {}", number(value)))
        };
        let tiles: Vec<Tile> = output.iter().enumerate().map(value).collect();
        return draw::grid(&tiles, 10, 48, title);
    }
    let columns = output.len().isqrt().max(25).min(output.len());
    let rows: Vec<Tile> = output
        .chunks(columns)
        .enumerate()
        .map(|(row, values)| {
            let picture = scale.picture(values, [1, values.len()]);
            tile(picture, format!("from {}", row * columns))
        })
        .collect();
    let count = rows.len();
    grid(rows, 1, 6, title, count)
}

/// Each map before and after a normalisation.
fn norm(seen: &Seen<'_>, statistics: &NormStatistics) -> Rgb {
    let title = format!("{}: before and after", seen.layer);
    let (before, after) = (seen.input, &seen.after.output[..]);
    let scales = [Scale::of(before), Scale::of(after)];
    let shape = &seen.after.shape;
    let (count, size) = match shape.len() {
        0 | 1 => {
            let columns = shape.first().copied().unwrap_or(1);
            (1, [1, columns])
        }
        _ => maps(shape),
    };
    let len = size[0] * size[1];
    let mut tiles = Vec::new();
    let parts = before.chunks_exact(len).zip(after.chunks_exact(len)).take(TILES / 2);
    for (map, (before, after)) in parts.enumerate() {
        // A channel of a BatchNorm2d has statistics of its own; so has a run of a LayerNorm if it is one map.
        let caption = match statistics.mean.len() == count {
            true => format!(
                "{map}: mean {}, variance {}",
                number(statistics.mean[map]),
                number(statistics.variance[map])
            ),
            false => format!("{map}: before"),
        };
        tiles.push(tile(scales[0].picture(before, size), caption));
        tiles.push(tile(scales[1].picture(after, size), format!("{map}: after")));
    }
    let columns = if size[1] > 40 { 1 } else { 6 };
    let shown = tiles.len() / 2;
    let title =
        if shown < count { format!("{title}; the first {shown} of {count}") } else { title };
    draw::grid(&tiles, columns, (WIDTH / size[1]).clamp(2, 40), &title)
}

fn gradient(view: &View<'_>) -> Rgb {
    let size = view.picked.size();
    let map = |values: &[f32]| Scale::of(values).picture(values, size);
    let tiles = [
        tile(Scale::Grey(1.0).picture(&view.trace.inputs, size), "input".into()),
        tile(map(&view.gradient), "gradient: red raises the score".into()),
        tile(map(&view.influence), "|gradient × input|".into()),
    ];
    let title = format!("{}: what counts for class {}", view.title(), view.class(view.winner));
    draw::grid(&tiles, 3, (224 / size[1]).max(1), &title)
}
