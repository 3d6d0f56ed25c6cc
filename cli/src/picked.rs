//! One picture to look at: of the data set, or a file.

use crate::args;
use crate::data;
use anyhow::Result;
use clap::Args;
use loupe_model::data::{Grey, read_picture};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct PickArguments {
    /// Which picture of the data set, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0, conflicts_with = "picture")]
    pub(crate) index: usize,

    /// A picture file (PNG, JPEG, PGM, PPM) instead of one of the data set
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,

    /// Which half of the data set
    #[arg(long, value_enum, default_value_t = args::Split::Test, conflicts_with = "picture")]
    pub(crate) split: args::Split,
}

/// The picture, and what is known of it.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) picture: Grey,
    /// `test item 7` or the name of the file.
    pub(crate) name: String,
    /// The same for the name of a folder.
    pub(crate) short: String,
    /// The true class, of a data set.
    pub(crate) label: Option<usize>,
    /// The names of the classes, of a data set.
    pub(crate) classes: Vec<String>,
}

impl Picked {
    /// Pictures of a data set, that of `folder`, are brought to `size`, height and width; that of a file stays as it is.
    pub(crate) fn open(
        arguments: &PickArguments,
        folder: &Path,
        size: Option<[usize; 2]>,
    ) -> Result<Picked> {
        if let Some(path) = &arguments.picture {
            let picture = read_picture(path)?;
            let name = path.display().to_string();
            let short = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            return Ok(Picked { picture, name, short, label: None, classes: Vec::new() });
        }
        let PickArguments { index, split, .. } = *arguments;
        let prefix = if split == args::Split::Test { "" } else { "train-" };
        let data = data::open_folder(folder, split.into(), size)?;
        let pixels = data.image(index)?.to_vec();
        Ok(Picked {
            picture: Grey::new(data.height(), data.width(), pixels)
                .expect("an image of a data set has pixels"),
            name: format!("{split} item {index}"),
            short: format!("{prefix}{index}"),
            label: Some(usize::from(data.label(index)?)),
            classes: data.class_names().to_vec(),
        })
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.picture.height(), self.picture.width()]
    }

    /// The pixels from 0 to 1.
    pub(crate) fn values(&self) -> Vec<f32> {
        self.picture.pixels().iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
    }
}
