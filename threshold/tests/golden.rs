//! The bits that a bootstrap and a noise squashing give on this machine.
//!
//! Nodes compare digests of evaluated ciphertexts, so two machines of one consortium must agree on
//! every bit, rounding errors of the FFT included. The digests below were computed with the real
//! polynomial sizes and a short LWE key (docs/spec/determinism.md).

use organtwin_threshold::determinism::{CHECKED_CLASSES, instruction_class, probe};

#[test]
fn this_machine_computes_the_committed_bits_of_its_instruction_class() {
    let class = instruction_class();
    let expected = CHECKED_CLASSES
        .iter()
        .find(|known| known.class == class)
        .unwrap_or_else(|| panic!("no digests are committed for the instruction class {class}"));
    let found = probe();
    println!(
        "{class}: bootstrap {} squash {}",
        found.bootstrap, found.squash
    );
    assert_eq!(
        (found.bootstrap.as_str(), found.squash.as_str()),
        (expected.bootstrap, expected.squash),
        "this machine rounds differently from every machine of class {class}",
    );
}

#[test]
fn the_probe_gives_the_same_bits_twice() {
    assert_eq!(probe(), probe());
}
