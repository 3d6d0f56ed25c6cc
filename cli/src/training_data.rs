//! What a training learns from and is judged by.

use crate::data;
use crate::recipe::Recipe;
use anyhow::{Result, bail};
use loupe_model::Scored;
use loupe_model::data::{Dataset, Epoch, Order, Split};

/// The items of a recipe.
pub(crate) struct Data {
    pub(crate) training: Dataset,
    pub(crate) validation: Option<Dataset>,
    pub(crate) test: Dataset,
}

impl Data {
    /// The data set of a recipe; pictures are brought to this size, or must have one already.
    pub(crate) fn open(recipe: &Recipe, size: Option<[usize; 2]>) -> Result<Data> {
        let training = data::open_folder(&recipe.data, Split::Train, size)?;
        let test = data::open_folder(&recipe.data, Split::Test, size)?;
        if recipe.validation == 0.0 {
            return Ok(Data { training, validation: None, test });
        }
        let [learn, validate] = held_out(training.len(), recipe)?;
        let validation = Some(training.select(&validate)?);
        Ok(Data { training: training.select(&learn)?, validation, test })
    }

    /// The items that are scored after each epoch: those held out, which choose the best epoch, or else the test
    /// items, which choose nothing.
    pub(crate) fn scored(&self) -> Scored<'_> {
        match &self.validation {
            Some(data) => Scored { data, selects: true },
            None => Scored { data: &self.test, selects: false },
        }
    }

    /// What those items are called.
    pub(crate) fn judge(&self) -> &'static str {
        if self.validation.is_some() { "validation" } else { "test" }
    }
}

/// The items to learn from and those to validate by, each in the order of the file. Which those are follows from
/// the seed.
fn held_out(count: usize, recipe: &Recipe) -> Result<[Vec<usize>; 2]> {
    let validate = (count as f64 * recipe.validation).round() as usize;
    if validate == 0 || validate == count {
        bail!(
            "validation = {}: {count} training items cannot be cut like that; each part needs one",
            recipe.validation
        );
    }
    // A number that no epoch of the training has.
    let order = Epoch::new(Order::Shuffled { seed: recipe.seed }, count, u64::MAX);
    let (validate, learn) = order.indices().split_at(validate);
    let sorted = |items: &[usize]| {
        let mut items = items.to_vec();
        items.sort_unstable();
        items
    };
    Ok([sorted(learn), sorted(validate)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_held_out_or_learnt_from() {
        let recipe = Recipe { validation: 0.25, ..Recipe::default() };
        let [learn, validate] = held_out(40, &recipe).unwrap();
        assert_eq!((learn.len(), validate.len()), (30, 10));
        assert!(learn.is_sorted() && validate.is_sorted());
        let mut all = [learn, validate.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(0..40));
        let other = Recipe { seed: 1, ..recipe };
        assert_ne!(held_out(40, &other).unwrap()[1], validate);
        assert!(held_out(1, &other).is_err());
        assert!(held_out(2, &Recipe { validation: 0.1, ..other }).is_err());
    }
}
