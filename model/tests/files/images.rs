//! IDX files, plain and packed, and the names of classes.

use crate::{Kind, Row};
use flate2::Compression;
use flate2::write::GzEncoder;
use loupe_model::data::{Split, open_mnist};
use std::fs;
use std::io::Write;
use std::path::Path;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Three images of 2 × 2 pixels, 28 bytes.
fn images() -> Vec<u8> {
    idx(&[3, 2, 2], &[7; 12])
}

fn labels() -> Vec<u8> {
    idx(&[3], &[9, 0, 4])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn with(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}

fn longer(bytes: Vec<u8>, more: &[u8]) -> Vec<u8> {
    [bytes, more.to_vec()].concat()
}

fn read(folder: &Path) -> Result<(), String> {
    let cache = folder.join("cache");
    open_mnist(folder, Split::Train, Some(&cache)).map(drop).map_err(|error| error.to_string())
}

fn put_images(folder: &Path) {
    fs::write(folder.join(IMAGES), images()).unwrap();
}

fn put_labels(folder: &Path) {
    fs::write(folder.join(LABELS), labels()).unwrap();
}

#[test]
fn plain_images() {
    let rows: &[Row] = &[
        ("nothing", vec![], "truncated: expected 16 bytes, found 0"),
        ("one byte", images()[..1].to_vec(), "truncated: expected 16 bytes, found 1"),
        ("the magic number", images()[..4].to_vec(), "truncated: expected 16 bytes, found 4"),
        ("half a dimension", images()[..10].to_vec(), "truncated: expected 16 bytes, found 10"),
        ("a header less a byte", images()[..15].to_vec(), "truncated: expected 16 bytes, found 15"),
        ("a header alone", images()[..16].to_vec(), "truncated: expected 28 bytes, found 16"),
        ("a byte too few", images()[..27].to_vec(), "truncated: expected 28 bytes, found 27"),
        ("a byte too many", longer(images(), &[0]), "expected 28 bytes, found more"),
        (
            "text",
            b"hello, this is text".to_vec(),
            "not an IDX file: expected it to start with bytes 00 00, found 68 65",
        ),
        (
            "packed, but not called so",
            gzip(&images()),
            "not an IDX file: expected it to start with bytes 00 00, found 1f 8b",
        ),
        (
            "floats",
            with(images(), 2, 0x0d),
            "expected elements of type unsigned byte (0x08), found 32-bit float (0x0d)",
        ),
        (
            "signed bytes",
            with(images(), 2, 0x09),
            "expected elements of type unsigned byte (0x08), found signed byte (0x09)",
        ),
        (
            "elements of no type",
            with(images(), 2, 0x07),
            "expected elements of type unsigned byte (0x08), found an unknown type (0x07)",
        ),
        ("labels", labels(), "expected 3 dimensions, found 1"),
        ("too many dimensions", with(images(), 3, 255), "expected 3 dimensions, found 255"),
        (
            "20 bytes that claim 2⁶⁰ pixels",
            idx(&[1 << 20; 3], &[1; 4]),
            "truncated: expected 1152921504606846992 bytes, found 20",
        ),
        (
            "20 bytes that claim 2⁹⁶",
            idx(&[u32::MAX; 3], &[1; 4]),
            "its dimensions ask for more than the 18446744073709551615 bytes that it can hold at most",
        ),
        (
            "a product that is just too large for 64 bits with its header",
            idx(&[u32::MAX, u32::MAX, 1], &[]),
            "truncated: expected 18446744065119617041 bytes, found 16",
        ),
        ("no images", idx(&[0, 2, 2], &[]), "expected images, found 0 of 2 × 2 pixels"),
        ("no height", idx(&[3, 0, 2], &[]), "expected images, found 3 of 0 × 2 pixels"),
        (
            "billions of images without pixels",
            idx(&[u32::MAX, u32::MAX, 0], &[]),
            "expected images, found 4294967295 of 4294967295 × 0 pixels",
        ),
    ];
    let rows: Vec<Row> = rows.iter().map(of(IMAGES)).collect();
    Kind { name: IMAGES, folder: put_labels, read }.check(&images(), &rows);
}

/// The row with the name of its file in front of the error.
fn of(name: &str) -> impl Fn(&Row) -> Row {
    move |(what, bytes, error)| {
        let error: &'static str = format!("{name}: {error}").leak();
        (*what, bytes.clone(), error)
    }
}

#[test]
fn plain_labels() {
    let rows: &[Row] = &[
        ("nothing", vec![], "truncated: expected 8 bytes, found 0"),
        ("a label too few", labels()[..10].to_vec(), "truncated: expected 11 bytes, found 10"),
        ("a label too many", longer(labels(), &[0]), "expected 11 bytes, found more"),
        ("images", images(), "expected 1 dimensions, found 3"),
        ("claimed labels", idx(&[u32::MAX], &[1]), "truncated: expected 4294967303 bytes, found 9"),
        (
            "a class that is none",
            idx(&[3], &[9, 10, 255]),
            "expected labels below 10, found 10 at index 1",
        ),
    ];
    let mut rows: Vec<Row> = rows.iter().map(of(LABELS)).collect();
    rows.extend([
        (
            "labels of fewer images",
            idx(&[2], &[1, 2]),
            "train-images-idx3-ubyte holds 3 images but train-labels-idx1-ubyte holds 2 labels",
        ),
        (
            "no labels",
            idx(&[0], &[]),
            "train-images-idx3-ubyte holds 3 images but train-labels-idx1-ubyte holds 0 labels",
        ),
    ]);
    Kind { name: LABELS, folder: put_images, read }.check(&labels(), &rows);
}

#[test]
fn packed_images() {
    let whole = gzip(&images());
    let len = whole.len();
    let rows: &[Row] = &[
        ("nothing", vec![], "unexpected end of file"),
        ("text", b"this is not gzip".to_vec(), "invalid gzip header"),
        ("half a header", whole[..5].to_vec(), "unexpected end of file"),
        ("a header alone", whole[..10].to_vec(), "unexpected end of file"),
        ("half the stream", whole[..len / 2].to_vec(), "unexpected end of file"),
        ("half the trailer", whole[..len - 4].to_vec(), "unexpected end of file"),
        ("a byte too few", whole[..len - 1].to_vec(), "unexpected end of file"),
        (
            "another checksum",
            with(whole.clone(), len - 8, !whole[len - 8]),
            "corrupt gzip stream does not have a matching checksum",
        ),
        (
            "another length",
            with(whole.clone(), len - 1, 0x40),
            "corrupt gzip stream does not have a matching checksum",
        ),
        ("a block of no type", with(whole.clone(), 10, 0x07), "corrupt deflate stream"),
        (
            "another file behind it",
            longer(whole.clone(), &whole),
            "bytes follow the end of the gzip stream",
        ),
        (
            "zeros behind it",
            longer(whole.clone(), &[0; 512]),
            "bytes follow the end of the gzip stream",
        ),
        (
            "packed twice",
            gzip(&whole),
            "not an IDX file: expected it to start with bytes 00 00, found 1f 8b",
        ),
        ("a byte too few, packed", gzip(&images()[..27]), "truncated: expected 28 bytes, found 27"),
        ("a byte too many, packed", gzip(&longer(images(), &[0])), "expected 28 bytes, found more"),
        (
            "claimed gigabytes",
            gzip(&idx(&[3 << 10, 1 << 10, 1 << 10], &[0; 4])),
            "its dimensions ask for more than the 40248 bytes that it can hold at most",
        ),
        (
            "a bomb: 64 MiB that the header does not speak of",
            gzip(&idx(&[3, 2, 2], &vec![0; 64 << 20])),
            "expected 28 bytes, found more",
        ),
    ];
    let name = "train-images-idx3-ubyte.gz";
    let rows: Vec<Row> = rows.iter().map(of(name)).collect();
    Kind { name, folder: put_labels, read }.check(&whole, &rows);
}

#[test]
fn names_of_classes() {
    let put = |folder: &Path| {
        put_images(folder);
        put_labels(folder);
    };
    let rows: &[Row] = &[
        ("nothing", vec![], "expected 2 to 256 names, one a line, found 0"),
        ("one", b"cat\n".to_vec(), "expected 2 to 256 names, one a line, found 1"),
        (
            "an empty line",
            b"cat\n\ndog\n".to_vec(),
            "expected a name in each line, line 2 is empty",
        ),
        ("the same twice", b"cat\ndog\ncat".to_vec(), "lines 1 and 3 both name cat"),
        ("no text", vec![0xff; 9], "stream did not contain valid UTF-8"),
        ("too long", vec![b'a'; 1 << 22], "expected at most 65536 bytes of names, found more"),
    ];
    let mut rows: Vec<Row> = rows.iter().map(of("classes.txt")).collect();
    rows.push((
        "fewer than labels",
        b"cat\ndog\n".to_vec(),
        "train-labels-idx1-ubyte: expected labels below 2, found 9 at index 0",
    ));
    let whole: String = (0..10).map(|class| format!("class {class}\n")).collect();
    Kind { name: "classes.txt", folder: put, read }.check(whole.as_bytes(), &rows);
}
