//! Repeatable random numbers, and a folder for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

use quell::RunId;

/// SplitMix64.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The dice of one test, with the seed from the environment or a new one. The seed is printed.
    pub(crate) fn of(test: &str) -> Dice {
        let seed = std::env::var("QUELL_CRASH_SEED").ok();
        let seed = seed.map_or_else(
            || {
                let [.., a, b, c, d] = *RunId::new().as_bytes();
                u64::from(u32::from_be_bytes([a, b, c, d]))
            },
            |seed| seed.parse().expect("a seed is a number"),
        );
        println!("{test}: QUELL_CRASH_SEED={seed}");
        let salt = test.bytes().map(u64::from).sum::<u64>();
        Dice(seed ^ (salt << 32))
    }

    /// A number below `below`.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    /// A number from 1 up to `most`, each length equally likely: many small ones and some large.
    pub(crate) fn some(&mut self, most: u64) -> u64 {
        let bits = u64::from(most.ilog2()) + 1;
        let below = 1 << (self.roll(bits) + 1);
        (self.roll(below) + 1).min(most)
    }
}

/// Silences the intended panics. All others are reported as usual.
pub(crate) fn silence_told_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let aloud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let told = panic
                .payload_as_str()
                .is_some_and(|words| words.contains("was told to panic"));
            if !told {
                aloud(panic);
            }
        }));
    });
}

/// A folder of its own, deleted when the test has passed.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RunId::new().to_string());
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The file is kept for inspection.
            println!("left: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
