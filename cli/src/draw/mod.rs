//! Pictures: values as colours, grids of pictures, charts; as PNG, as SVG, or as text for a terminal.
//!
//! Nothing here reads arguments or files. What is drawn follows from the data alone.

mod colour;
mod drawing;
mod grid;
mod raster;
mod rgb;
mod svg;
mod terminal;
mod text;
mod values;

pub(crate) use colour::Colour;
pub(crate) use grid::{Tile, grid};
pub(crate) use rgb::Rgb;
pub(crate) use terminal::{colour, terminal, terminal_signed};
pub(crate) use values::{bytes, grey, signed};
