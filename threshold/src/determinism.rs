//! Which bits this machine computes, and whether other machines compute the same
//! (docs/spec/determinism.md).

use tfhe::core_crypto::commons::math::random::Seed as TfheSeed;
use tfhe::core_crypto::prelude::{LweDimension, Seeder};
use tfhe::shortint::engine::ShortintEngine;
use tfhe::shortint::noise_squashing::{NoiseSquashingKey, NoiseSquashingPrivateKey};
use tfhe::shortint::parameters::v1_8::{
    V1_8_NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as SQUASHING,
    V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as COMPUTE,
};
use tfhe::shortint::{ClassicPBSParameters, ClientKey, ServerKey};

/// LWE dimension of the probe: short, because it only repeats the same external product.
const PROBE_LWE_DIMENSION: usize = 16;

/// Seed of the probe's keys and ciphertexts.
const PROBE_SEED: u128 = 0x4f72_6761_6e54_7769_6e20_7072_6f62_6531;

/// Digests of the probe on one instruction class, as committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedClass {
    /// Name of the class, as [`instruction_class`] returns it.
    pub class: &'static str,
    /// Hexadecimal digest of the probe's bootstraps (64-bit FFT).
    pub bootstrap: &'static str,
    /// Hexadecimal digest of the probe's noise squashing (128-bit FFT).
    pub squash: &'static str,
}

/// The instruction classes whose bits are known.
pub const CHECKED_CLASSES: &[CheckedClass] = &[
    CheckedClass {
        class: FUSED,
        bootstrap: "0470ab3aa9c9687bdee5daf9469812f1b5cf82fe7801c6598a0f3bc14bbf40b9",
        squash: "52619378b45c3e0e1211ba47610a2b24f49cc66f505b05f8c0fdcaca86d976dd",
    },
    CheckedClass {
        class: UNFUSED,
        bootstrap: "1f051006b292f09576a7f93b3265f37299b8c3d8e6a854613ef9adc54212bb50",
        squash: "c8f374ffcf78314ee0bd176fc4decf829089b60dfee8994d7940f7483c239da1",
    },
];

/// x86-64 with AVX2 and fused multiply-add; machines with AVX-512 round alike.
const FUSED: &str = "x86-64-fma";

/// x86-64 without them: products are rounded before they are added.
const UNFUSED: &str = "x86-64-scalar";

/// Digests of what this machine computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Hexadecimal digest of a few bootstraps (64-bit FFT).
    pub bootstrap: String,
    /// Hexadecimal digest of a noise squashing (128-bit FFT).
    pub squash: String,
}

/// Names the class of machines that round as this one does; the roster pins it and every node
/// checks that it is in it (determinism.md 3).
#[must_use]
pub fn instruction_class() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        // The library takes its fused path when all of these are there.
        let fused = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("lzcnt");
        if fused { FUSED } else { UNFUSED }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}

/// Tells whether this machine computes the committed bits of its class; nothing if no bits are
/// committed for it. Takes as long as [`probe`].
#[must_use]
pub fn computes_committed_bits() -> Option<bool> {
    let class = instruction_class();
    let known = CHECKED_CLASSES.iter().find(|known| known.class == class)?;
    let found = probe();
    Some(found.bootstrap == known.bootstrap && found.squash == known.squash)
}

struct FixedSeeder(u128);

impl Seeder for FixedSeeder {
    fn seed(&mut self) -> TfheSeed {
        self.0 = self.0.wrapping_add(1);
        TfheSeed(self.0)
    }

    fn is_available() -> bool {
        true
    }
}

/// Runs a few bootstraps and a noise squashing with fixed keys and returns the digests of all bits.
///
/// Takes a fraction of a second; the polynomial sizes are those of the real parameters.
#[must_use]
pub fn probe() -> Probe {
    let parameters = ClassicPBSParameters {
        lwe_dimension: LweDimension(PROBE_LWE_DIMENSION),
        ..COMPUTE
    };
    let fixed = ShortintEngine::new_from_seeder(&mut FixedSeeder(PROBE_SEED));
    let before = ShortintEngine::with_thread_local_mut(|engine| std::mem::replace(engine, fixed));

    let client = ClientKey::new(parameters);
    let server = ServerKey::new(&client);
    let squashing_secret = NoiseSquashingPrivateKey::new(SQUASHING);
    let squashing = NoiseSquashingKey::new(&client, &squashing_secret);
    let inputs: Vec<_> = (0..3)
        .map(|value| client.unchecked_encrypt(value * 5))
        .collect();

    ShortintEngine::with_thread_local_mut(|engine| *engine = before);

    let table = server.generate_lookup_table(|value| (3 * value + 1) % 16);
    let mut bootstraps = blake3::Hasher::new();
    let mut last = None;
    for input in &inputs {
        let output = server.apply_lookup_table(input, &table);
        for word in output.ct.as_ref() {
            bootstraps.update(&word.to_le_bytes());
        }
        last = Some(output);
    }
    let mut squashes = blake3::Hasher::new();
    if let Some(input) = last {
        let output = squashing.squash_ciphertext_noise(&input, &server);
        for word in output.lwe_ciphertext().as_ref() {
            squashes.update(&word.to_le_bytes());
        }
    }
    Probe {
        bootstrap: bootstraps.finalize().to_hex().to_string(),
        squash: squashes.finalize().to_hex().to_string(),
    }
}
