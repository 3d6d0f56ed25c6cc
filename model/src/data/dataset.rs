//! Labelled images in memory.

use super::bytes::Bytes;
use super::classes::{self, MAX_CLASSES};
use super::error::{DataError, Malformed};
use super::idx::check_len;

/// N images of one channel, H × W bytes each, and a label for each.
#[derive(Debug)]
pub struct Dataset {
    /// `[N, H, W]`
    images: Bytes,
    /// `[N]`, each below the number of classes
    labels: Bytes,
    height: usize,
    width: usize,
    /// A name for each class.
    names: Vec<String>,
}

impl Dataset {
    /// A data set of `images[N, height, width]` and `labels[N]`, whose classes are called 0, 1, 2, …
    ///
    /// # Errors
    /// [`Malformed::Empty`] if N or an image's size is 0, [`Malformed::TooLarge`],
    /// [`Malformed::Truncated`] or [`Malformed::Trailing`] if `images` is not as long as the labels
    /// ask for, [`Malformed::Label`] if a label is not below `classes`, [`Malformed::Classes`] if these are more
    /// than 256.
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        [height, width]: [usize; 2],
        classes: usize,
    ) -> Result<Dataset, Malformed> {
        let pixels = height.checked_mul(width).and_then(|size| size.checked_mul(labels.len()));
        let expected = pixels.ok_or(Malformed::TooLarge { limit: usize::MAX as u64 })?;
        check_len(expected as u64, images.len() as u64)?;
        check_size(labels.len(), [height, width])?;
        check_labels(&labels, classes)?;
        if classes > MAX_CLASSES {
            return Err(Malformed::Classes { found: classes, limit: MAX_CLASSES });
        }
        let names = classes::numbers(classes);
        Ok(Dataset::checked(images.into(), labels.into(), [height, width], names))
    }

    /// A data set of bytes that have been checked: `images[N, height, width]`, not empty, and
    /// `labels[N]`, each below the number of `names`.
    pub(super) fn checked(
        images: Bytes,
        labels: Bytes,
        [height, width]: [usize; 2],
        names: Vec<String>,
    ) -> Dataset {
        Dataset { images, labels, height, width, names }
    }

    /// N, the number of images; at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// H
    pub fn height(&self) -> usize {
        self.height
    }

    /// W
    pub fn width(&self) -> usize {
        self.width
    }

    /// H · W, the number of pixels of an image.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.names.len()
    }

    /// The names of the classes: those of a file `classes.txt` or of folders, else 0, 1, 2, …
    pub fn class_names(&self) -> &[String] {
        &self.names
    }

    /// The name of one class; empty if `class` is not below [`classes`](Dataset::classes).
    pub fn class_name(&self, class: usize) -> &str {
        self.names.get(class).map_or("", String::as_str)
    }

    /// All images, `[N, H, W]`.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, `[N]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// One image, `[H, W]`.
    ///
    /// # Errors
    /// [`DataError::Index`] if `index` is not below N.
    pub fn image(&self, index: usize) -> Result<&[u8], DataError> {
        self.check_index(index)?;
        Ok(&self.images[index * self.pixels()..][..self.pixels()])
    }

    /// The label of one image.
    ///
    /// # Errors
    /// [`DataError::Index`] if `index` is not below N.
    pub fn label(&self, index: usize) -> Result<u8, DataError> {
        self.check_index(index)?;
        Ok(self.labels[index])
    }

    /// `out[i, y, x] = images[indices[i], y, x] / 255`, rounded as f32 division does.
    ///
    /// # Errors
    /// [`DataError::Length`] if `out` is not as long as the images, [`DataError::Index`]; what then
    /// stands in `out` is unspecified.
    pub fn write_images(&self, indices: &[usize], out: &mut [f32]) -> Result<(), DataError> {
        for (&index, out) in indices.iter().zip(rows("images", indices, self.pixels(), out)?) {
            for (out, &byte) in out.iter_mut().zip(self.image(index)?) {
                *out = f32::from(byte) / 255.0;
            }
        }
        Ok(())
    }

    /// Whether there are images with these indices, and `found` elements are room for them.
    pub(crate) fn check_images(&self, indices: &[usize], found: usize) -> Result<(), DataError> {
        let (items, size) = (indices.len(), self.pixels());
        if items.checked_mul(size) != Some(found) {
            return Err(DataError::Length { what: "images", items, size, found });
        }
        indices.iter().try_for_each(|&index| self.check_index(index))
    }

    /// The images and labels with these indices, in this order, as a data set of their own.
    ///
    /// # Errors
    /// [`DataError::Index`]; [`DataError::Nothing`] without any index.
    pub fn select(&self, indices: &[usize]) -> Result<Dataset, DataError> {
        if indices.is_empty() {
            return Err(DataError::Nothing);
        }
        let mut images = Vec::with_capacity(indices.len() * self.pixels());
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            images.extend_from_slice(self.image(index)?);
            labels.push(self.labels[index]);
        }
        let (images, labels) = (images.into(), labels.into());
        Ok(Dataset { images, labels, names: self.names.clone(), ..*self })
    }

    /// `out[i, c] = 1 if labels[indices[i]] = c, else 0` (one-hot).
    ///
    /// # Errors
    /// As [`write_images`](Dataset::write_images).
    pub fn write_targets(&self, indices: &[usize], out: &mut [f32]) -> Result<(), DataError> {
        for (&index, out) in indices.iter().zip(rows("targets", indices, self.classes(), out)?) {
            let label = self.label(index)?;
            out.fill(0.0);
            out[usize::from(label)] = 1.0;
        }
        Ok(())
    }

    #[inline]
    fn check_index(&self, index: usize) -> Result<(), DataError> {
        let count = self.len();
        if index < count { Ok(()) } else { Err(DataError::Index { index, count }) }
    }
}

/// `out[items, size]` cut into its rows; `size` is not 0.
fn rows<'a>(
    what: &'static str,
    items: &[usize],
    size: usize,
    out: &'a mut [f32],
) -> Result<impl Iterator<Item = &'a mut [f32]>, DataError> {
    let items = items.len();
    if items.checked_mul(size) != Some(out.len()) {
        return Err(DataError::Length { what, items, size, found: out.len() });
    }
    Ok(out.chunks_exact_mut(size))
}

/// `Ok` if there are images and they have pixels.
pub(super) fn check_size(count: usize, [height, width]: [usize; 2]) -> Result<(), Malformed> {
    if count == 0 || height == 0 || width == 0 {
        return Err(Malformed::Empty { count, height, width });
    }
    Ok(())
}

/// `Ok` if every label is below `classes`.
pub(super) fn check_labels(labels: &[u8], classes: usize) -> Result<(), Malformed> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        Some(index) => Err(Malformed::Label { index, label: labels[index], classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_images() -> Dataset {
        let images = vec![0, 51, 255, 1, 2, 3, 102, 153, 204, 7, 8, 9];
        Dataset::new(images, vec![2, 0, 3], [1, 4], 4).unwrap()
    }

    #[test]
    fn images_and_targets_are_written_in_the_order_asked_for() {
        let data = three_images();
        let mut images = [f32::NAN; 12];
        data.write_images(&[2, 0, 2], &mut images).unwrap();
        let third = [204.0 / 255.0, 7.0 / 255.0, 8.0 / 255.0, 9.0 / 255.0];
        assert_eq!(images[..4], third);
        assert_eq!(images[4..8], [0.0, 0.2, 1.0, 1.0 / 255.0]);
        assert_eq!(images[8..], third);

        let mut targets = [f32::NAN; 12];
        data.write_targets(&[1, 0, 2], &mut targets).unwrap();
        assert_eq!(targets, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);

        assert_eq!((data.image(1).unwrap(), data.label(1).unwrap()), (&[2, 3, 102, 153][..], 0));
        data.write_images(&[], &mut []).unwrap();
    }

    #[test]
    fn classes_without_names_are_called_by_their_numbers() {
        let data = three_images();
        assert_eq!(data.class_names(), ["0", "1", "2", "3"]);
        assert_eq!((data.class_name(3), data.class_name(4)), ("3", ""));
    }

    #[test]
    fn every_byte_becomes_the_nearest_float() {
        let bytes: Vec<u8> = (0..=255).collect();
        let data = Dataset::new(bytes, vec![0], [16, 16], 1).unwrap();
        let mut out = [f32::NAN; 256];
        data.write_images(&[0], &mut out).unwrap();
        for (byte, &x) in out.iter().enumerate() {
            // Rounding twice is harmless: no quotient lies so near the middle of two floats.
            let nearest = (byte as f64 / 255.0) as f32;
            assert_eq!(x.to_bits(), nearest.to_bits(), "{byte}");
        }
    }

    #[test]
    fn wrong_requests_are_errors() {
        let data = three_images();
        let length = |what, size, found| DataError::Length { what, items: 2, size, found };
        for found in [0, 7, 9] {
            let mut out = vec![0.0; found];
            assert_eq!(data.write_images(&[0, 1], &mut out), Err(length("images", 4, found)));
            assert_eq!(data.write_targets(&[0, 1], &mut out), Err(length("targets", 4, found)));
        }
        for index in [3, usize::MAX] {
            let error = DataError::Index { index, count: 3 };
            assert_eq!(data.write_images(&[0, index], &mut [0.0; 8]), Err(error.clone()));
            assert_eq!(data.write_targets(&[index, 0], &mut [0.0; 8]), Err(error.clone()));
            assert_eq!(data.image(index), Err(error.clone()));
            assert_eq!(data.label(index), Err(error));
        }
    }

    #[test]
    fn wrong_parts_are_errors() {
        let error = |images: usize, labels: &[u8], size, classes| {
            Dataset::new(vec![0; images], labels.into(), size, classes).map(|_| ()).unwrap_err()
        };
        let expected = 8;
        assert_eq!(error(7, &[0; 2], [2, 2], 1), Malformed::Truncated { expected, found: 7 });
        assert_eq!(error(9, &[0; 2], [2, 2], 1), Malformed::Trailing { expected });
        let limit = usize::MAX as u64;
        assert_eq!(error(8, &[0; 2], [usize::MAX, 2], 1), Malformed::TooLarge { limit });
        assert_eq!(error(0, &[], [1, 2], 1), Malformed::Empty { count: 0, height: 1, width: 2 });
        assert_eq!(error(0, &[0], [0, 2], 1), Malformed::Empty { count: 1, height: 0, width: 2 });
        assert_eq!(
            error(3, &[0, 4, 5], [1, 1], 4),
            Malformed::Label { index: 1, label: 4, classes: 4 }
        );
        assert_eq!(error(1, &[0], [1, 1], 0), Malformed::Label { index: 0, label: 0, classes: 0 });
    }
}
