//! `organtwin roster`: who takes part.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use organtwin_protocol::roster::{PassivePolicy, Roster};
use organtwin_threshold::determinism::instruction_class;
use serde::Serialize;

use super::Common;
use super::failure::{Failure, read_file, write_new_file};
use super::output::{Output, short, table};
use crate::config::{Config, HospitalDir};
use crate::hospital::StartError;
use crate::identity::{self, Invitation, RosterTerms};

const MAX_FILE: u64 = 64 * 1024;

#[derive(Subcommand)]
pub(super) enum RosterCommand {
    /// Write this hospital's public keys into a file for whoever makes the roster
    Invite(InviteArgs),
    /// Make the roster from all invitations; every hospital gives the same files in the same order
    Create(CreateArgs),
    /// Take over the roster of a consortium that exists already, to join it or to come back with new keys
    Join(JoinArgs),
    /// Note where another member listens
    Locate(LocateArgs),
    /// Sign the roster through the running node
    Sign(Common),
    /// Show the roster
    Show(Common),
}

#[derive(Args)]
pub(super) struct InviteArgs {
    #[command(flatten)]
    common: Common,
    /// The file to write
    #[arg(long)]
    output: PathBuf,
}

#[derive(Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    common: Common,
    /// The consortium's name
    #[arg(long)]
    consortium: String,
    /// t: how many members may be corrupt
    #[arg(long)]
    threshold: u8,
    /// Accept n <= 3t: secure against passive cheaters only, and the certificate will say so
    #[arg(long)]
    allow_passive: bool,
    /// The class of machines that round alike, on which all nodes evaluate; this machine's if not given
    #[arg(long, value_name = "CLASS")]
    instruction_class: Option<String>,
    /// One file per hospital; the first becomes party 1
    #[arg(required = true)]
    invitations: Vec<PathBuf>,
}

#[derive(Args)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    common: Common,
    /// The consortium's founding roster: roster.cbor of any member
    roster: PathBuf,
    /// The number that the members give this hospital, or that it had
    #[arg(long)]
    party: u8,
}

#[derive(Args)]
pub(super) struct LocateArgs {
    #[command(flatten)]
    common: Common,
    /// The member's number
    party: u8,
    /// A multiaddress such as /ip4/10.0.0.2/tcp/4001
    address: String,
}

#[derive(Serialize)]
struct RosterView {
    consortium: String,
    digest: String,
    parties: usize,
    threshold: usize,
    security: &'static str,
    parameters: String,
    instruction_class: String,
    members: Vec<MemberView>,
}

#[derive(Serialize)]
struct MemberView {
    party: u8,
    name: String,
    peer_id: Option<String>,
}

impl RosterView {
    fn new(roster: &Roster) -> Self {
        let members = roster.members().iter().map(|member| MemberView {
            party: member.party.get(),
            name: member.name.clone(),
            peer_id: identity::peer_id(member).map(|peer| peer.to_string()),
        });
        Self {
            consortium: roster.name().to_owned(),
            digest: roster.digest().to_string(),
            parties: roster.parties(),
            threshold: roster.threshold(),
            security: if roster.needs_all() {
                "passive"
            } else {
                "active"
            },
            parameters: roster.parameters().to_owned(),
            instruction_class: roster.instruction_class().to_owned(),
            members: members.collect(),
        }
    }

    fn text(&self) -> String {
        let rows = self.members.iter().map(|member| {
            vec![
                member.party.to_string(),
                member.name.clone(),
                member.peer_id.clone().unwrap_or_default(),
            ]
        });
        format!(
            "'{}': n = {}, t = {}, {} security, machines of class {}\nroster {}\n{}",
            self.consortium,
            self.parties,
            self.threshold,
            self.security,
            self.instruction_class,
            short(&self.digest),
            table(&["party", "name", "peer id"], rows)
        )
    }
}

impl RosterCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Invite(args) => args.common.output,
            Self::Create(args) => args.common.output,
            Self::Join(args) => args.common.output,
            Self::Locate(args) => args.common.output,
            Self::Sign(common) | Self::Show(common) => common.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Invite(args) => invite(&args)?,
            Self::Create(args) => create(&args)?,
            Self::Join(args) => join(&args)?,
            Self::Locate(args) => {
                args.common.client()?.locate(args.party, &args.address)?;
                let view = serde_json::json!({ "party": args.party, "address": args.address });
                args.common
                    .output
                    .show("organtwin.located/1", &view, || "noted".into());
            }
            Self::Sign(common) => {
                let client = common.client()?;
                client.sign_roster()?;
                let signed = client.status()?.roster_signed_by;
                let view = serde_json::json!({ "signed_by": signed });
                common.output.show("organtwin.signed/1", &view, || {
                    format!("signed; {} have so far", signed.len())
                });
            }
            Self::Show(common) => {
                let view = RosterView::new(&read_roster(&common.hospital())?);
                common
                    .output
                    .show("organtwin.roster/1", &view, || view.text());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn invite(args: &InviteArgs) -> Result<(), Failure> {
    let dir = args.common.hospital();
    let config = Config::load(&dir)?;
    let invitation = identity::sealed::invitation(&dir, &config.name)
        .map_err(|error| identity_failure(&error))?;
    let text = serde_json::to_vec_pretty(&invitation)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    write_new_file(&args.output, &text)?;
    let fingerprint = invitation.fingerprint();
    let view = serde_json::json!({ "file": args.output, "fingerprint": fingerprint });
    args.common.output.show("organtwin.invited/1", &view, || {
        format!(
            "wrote {}\nfingerprint {fingerprint}: say it over another channel",
            args.output.display()
        )
    });
    Ok(())
}

fn create(args: &CreateArgs) -> Result<(), Failure> {
    let dir = args.common.hospital();
    let config = Config::load(&dir)?;
    let own = identity::sealed::invitation(&dir, &config.name)
        .map_err(|error| identity_failure(&error))?;
    let mut invitations = Vec::new();
    for path in &args.invitations {
        let bytes = read_file(path, MAX_FILE)?;
        let invitation: Invitation = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::Usage(format!("{}: no invitation: {error}", path.display()))
        })?;
        invitations.push(invitation);
    }
    if !invitations.contains(&own) {
        return Err(Failure::Usage(
            "this hospital's own invitation is not among the files; add it".into(),
        ));
    }
    let passive = if args.allow_passive {
        PassivePolicy::Allowed
    } else {
        PassivePolicy::Refused
    };
    let terms = RosterTerms {
        consortium: args.consortium.clone(),
        threshold: args.threshold,
        passive,
        instruction_class: args
            .instruction_class
            .clone()
            .unwrap_or_else(|| instruction_class().to_owned()),
    };
    let roster = identity::make_roster(terms, &invitations)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let bytes = roster
        .encode()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let path = dir.roster();
    match std::fs::read(&path) {
        Ok(present) if present == bytes => {}
        Ok(_) => {
            let what =
                "there is another roster already; a changed consortium needs new directories";
            return Err(Failure::Usage(format!("{}: {what}", path.display())));
        }
        Err(_) => write_new_file(&path, &bytes)?,
    }
    let view = RosterView::new(&roster);
    args.common
        .output
        .show("organtwin.roster/1", &view, || view.text());
    Ok(())
}

fn join(args: &JoinArgs) -> Result<(), Failure> {
    let dir = args.common.hospital();
    let mut config = Config::load(&dir)?;
    if organtwin_threshold::PartyId::new(args.party).is_none() {
        return Err(Failure::Usage(format!(
            "party {}: expected a number from 1 to 16",
            args.party
        )));
    }
    let bytes = read_file(&args.roster, MAX_FILE)?;
    let roster = Roster::decode(&bytes).map_err(|error| {
        Failure::Usage(format!("{}: no roster: {error}", args.roster.display()))
    })?;
    let path = dir.roster();
    match std::fs::read(&path) {
        Ok(present) if present == bytes => {}
        Ok(_) => {
            let what = "there is another roster already; join with a new directory";
            return Err(Failure::Usage(format!("{}: {what}", path.display())));
        }
        Err(_) => write_new_file(&path, &bytes)?,
    }
    config.party = Some(args.party);
    config
        .save(&dir)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    let view = RosterView::new(&roster);
    args.common
        .output
        .show("organtwin.roster/1", &view, || view.text());
    Ok(())
}

fn read_roster(dir: &HospitalDir) -> Result<Roster, Failure> {
    let path = dir.roster();
    if !path.exists() {
        let what = "there is no roster yet; make it with `organtwin roster create`";
        return Err(Failure::Usage(format!("{}: {what}", path.display())));
    }
    let bytes = read_file(&path, MAX_FILE)?;
    Roster::decode(&bytes).map_err(|error| {
        StartError::Damaged {
            path,
            what: error.to_string(),
        }
        .into()
    })
}

pub(super) fn identity_failure(error: &identity::IdentityError) -> Failure {
    Failure::Environment(error.to_string())
}
