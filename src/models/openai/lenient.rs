//! JSON as providers send it: a field of an unexpected type is a field that is not there, and text is borrowed from the
//! event where it can be.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// The answers of a visitor to the types it has no use for.
macro_rules! nothing_for {
    ($nothing:expr; $($kind:ident)*) => { $(nothing_for!(@ $kind $nothing);)* };
    (@ unit $n:expr) => { fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> { Ok($n) } };
    (@ bool $n:expr) => { fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> { Ok($n) } };
    (@ i64 $n:expr) => { fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> { Ok($n) } };
    (@ u64 $n:expr) => { fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> { Ok($n) } };
    (@ f64 $n:expr) => { fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> { Ok($n) } };
    (@ str $n:expr) => { fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> { Ok($n) } };
    (@ seq $n:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($n)
        }
    };
    (@ map $n:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($n)
        }
    };
}

/// Text, or none. A list of parts, as `[{"type":"text","text":".."}]`, is the text of its parts.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text, unless there is none or it is empty.
    pub(super) fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// Whether there is text, be it empty.
    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Part<'a> {
                    #[serde(borrow, default)]
                    text: Text<'a>,
                }
                let mut whole = String::new();
                while let Some(part) = seq.next_element::<Maybe<Part<'de>>>()? {
                    whole.push_str(part.0.as_ref().and_then(|p| p.text.get()).unwrap_or(""));
                }
                Ok(Text(Some(Cow::Owned(whole))))
            }

            nothing_for!(Text(None); unit bool i64 u64 f64 map);
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// A count, or none: a whole number that is not negative, be it written as `2` or as `2.0`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;

        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Count, E> {
                Ok(Count(Some(count)))
            }

            fn visit_f64<E: de::Error>(self, count: f64) -> Result<Count, E> {
                let whole = (0.0..9e15).contains(&count) && count.fract() == 0.0;
                Ok(Count(whole.then_some(count as u64)))
            }

            nothing_for!(Count(None); unit bool i64 str seq map);
        }

        deserializer.deserialize_any(CountVisitor)
    }
}

/// An object, or none.
#[derive(Debug)]
pub(super) struct Maybe<T>(pub(super) Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Maybe<T> {
        Maybe(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Maybe<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Maybe<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|object| Maybe(Some(object)))
            }

            nothing_for!(Maybe(None); unit bool i64 u64 f64 str seq);
        }

        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}
