//! On every tier and on one and three threads: every element has one rounding at most, so all is exact.

use loupe_engine::elementwise::{add, add_assign, flush_denormals, has_denormals};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};

fn contexts() -> impl Iterator<Item = Context> {
    Isa::available().flat_map(|isa| {
        [Threads::serial(), Threads::new(3).unwrap()].map(|threads| Context::new(isa, threads))
    })
}

#[test]
fn sums_are_those_of_single_numbers() {
    for len in [0, 1, 15, 16, 17, 33, 1000, (1 << 19) + 17] {
        let mut random = Random::new(len as u64);
        let [a, b] = [(); 2].map(|()| random.uniform_f32(len, -1.0, 1.0));
        let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        for cx in contexts() {
            let mut y = vec![f32::NAN; len];
            add(&cx, &a, &b, &mut y).unwrap();
            assert!(y == expected, "{cx:?} {len}");
            y.copy_from_slice(&b);
            add_assign(&cx, &a, &mut y).unwrap();
            assert!(y == expected, "{cx:?} {len}");
        }
    }
}

#[test]
fn other_lengths_are_refused() {
    let cx = Context::serial();
    let length = |result| matches!(result, Err(Error::Length { .. }));
    assert!(length(add(&cx, &[0.0; 3], &[0.0; 2], &mut [0.0; 3])));
    assert!(length(add(&cx, &[0.0; 3], &[0.0; 3], &mut [0.0; 4])));
    assert!(length(add_assign(&cx, &[0.0; 3], &mut [0.0; 2])));
}

#[test]
fn denormals_are_found_and_flushed_wherever_they_are() {
    const LARGEST: f32 = f32::from_bits(0x007f_ffff);
    let others =
        [0.0, -0.0, f32::MIN_POSITIVE, -1.0, f32::INFINITY, -f32::INFINITY, f32::NAN, f32::MAX];
    for len in [0, 1, 15, 16, 17, 33, (1 << 14) - 1, (1 << 16) + 5] {
        let plain: Vec<f32> = (0..len).map(|i| others[i % others.len()]).collect();
        for cx in contexts() {
            assert!(!has_denormals(&cx, &plain), "{cx:?} {len}");
            for (at, number) in
                [(0, LARGEST), (len / 2, -f32::from_bits(1)), (len.max(1) - 1, -LARGEST)]
            {
                let mut x = plain.clone();
                let Some(place) = x.get_mut(at) else { continue };
                *place = number;
                assert!(has_denormals(&cx, &x), "{cx:?} {len} {at}");
                flush_denormals(&cx, &mut x);
                for (i, (&x, &plain)) in x.iter().zip(&plain).enumerate() {
                    // Of zeros the sign may change.
                    let same = x.to_bits() == plain.to_bits() || x == plain;
                    assert!(if i == at { x == 0.0 } else { same }, "{cx:?} {len} {i}: {x}");
                }
            }
        }
    }
}
