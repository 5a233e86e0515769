//! Statement keys: who signed what (docs/spec/statements.md, S3).

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroize;

use crate::codec::byte_array;
use crate::log::note::Text;

byte_array! {
    /// The public half of a party's statement key (Ed25519).
    StatementKey, 32
}

byte_array! {
    /// An Ed25519 signature.
    Signature, 64
}

impl StatementKey {
    /// Says whether the bytes are a usable key: on the curve and not of small order.
    pub fn is_sound(&self) -> bool {
        VerifyingKey::from_bytes(self.as_bytes()).is_ok_and(|key| !key.is_weak())
    }

    /// Checks a signature over `tag || bytes`, refusing malleable signatures and weak keys.
    pub fn verifies(&self, tag: &SigningTag, bytes: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(self.as_bytes()) else {
            return false;
        };
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        key.verify_strict(&tag.message(bytes), &signature).is_ok()
    }

    /// Checks a signature over the text of a note; texts have no zero byte, statements with their tag have one.
    pub(crate) fn verifies_text(&self, text: &str, signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) = (
            VerifyingKey::from_bytes(self.as_bytes()),
            ed25519_dalek::Signature::from_slice(signature),
        ) else {
            return false;
        };
        !text.contains('\0') && key.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

/// What a signature is over, so that a signature for one purpose never serves another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningTag {
    /// A statement in a feed.
    Statement,
}

impl SigningTag {
    fn message(self, bytes: &[u8]) -> Vec<u8> {
        let tag: &[u8] = match self {
            Self::Statement => b"organtwin/1 statement\0",
        };
        [tag, bytes].concat()
    }
}

/// A party's statement key. It cannot be printed or cloned and is wiped when dropped.
pub struct Identity(SigningKey);

impl Identity {
    /// Makes the key from 32 secret bytes and wipes them.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        seed.zeroize();
        Self(key)
    }

    /// The public half.
    pub fn public(&self) -> StatementKey {
        StatementKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs the text of a note as it stands. The type keeps it apart from everything with a tag.
    pub(crate) fn sign_text(&self, text: &Text) -> Signature {
        Signature::from_bytes(self.0.sign(text.as_str().as_bytes()).to_bytes())
    }

    /// Signs `tag || bytes`.
    pub fn sign(&self, tag: SigningTag, bytes: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(&tag.message(bytes)).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_only() {
        let (one, two) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let signature = one.sign(SigningTag::Statement, b"yes");
        assert!(
            one.public()
                .verifies(&SigningTag::Statement, b"yes", &signature)
        );
        assert!(
            !one.public()
                .verifies(&SigningTag::Statement, b"no", &signature)
        );
        assert!(
            !two.public()
                .verifies(&SigningTag::Statement, b"yes", &signature)
        );
    }

    #[test]
    fn a_key_of_small_order_is_not_sound() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        assert!(!StatementKey::from_bytes(identity_point).is_sound());
        assert!(Identity::from_seed([3; 32]).public().is_sound());
    }
}
