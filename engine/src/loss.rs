//! Losses: value and gradient.
