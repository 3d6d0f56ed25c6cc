//! Data sets that are known by their checksums.

mod checksum;
mod sets;

pub(crate) use checksum::{file_sha256, sha256, unpacked_sha256};
pub(crate) use sets::{FASHION_MNIST, KMNIST, KNOWN, KnownFile, KnownSet, MNIST};

/// The checksums of a file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// SHA-256 of the file, if it is packed.
    pub(crate) packed: Option<String>,
    /// SHA-256 of what it holds.
    pub(crate) unpacked: String,
}

impl KnownFile {
    /// Whether `found` holds what this file holds, however it was packed.
    pub(crate) fn is(&self, found: &Found) -> bool {
        self.unpacked == Some(&found.unpacked[..]) || found.packed.as_deref() == Some(self.packed)
    }
}

/// The known set to which most of four files belong, and which of them do; `None` if none belongs to any.
/// A file that could not be read is `None`.
pub(crate) fn identify(found: &[Option<Found>; 4]) -> Option<(&'static KnownSet, [bool; 4])> {
    let belongs = |set: &KnownSet| -> [bool; 4] {
        std::array::from_fn(|i| found[i].as_ref().is_some_and(|found| set.files[i].is(found)))
    };
    let count = |belong: &[bool; 4]| belong.iter().filter(|belongs| **belongs).count();
    let sets = KNOWN.iter().map(|&set| (set, belongs(set))).filter(|(_, belong)| count(belong) > 0);
    // The first of those that have equally many: the order of the table.
    sets.rev().max_by_key(|(_, belong)| count(belong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn unpacked(set: &KnownSet, file: usize) -> Option<Found> {
        let unpacked = set.files[file].unpacked?.to_owned();
        Some(Found { packed: None, unpacked })
    }

    #[test]
    fn checksums_are_different_and_well_formed() {
        let mut seen = HashSet::new();
        for file in KNOWN.iter().flat_map(|set| &set.files) {
            assert!(file.packed_bytes < file.unpacked_bytes);
            for sum in [Some(file.packed), file.unpacked].into_iter().flatten() {
                assert_eq!(sum.len(), 64);
                assert!(sum.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)));
                assert!(seen.insert(sum), "{sum} twice");
            }
        }
    }

    #[test]
    fn a_set_is_known_by_most_of_its_files() {
        let [mnist, fashion, kmnist] = KNOWN;
        let whole = [0, 1, 2, 3].map(|i| unpacked(fashion, i));
        assert_eq!(identify(&whole).unwrap().1, [true; 4]);
        let (set, belong) =
            identify(&[unpacked(mnist, 0), unpacked(fashion, 1), None, unpacked(mnist, 3)])
                .unwrap();
        assert_eq!((set.title, belong), ("MNIST", [true, false, false, true]));

        let stranger = Found { packed: Some("a".repeat(64)), unpacked: "b".repeat(64) };
        assert!(identify(&[Some(stranger), None, None, None]).is_none());
        let packed = kmnist.files[1].packed.to_owned();
        let packed = Found { packed: Some(packed), unpacked: "b".repeat(64) };
        assert_eq!(identify(&[None, Some(packed), None, None]).unwrap().0.title, "KMNIST");
    }
}
