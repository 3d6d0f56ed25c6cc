//! Bytes as the file of a picture that is to be recognised: refused, or brought to the form of MNIST's digits.

use crate::Taken;
use loupe_model::data::{Grey, LikeMnist, Pictures, read_pictures_from};
use std::path::Path;

/// Reads the bytes as `loupe predict` does.
pub fn run(bytes: &[u8]) -> Taken {
    let pictures = match read_pictures_from(Path::new("it"), bytes) {
        Ok(Pictures::One(picture)) => vec![picture],
        Ok(Pictures::Idx(pictures)) => pictures,
        Err(error) => {
            assert!(error.to_string().starts_with("it: "), "{error}");
            return None;
        }
    };
    for picture in pictures.iter().take(3) {
        has_its_size(picture, [picture.height(), picture.width()]);
        for [height, width] in [[28, 28], [1, 9]] {
            has_its_size(&picture.resized(height, width), [height, width]);
            if let Ok(LikeMnist { picture: mapped, rows, columns, .. }) =
                picture.like_mnist(height, width)
            {
                has_its_size(&mapped, [height, width]);
                assert!(rows.start < rows.end && rows.end <= picture.height(), "{rows:?}");
                assert!(columns.start < columns.end && columns.end <= picture.width());
                assert!(mapped.pixels().iter().any(|&pixel| pixel > 0), "the ink is lost");
            }
        }
    }
    Some(())
}

fn has_its_size(picture: &Grey, size: [usize; 2]) {
    assert_eq!([picture.height(), picture.width()], size);
    assert_eq!(picture.pixels().len(), size[0] * size[1]);
    assert_ne!(size[0] * size[1], 0);
}
