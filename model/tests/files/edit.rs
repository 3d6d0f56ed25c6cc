//! Safetensors files, made and edited.

/// A file of this header, with so many bytes of values.
pub(crate) fn file(header: &str, values: usize) -> Vec<u8> {
    let len = (header.len() as u64).to_le_bytes();
    [&len, header.as_bytes(), &vec![0; values]].concat()
}

/// The header of a file, and the values behind it.
pub(crate) fn split(file: &[u8]) -> (&str, &[u8]) {
    let (len, rest) = file.split_first_chunk().unwrap();
    let (header, values) = rest.split_at(u64::from_le_bytes(*len) as usize);
    (std::str::from_utf8(header).unwrap(), values)
}

/// `file` with another text in its header, which holds `from` once.
pub(crate) fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (header, values) = split(bytes);
    assert_eq!(header.matches(from).count(), 1, "{from} in {header}");
    let mut bytes = file(&header.replace(from, to), 0);
    bytes.extend(values);
    bytes
}

/// `file` that claims another length of its header.
pub(crate) fn with_len(file: &[u8], len: u64) -> Vec<u8> {
    [&len.to_le_bytes(), &file[8..]].concat()
}

/// `file` with these bytes at a place of a tensor's values.
pub(crate) fn with_value(bytes: &[u8], tensor: &str, at: usize, value: &[u8]) -> Vec<u8> {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let values = file.tensor(tensor).unwrap().data().as_ptr() as usize;
    let start = values - bytes.as_ptr() as usize + at;
    let mut bytes = bytes.to_vec();
    bytes[start..start + value.len()].copy_from_slice(value);
    bytes
}
