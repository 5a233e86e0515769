//! `organtwin init` and `organtwin status`: one hospital's directory and node.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Common;
use super::failure::Failure;
use super::output::{bytes, short, table};
use crate::api::Token;
use crate::config::{Config, SealConfig};
use crate::hospital::NodeStatus;
use crate::{identity, private_file};

#[derive(Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// The hospital's name in the roster
    #[arg(long)]
    name: String,
    /// Where the consortium's network listens: a multiaddress; port 0 takes a free one
    #[arg(long, default_value = "/ip4/127.0.0.1/tcp/0")]
    listen: String,
    /// Where the API listens: a loopback address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    api: String,
    /// Seal secrets under a generated key file instead of a passphrase
    #[arg(long)]
    key_file: bool,
}

#[derive(Serialize)]
struct InitView {
    dir: String,
    name: String,
    fingerprint: String,
    peer_id: String,
}

pub(super) fn init(args: &InitArgs) -> Result<ExitCode, Failure> {
    let dir = args.common.hospital();
    if dir.config().exists() {
        let place = dir.root().display();
        return Err(Failure::Usage(format!(
            "{place} is a hospital's directory already; choose another --dir"
        )));
    }
    let mut config = Config::new(args.name.clone());
    config.network.listen = vec![args.listen.clone()];
    config.api.listen = args.api.clone();
    if !args.key_file {
        config.seal = SealConfig::Passphrase;
    }
    let created =
        identity::create(&dir, &config).map_err(|error| super::roster::identity_failure(&error))?;
    Token::load_or_create(&dir.api_token())?;
    private_file::load_or_create(&dir.identity().join(super::twin::PSEUDONYM_KEY))?;
    let view = InitView {
        dir: dir.root().display().to_string(),
        name: args.name.clone(),
        fingerprint: created.invitation(&args.name).fingerprint(),
        peer_id: created.peer_id().to_string(),
    };
    args.common.output.show("organtwin.init/1", &view, || {
        format!(
            "made {}\nfingerprint {}\nnext: `organtwin roster invite --dir {} --output FILE`, and give the file to \
             whoever makes the roster; say the fingerprint over another channel",
            view.dir, view.fingerprint, view.dir
        )
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status(common: &Common) -> Result<ExitCode, Failure> {
    let status = common.client()?.status()?;
    common
        .output
        .show("organtwin.status/1", &status, || text(&status));
    Ok(ExitCode::SUCCESS)
}

fn text(status: &NodeStatus) -> String {
    let mut text = format!(
        "party {} ({}) of '{}': n = {}, t = {}, {} security\nroster {} signed by {} of {}\n",
        status.party,
        status.name,
        status.consortium,
        status.parties,
        status.threshold,
        status.security,
        short(&status.roster),
        status.roster_signed_by.len(),
        status.parties,
    );
    text += &match &status.key {
        Some(key) => format!("key {} epoch {}\n", short(&key.certificate), key.epoch),
        None => format!("no key yet (ceremony: {})\n", status.ceremony.phase),
    };
    text += &format!(
        "{} own twins, {} eligible; {} studies; {} of {} openings spent\n",
        status.twins_own,
        status.twins_eligible,
        status.studies,
        status.openings_spent,
        status.openings_limit
    );
    for (party, count) in &status.twins_refused {
        text += &format!("party {party}: {count} twins not admitted\n");
    }
    let rows = status.peers.iter().map(|peer| {
        let word = if peer.connected { "connected" } else { "away" };
        vec![
            peer.party.to_string(),
            peer.name.clone(),
            word.into(),
            peer.statements.to_string(),
        ]
    });
    text += &table(&["party", "name", "", "statements"], rows);
    text += &format!(
        "\npeak memory {} MiB, sent {}\n",
        status.peak_memory_mib,
        bytes(status.bytes_sent)
    );
    for address in &status.listen {
        text += &format!("listens on {address}\n");
    }
    for (reason, count) in &status.refused {
        text += &format!("refused {count}: {reason}\n");
    }
    for line in status.faults.iter().chain(&status.work) {
        text += &format!("{line}\n");
    }
    text
}
