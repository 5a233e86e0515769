//! One hospital's node: how bytes, clocks and files move.
//!
//! Data flows from the command line and the HTTP API through [`hospital::NodeHandle`] into one loop,
//! and back out of it as effects on the network, the store and the machine's cores.

pub mod admission;
pub mod api;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod config;
pub mod demo;
pub(crate) mod features;
pub mod fhir;
pub mod hospital;
pub mod identity;
pub mod jobs;
pub mod memory;
pub(crate) mod models;
pub mod net;
pub mod planning;
pub mod private_file;
mod quiet;
pub mod store;
pub mod twins;
