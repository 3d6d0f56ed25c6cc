//! Files of images, made ready for a network.

use anyhow::{Context, Result, bail};
use loupe_model::data::{Grey, LikeMnist, Pictures, read_pictures, read_pictures_from};
use std::path::Path;

/// How images are made ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preparation {
    /// Height and width that the network takes.
    pub(crate) size: [usize; 2],
    /// Pictures are resized only.
    pub(crate) raw: bool,
    /// The first image of an IDX file.
    pub(crate) index: Option<usize>,
    /// How many images of an IDX file.
    pub(crate) count: Option<usize>,
}

/// An image as the network sees it.
#[derive(Debug)]
pub(crate) struct Input {
    /// As on the command line.
    pub(crate) file: String,
    /// Within an IDX file.
    pub(crate) index: Option<usize>,
    pub(crate) picture: Grey,
    /// How it became that.
    pub(crate) done: String,
}

impl Input {
    /// What to call the image.
    pub(crate) fn shown(&self) -> String {
        match self.index {
            Some(index) => format!("{}[{index}]", self.file),
            None => self.file.clone(),
        }
    }
}

impl Preparation {
    /// The images of a file; `-` is standard input. Images of an IDX file are taken to be what the network
    /// was trained on, and only resized if they must be.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<Input>> {
        let file = path.to_string_lossy().into_owned();
        let pictures = if file == "-" {
            read_pictures_from(Path::new("standard input"), std::io::stdin().lock())?
        } else {
            read_pictures(path)?
        };
        let images = match pictures {
            Pictures::One(_) if self.index.is_some() => {
                bail!("{file}: --index is for IDX files, this is a single picture")
            }
            Pictures::One(picture) => return Ok(vec![self.prepared(file, &picture)?]),
            Pictures::Idx(images) => images,
        };
        let first = self.index.unwrap_or(0);
        if first >= images.len() {
            bail!("{file}: has {} images, there is none with index {first}", images.len());
        }
        let all = if self.index.is_some() { 1 } else { images.len() };
        let count = self.count.unwrap_or(all);
        let images = images.iter().enumerate().skip(first).take(count);
        Ok(images
            .map(|(index, image)| {
                let (picture, done) = self.resized(image);
                Input { file: file.clone(), index: Some(index), picture, done }
            })
            .collect())
    }

    fn prepared(&self, file: String, picture: &Grey) -> Result<Input> {
        if self.raw {
            let (picture, done) = self.resized(picture);
            return Ok(Input { file, index: None, picture, done });
        }
        let [height, width] = self.size;
        let LikeMnist { picture: mapped, inverted, rows, columns } =
            picture.like_mnist(height, width).with_context(|| file.clone())?;
        let ink = match inverted {
            true => "darker than the ground; inverted",
            false => "lighter than the ground; not inverted",
        };
        let done = format!(
            "{}; ink in rows {} to {} and columns {} to {}, {ink}, scaled and centred in {height} × {width}",
            sides(picture),
            rows.start,
            rows.end - 1,
            columns.start,
            columns.end - 1,
        );
        Ok(Input { file, index: None, picture: mapped, done })
    }

    /// The image in the size that the network takes, and what that meant.
    fn resized(&self, image: &Grey) -> (Grey, String) {
        let [height, width] = self.size;
        let done = match [image.height(), image.width()] == self.size {
            true => format!("{}; as it is", sides(image)),
            false => format!("{}; resized to {height} × {width}", sides(image)),
        };
        (image.resized(height, width), done)
    }
}

fn sides(picture: &Grey) -> String {
    format!("{} × {} pixels (height × width)", picture.height(), picture.width())
}
