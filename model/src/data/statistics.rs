//! What a data set consists of, in numbers.

use super::dataset::Dataset;
use std::collections::HashMap;

/// Mean and standard deviation of all pixels of a data set, each as x / 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelStatistics {
    /// Σ x / n
    pub mean: f64,
    /// √(Σ (x − mean)² / n)
    pub deviation: f64,
}

/// Images of one data set that are in another as well, pixel by pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// How many images of the first are in the second.
    pub images: usize,
    /// For how many of those no equal image of the second has the same label.
    pub otherwise_labelled: usize,
}

impl Dataset {
    /// `counts[c]` images have the label c; one number for each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes()];
        for &label in self.labels() {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// Mean and standard deviation of all pixels. The sums are whole numbers and exact.
    pub fn pixel_statistics(&self) -> PixelStatistics {
        let mut counts = [0u64; 256];
        for &pixel in self.images() {
            counts[usize::from(pixel)] += 1;
        }
        let sum = |power: u32| -> u128 {
            counts.iter().zip(0u128..).map(|(&count, x)| u128::from(count) * x.pow(power)).sum()
        };
        let [n, sum, squares] = [0, 1, 2].map(sum);
        // n² times the variance; not negative, by Cauchy and Schwarz.
        let spread = n * squares - sum * sum;
        let n = n as f64;
        PixelStatistics {
            mean: sum as f64 / n / 255.0,
            deviation: (spread as f64).sqrt() / n / 255.0,
        }
    }

    /// The images all of whose pixels are equal, in order.
    pub fn constant_images(&self) -> Vec<usize> {
        let images = self.images().chunks_exact(self.pixels()).enumerate();
        let constant = images.filter(|(_, image)| image.iter().all(|&pixel| pixel == image[0]));
        constant.map(|(index, _)| index).collect()
    }

    /// Images that are in `other` as well. None are if the two have images of different sizes.
    pub fn shared_with(&self, other: &Dataset) -> Shared {
        let mut shared = Shared { images: 0, otherwise_labelled: 0 };
        if (self.height(), self.width()) != (other.height(), other.width()) {
            return shared;
        }
        // A bit for each label that an image has: it may be there more than once.
        let mut known: HashMap<&[u8], [u128; 2]> = HashMap::with_capacity(other.len());
        let bit = |label: u8| (usize::from(label / 128), 1u128 << (label % 128));
        for (image, &label) in other.images().chunks_exact(other.pixels()).zip(other.labels()) {
            let (half, bit) = bit(label);
            known.entry(image).or_default()[half] |= bit;
        }
        for (image, &label) in self.images().chunks_exact(self.pixels()).zip(self.labels()) {
            if let Some(labels) = known.get(image) {
                let (half, bit) = bit(label);
                shared.images += 1;
                shared.otherwise_labelled += usize::from(labels[half] & bit == 0);
            }
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dataset(images: &[[u8; 2]], labels: &[u8]) -> Dataset {
        Dataset::new(images.concat(), labels.to_vec(), [1, 2], 256).unwrap()
    }

    #[test]
    fn classes_are_counted() {
        let data = dataset(&[[0, 1]; 4], &[2, 0, 2, 255]);
        let counts = data.class_counts();
        assert_eq!((counts.len(), counts[0], counts[1], counts[2], counts[255]), (256, 1, 0, 2, 1));
    }

    #[test]
    fn constant_images_are_found() {
        let data = dataset(&[[0, 0], [0, 1], [7, 7], [255, 0]], &[0; 4]);
        assert_eq!(data.constant_images(), [0, 2]);
    }

    #[test]
    fn shared_images_are_counted_with_their_labels() {
        let train = dataset(&[[1, 2], [1, 2], [3, 4], [5, 6]], &[0, 200, 7, 3]);
        let test = dataset(&[[1, 2], [3, 4], [2, 1], [1, 2]], &[200, 8, 0, 3]);
        assert_eq!(test.shared_with(&train), Shared { images: 3, otherwise_labelled: 2 });
        assert_eq!(train.shared_with(&train), Shared { images: 4, otherwise_labelled: 0 });

        let upright = Dataset::new(vec![1, 2], vec![0], [2, 1], 256).unwrap();
        assert_eq!(upright.shared_with(&train), Shared { images: 0, otherwise_labelled: 0 });
    }

    proptest! {
        #[test]
        fn mean_and_deviation_are_those_of_the_definition(
            pixels in proptest::collection::vec(any::<u8>(), 1..300),
        ) {
            let n = pixels.len() as f64;
            let values: Vec<f64> = pixels.iter().map(|&x| f64::from(x) / 255.0).collect();
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let labels = vec![0; pixels.len()];
            let found = Dataset::new(pixels, labels, [1, 1], 1).unwrap().pixel_statistics();
            prop_assert!((found.mean - mean).abs() < 1e-12);
            prop_assert!((found.deviation - variance.sqrt()).abs() < 1e-9);
        }
    }
}
