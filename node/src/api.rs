//! The node's HTTP API on loopback, and the client that the command line uses.
//!
//! Every request carries the bearer token of the hospital's directory. Bodies are bounded. Errors are
//! `application/problem+json` (RFC 9457) with a stable `code`.

mod client;
mod problem;
mod routes;
mod runtime;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use problem::Problem;
pub use runtime::{Runtime, Token};
pub use server::{ApiServer, ServeError};
pub use wire::{
    DepositRequest, LocateRequest, PlanRequest, Proposed, RejectRequest, Studies, TwinInput,
};
