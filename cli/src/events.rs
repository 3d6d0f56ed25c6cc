//! TensorBoard's event files: numbers by step, to be looked at while a training runs and after it.
//!
//! A file is a row of records: the length of the data as `u64`, its checksum, the data, their checksum,
//! lowest byte first. The data are a protocol buffer, `Event` in TensorFlow's `event.proto`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the first record says.
const VERSION: &[u8] = b"brain.Event:2";
/// A record longer than this is none of ours.
const RECORD_LIMIT: u64 = 1 << 20;

/// What the name of an event file begins with.
pub(crate) const PREFIX: &str = "events.out.tfevents.";

/// The name of a new event file: TensorBoard reads those with `tfevents` in their name, in order.
pub(crate) fn file_name() -> String {
    let name = ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let mut host = name.unwrap_or_default();
    host.retain(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.');
    let host = if host.is_empty() { "localhost" } else { &host };
    format!("{PREFIX}{:010}.{host}", wall_time() as u64)
}

/// All event files of a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let mut files: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The last event file of a folder, if it has one.
pub(crate) fn newest(folder: &Path) -> Option<PathBuf> {
    files(folder).pop()
}

/// Writes numbers to an event file.
#[derive(Debug)]
pub(crate) struct EventWriter {
    file: BufWriter<File>,
}

impl EventWriter {
    /// A new file.
    ///
    /// # Errors
    /// Those of the system, also if the file is there already.
    pub(crate) fn create(path: &Path) -> io::Result<EventWriter> {
        let mut writer = EventWriter { file: BufWriter::new(File::create_new(path)?) };
        writer.begin()?;
        Ok(writer)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.record(&event(0, 3, VERSION))?;
        self.flush()
    }

    /// A file that is there, to be continued after `step`: later steps, and what a crash has left
    /// half-written, are taken out of it.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::InvalidData`] if it is no event file.
    pub(crate) fn appending(path: &Path, step: u64) -> io::Result<EventWriter> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let end = end_of(BufReader::new(&mut file), step)?;
        if end == 0 && !is_beginning(&mut file)? {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a TensorBoard event file"));
        }
        file.set_len(end)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(end))?;
        let mut writer = EventWriter { file: BufWriter::new(file) };
        if end == 0 {
            writer.begin()?;
        }
        Ok(writer)
    }

    /// A number at a step. Tags with the same part before a `/` are shown together.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn scalar(&mut self, step: u64, tag: &str, value: f32) -> io::Result<()> {
        let mut number = Vec::new();
        bytes_field(&mut number, 1, tag.as_bytes());
        number.push(field(2, 5));
        number.extend(value.to_le_bytes());
        let mut summary = Vec::new();
        bytes_field(&mut summary, 1, &number);
        self.record(&event(step, 5, &summary))
    }

    /// Hands everything to the system, so that TensorBoard sees it.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        self.file.write_all(&length)?;
        self.file.write_all(&checksum(&length))?;
        self.file.write_all(data)?;
        self.file.write_all(&checksum(data))
    }
}

/// An event of this time and step with one more field.
fn event(step: u64, number: u8, content: &[u8]) -> Vec<u8> {
    let mut event = vec![field(1, 1)];
    event.extend(wall_time().to_le_bytes());
    if step > 0 {
        event.push(field(2, 0));
        varint(&mut event, step);
    }
    bytes_field(&mut event, number, content);
    event
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Number and kind of a field: 0 is a varint, 1 are 8 bytes, 2 are bytes with their number, 5 are 4
/// bytes.
fn field(number: u8, kind: u8) -> u8 {
    number << 3 | kind
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes_field(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(field(number, 2));
    varint(out, content.len() as u64);
    out.extend(content);
}

/// Where the last whole record ends before the first of a step after `step`.
fn end_of(mut file: impl Read, step: u64) -> io::Result<u64> {
    let mut end = 0;
    while let Some(data) = next_record(&mut file)? {
        if step_of(&data) > step {
            break;
        }
        end += data.len() as u64 + 16;
    }
    Ok(end)
}

/// Whether a file without a whole record is what a process that was ended has written of the first one.
fn is_beginning(file: &mut File) -> io::Result<bool> {
    io::Seek::rewind(file)?;
    let length = (event(0, 3, VERSION).len() as u64).to_le_bytes();
    let head = [&length[..], &checksum(&length)].concat();
    let mut bytes = Vec::new();
    file.take(head.len() as u64).read_to_end(&mut bytes)?;
    Ok(head.starts_with(&bytes))
}

/// The data of a record; none if it is not whole.
fn next_record(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let Some(head) = read(file, 12)? else { return Ok(None) };
    let (length, sum) = head.split_at(8);
    let size = u64::from_le_bytes(length.try_into().expect("8 bytes"));
    if sum != checksum(length) || size > RECORD_LIMIT {
        return Ok(None);
    }
    let Some(mut data) = read(file, size as usize + 4)? else { return Ok(None) };
    let sum = data.split_off(size as usize);
    Ok((sum == checksum(&data)).then_some(data))
}

fn read(file: &mut impl Read, count: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(count);
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok((bytes.len() == count).then_some(bytes))
}

/// The step of an event that [`event`] has made: its second field, 0 if there is none.
fn step_of(event: &[u8]) -> u64 {
    let Some((&kind, rest)) = event.get(9..).and_then(<[u8]>::split_first) else { return 0 };
    if kind != field(2, 0) {
        return 0;
    }
    let len = rest.iter().take(9).take_while(|&&byte| byte >= 0x80).count() + 1;
    let digits = rest.iter().take(len).rev();
    digits.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// The CRC-32C in the form that TensorFlow stores: turned by 15 bits, plus a constant.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// The remainders of all bytes by Castagnoli's polynomial, bits in reverse.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0x82f6_3b78 ^ crc >> 1 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_the_standard() {
        // RFC 3720, B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        // The length 24, with which every file of TensorFlow starts.
        assert_eq!(checksum(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    /// Time and the rest of every record, read in another way than [`end_of`] does.
    fn records(mut file: &[u8]) -> Vec<(f64, Vec<u8>)> {
        let mut records = Vec::new();
        while !file.is_empty() {
            let size = usize::from(file[0]);
            assert!(file[1..8].iter().all(|&byte| byte == 0));
            let (record, rest) = file.split_at(size + 16);
            assert_eq!(record[8..12], checksum(&record[..8]));
            let data = &record[12..12 + size];
            assert_eq!(record[12 + size..], checksum(data));
            assert_eq!(data[0], 0x09);
            records.push((f64::from_le_bytes(data[1..9].try_into().unwrap()), data[9..].to_vec()));
            file = rest;
        }
        records
    }

    #[test]
    fn records_are_those_of_tensorflow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file_name());
        let mut writer = EventWriter::create(&path).unwrap();
        writer.scalar(0, "loss", 0.5).unwrap();
        writer.scalar(300, "a/ü", -2.0).unwrap();
        writer.flush().unwrap();
        let records = records(&std::fs::read(&path).unwrap());
        let data: Vec<&[u8]> = records.iter().map(|record| record.1.as_slice()).collect();
        assert_eq!(data[0], b"\x1a\x0dbrain.Event:2");
        assert_eq!(data[1], b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f");
        assert_eq!(data[2], b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04a/\xc3\xbc\x15\x00\x00\x00\xc0");
        assert_eq!(data.len(), 3);
        assert!(records.iter().all(|record| record.0 > 1.7e9));
        assert!(EventWriter::create(&path).is_err(), "a file that is there stays");
    }

    #[test]
    fn a_file_is_continued_after_a_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tfevents.1");
        let mut writer = EventWriter::create(&path).unwrap();
        for step in [1, 127, 128, 70_000, u64::MAX] {
            writer.scalar(step, "loss", step as f32).unwrap();
        }
        drop(writer);
        let whole = std::fs::read(&path).unwrap();
        let steps = |path: &Path| -> Vec<u64> {
            let step = |(time, data): (f64, Vec<u8>)| {
                step_of(&[&[0x09][..], &time.to_le_bytes(), &data].concat())
            };
            records(&std::fs::read(path).unwrap()).into_iter().map(step).collect()
        };
        assert_eq!(steps(&path), [0, 1, 127, 128, 70_000, u64::MAX]);
        for (bytes, after, expected) in [
            (&whole[..], u64::MAX, &[0, 1, 127, 128, 70_000, u64::MAX, 5][..]),
            (&whole[..], 128, &[0, 1, 127, 128, 5]),
            (&whole[..whole.len() - 1], u64::MAX, &[0, 1, 127, 128, 70_000, 5]),
            (&whole[..45], 9, &[0, 5]),
            (&whole[..39], 9, &[0, 5]),
            (&whole[..11], 9, &[0, 5]),
            (b"", 9, &[0, 5]),
        ] {
            std::fs::write(&path, bytes).unwrap();
            EventWriter::appending(&path, after).unwrap().scalar(5, "loss", 1.0).unwrap();
            assert_eq!(steps(&path), expected);
        }
        for bytes in [&b"something else altogether"[..], &[0xff; 64], &[25]] {
            std::fs::write(&path, bytes).unwrap();
            let error = EventWriter::appending(&path, 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
