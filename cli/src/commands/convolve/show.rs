//! Picture, kernels and feature maps: as text, as a picture, as JSON.

use super::magnifier::Magnifier;
use crate::draw::{self, Rgb, Tile};
use crate::maps::{Scale, number, range};
use crate::picked::Picked;
use crate::screen::Screen;
use loupe_model::trace::Range;
use serde_json::{Value, json};

/// The sum at the strongest place is written out for kernels of up to so many values.
const WRITTEN_OUT: usize = 25;

pub(super) fn text(picked: &Picked, magnifiers: &[Magnifier], screen: Screen) -> Vec<String> {
    let [height, width] = picked.size();
    let room = screen.width.saturating_sub(2);
    let scale = Scale::Grey(1.0);
    let mut lines = vec![format!("{}{}, {height} × {width} pixels", picked.name, label(picked))];
    lines.extend(screen.beside(&[scale.block(&picked.values(), [height, width], room, screen)]));
    for magnifier in magnifiers {
        let Magnifier { kernel, stride, padding, map, size, .. } = magnifier;
        let [kh, kw] = kernel.size;
        lines.push(String::new());
        lines.push(format!("{}, {kh} × {kw}, stride {stride}, padding {padding}", kernel.name));
        lines.extend(kernel.lines().lines().map(|line| format!("  {line}")));
        lines.extend(magnifier.arithmetic());
        let [rows, columns] = size;
        lines.push(format!("feature map, {rows} × {columns}, {}", range(&Range::of(map))));
        lines.extend(screen.beside(&[Scale::of(map).block(map, *size, room, screen)]));
        lines.extend(strongest(magnifier));
    }
    lines
}

fn label(picked: &Picked) -> String {
    picked.label.map_or(String::new(), |label| {
        let name = picked.classes.get(label).map_or("", String::as_str);
        format!(", class {name}")
    })
}

/// The products at the strongest place, and their sum.
fn strongest(magnifier: &Magnifier) -> Vec<String> {
    let Magnifier { kernel, patch, strongest: [row, column], .. } = magnifier;
    let [top, left] = magnifier.corner();
    let mut lines = vec![format!(
        "strongest at row {row}, column {column}, where the kernel begins at row {top}, column {left} of the \
         picture; pixel · weight:"
    )];
    let sum = number(magnifier.peak());
    if patch.len() > WRITTEN_OUT {
        lines.push(format!("  the sum of {} products = {sum}", patch.len()));
        return lines;
    }
    let products: Vec<String> = (patch.iter().zip(&kernel.values))
        .map(|(&pixel, &weight)| match weight < 0.0 {
            true => format!("{}·({})", number(pixel), number(weight)),
            false => format!("{}·{}", number(pixel), number(weight)),
        })
        .collect();
    let rows: Vec<String> = products.chunks(kernel.size[1]).map(|row| row.join(" + ")).collect();
    for (i, row) in rows.iter().enumerate() {
        let sign = if i == 0 { ' ' } else { '+' };
        let end = if i + 1 == rows.len() { format!(" = {sum}") } else { String::new() };
        lines.push(format!("  {sign} {row}{end}"));
    }
    lines
}

/// A row for each kernel: the picture, the kernel and its map.
pub(super) fn picture(picked: &Picked, magnifiers: &[Magnifier]) -> Rgb {
    let [height, width] = picked.size();
    let tile = |picture: Rgb, caption: String| Tile { picture, caption, accent: None };
    let input = Scale::Grey(1.0).picture(&picked.values(), [height, width]);
    let mut tiles = Vec::new();
    for Magnifier { kernel, map, size, .. } in magnifiers {
        let longest = kernel.size[0].max(kernel.size[1]);
        let enlarged = (height.min(width) / 3 / longest).clamp(1, 16);
        let weights = Scale::of(&kernel.values).picture(&kernel.values, kernel.size);
        let Range { min, max, .. } = Range::of(map);
        let caption = format!("{} × {}, {} to {}", size[0], size[1], number(min), number(max));
        tiles.push(tile(input.clone(), format!("{height} × {width}{}", label(picked))));
        tiles.push(tile(weights.scaled(enlarged), kernel.name.clone()));
        tiles.push(tile(Scale::of(map).picture(map, *size), caption));
    }
    // About the size of a hand on a screen.
    let scale = (280 / height.max(width)).max(1);
    draw::grid(&tiles, 3, scale, &picked.name)
}

pub(super) fn json(picked: &Picked, magnifiers: &[Magnifier]) -> Value {
    let rows = |values: &[f32], columns: usize| -> Value {
        values.chunks(columns).map(|row| json!(row)).collect()
    };
    let convolution = |magnifier: &Magnifier| {
        let Magnifier { kernel, stride, padding, size, map, strongest, patch, .. } = magnifier;
        json!({
            "kernel": { "name": kernel.name, "values": rows(&kernel.values, kernel.size[1]) },
            "stride": stride,
            "padding": padding,
            "size": size,
            "arithmetic": magnifier.arithmetic(),
            "range": Range::of(map),
            "strongest": {
                "place": strongest,
                "value": magnifier.peak(),
                "pixels": rows(patch, kernel.size[1]),
            },
            "map": rows(map, size[1]),
        })
    };
    json!({
        "picture": picked.name,
        "class": picked.label,
        "size": picked.size(),
        "convolutions": magnifiers.iter().map(convolution).collect::<Vec<_>>(),
    })
}
