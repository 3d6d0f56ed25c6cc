//! The table of known data sets.
//!
//! Checksums of packed files are those of the files as their authors published them. Those of unpacked files
//! were computed from such files.

/// A published data set in MNIST's format.
#[derive(Debug)]
pub(crate) struct KnownSet {
    /// Its name on the command line, and that of its folder.
    pub(crate) name: &'static str,
    /// Its name in a sentence.
    pub(crate) title: &'static str,
    /// In the order of `IdxFile::NAMES`.
    pub(crate) files: [KnownFile; 4],
    pub(crate) classes: [&'static str; 10],
    /// Folders on the web that have the packed files.
    pub(crate) mirrors: &'static [&'static str],
}

/// One of its files.
#[derive(Debug)]
pub(crate) struct KnownFile {
    /// SHA-256 of the file as it was published, packed.
    pub(crate) packed: &'static str,
    /// Its length.
    pub(crate) packed_bytes: u64,
    /// SHA-256 of what it holds, where that is known.
    pub(crate) unpacked: Option<&'static str>,
    /// The number of bytes that it holds.
    pub(crate) unpacked_bytes: u64,
}

/// All of them have 60,000 images of 28 × 28 pixels to learn from and 10,000 to be judged by.
const UNPACKED_BYTES: [u64; 4] = [47_040_016, 60_008, 7_840_016, 10_008];

/// The files of these packed checksums and lengths, and of these unpacked checksums.
const fn files(
    packed: [(&'static str, u64); 4],
    unpacked: [Option<&'static str>; 4],
) -> [KnownFile; 4] {
    const fn file(
        (packed, packed_bytes): (&'static str, u64),
        unpacked: Option<&'static str>,
        unpacked_bytes: u64,
    ) -> KnownFile {
        KnownFile { packed, packed_bytes, unpacked, unpacked_bytes }
    }
    let bytes = UNPACKED_BYTES;
    [
        file(packed[0], unpacked[0], bytes[0]),
        file(packed[1], unpacked[1], bytes[1]),
        file(packed[2], unpacked[2], bytes[2]),
        file(packed[3], unpacked[3], bytes[3]),
    ]
}

pub(crate) static KNOWN: [&KnownSet; 3] = [&MNIST, &FASHION_MNIST, &KMNIST];

/// <http://yann.lecun.com/exdb/mnist/>
pub(crate) static MNIST: KnownSet = KnownSet {
    name: "mnist",
    title: "MNIST",
    files: files(
        [
            ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
            ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
            ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
            ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
        ],
        [
            Some("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            Some("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            Some("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            Some("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ],
    ),
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ],
};

/// <https://github.com/zalandoresearch/fashion-mnist>
pub(crate) static FASHION_MNIST: KnownSet = KnownSet {
    name: "fashion-mnist",
    title: "Fashion-MNIST",
    files: files(
        [
            ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
            ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
            ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
            ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
        ],
        [
            Some("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            Some("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            Some("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            Some("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ],
    ),
    classes: [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    mirrors: &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
};

/// <https://github.com/rois-codh/kmnist>. It is known as it was published only: unpacked, it is a set like
/// any other.
pub(crate) static KMNIST: KnownSet = KnownSet {
    name: "kmnist",
    title: "KMNIST",
    files: files(
        [
            ("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18_165_135),
            ("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", 29_497),
            ("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", 3_041_136),
            ("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", 5_120),
        ],
        [None; 4],
    ),
    classes: ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    mirrors: &[
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ],
};
