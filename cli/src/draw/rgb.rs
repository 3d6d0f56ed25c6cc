//! A picture in colour, and its PNG.

use super::colour::Colour;

/// A picture in colour: `pixels[height, width, 3]`, red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rgb {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Rgb {
    /// A picture of one colour.
    ///
    /// # Panics
    /// If a side is 0.
    pub(crate) fn filled(width: usize, height: usize, colour: Colour) -> Rgb {
        let Colour(red, green, blue) = colour;
        Rgb::of(width, height, std::iter::repeat_n([red, green, blue], width * height))
    }

    /// The picture of these pixels, row by row.
    ///
    /// # Panics
    /// If a side is 0, or there are not `width × height` pixels.
    pub(super) fn of(
        width: usize,
        height: usize,
        pixels: impl IntoIterator<Item = [u8; 3]>,
    ) -> Rgb {
        let pixels: Vec<u8> = pixels.into_iter().flatten().collect();
        assert!(width > 0 && height > 0, "a picture has pixels");
        assert_eq!(pixels.len(), width * height * 3, "pixels of a {width} × {height} picture");
        Rgb { width, height, pixels }
    }

    /// Column x of row y.
    pub(super) fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }

    /// Every pixel as a square of `factor × factor`.
    ///
    /// # Panics
    /// If `factor` is 0.
    pub(crate) fn scaled(&self, factor: usize) -> Rgb {
        let (width, height) = (self.width * factor, self.height * factor);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Rgb::of(width, height, pixels.map(|(x, y)| self.pixel(x / factor, y / factor)))
    }

    /// The picture as a PNG file, in sRGB.
    pub(crate) fn to_png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.pixels)?;
            writer.finish()
        });
        written.expect("memory takes the file, and sides and pixels of a picture fit");
        file
    }
}

impl std::fmt::Debug for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rgb({} × {})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_gives_the_pixels_back() {
        let picture = Rgb::of(3, 2, (0..6).map(|i| [i * 40, 255 - i, 7]));
        let file = picture.to_png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (3, 2));
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        assert_eq!(pixels, picture.pixels);
        assert_eq!(file, picture.to_png());
    }

    #[test]
    fn scaled_repeats_pixels() {
        let picture = Rgb::of(2, 1, [[1, 2, 3], [4, 5, 6]]);
        let row = [[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]];
        assert_eq!(picture.scaled(2), Rgb::of(4, 2, row.into_iter().chain(row)));
        assert_eq!(picture.scaled(1), picture);
    }
}
