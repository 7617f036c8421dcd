//! The storyteller's text: a given one, or an endless story.

use std::sync::Arc;

/// Where words come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// These words.
    Words(Arc<[Arc<str>]>),
    /// An endless story, the same for the same seed.
    Endless,
}

impl Source {
    /// Splits `text` into words, each with the white space after it, so that joined they give the text again.
    pub(super) fn text(text: &str) -> Source {
        let mut words: Vec<Arc<str>> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let space = rest[word..]
                .find(|c: char| !c.is_whitespace())
                .unwrap_or(rest.len() - word);
            let (head, tail) = rest.split_at(word + space);
            words.push(head.into());
            rest = tail;
        }
        Source::Words(words.into())
    }
}

/// A source of numbers that look random and are the same for the same seed: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of `list`, which is not empty.
    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[(self.roll() % list.len() as u64) as usize]
    }
}

const WHEN: [&str; 8] = [
    "At dawn",
    "That night",
    "On the third day",
    "When the tide turned",
    "Long after the lamps were out",
    "Before anyone could speak",
    "In the first week of winter",
    "As the fog lifted",
];
const WHO: [&str; 8] = [
    "the keeper of the light",
    "a girl from the salt works",
    "the old pilot",
    "her brother",
    "the captain's clock",
    "a stranger in a wet coat",
    "the last ferryman",
    "the harbour cat",
];
const DID: [&str; 8] = [
    "counted the ships",
    "found a letter under the stairs",
    "rowed out past the bell",
    "asked for the way to the north shore",
    "said nothing for a long while",
    "lit every lamp in the house",
    "traded a map for a loaf of bread",
    "heard the sea under the floor",
];
const AND: [&str; 8] = [
    "and did not look back",
    "and nobody asked why",
    "though the wind had other plans",
    "while the gulls kept watch",
    "and the water gave no answer",
    "as if it had always been so",
    "and wrote it down in a small red book",
    "until the candle was gone",
];

/// The words of an endless story.
#[derive(Clone, Debug)]
pub(super) struct Story {
    dice: Dice,
    sentence: Vec<&'static str>,
    sentences: u64,
    /// A buffer, reused for each word.
    word: String,
}

impl Story {
    pub(super) fn new(seed: u64) -> Story {
        Story {
            dice: Dice::new(seed),
            sentence: Vec::new(),
            sentences: 0,
            word: String::new(),
        }
    }

    /// The next word, with its punctuation and the white space after it.
    pub(super) fn next_word(&mut self) -> Arc<str> {
        if self.sentence.is_empty() {
            self.sentences += 1;
            let parts = [WHEN, WHO, DID, AND].map(|list| self.dice.pick(&list));
            self.sentence = parts.iter().flat_map(|part| part.split(' ')).collect();
            self.sentence.reverse();
        }
        let space = match (self.sentence.len(), self.sentences % 5) {
            (1, 0) => ".\n\n",
            (1, _) => ". ",
            _ => " ",
        };
        self.word.clear();
        self.word.push_str(self.sentence.pop().unwrap_or_default());
        self.word.push_str(space);
        self.word.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_text_are_the_text() {
        for text in [
            "",
            "one",
            " one",
            "one  two\n three ",
            "日本 語",
            "\u{2003}a\u{2003}",
        ] {
            let Source::Words(words) = Source::text(text) else {
                panic!("a text has words");
            };
            assert_eq!(words.concat(), text);
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let tell = |seed| {
            let mut story = Story::new(seed);
            (0..100)
                .map(|_| story.next_word())
                .collect::<Vec<_>>()
                .concat()
        };
        assert_eq!(tell(7), tell(7));
        assert_ne!(tell(7), tell(8));
        assert!(tell(7).contains(". "));
    }
}
