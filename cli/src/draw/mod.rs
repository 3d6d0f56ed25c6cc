//! Pictures: values as colours, grids of pictures, charts; as PNG, as SVG, or as text for a terminal.
//!
//! Nothing here reads arguments or files. What is drawn follows from the data alone.

mod chart;
mod colour;
mod drawing;
mod grid;
mod mistakes;
mod raster;
mod rgb;
mod svg;
mod terminal;
mod text;
mod values;

pub(crate) use chart::{Curve, LossChart, RunCurves, confusion, curves, loss_chart};
pub(crate) use colour::Colour;
pub(crate) use drawing::Drawing;
pub(crate) use grid::{Tile, grid};
pub(crate) use mistakes::{Mistake, mistakes};
pub(crate) use rgb::Rgb;
pub(crate) use svg::escaped;
pub(crate) use terminal::{colour, terminal, terminal_signed};
pub(crate) use values::{bytes, grey, signed};
