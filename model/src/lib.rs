//! Networks, training, data sets and weight files on top of `loupe-engine`.
