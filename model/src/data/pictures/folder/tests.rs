use super::*;
use tempfile::TempDir;

/// A folder with these files, each a picture of 2 × 3 pixels of one grey.
fn with(files: &[(&str, u8)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, grey) in files {
        put(&folder, file, [2, 3], *grey);
    }
    folder
}

fn put(folder: &TempDir, file: &str, [height, width]: [usize; 2], grey: u8) {
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let header = format!("P5 {width} {height} 255\n");
    fs::write(path, [header.as_bytes(), &vec![grey; height * width]].concat()).unwrap();
}

/// The greys and labels of a half.
fn open(folder: &TempDir, split: Split) -> (Vec<u8>, Vec<u8>) {
    let data = open_folder(folder.path(), split, None).unwrap();
    assert_eq!([data.height(), data.width()], [2, 3]);
    (data.images().iter().step_by(6).copied().collect(), data.labels().to_vec())
}

/// The message of an error, in which the folder is called DIR.
fn message(folder: &TempDir, split: Split, size: Option<[usize; 2]>) -> String {
    let error = open_folder(folder.path(), split, size).unwrap_err();
    error.to_string().replace(&*folder.path().to_string_lossy(), "DIR")
}

#[test]
fn names_are_in_natural_order_and_classes_mixed() {
    let folder = with(&[
        ("train/10/a.pgm", 100),
        ("train/2/b10.pgm", 22),
        ("train/2/b9.PGM", 21),
        ("train/2/.hidden.pgm", 0),
        ("train/2/notes.txt", 0),
        ("train/.cache/a.pgm", 0),
        ("test/2/a.pgm", 20),
        ("test/10/b.pgm", 101),
        ("test/10/c.pgm", 102),
    ]);
    put(&folder, "train/readme.md", [1, 1], 0);
    assert_eq!(open(&folder, Split::Train), (vec![21, 100, 22], vec![0, 1, 0]));
    assert_eq!(open(&folder, Split::Test), (vec![101, 20, 102], vec![1, 0, 1]));
    let data = open_folder(folder.path(), Split::Test, None).unwrap();
    assert_eq!(data.class_names(), ["2", "10"]);
}

#[test]
fn a_fifth_of_each_class_is_held_out() {
    let mut files = Vec::new();
    for i in 0..7 {
        files.push((format!("cat/{i}.pgm"), i));
    }
    files.extend([("dog/1.pgm".into(), 11), ("dog/2.pgm".into(), 12)]);
    let files: Vec<(&str, u8)> = files.iter().map(|(file, grey)| (&file[..], *grey)).collect();
    let folder = with(&files);
    assert_eq!(open(&folder, Split::Test), (vec![0, 11, 5], vec![0, 1, 0]));
    assert_eq!(open(&folder, Split::Train), (vec![1, 2, 3, 12, 4, 6], vec![0, 0, 0, 1, 0, 0]));
    fs::remove_file(folder.path().join("dog/1.pgm")).unwrap();
    let reason = "DIR/dog: expected at least 2 pictures, one to learn from and one to be judged by";
    assert!(message(&folder, Split::Train, None).contains(reason));
}

#[test]
fn a_class_may_be_called_train() {
    let folder =
        with(&[("plane/1.pgm", 1), ("plane/2.pgm", 2), ("train/1.pgm", 3), ("train/2.pgm", 4)]);
    assert_eq!(open(&folder, Split::Train), (vec![2, 4], vec![0, 1]));
}

#[test]
fn sizes() {
    let folder = with(&[("a/1.pgm", 1), ("a/2.pgm", 2), ("b/1.pgm", 3), ("b/2.pgm", 4)]);
    put(&folder, "b/2.pgm", [4, 5], 4);
    assert!(open_folder(folder.path(), Split::Test, None).is_ok());
    let error = message(&folder, Split::Train, None);
    let expected = "DIR/b/2.pgm: 4 × 5 pixels (height × width), but DIR/a/2.pgm has 2 × 3; a size";
    assert!(error.starts_with(expected), "{error}");
    let data = open_folder(folder.path(), Split::Train, Some([6, 7])).unwrap();
    assert_eq!((data.height(), data.width(), data.len()), (6, 7, 2));
    assert_eq!(data.image(1).unwrap(), [4; 42]);
    let huge = message(&folder, Split::Train, Some([1 << 20, 1 << 13]));
    assert!(huge.starts_with("DIR: pictures cannot be brought to 1048576 × 8192 pixels"), "{huge}");
    let many = reserve(&mut Vec::new(), 100, [8000, 8000]).unwrap_err();
    assert_eq!(many, "100 pictures of 8000 × 8000 pixels take more than 4294967295 bytes");
    let nothing = Some([0, 0]);
    assert_eq!(open_folder(folder.path(), Split::Train, nothing).unwrap().pixels(), 1);
}

#[test]
fn layouts_that_are_none() {
    let one = with(&[("a/1.pgm", 1), ("a/2.pgm", 2)]);
    let error = message(&one, Split::Train, None);
    assert_eq!(error, "DIR: expected 2 to 256 folders, one for each class, found 1");

    let empty = with(&[("a/1.pgm", 1), ("a/2.pgm", 2), ("b/notes.txt", 0)]);
    let error = message(&empty, Split::Test, None);
    assert!(error.starts_with("DIR/b: expected pictures of a class (.png, .jpg"), "{error}");

    let half = with(&[("train/a/1.pgm", 1), ("train/b/2.pgm", 2)]);
    assert_eq!(open(&half, Split::Train), (vec![1, 2], vec![0, 1]));
    assert!(message(&half, Split::Test, None).starts_with("DIR/test: not found"));

    put(&half, "test/a/1.pgm", [2, 3], 0);
    put(&half, "test/c/1.pgm", [2, 3], 0);
    let error = message(&half, Split::Test, None);
    assert_eq!(error, "DIR/test: has no class b, which DIR/train has");

    let damaged = with(&[("a/1.pgm", 1), ("a/2.pgm", 2), ("b/1.pgm", 3), ("b/2.pgm", 4)]);
    fs::write(damaged.path().join("b/2.pgm"), "no picture").unwrap();
    let error = message(&damaged, Split::Train, None);
    assert!(error.starts_with("DIR/b/2.pgm: not a picture that can be read"), "{error}");

    let missing = tempfile::tempdir().unwrap();
    let error = open_folder(&missing.path().join("x"), Split::Train, None).unwrap_err();
    assert!(matches!(error, DataError::Read { .. }), "{error}");
}
