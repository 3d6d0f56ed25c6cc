//! Picture files.

use super::super::error::{DataError, PictureError};
use super::super::grey::Grey;
use image::{
    DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
    Rgba,
};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The most bytes of a picture file.
const MAX_FILE: u64 = 1 << 29;

/// The most pixels of a picture.
pub(super) const MAX_PIXELS: u64 = 64_000_000;

/// What a decoder may allocate: 8 bytes a pixel (16-bit RGBA), and as much as a file for itself.
const MAX_ALLOCATED: u64 = 8 * MAX_PIXELS + MAX_FILE;

/// Reads a picture as [`decode_picture`] does.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Picture`].
pub fn read_picture(path: &Path) -> Result<Grey, DataError> {
    let file = File::open(path).map_err(|e| DataError::read(path, &e))?;
    decode_picture(&read_bounded(path, file)?).map_err(|fault| fault.at(path))
}

/// All bytes of a file that may be a picture.
pub(super) fn read_bounded(path: &Path, reader: impl Read) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| DataError::read(path, &e))?;
    check_file_len(&bytes).map_err(|fault| fault.at(path))?;
    Ok(bytes)
}

fn check_file_len(bytes: &[u8]) -> Result<(), PictureError> {
    if bytes.len() as u64 > MAX_FILE { Err(PictureError::File { limit: MAX_FILE }) } else { Ok(()) }
}

/// The luma of a picture, `round((2126 R + 7152 G + 722 B) / 10000)` of its values with 8 bits (Rec. ITU-R
/// BT.709), laid over white where it is transparent and turned as its Exif orientation says.
///
/// PNG, JPEG and the formats of Netpbm (PBM, PGM, PPM, PAM) are told apart by their first bytes. Colour
/// profiles are ignored; of an animation the first picture counts.
///
/// # Errors
/// [`PictureError`]: more than 512 MiB or 64,000,000 pixels are refused before memory is taken for them.
pub fn decode_picture(bytes: &[u8]) -> Result<Grey, PictureError> {
    check_file_len(bytes)?;
    let format = image::guess_format(bytes).map_err(|_| PictureError::Format)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Pnm) {
        return Err(PictureError::Format);
    }
    let faulty = |reason: &str| PictureError::Decode { reason: reason.into() };
    if format == ImageFormat::Jpeg && !is_whole_jpeg(bytes) {
        return Err(faulty("it ends before its picture does"));
    }
    let decode = |e: ImageError| faulty(&e.to_string());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(decode)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(faulty("it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::Pixels { height, width, limit: MAX_PIXELS });
    }
    let orientation = decoder.orientation().map_err(decode)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(decode)?;
    picture.apply_orientation(orientation);
    let (width, height) = picture.dimensions();
    let pixels = picture.pixels().map(|(_, _, pixel)| luma_over_white(pixel)).collect();
    Grey::new(height as usize, width as usize, pixels).map_err(|fault| faulty(&fault.to_string()))
}

/// Whether the end of the image (EOI) is marked behind the last scan (SOS): the decoder takes what is missing for grey.
/// In a scan's own data no byte 0xff has one of these markers' codes behind it (ITU-T T.81, B.1.1.2).
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const SOS: [u8; 2] = [0xff, 0xda];
    const EOI: [u8; 2] = [0xff, 0xd9];
    let scan = bytes.windows(2).rposition(|marker| marker == SOS).unwrap_or(0);
    bytes[scan..].windows(2).any(|marker| marker == EOI)
}

fn luma_over_white(Rgba([r, g, b, a]): Rgba<u8>) -> u8 {
    let [r, g, b, a] = [r, g, b, a].map(u32::from);
    let luma = 2126 * r + 7152 * g + 722 * b;
    let over_white = luma * a + 2_550_000 * (255 - a);
    ((over_white + 1_275_000) / 2_550_000) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs, metadata::Orientation};

    #[test]
    fn greys_stay_what_they_are() {
        for v in 0..=255 {
            assert_eq!(luma_over_white(Rgba([v, v, v, 255])), v);
            assert_eq!(luma_over_white(Rgba([v, v, v, 0])), 255);
        }
        assert_eq!(luma_over_white(Rgba([0, 0, 0, 100])), 155);
        assert_eq!(luma_over_white(Rgba([255, 0, 0, 255])), 54);
        assert_eq!(luma_over_white(Rgba([0, 255, 0, 255])), 182);
        assert_eq!(luma_over_white(Rgba([0, 0, 255, 255])), 18);
    }

    fn png(pixels: &[u8], [height, width]: [u32; 2], color: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = codecs::png::PngEncoder::new(&mut bytes);
        encoder.write_image(pixels, width, height, color).unwrap();
        bytes
    }

    #[test]
    fn formats_and_depths() {
        let grey = |pixels: &[u8]| Grey::new(2, 3, pixels.to_vec());
        let values = [0, 1, 2, 128, 254, 255];
        let expected = grey(&values).unwrap();
        assert_eq!(decode_picture(&png(&values, [2, 3], ExtendedColorType::L8)).unwrap(), expected);
        let colour: Vec<u8> = values.iter().flat_map(|&v| [v; 3]).collect();
        assert_eq!(
            decode_picture(&png(&colour, [2, 3], ExtendedColorType::Rgb8)).unwrap(),
            expected
        );
        // 16-bit PNG samples are given in the machine's order.
        let deep: Vec<u8> =
            values.iter().flat_map(|&v| (u16::from(v) * 257).to_ne_bytes()).collect();
        assert_eq!(decode_picture(&png(&deep, [2, 3], ExtendedColorType::L16)).unwrap(), expected);
        let pgm = [&b"P5\n# a comment\n3 2\n255\n"[..], &values].concat();
        assert_eq!(decode_picture(&pgm).unwrap(), expected);
        let ppm = [&b"P6 3 2 255\n"[..], &colour].concat();
        assert_eq!(decode_picture(&ppm).unwrap(), expected);
        // In a PBM 1 is black.
        let pbm = decode_picture(b"P1\n3 2\n1 0 1\n0 0 1\n").unwrap();
        assert_eq!(pbm, grey(&[0, 255, 0, 255, 255, 0]).unwrap());
        let pgm = decode_picture(b"P2 3 2 15 0 1 2 3 14 15").unwrap();
        assert_eq!(pgm, grey(&[0, 17, 34, 51, 238, 255]).unwrap());
    }

    #[test]
    fn what_is_transparent_shows_white() {
        let pixels = [10, 255, 10, 0, 10, 127];
        let picture = decode_picture(&png(&pixels, [1, 3], ExtendedColorType::La8)).unwrap();
        assert_eq!(picture.pixels(), [10, 255, 133]);
    }

    #[test]
    fn a_jpeg_that_is_cut_off_is_refused() {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..64 * 64).map(|i| (i * i % 251) as u8).collect();
        let encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
        encoder.write_image(&pixels, 64, 64, ExtendedColorType::L8).unwrap();
        assert!(decode_picture(&bytes).is_ok());
        for len in [bytes.len() - 1, bytes.len() - 12, bytes.len() / 2, bytes.len() / 4] {
            let fault = decode_picture(&bytes[..len]).unwrap_err();
            assert!(matches!(fault, PictureError::Decode { .. }), "{len}: {fault}");
        }
        // What stands behind the picture does not matter.
        bytes.extend(b"and more");
        assert!(decode_picture(&bytes).is_ok());
    }

    #[test]
    fn jpegs_are_turned_as_they_say() {
        let (height, width) = (8, 24);
        let mut pixels = vec![255; height * width];
        for row in pixels.chunks_mut(width) {
            row[..8].fill(0);
        }
        let mut bytes = Vec::new();
        let mut encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 100);
        // Exif in little-endian order with one entry: tag 0x112 (orientation), type 3, count 1.
        let turned = Orientation::Rotate90.to_exif();
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([turned, 0, 0, 0, 0, 0, 0, 0]);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&pixels, width as u32, height as u32, ExtendedColorType::L8).unwrap();
        let picture = decode_picture(&bytes).unwrap();
        assert_eq!((picture.height(), picture.width()), (24, 8));
        let dark = picture.pixels().iter().position(|&v| v > 127).unwrap();
        assert_eq!(dark, 64, "the left side is now the top");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bytes in [&b""[..], b"text", b"GIF89a\x01\0\x01\0", b"\0\0\x08\x03"] {
            assert_eq!(decode_picture(bytes), Err(PictureError::Format));
        }
        let whole = png(&[7; 100], [10, 10], ExtendedColorType::L8);
        for len in 8..whole.len() - 12 {
            let error = decode_picture(&whole[..len]).unwrap_err();
            assert!(matches!(error, PictureError::Decode { .. }), "{len}: {error}");
        }
        assert!(decode_picture(b"P5 0 3 255\n").is_err());
        assert!(decode_picture(b"P5 2 2 255\n\0\0\0").is_err());
    }

    #[test]
    fn sizes_are_refused_before_memory_is_taken() {
        let error = decode_picture(b"P5 8001 8000 255\n").unwrap_err();
        let pixels = PictureError::Pixels { height: 8000, width: 8001, limit: MAX_PIXELS };
        assert_eq!(error, pixels);
        assert!(error.to_string().contains("8000 × 8001 pixels"), "{error}");
        // A header of a PNG of 65,535 × 65,535 pixels; its length and checksum are right.
        let mut bytes = png(&[0], [1, 1], ExtendedColorType::L8);
        bytes[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
        let crc = crc32fast::hash(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(decode_picture(&bytes), Err(PictureError::Pixels { .. })));
        assert!(decode_picture(b"P5 4294967295 4294967295 65535\n").is_err());
    }

    #[test]
    fn files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let error = read_picture(&path).unwrap_err();
        assert!(matches!(&error, DataError::Read { path: named, .. } if *named == path));
        std::fs::write(&path, "no picture").unwrap();
        let error = read_picture(&path).unwrap_err();
        assert_eq!(error, DataError::Picture { path, fault: PictureError::Format });
        assert!(read_picture(folder.path()).is_err());
    }
}
