//! `organtwin doctor`: is this directory, machine and node in order, and if not, what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use organtwin_protocol::roster::Roster;
use organtwin_threshold::determinism;
use serde::Serialize;

use super::Common;
use super::failure::Failure;
use super::output::{bytes, table};
use crate::api::{Client, Token};
use crate::config::{Config, HospitalDir};
use crate::hospital::NodeStatus;

/// A node needs this much at its peak, and some room for the machine.
const MEMORY_BYTES: u64 = 3 << 30;
/// Key material, vectors of a ceremony and blobs.
const DISK_BYTES: u64 = 5 << 30;

#[derive(Serialize)]
struct Check {
    name: &'static str,
    passed: bool,
    detail: String,
}

#[derive(Serialize)]
struct Diagnosis {
    ok: bool,
    checks: Vec<Check>,
}

pub(super) fn run(common: &Common) -> Result<ExitCode, Failure> {
    let dir = common.hospital();
    let mut checks = Vec::new();
    let mut check = |name, result: Result<String, String>| {
        let passed = result.is_ok();
        let (Ok(detail) | Err(detail)) = result;
        checks.push(Check {
            name,
            passed,
            detail,
        });
    };
    check("configuration", configuration(&dir));
    check("secrets", closed_files(&dir));
    check(
        "api token",
        Token::load(&dir.api_token())
            .map(|_| "closed to others".into())
            .map_err(|e| e.to_string()),
    );
    check("roster", roster(&dir));
    check("memory", memory());
    check("disk", disk(dir.root()));
    check("instructions", instructions(&dir));
    let status = Client::open(&dir).and_then(|client| client.status());
    match status {
        Err(error) => check("node", Err(error.to_string())),
        Ok(status) => {
            check(
                "node",
                Ok(format!(
                    "party {} of {} answers",
                    status.party, status.parties
                )),
            );
            check("peers", peers(&status));
            check("signatures", signatures(&status));
            check("key", key(&status));
            check(
                "openings",
                Ok(format!(
                    "{} of {} spent",
                    status.openings_spent, status.openings_limit
                )),
            );
            check(
                "faults",
                match status.faults.is_empty() {
                    true => Ok("no peer was caught deviating".into()),
                    false => Err(status.faults.join("; ")),
                },
            );
        }
    }
    let diagnosis = Diagnosis {
        ok: checks.iter().all(|check| check.passed),
        checks,
    };
    common.output.show("organtwin.doctor/1", &diagnosis, || {
        let rows = diagnosis.checks.iter().map(|check| {
            let word = if check.passed { "ok" } else { "LOOK" };
            vec![word.to_owned(), check.name.to_owned(), check.detail.clone()]
        });
        table(&["", "check", "finding"], rows)
    });
    Ok(if diagnosis.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn configuration(dir: &HospitalDir) -> Result<String, String> {
    Config::load(dir)
        .map(|config| format!("hospital '{}'", config.name))
        .map_err(|error| error.to_string())
}

fn closed_files(dir: &HospitalDir) -> Result<String, String> {
    let mut seen = 0;
    let entries = std::fs::read_dir(dir.identity());
    let entries = entries.map_err(|error| {
        format!(
            "{}: {error}; run `organtwin init`",
            dir.identity().display()
        )
    })?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let metadata =
            std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(format!(
                "{} can be read by others; run `chmod 600` on it",
                path.display()
            ));
        }
        seen += 1;
    }
    Ok(format!("{seen} files closed to others"))
}

fn read_roster(dir: &HospitalDir) -> Result<Roster, String> {
    let path = dir.roster();
    let bytes = std::fs::read(&path).map_err(|error| {
        format!(
            "{}: {error}; make it with `organtwin roster create`",
            path.display()
        )
    })?;
    Roster::decode(&bytes).map_err(|error| error.to_string())
}

fn roster(dir: &HospitalDir) -> Result<String, String> {
    let roster = read_roster(dir)?;
    let committee = roster.committee();
    Ok(format!(
        "'{}', n = {}, t = {}",
        roster.name(),
        committee.n(),
        committee.t()
    ))
}

fn memory() -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/meminfo")
        .map_err(|error| format!("/proc/meminfo: {error}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    match kib.map(|kib| kib * 1024) {
        Some(available) if available >= MEMORY_BYTES => {
            Ok(format!("{} available", bytes(available)))
        }
        Some(available) => Err(format!(
            "{} available, a node needs {} at its peak",
            bytes(available),
            bytes(MEMORY_BYTES)
        )),
        None => Ok("the system does not say".into()),
    }
}

fn disk(path: &Path) -> Result<String, String> {
    let stat = rustix::fs::statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    match free >= DISK_BYTES {
        true => Ok(format!("{} free", bytes(free))),
        false => Err(format!(
            "{} free, a ceremony and its key need {}",
            bytes(free),
            bytes(DISK_BYTES)
        )),
    }
}

/// The roster pins the class of machines that round alike, and the machine must keep to its class.
fn instructions(dir: &HospitalDir) -> Result<String, String> {
    let own = determinism::instruction_class();
    if let Ok(roster) = read_roster(dir)
        && roster.instruction_class() != own
    {
        return Err(format!(
            "this machine is {own}, the roster asks for {}; use another machine",
            roster.instruction_class()
        ));
    }
    match determinism::computes_committed_bits() {
        Some(true) => Ok(format!("{own}, with the bits that are committed for it")),
        Some(false) => Err(format!(
            "{own}, but other bits than are committed for it: its shards would not agree"
        )),
        None => Ok(format!("{own}, for which no bits are committed")),
    }
}

fn peers(status: &NodeStatus) -> Result<String, String> {
    let away: Vec<String> = (status.peers.iter().filter(|peer| !peer.connected))
        .map(|peer| match peer.addresses.is_empty() {
            true => format!(
                "party {} ({}): no address; `organtwin roster locate`",
                peer.party, peer.name
            ),
            false => format!("party {} ({}) does not answer", peer.party, peer.name),
        })
        .collect();
    if away.is_empty() {
        Ok(format!("all {} connected", status.peers.len()))
    } else {
        Err(away.join("; "))
    }
}

fn signatures(status: &NodeStatus) -> Result<String, String> {
    let signed = status.roster_signed_by.len();
    match signed == usize::from(status.parties) {
        true => Ok("the roster is signed by all".into()),
        false => Err(format!(
            "{signed} of {} signed the roster; `organtwin roster sign` on the others",
            status.parties
        )),
    }
}

fn key(status: &NodeStatus) -> Result<String, String> {
    match &status.key {
        Some(key) => Ok(format!(
            "epoch {}, {} security, {}",
            key.epoch, key.security, key.parameters
        )),
        None => Err("there is no joint key yet; `organtwin ceremony start` on every node".into()),
    }
}
