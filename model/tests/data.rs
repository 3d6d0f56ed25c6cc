//! Data sets from files: real MNIST, and folders of small files in every state of damage.

use flate2::Compression;
use flate2::write::GzEncoder;
use loupe_model::data::{DataError, Dataset, Idx, Malformed, Split, open_mnist};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use tempfile::TempDir;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";
const IMAGES_GZ: &str = "train-images-idx3-ubyte.gz";

fn mnist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist")
}

fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Three images of 2 × 2 pixels, 28 bytes.
fn images() -> Vec<u8> {
    idx(&[3, 2, 2], &[10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33])
}

/// Their labels, 11 bytes.
fn labels() -> Vec<u8> {
    idx(&[3], &[9, 0, 4])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder of these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Opens a folder of these image bytes, plain or gzip by `name`, and of the right labels.
fn open_images(name: &str, bytes: &[u8]) -> Result<Dataset, DataError> {
    let folder = folder(&[(name, bytes), (LABELS, &labels())]);
    let cache = tempfile::tempdir().unwrap();
    let result = open_mnist(folder.path(), Split::Train, Some(cache.path()));
    if result.is_err() {
        assert!(names(cache.path()).is_empty(), "nothing of a damaged file is cached");
    }
    result
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn assert_is_the_small_set(data: &Dataset) {
    assert_eq!((data.len(), data.height(), data.width(), data.classes()), (3, 2, 2, 10));
    assert_eq!(data.images(), &images()[16..]);
    assert_eq!(data.labels(), [9, 0, 4]);
}

#[track_caller]
fn malformed(result: Result<Dataset, DataError>) -> Malformed {
    match result {
        Err(DataError::Malformed { fault, .. }) => fault,
        other => panic!("expected a malformed file, found {other:?}"),
    }
}

#[track_caller]
fn unreadable(result: Result<Dataset, DataError>) -> String {
    match result {
        Err(DataError::Read { reason, .. }) => reason,
        other => panic!("expected an unreadable file, found {other:?}"),
    }
}

#[test]
fn mnist_is_complete() {
    let cache = tempfile::tempdir().unwrap();
    for cache in [None, Some(cache.path()), Some(cache.path())] {
        let train = open_mnist(&mnist(), Split::Train, cache).unwrap();
        assert_eq!((train.len(), train.height(), train.width()), (60_000, 28, 28));
        assert_eq!(train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        // The checksums of the published gzip files, which cover their headers too.
        let file = idx(&[60_000, 28, 28], train.images());
        assert_eq!(crc32fast::hash(&file), 0xe9f4_d8b3);
        assert_eq!(crc32fast::hash(&idx(&[60_000], train.labels())), 0xe0cb_4ad2);

        let test = open_mnist(&mnist(), Split::Test, cache).unwrap();
        assert_eq!((test.len(), test.pixels(), test.classes()), (10_000, 784, 10));
        assert_eq!(test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        let file = idx(&[10_000, 28, 28], test.images());
        assert_eq!(crc32fast::hash(&file), 0x9137_3bdf);
        assert_eq!(crc32fast::hash(&idx(&[10_000], test.labels())), 0x4ab9_eff9);
    }
    assert_eq!(
        names(cache.path()),
        [
            "t10k-images-idx3-ubyte-91373bdf-7840016",
            "t10k-labels-idx1-ubyte-4ab9eff9-10008",
            "train-images-idx3-ubyte-e9f4d8b3-47040016",
            "train-labels-idx1-ubyte-e0cb4ad2-60008",
        ]
    );
}

#[test]
fn plain_files_come_first_and_are_not_cached() {
    assert_is_the_small_set(&open_images(IMAGES, &images()).unwrap());
    let both = folder(&[(IMAGES, &images()), (IMAGES_GZ, b"no gzip"), (LABELS, &labels())]);
    let cache = tempfile::tempdir().unwrap();
    let data = open_mnist(both.path(), Split::Train, Some(cache.path())).unwrap();
    assert_is_the_small_set(&data);
    assert!(names(cache.path()).is_empty());
}

#[test]
fn missing_files_are_named() {
    let nothing = folder(&[(LABELS, &labels())]);
    let no_folder = nothing.path().join("nowhere");
    let a_file = nothing.path().join(LABELS);
    for path in [nothing.path(), &no_folder, &a_file] {
        let error = open_mnist(path, Split::Train, None).unwrap_err();
        let DataError::Missing { folder, file, all } = &error else { panic!("{error:?}") };
        assert_eq!((folder.as_path(), *file), (path, IMAGES));
        let text = error.to_string();
        assert!(text.starts_with(path.to_str().unwrap()), "{text}");
        assert!(all.iter().all(|name| text.contains(name)), "{text}");
    }
    let no_labels = folder(&[(IMAGES, &images())]);
    let error = open_mnist(no_labels.path(), Split::Train, None).unwrap_err();
    assert!(matches!(error, DataError::Missing { file: LABELS, .. }), "{error:?}");
}

#[test]
fn damaged_plain_files_are_refused() {
    let whole = images();
    for len in 0..whole.len() {
        let expected = if len < 16 { 16 } else { 28 };
        let error = Malformed::Truncated { expected, found: len as u64 };
        assert_eq!(malformed(open_images(IMAGES, &whole[..len])), error);
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(malformed(open_images(IMAGES, &longer)), Malformed::Trailing { expected: 28 });

    let as_images = |bytes: &[u8]| malformed(open_images(IMAGES, bytes));
    assert_eq!(as_images(&labels()), Malformed::Dimensions { expected: 3, found: 1 });
    assert_eq!(as_images(&gzip(&whole)), Malformed::Magic { found: [0x1f, 0x8b] });
    let claim = idx(&[1 << 20, 1 << 20, 1 << 20], &[1; 4]);
    assert_eq!(as_images(&claim), Malformed::Truncated { expected: (1 << 60) + 16, found: 20 });
    let claim = idx(&[u32::MAX; 3], &[1; 4]);
    assert_eq!(as_images(&claim), Malformed::TooLarge { limit: u64::MAX });
    for (count, height, width) in [(0, 2, 2), (3, 0, 2), (3, 2, 0)] {
        let fault = as_images(&idx(&[count as u32, height as u32, width as u32], &[]));
        assert_eq!(fault, Malformed::Empty { count, height, width });
    }
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(IMAGES)).unwrap();
    assert!(open_mnist(directory.path(), Split::Train, None).is_err());
}

#[test]
fn damaged_gzip_files_are_refused() {
    let whole = gzip(&images());
    assert_is_the_small_set(&open_images(IMAGES_GZ, &whole).unwrap());

    for len in 0..whole.len() {
        open_images(IMAGES_GZ, &whole[..len]).unwrap_err();
    }
    assert!(unreadable(open_images(IMAGES_GZ, b"this is not gzip")).contains("gzip"));
    // The trailer: four bytes of checksum, four of length.
    for at in 1..=8 {
        let mut damaged = whole.clone();
        damaged[whole.len() - at] ^= 0x40;
        let reason = unreadable(open_images(IMAGES_GZ, &damaged));
        assert!(reason.contains("checksum"), "{reason}");
    }
    for after in [&b"x"[..], &whole, &[0; 8]] {
        let reason = unreadable(open_images(IMAGES_GZ, &[&whole, after].concat()));
        assert!(reason.contains("follow"), "{reason}");
    }
    let short = gzip(&images()[..27]);
    let fault = malformed(open_images(IMAGES_GZ, &short));
    assert_eq!(fault, Malformed::Truncated { expected: 28, found: 27 });
    let long = gzip(&[&images()[..], &[0]].concat());
    assert_eq!(malformed(open_images(IMAGES_GZ, &long)), Malformed::Trailing { expected: 28 });
}

#[test]
fn gzip_bombs_are_not_unpacked() {
    // Little data, and a header that asks for 3 GiB of it.
    let claim = gzip(&idx(&[3 << 10, 1 << 10, 1 << 10], &[0; 100]));
    let limit = 1032 * claim.len() as u64;
    assert_eq!(malformed(open_images(IMAGES_GZ, &claim)), Malformed::TooLarge { limit });
    // A modest header, and 64 MiB behind it.
    let bomb = gzip(&idx(&[3, 2, 2], &vec![0; 64 << 20]));
    assert_eq!(malformed(open_images(IMAGES_GZ, &bomb)), Malformed::Trailing { expected: 28 });
    // As dense as deflate can be, and honest.
    let dense = gzip(&idx(&[3, 1 << 10, 1 << 10], &vec![0; 3 << 20]));
    assert_eq!(open_images(IMAGES_GZ, &dense).unwrap().images(), vec![0; 3 << 20]);
}

#[test]
fn images_and_labels_must_belong_together() {
    let two = folder(&[(IMAGES, &images()), (LABELS, &idx(&[2], &[1, 2]))]);
    let error = open_mnist(two.path(), Split::Train, None).unwrap_err();
    let (images_path, labels_path) = (two.path().join(IMAGES), two.path().join(LABELS));
    let expected = DataError::Counts {
        images: images_path,
        image_count: 3,
        labels: labels_path.clone(),
        label_count: 2,
    };
    assert_eq!(error, expected);

    fs::write(&labels_path, idx(&[3], &[9, 10, 255])).unwrap();
    let error = open_mnist(two.path(), Split::Train, None).unwrap_err();
    let fault = Malformed::Label { index: 1, label: 10, classes: 10 };
    assert_eq!(error, DataError::Malformed { path: labels_path, fault });
}

#[test]
fn a_cache_that_cannot_be_used_is_no_error() {
    let folder = folder(&[(IMAGES_GZ, &gzip(&images())), (LABELS, &labels())]);
    let a_file = folder.path().join(LABELS);
    for cache in [None, Some(a_file.as_path()), Some(&a_file.join("below"))] {
        assert_is_the_small_set(&open_mnist(folder.path(), Split::Train, cache).unwrap());
    }
    assert_eq!(names(folder.path()), [IMAGES_GZ, LABELS]);
}

#[test]
fn the_cache_is_never_stale() {
    let folder = folder(&[(IMAGES_GZ, &gzip(&images())), (LABELS, &labels())]);
    let cache = tempfile::tempdir().unwrap();
    let open = || open_mnist(folder.path(), Split::Train, Some(cache.path())).unwrap();
    let first = open();
    assert_is_the_small_set(&first);
    let [cached] = &names(cache.path())[..] else { panic!() };
    let cached = cache.path().join(cached);
    assert_eq!(fs::read(&cached).unwrap(), images());

    // It is the cached file that is read: what lies between the gzip header and trailer is not.
    let mut hollow = gzip(&images());
    hollow[12] ^= 0xff;
    fs::write(folder.path().join(IMAGES_GZ), &hollow).unwrap();
    assert_is_the_small_set(&open());
    fs::write(folder.path().join(IMAGES_GZ), gzip(&images())).unwrap();

    // A cached file that was replaced by another is written anew.
    for other in [&b"short"[..], &[7; 28], &[7; 29], b""] {
        fs::remove_file(&cached).unwrap();
        fs::write(&cached, other).unwrap();
        assert_is_the_small_set(&open());
        assert_eq!(fs::read(&cached).unwrap(), images());
    }

    // A source that was replaced by another of the same length is seen.
    let other = idx(&[3, 2, 2], &[77; 12]);
    fs::write(folder.path().join(IMAGES_GZ), gzip(&other)).unwrap();
    assert_eq!(open().images(), [77; 12]);
    assert_eq!(names(cache.path()).len(), 2);

    // Open data sets do not notice.
    assert_is_the_small_set(&first);
    #[cfg(unix)]
    {
        cache.close().unwrap();
        assert_is_the_small_set(&first);
    }
}

/// Were they mapped, touching the bytes that are gone would end the process.
#[test]
fn files_that_shrink_while_a_data_set_is_open() {
    let pixels: Vec<u8> = (0..3 << 20).map(|i| (i % 251) as u8).collect();
    let large = idx(&[3, 1 << 10, 1 << 10], &pixels);
    for (name, bytes) in [(IMAGES, large.clone()), (IMAGES_GZ, gzip(&large))] {
        let folder = folder(&[(name, &bytes), (LABELS, &labels())]);
        let cache = tempfile::tempdir().unwrap();
        let open = || open_mnist(folder.path(), Split::Train, Some(cache.path())).unwrap();
        let opened = [open(), open()];
        let cached = names(cache.path()).into_iter().map(|name| cache.path().join(name));
        for path in cached.chain([folder.path().join(name)]) {
            fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
        }
        assert!(opened.iter().all(|data| data.images() == pixels));
    }
}

#[test]
fn a_cache_is_filled_by_many_at_once() {
    let folder = folder(&[(IMAGES_GZ, &gzip(&images())), (LABELS, &labels())]);
    for _ in 0..20 {
        let cache = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let data = open_mnist(folder.path(), Split::Train, Some(cache.path()));
                    assert_is_the_small_set(&data.unwrap());
                });
            }
        });
        assert_eq!(names(cache.path()).len(), 1, "one file, and no temporary one");
    }
}

proptest! {
    #[test]
    fn idx_gives_back_what_was_written(dims in prop::array::uniform3(0u32..6), seed: u8) {
        let data: Vec<u8> = (0..dims.iter().product()).map(|i| (i as u8) ^ seed).collect();
        let bytes = idx(&dims, &data);
        prop_assert_eq!(Idx::<3>::parse(&bytes).unwrap(), Idx { dims, data: &data });
    }

    #[test]
    fn idx_accepts_no_byte_more_or_less(
        kind in prop::sample::select(vec![0u8, 8, 9, 13]),
        dimensions in 0u8..5,
        rest in prop::collection::vec(0u8..3, 0..40),
    ) {
        let bytes = [&[0, 0, kind, dimensions], &rest[..]].concat();
        if let Ok(idx) = Idx::<2>::parse(&bytes) {
            prop_assert_eq!((kind, dimensions), (8, 2));
            prop_assert_eq!(u64::from(idx.dims[0]) * u64::from(idx.dims[1]), idx.data.len() as u64);
            prop_assert_eq!(idx.data.len() + 12, bytes.len());
        }
    }
}
