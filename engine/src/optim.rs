//! Optimiser updates.
