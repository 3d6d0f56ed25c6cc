//! Every operation, for random problems, on every tier: the same bits on any number of threads, and results of the
//! same kind for numbers out of the ordinary.

mod defined;
mod elements;
mod images;
mod numbers;
mod rows;
mod same_bits;
mod stress;

use loupe_engine::Context;
use numbers::{Numbers, Results};

/// Some operations, for a random problem.
type Operations = fn(&Context, &mut Numbers) -> Results;

/// Tests of each of the functions: its room, and how many problems it gets.
macro_rules! tests {
    ($($name:ident: $room:ident, $cases:literal;)+) => { $(
        mod $name {
            #[test]
            fn same_bits() {
                crate::same_bits::check(stringify!($name), $cases, crate::$room::$name);
            }

            #[test]
            fn numbers_out_of_the_ordinary() {
                crate::stress::check(stringify!($name), crate::$room::$name);
            }
        }
    )+ };
}

tests! {
    convolutions: images, 24;
    transposed_convolutions: images, 16;
    products: rows, 24;
    pools_padding_and_upsampling: images, 24;
    normalisations: rows, 24;
    functions_of_single_elements: elements, 16;
    softmaxes_and_losses: rows, 24;
    optimisers_and_clipping: elements, 16;
}
