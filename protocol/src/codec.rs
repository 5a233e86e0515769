//! Strict CBOR: one value has one encoding, and nothing else is accepted (docs/spec/statements.md, S1).

use std::fmt;

use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The deepest nesting of arrays and maps that [`decode`] follows.
const MAX_DEPTH: usize = 16;

/// Why bytes are not the encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are longer than the kind of message allows.
    #[error("expected at most {limit} bytes, got {got}: send large bodies by hash")]
    TooLarge {
        /// The most bytes allowed.
        limit: usize,
        /// The bytes that came.
        got: usize,
    },
    /// The bytes are not CBOR of the expected shape, or a value is out of its bounds.
    #[error("expected a strictly encoded value, got: {0}")]
    Malformed(String),
    /// The bytes decode, but their canonical encoding differs from them.
    #[error(
        "expected the canonical encoding, got another encoding of the same value: re-encode it"
    )]
    NotCanonical,
    /// Bytes follow the encoded value.
    #[error("expected nothing after the value, got {0} more bytes")]
    Trailing(usize),
}

/// Encodes a value in its canonical form.
///
/// # Errors
/// [`CodecError::Malformed`] when the type cannot be written as CBOR.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|e| CodecError::Malformed(e.to_string()))?;
    Ok(bytes)
}

/// Decodes exactly one value of at most `limit` bytes and proves that the bytes are its canonical form.
///
/// # Errors
/// Every deviation is an error; none is repaired.
pub fn decode<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    limit: usize,
) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLarge {
            limit,
            got: bytes.len(),
        });
    }
    let mut rest = bytes;
    let value: T = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    if !rest.is_empty() {
        return Err(CodecError::Trailing(rest.len()));
    }
    // Compared as they are written: what is decoded may be private, and leaves no copy here.
    let mut same = Same(bytes);
    match ciborium::into_writer(&value, &mut same) {
        Ok(()) if same.0.is_empty() => Ok(value),
        _ => Err(CodecError::NotCanonical),
    }
}

/// Takes only the bytes that it expects.
struct Same<'a>(&'a [u8]);

impl std::io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .strip_prefix(bytes)
            .ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Bytes of any length, written as one CBOR byte string (hexadecimal in JSON).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteString(pub Vec<u8>);

impl ByteString {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for ByteString {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteString({} bytes)", self.0.len())
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes(deserializer).map(Self)
    }
}

/// Writes bytes as a byte string, or as hexadecimal where people read it.
pub(crate) fn serialize_bytes<S: Serializer>(
    bytes: &[u8],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&to_hex(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

/// Reads what [`serialize_bytes`] wrote.
pub(crate) fn deserialize_bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<u8>, D::Error> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a byte string")
        }
        fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
            Ok(v.to_vec())
        }
        fn visit_byte_buf<E: de::Error>(self, v: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(v)
        }
        fn visit_str<E: de::Error>(self, v: &str) -> Result<Vec<u8>, E> {
            from_hex(v).ok_or_else(|| {
                E::custom("expected an even number of lower-case hexadecimal digits")
            })
        }
    }
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Bytes)
    } else {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('?'));
            }
            text
        })
}

/// Reads lower-case hexadecimal; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .bytes()
        .map(|c| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

/// Declares a fixed number of bytes as a type of its own: a byte string in CBOR, hexadecimal in text.
macro_rules! byte_array {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps the bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads what `Display` writes; `None` for any other text.
            pub fn from_hex(text: &str) -> Option<Self> {
                $crate::codec::from_hex(text)?.try_into().ok().map(Self)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&$crate::codec::to_hex(&self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::codec::serialize_bytes(&self.0, serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = $crate::codec::deserialize_bytes(deserializer)?;
                let got = bytes.len();
                bytes.try_into().map(Self).map_err(|_| {
                    ::serde::de::Error::custom(format!("expected {} bytes, got {got}", $len))
                })
            }
        }
    };
}
pub(crate) use byte_array;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        a: u64,
        b: ByteString,
        c: BTreeMap<u8, u8>,
    }

    fn sample() -> Sample {
        Sample {
            a: 7,
            b: ByteString(vec![1, 2]),
            c: BTreeMap::from([(1, 1), (2, 2)]),
        }
    }

    /// `{"a": 7, "b": h'0102', "c": {1: 1, 2: 2}}`
    const GOOD: &str = "a3616107616242010261 63a201010202";

    fn bytes(hex: &str) -> Vec<u8> {
        from_hex(&hex.replace(' ', "")).unwrap()
    }

    #[test]
    fn canonical_bytes_decode_to_the_value() {
        assert_eq!(encode(&sample()).unwrap(), bytes(GOOD));
        assert_eq!(decode::<Sample>(&bytes(GOOD), 64).unwrap(), sample());
    }

    #[test]
    fn every_other_encoding_is_refused() {
        let cases = [
            (
                "integer longer than needed",
                "a361611807616242010261 63a201010202",
            ),
            (
                "map length longer than needed",
                "b803616107616242010261 63a201010202",
            ),
            (
                "fields in another order",
                "a362 6242010261610761 63a201010202",
            ),
            ("keys in another order", "a3616107616242010261 63a202020101"),
            ("a key twice", "a3616107616242010261 63a201010101"),
            ("a field twice", "a461610761610761624201026163a201010202"),
            ("an unknown field", "a461610761624201026163a201010202616400"),
            ("a missing field", "a2616107616242010 2".trim()),
            ("indefinite map", "bf616107616242010261 63a201010202ff"),
            (
                "indefinite byte string",
                "a361610761625f42 0102ff6163a201010202",
            ),
            ("byte string as array", "a36161076162820102 6163a201010202"),
            ("tagged value", "a36161c1076162420102 6163a201010202"),
            ("text for bytes", "a3616107616262010261 63a201010202"),
            ("float for integer", "a36161f94700616242010261 63a201010202"),
            (
                "bytes after the value",
                "a3616107616242010261 63a20101020200",
            ),
            ("cut short", "a3616107616242010261 63a2010102"),
            ("nothing", ""),
        ];
        for (name, hex) in cases {
            assert!(
                decode::<Sample>(&bytes(hex), 64).is_err(),
                "{name} was accepted"
            );
        }
    }

    #[test]
    fn a_message_over_its_limit_is_refused_before_it_is_read() {
        assert_eq!(
            decode::<Sample>(&bytes(GOOD), 3),
            Err(CodecError::TooLarge { limit: 3, got: 16 })
        );
    }

    #[test]
    fn nesting_deeper_than_the_limit_is_refused() {
        #[derive(Serialize, Deserialize)]
        struct Deep(Vec<Deep>);
        assert!(decode::<Deep>(&[vec![0x81; 64], vec![0x80]].concat(), 100).is_err());
    }

    #[test]
    fn a_length_that_promises_gigabytes_is_refused_without_allocating_them() {
        // "b" announces 2^40 bytes.
        assert!(decode::<Sample>(&bytes("a361610761625b0000010000000000"), 64).is_err());
    }

    #[test]
    fn hexadecimal_is_lower_case_and_even() {
        assert_eq!(from_hex("0aff"), Some(vec![10, 255]));
        assert_eq!(from_hex("0AFF"), None);
        assert_eq!(from_hex("0af"), None);
    }
}
