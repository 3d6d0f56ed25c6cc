//! Messages in the wire format of Protocol Buffers: as much of it as ONNX files need.
//!
//! A message is a list of fields. Each begins with a number, 8 · field + wire type, and goes on with its value: a
//! varint (type 0), a length and as many bytes (type 2), or four bytes (type 5). A varint is a number in groups of
//! seven bits, the lowest first; all bytes but the last have their top bit set.
//!
//! Source: the page "Encoding" of the Protocol Buffers documentation.

/// A message that grows field by field. Field numbers are those of its description, for ONNX `onnx.proto`.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Message {
    /// Without fields.
    pub(super) fn new() -> Message {
        Message::default()
    }

    /// Its bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The number of its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a field of type `int64`, `int32` or of an enumeration. Negative numbers take ten bytes.
    pub(super) fn int(mut self, field: u32, value: i64) -> Message {
        self.key(field, VARINT);
        self.varint(value.cast_unsigned());
        self
    }

    /// Adds a repeated field of type `int64`, one number behind the other.
    pub(super) fn ints(self, field: u32, values: impl IntoIterator<Item = i64>) -> Message {
        values.into_iter().fold(self, |message, value| message.int(field, value))
    }

    /// Adds a field of type `float`.
    pub(super) fn float(mut self, field: u32, value: f32) -> Message {
        self.key(field, FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a field of type `bytes`.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Message {
        self.key(field, LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Adds a field of type `string`.
    pub(super) fn string(self, field: u32, value: &str) -> Message {
        self.bytes(field, value.as_bytes())
    }

    /// Adds a field that is a message.
    pub(super) fn message(self, field: u32, value: &Message) -> Message {
        self.bytes(field, &value.0)
    }

    /// Adds the fields of another message of the same kind.
    pub(super) fn merge(mut self, other: &Message) -> Message {
        self.0.extend(&other.0);
        self
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        self.varint((u64::from(field) << 3) | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the page "Encoding".
    #[test]
    fn the_documentations_examples() {
        assert_eq!(Message::new().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let text = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(Message::new().string(2, "testing").into_bytes(), text);
        let nested = Message::new().message(3, &Message::new().int(1, 150));
        assert_eq!(nested.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Message::new().int(1, -2).into_bytes(), minus_two);
        let numbers = Message::new().ints(6, [1, 2, 3]);
        let numbers = Message::new().string(4, "hello").merge(&numbers);
        let expected = [0x22, 5, b'h', b'e', b'l', b'l', b'o', 0x30, 1, 0x30, 2, 0x30, 3];
        assert_eq!(numbers.into_bytes(), expected);
    }

    #[test]
    fn numbers_at_the_edges_of_seven_bits() {
        let varint = |value| Message::new().int(1, value).into_bytes()[1..].to_vec();
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(128), [0x80, 1]);
        assert_eq!(varint(16_383), [0xff, 0x7f]);
        assert_eq!(varint(16_384), [0x80, 0x80, 1]);
        assert_eq!(varint(i64::MAX), [[0xff; 8].as_slice(), &[0x7f]].concat());
        assert_eq!(Message::new().int(15, 1).into_bytes(), [0x78, 1]);
        assert_eq!(Message::new().int(16, 1).into_bytes(), [0x80, 0x01, 1]);
    }

    #[test]
    fn floats_and_long_bytes() {
        let float = Message::new().float(2, -1.5);
        assert_eq!(float.into_bytes(), [0x15, 0x00, 0x00, 0xc0, 0xbf]);
        let bytes = Message::new().bytes(9, &[7; 300]).into_bytes();
        assert_eq!((&bytes[..3], bytes.len()), (&[0x4a, 0xac, 0x02][..], 303));
    }
}
