//! Weights files: taken over by a network, and those that say of which network they are.

use crate::edit::{edited, file, split, with_len, with_value};
use crate::{Kind, Row};
use loupe_engine::Context;
use loupe_model::layers::{BatchNorm2d, Flatten, Linear};
use loupe_model::{Network, NetworkSpec, Predictor};
use std::path::Path;

const NAME: &str = "net.safetensors";

/// Seven tensors of 84 bytes: a counter, then by name 0.bias, 0.running_mean, 0.running_var, 0.weight, 2.bias at
/// 24 and 2.weight at 36.
pub(crate) fn spec() -> NetworkSpec {
    NetworkSpec::new([1, 2, 2]).add(BatchNorm2d::new(1)).add(Flatten).add(Linear::new(4, 3))
}

fn network() -> Network {
    Network::new(spec(), 3).unwrap()
}

fn read(folder: &Path) -> Result<(), String> {
    let mut network = network();
    let read = network.read_weights(&folder.join(NAME)).and_then(|()| network.check_values());
    read.map_err(|error| error.to_string())
}

fn predict(folder: &Path) -> Result<(), String> {
    let predictor = Predictor::open(Context::serial(), &folder.join(NAME));
    predictor.map(drop).map_err(|error| error.to_string())
}

fn nothing(_: &Path) {}

/// The row with the file's name, and this, in front of the error.
fn of(before: &str) -> impl Fn(&Row) -> Row {
    move |(what, bytes, error)| {
        let error: &'static str = format!("{NAME}: {before}{error}").leak();
        (*what, bytes.clone(), error)
    }
}

/// Another entry at the end of the header.
fn with_entry(bytes: &[u8], entry: &str) -> Vec<u8> {
    let (header, values) = split(bytes);
    let header = header.trim_end().strip_suffix('}').unwrap();
    [file(&format!("{header},{entry}}}"), 0), values.to_vec()].concat()
}

#[test]
fn no_safetensors_file() {
    let whole = network().weights();
    let edit = |from: &str, to: &str| edited(&whole, from, to);
    let offsets = |to: &str| edit("\"data_offsets\":[24,36]", &format!("\"data_offsets\":{to}"));
    let len = whole.len();
    let rows: &[Row] = &[
        ("nothing", vec![], "header too small"),
        ("half a length", whole[..7].to_vec(), "header too small"),
        ("a length alone", whole[..8].to_vec(), "invalid header length"),
        ("half a header", whole[..100].to_vec(), "invalid header length"),
        (
            "a header alone",
            whole[..len - 84].to_vec(),
            "incomplete metadata, file not fully covered",
        ),
        (
            "a byte too few",
            whole[..len - 1].to_vec(),
            "incomplete metadata, file not fully covered",
        ),
        (
            "a byte too many",
            [&whole[..], &[0]].concat(),
            "incomplete metadata, file not fully covered",
        ),
        (
            "a megabyte too many",
            [&whole[..], &[0; 1 << 20]].concat(),
            "incomplete metadata, file not fully covered",
        ),
        (
            "a header of no bytes",
            with_len(&whole, 0),
            "invalid JSON in header: EOF while parsing a value at line 1 column 0",
        ),
        ("a header of 2⁶³ bytes", with_len(&whole, 1 << 63), "header too large"),
        ("a header of 2⁶⁴ − 1 bytes", with_len(&whole, u64::MAX), "header too large"),
        ("a header of 100 MB", with_len(&whole, 100_000_000), "invalid header length"),
        ("a header of a byte more", with_len(&whole, len as u64 - 7), "invalid header length"),
        (
            "zeros",
            vec![0; 1 << 10],
            "invalid JSON in header: EOF while parsing a value at line 1 column 0",
        ),
        ("text", b"no weights at all, but text".to_vec(), "header too large"),
        (
            "a header that is no text",
            [&4_u64.to_le_bytes()[..], &[0xff; 4]].concat(),
            "invalid UTF-8 in header: invalid utf-8 sequence of 1 bytes from index 0",
        ),
        (
            "a list",
            file("[]", 0),
            "invalid JSON in header: invalid type: sequence, expected struct HashMetadata at line 1 column 0",
        ),
        (
            "a text",
            file("\"weights\"", 0),
            "invalid JSON in header: invalid type: string \"weights\", expected struct HashMetadata at line 1 column 9",
        ),
        (
            "a header that does not end",
            file("{\"a\":", 0),
            "invalid JSON in header: EOF while parsing a value at line 1 column 5",
        ),
        (
            "lists in lists",
            file(&"[".repeat(1 << 16), 0),
            "invalid JSON in header: invalid type: sequence, expected struct HashMetadata at line 1 column 0",
        ),
        (
            "objects in objects",
            file(&"{\"a\":".repeat(1 << 16), 0),
            "invalid JSON in header: recursion limit exceeded at line 1 column 636",
        ),
        (
            "metadata that is no text",
            edit("\"format\":\"pt\"", "\"format\":1"),
            "invalid JSON in header: invalid type: integer `1`, expected a string at line 1 column 27",
        ),
        ("tensors that overlap", offsets("[20,36]"), "invalid offset for tensor `2.bias`"),
        ("a gap between tensors", offsets("[25,37]"), "invalid offset for tensor `2.bias`"),
        (
            "a tensor that ends before it begins",
            offsets("[24,12]"),
            "invalid offset for tensor `2.bias`",
        ),
        (
            "a tensor that begins behind the file",
            offsets("[18446744073709551603,18446744073709551615]"),
            "invalid offset for tensor `2.weight`",
        ),
        (
            "a tensor as long as all memory",
            offsets("[24,18446744073709551615]"),
            "invalid shape, data type, or offset for tensor",
        ),
        (
            "an offset beyond 64 bits",
            offsets("[24,18446744073709551616]"),
            "invalid JSON in header: invalid type: floating point `1.8446744073709552e+19`, expected usize at line 1 column 502",
        ),
        (
            "a negative offset",
            offsets("[-24,36]"),
            "invalid JSON in header: invalid value: integer `-24`, expected usize at line 1 column 485",
        ),
        (
            "one offset",
            offsets("[24]"),
            "invalid JSON in header: invalid length 1, expected a tuple of size 2 at line 1 column 481",
        ),
        (
            "a shape beyond 64 bits",
            edit("\"shape\":[3,4]", "\"shape\":[9223372036854775807,4]"),
            "overflow computing buffer size from shape and/or element type",
        ),
        (
            "a shape beyond 64 bits as bytes",
            edit("\"shape\":[3,4]", "\"shape\":[4611686018427387904,2]"),
            "overflow computing buffer size from shape and/or element type",
        ),
        (
            "a shape of more numbers than there are",
            edit("\"shape\":[3,4]", "\"shape\":[4,4]"),
            "invalid shape, data type, or offset for tensor",
        ),
        (
            "a negative shape",
            edit("\"shape\":[3,4]", "\"shape\":[-3,-4]"),
            "invalid JSON in header: invalid value: integer `-3`, expected usize at line 1 column 486",
        ),
        (
            "a shape of fractions",
            edit("\"shape\":[3,4]", "\"shape\":[1.5,8]"),
            "invalid JSON in header: invalid type: floating point `1.5`, expected usize at line 1 column 486",
        ),
        (
            "no shape",
            edit("\"shape\":[3,4],", ""),
            "invalid JSON in header: missing field `shape` at line 1 column 470",
        ),
        (
            "elements of twice the size",
            edit("\"2.bias\":{\"dtype\":\"F32\"", "\"2.bias\":{\"dtype\":\"F64\""),
            "invalid shape, data type, or offset for tensor",
        ),
        (
            "elements of no type",
            edit("\"2.bias\":{\"dtype\":\"F32\"", "\"2.bias\":{\"dtype\":\"float\""),
            "invalid JSON in header: unknown variant `float`…",
        ),
        (
            "a name twice, the second time elsewhere",
            with_entry(&whole, r#""2.bias":{"dtype":"F32","shape":[0],"data_offsets":[84,84]}"#),
            "invalid offset for tensor `2.weight`",
        ),
    ];
    let rows: Vec<Row> = rows.iter().map(of("not a safetensors file: ")).collect();
    Kind { name: NAME, folder: nothing, read }.check(&whole, &rows);
}

#[test]
fn weights_that_do_not_fit() {
    let whole = network().weights();
    let edit = |from: &str, to: &str| edited(&whole, from, to);
    let value = |tensor: &str, at, value: f32| with_value(&whole, tensor, at, &value.to_le_bytes());
    let bias = r#""2.bias":{"dtype":"F32","shape":[3],"data_offsets":[24,36]}"#;
    let claim = r#"{"a":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}"#;
    let rows: &[Row] = &[
        ("no tensors", file("{}", 0), "no tensor 0.weight; the network needs one of shape [1]"),
        (
            "another name",
            edit("\"2.bias\"", "\"2.gain\""),
            "no tensor 2.bias; the network needs one of shape [3]",
        ),
        (
            "a tensor more",
            with_entry(&whole, r#""3.bias":{"dtype":"F32","shape":[0],"data_offsets":[84,84]}"#),
            "tensor 3.bias of shape [0] belongs to no layer of the network",
        ),
        ("a name twice", with_entry(&whole, bias), "two tensors are called 2.bias"),
        (
            "a name twice, once in other letters",
            with_entry(&whole, &bias.replace("2.b", "2.\\u0062")),
            "two tensors are called 2.bias",
        ),
        (
            "a transposed tensor",
            edit("\"shape\":[3,4]", "\"shape\":[4,3]"),
            "tensor 2.weight: expected shape [3, 4], found [4, 3]",
        ),
        (
            "an axis more",
            edit("\"shape\":[3,4]", "\"shape\":[3,4,1]"),
            "tensor 2.weight: expected shape [3, 4], found [3, 4, 1]",
        ),
        (
            "whole numbers",
            edit("\"2.bias\":{\"dtype\":\"F32\"", "\"2.bias\":{\"dtype\":\"I32\""),
            "tensor 2.bias: expected elements of type F32, found I32",
        ),
        (
            "half the numbers, of twice the size",
            edit(
                "\"2.weight\":{\"dtype\":\"F32\",\"shape\":[3,4]",
                "\"2.weight\":{\"dtype\":\"F64\",\"shape\":[3,2]",
            ),
            "tensor 2.weight: expected elements of type F32, found F64",
        ),
        (
            "a counter that is a fraction",
            edit("\"dtype\":\"I64\"", "\"dtype\":\"F64\""),
            "tensor 0.num_batches_tracked: expected elements of type I64, found F64",
        ),
        (
            "a counter with an axis",
            edit("\"dtype\":\"I64\",\"shape\":[]", "\"dtype\":\"I64\",\"shape\":[1]"),
            "tensor 0.num_batches_tracked: expected shape [], found [1]",
        ),
        (
            "claimed gigabytes",
            file(claim, 8),
            "the tensors of the file take 4294967296 bytes, those of the network 76",
        ),
    ];
    let mut rows: Vec<Row> = rows.iter().map(of("")).collect();
    rows.extend([
        ("NaN", value("2.weight", 44, f32::NAN), "2.weight holds NaN; expected finite numbers"),
        (
            "minus infinity",
            value("0.weight", 0, f32::NEG_INFINITY),
            "0.weight holds -inf; expected finite numbers",
        ),
        (
            "a mean that is none",
            value("0.running_mean", 0, f32::INFINITY),
            "0.running_mean holds inf; expected finite numbers",
        ),
        (
            "a negative variance",
            value("0.running_var", 0, -0.5),
            "0.running_var holds -0.5; expected variances of at least 0",
        ),
    ]);
    Kind { name: NAME, folder: nothing, read }.check(&whole, &rows);
}

/// The network stands as JSON in a text of the header's JSON.
#[test]
fn described_networks() {
    let whole = network().described_weights(None);
    let edit =
        |from: &str, to: &str| edited(&whole, &from.replace('"', "\\\""), &to.replace('"', "\\\""));
    let classes = network().described_weights(Some(&["a".to_owned(), "b".to_owned()]));
    let rows: &[Row] = &[
        ("no file of tensors", b"{}".to_vec(), "not a safetensors file: header too small"),
        ("weights alone", network().weights(), "the file does not describe its network"),
        (
            "no object",
            edit(r#"{"network":"#, r#"["network","#),
            "cannot read the network that the file describes: invalid type: string \"network\", expected struct NetworkSpec at line 1 column 10",
        ),
        (
            "no layer",
            edit(r#""Flatten""#, r#""Flat""#),
            "cannot read the network that the file describes: layer 1: unknown variant `Flat`…",
        ),
        (
            "no option",
            edit(r#""in_features":4"#, r#""features":4"#),
            "cannot read the network that the file describes: layer 2: unknown field `features`, expected one of `in_features`, `out_features`, `bias` at line 1 column 186",
        ),
        (
            "an option that is no number",
            edit(r#""in_features":4"#, r#""in_features":-4"#),
            "cannot read the network that the file describes: layer 2: invalid value: integer `-4`, expected usize at line 1 column 190",
        ),
        (
            "another network",
            edit(r#""out_features":3"#, r#""out_features":4"#),
            "tensor 2.weight: expected shape [4, 4], found [3, 4]",
        ),
        (
            "a short file that claims gigabytes",
            edit(r#""out_features":3"#, r#""out_features":300000000"#),
            "tensor 2.weight: expected shape [300000000, 4], found [3, 4]",
        ),
        (
            "names of other classes",
            classes,
            "cannot read the network that the file describes: it gives 3 outputs, but has 2 classes",
        ),
    ];
    let mut rows: Vec<Row> = rows.iter().map(of("")).collect();
    rows.extend([
        ("layers that do not fit", edit(r#""in_features":4"#, r#""in_features":5"#), "layer 2, Linear(5, 3): expected an input of shape [5], found [4] from layer 1, Flatten()"),
        ("an input of nothing", edit(r#""input":[1,2,2]"#, r#""input":[1,0,2]"#), "the network's input shape [1, 0, 2] must have at least one axis, none of size 0, and fit memory"),
        (
            "more numbers than a network may have",
            edit(r#""out_features":3"#, r#""out_features":4000000000"#),
            "layer 2, Linear(4, 4000000000): the weight does not fit memory",
        ),
    ]);
    Kind { name: NAME, folder: nothing, read: predict }.check(&whole, &rows);
}
