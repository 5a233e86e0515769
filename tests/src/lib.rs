//! The virtual consortium: all hospitals of a consortium in one process, under virtual time, with seeded delays,
//! small insecure parameters, and liars.
//!
//! Everything that decides is the real code: statements, fold, ceremony steps, duties, key computation,
//! evaluation on ciphertext, squashing, partial decryption, transcript. Only what a node does with sockets,
//! disks and clocks is replaced here.

pub mod consortium;
pub mod decoders;
pub mod decryption;
pub mod keymaking;
pub mod liar;
pub mod network;
pub mod party;
mod research;
mod resharing;
pub mod schedules;
