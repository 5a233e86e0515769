//! Wrappers that keep secrets out of logs, copies and freed memory.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// A value that is wiped when dropped, prints as `Secret(..)` and cannot be cloned or serialized.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes `value` into custody.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Lends the value; whoever copies it out is responsible for the copy.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Lends the value for writing.
    pub const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<const N: usize> ConstantTimeEq for Secret<[u8; N]> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_its_value() {
        assert_eq!(format!("{:?}", Secret::new([7u8; 32])), "Secret(..)");
    }

    #[test]
    fn secrets_compare_by_value() {
        let same = Secret::new([1u8; 4]).ct_eq(&Secret::new([1u8; 4]));
        let other = Secret::new([1u8; 4]).ct_eq(&Secret::new([2u8; 4]));
        assert!(bool::from(same) && !bool::from(other));
    }
}
