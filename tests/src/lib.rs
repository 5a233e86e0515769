//! The virtual consortium, its adversaries, and end-to-end tests.
