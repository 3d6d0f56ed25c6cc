//! What options and shapes must be.

use super::LayerError;

/// More elements than this in one tensor of one input, or in all parameters of a network together, 8 GiB, are
/// refused: they could not be trained.
pub(crate) const MAX_LEN: usize = 1 << 31;

/// The number of elements, if a network can work with it.
pub(crate) fn len(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size)).filter(|&n| n <= MAX_LEN)
}

/// An error of this reason if `sound` is false.
pub(super) fn check(sound: bool, reason: impl FnOnce() -> String) -> Result<(), LayerError> {
    if sound { Ok(()) } else { Err(LayerError::option(reason())) }
}

/// Whether tensors of these numbers of elements fit memory.
pub(super) fn check_lens(what: &str, lens: &[usize]) -> Result<(), LayerError> {
    check(lens.iter().all(|&len| len <= MAX_LEN), || format!("{what} does not fit memory"))
}

pub(super) fn check_eps(eps: f32) -> Result<(), LayerError> {
    let sound = eps.is_finite() && eps >= 0.0;
    check(sound, || format!("eps must be finite and not negative, found {eps}"))
}

pub(super) fn check_finite(name: &str, value: f32) -> Result<(), LayerError> {
    check(value.is_finite(), || format!("{name} must be finite, found {value}"))
}

/// Height and width of an image of so many channels.
pub(super) fn image(channels: usize, input: &[usize]) -> Result<[usize; 2], LayerError> {
    match *input {
        [found, height, width] if found == channels => Ok([height, width]),
        _ => Err(LayerError::shape(format!("[{channels}, height, width]"))),
    }
}

/// The product, or the largest number.
pub(super) fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
}
