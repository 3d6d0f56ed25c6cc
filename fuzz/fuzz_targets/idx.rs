//! Bytes as an IDX file: refused, or every byte accounted for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loupe_model::data::Idx;

fuzz_target!(|bytes: &[u8]| {
    check::<1>(bytes);
    check::<3>(bytes);
});

fn check<const D: usize>(bytes: &[u8]) {
    let Ok(idx) = Idx::<D>::parse(bytes) else { return };
    let elements: u128 = idx.dims.iter().map(|&dim| u128::from(dim)).product();
    assert_eq!(elements, idx.data.len() as u128);
    assert_eq!(idx.data, &bytes[4 + 4 * D..]);
}
