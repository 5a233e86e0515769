//! The asynchronous command surface of a running node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use organtwin_protocol::roster::{MAX_ROSTER_BYTES, Roster};
use organtwin_threshold::{ParameterSet, PartyId};
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::ceremony::Runner;
use super::command::{Command, Reply};
use super::error::{NodeError, StartError};
use super::log::{LogView, ProofView};
use super::node::{Node, Parts};
use super::view::{
    CeremonyStatus, DepositReport, EpochRequest, EpochStatus, Forecast, NodeStatus, PreparedTwin,
    ResultView, StudyRequest, StudySpec, StudyView, TwinsView, WithdrawalReport,
};
use crate::config::{Config, HospitalDir};
use crate::store::{Store, durable};
use crate::{identity, jobs, net};

/// What a node is started with beside its directory.
#[derive(Default)]
pub struct StartOptions {
    /// Opens what the directory keeps sealed; unused where organtwin.toml names a key file.
    pub passphrase: Option<Zeroizing<String>>,
}

/// A started node: speak to it through `handle`, wait for its end with `finished`.
pub struct RunningNode {
    /// The command surface.
    pub handle: NodeHandle,
    /// The hospital's directory.
    pub dir: PathBuf,
    task: tokio::task::JoinHandle<Result<(), NodeError>>,
}

impl RunningNode {
    /// Waits until the loop has ended, after [`NodeHandle::shutdown`] or a failure that it cannot survive.
    pub async fn finished(self) -> Result<(), NodeError> {
        match self.task.await {
            Ok(result) => result,
            Err(failed) => Err(NodeError::Bug(format!(
                "the node's loop ended abnormally: {failed}"
            ))),
        }
    }
}

/// Starts the node of the hospital directory `dir`: takes the directory's lock, opens the store, listens.
///
/// Returns once the network listens. The lock is released when the loop has ended.
pub async fn start(dir: &Path, options: StartOptions) -> Result<RunningNode, StartError> {
    let hospital = HospitalDir::new(dir);
    let config = Config::load(&hospital)?;
    let lock = hospital.lock()?;
    let roster = read_roster(&hospital)?;
    let sealing = jobs::keys::sealing_key(&config, &hospital, options.passphrase)?;
    let keys = identity::sealed::load(&hospital, &sealing).map_err(|error| match error {
        identity::IdentityError::Directory(error) => error,
        error => damaged(hospital.identity(), &error),
    })?;
    let statement_key = keys.statement.public();
    let member = roster
        .members()
        .iter()
        .find(|member| member.statement_key == statement_key);
    // Who joined later, or has new keys, is not in the founding roster; the feeds will tell.
    let joined = config.party.and_then(PartyId::new);
    let me = member.map(|member| member.party).or(joined).ok_or_else(|| StartError::Config {
        path: hospital.roster(),
        what: "this hospital's key is not in the roster; make the roster with this hospital's invitation, or join with `organtwin roster join`".into(),
    })?;
    let params = parameters(&hospital, &roster)?;
    let store = Store::open(&hospital.db(), &hospital.blobs())
        .map_err(|error| damaged(hospital.db(), &error))?;
    let peers = roster
        .members()
        .iter()
        .filter(|member| member.party != me)
        .map(|member| {
            let peer = identity::peer_id(member).ok_or_else(|| StartError::Config {
                path: hospital.roster(),
                what: format!("party {}'s network key is not one of libp2p", member.party),
            })?;
            Ok((member.party, peer))
        })
        .collect::<Result<Vec<_>, StartError>>()?;
    let (net, events) = net::start(
        keys.network,
        &config.network.listen,
        roster.digest().as_bytes(),
        peers,
    )
    .await?;
    for (party, address) in &config.peers {
        let known = party.parse().ok().and_then(PartyId::new);
        if known.is_some_and(|party| roster.member(party).is_none()) {
            // A later member: it is dialled once the feeds have made it one.
            continue;
        }
        let dialled = known
            .ok_or_else(|| "no such party".to_owned())
            .and_then(|party| net.dial(party, address));
        dialled.map_err(|what| StartError::Config {
            path: hospital.config(),
            what: format!("peers.{party}: {what}"),
        })?;
    }
    let forecast = organtwin_threshold::forecast(roster.committee(), &params);
    let runner = Runner::new(
        params,
        hospital.key().join("vectors"),
        forecast.bytes_sent_per_party.total,
    );
    let parts = Parts {
        me,
        dir: hospital.clone(),
        config,
        identity: keys.statement,
        roster,
        store,
        net,
        runner,
        sealing: Arc::new(sealing),
    };
    let (mut node, applied) = Node::new(parts).map_err(|error| damaged(hospital.db(), &error))?;
    // A wrong passphrase shows here, before anything is said.
    node.open_key()?;
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (changed, changes) = watch::channel(0);
    let task = tokio::spawn(async move {
        let _lock = lock;
        node.run(inbox, events, applied, changed).await
    });
    Ok(RunningNode {
        handle: NodeHandle { commands, changes },
        dir: dir.to_path_buf(),
        task,
    })
}

/// Commands that may wait for the loop.
const COMMANDS: usize = 64;

fn damaged(path: PathBuf, error: &dyn std::error::Error) -> StartError {
    StartError::Damaged {
        path,
        what: error.to_string(),
    }
}

fn read_roster(dir: &HospitalDir) -> Result<Roster, StartError> {
    let path = dir.roster();
    let bytes = match durable::read_bounded(&path, MAX_ROSTER_BYTES as u64) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(StartError::RosterMissing { path });
        }
        read => read.map_err(|source| StartError::io(&path, source))?,
    };
    Roster::decode(&bytes).map_err(|error| StartError::Config {
        path,
        what: error.to_string(),
    })
}

/// The roster's parameters, if they are real ones and this machine computes with them as the roster asks.
fn parameters(dir: &HospitalDir, roster: &Roster) -> Result<ParameterSet, StartError> {
    let wrong = |what: String| StartError::Config {
        path: dir.roster(),
        what,
    };
    let id = roster.parameters();
    let params = ParameterSet::by_id(id).filter(ParameterSet::is_real);
    let params = params.ok_or_else(|| {
        wrong(format!(
            "the parameter set '{id}' is not one that protects anything"
        ))
    })?;
    let class = organtwin_threshold::instruction_class();
    if roster.instruction_class() != class {
        let asked = roster.instruction_class();
        return Err(wrong(format!(
            "the consortium computes on {asked}, this machine is {class} and would give other bits; use a machine of that class"
        )));
    }
    Ok(params)
}

/// Speaks to the node's loop. Cheap to clone; every method is one message and its answer.
#[derive(Clone)]
pub struct NodeHandle {
    commands: mpsc::Sender<Command>,
    changes: watch::Receiver<u64>,
}

impl NodeHandle {
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NodeError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| NodeError::Stopped)?;
        answer.await.map_err(|_| NodeError::Stopped)?
    }

    /// The node at a glance.
    pub async fn status(&self) -> Result<NodeStatus, NodeError> {
        self.ask(Command::Status).await
    }

    /// A counter that moves whenever anything a client could see has changed; await `changed()` instead of polling.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Notes where a peer listens (a multiaddress, with or without `/p2p/PEER`) and dials it.
    pub async fn locate(&self, party: u8, address: String) -> Result<(), NodeError> {
        self.ask(|reply| Command::Locate {
            party,
            address,
            reply,
        })
        .await
    }

    /// Signs the roster in this directory. Signing twice is the same as signing once.
    pub async fn sign_roster(&self) -> Result<(), NodeError> {
        self.ask(Command::SignRoster).await
    }

    /// Consents to a key ceremony; it begins when all members have consented. Returns at once.
    pub async fn ceremony_start(&self) -> Result<CeremonyStatus, NodeError> {
        self.ask(Command::CeremonyStart).await
    }

    /// Where the ceremony stands.
    pub async fn ceremony_status(&self) -> Result<CeremonyStatus, NodeError> {
        self.ask(Command::CeremonyStatus).await
    }

    /// Where the last change of the consortium stands.
    pub async fn epoch_status(&self) -> Result<EpochStatus, NodeError> {
        self.ask(Command::EpochStatus).await
    }

    /// Proposes a change of the consortium, or approves the very same if it was proposed. Returns at once.
    pub async fn epoch_change(&self, request: EpochRequest) -> Result<EpochStatus, NodeError> {
        self.ask(|reply| Command::EpochChange {
            request: Box::new(request),
            reply,
        })
        .await
    }

    /// Encrypts twins towards the joint key and states the deposit. Waits for the input masks of the batches it needs.
    ///
    /// Either all of them are deposited or none; slots that were reserved are burnt in the second case.
    pub async fn deposit(&self, twins: Vec<PreparedTwin>) -> Result<DepositReport, NodeError> {
        self.ask(|reply| Command::Deposit { twins, reply }).await
    }

    /// The twins this node knows of.
    pub async fn twins(&self) -> Result<TwinsView, NodeError> {
        self.ask(Command::Twins).await
    }

    /// States that the twin with this public identifier, or all twins of this pseudonym, may not be used any more.
    pub async fn withdraw(&self, id: String) -> Result<WithdrawalReport, NodeError> {
        self.ask(|reply| Command::Withdraw { id, reply }).await
    }

    /// Forecasts a study over the twins eligible now. States nothing.
    pub async fn plan(&self, study: StudySpec) -> Result<Forecast, NodeError> {
        let study = Box::new(study);
        self.ask(|reply| Command::Plan { study, reply }).await
    }

    /// Proposes a study and returns its identifier (the manifest's digest, hexadecimal).
    pub async fn propose(&self, request: StudyRequest) -> Result<String, NodeError> {
        self.ask(|reply| Command::Propose {
            request: Box::new(request),
            reply,
        })
        .await
    }

    /// Approves a study. Identifiers may be abbreviated to an unambiguous prefix, here and below.
    pub async fn approve(&self, id: String) -> Result<(), NodeError> {
        self.ask(|reply| Command::Approve { id, reply }).await
    }

    /// Rejects a study with a reason of at most 200 bytes.
    pub async fn reject(&self, id: String, reason: String) -> Result<(), NodeError> {
        self.ask(|reply| Command::Reject { id, reason, reply })
            .await
    }

    /// All studies, oldest first.
    pub async fn studies(&self) -> Result<Vec<StudyView>, NodeError> {
        self.ask(Command::Studies).await
    }

    /// One study.
    pub async fn study(&self, id: String) -> Result<StudyView, NodeError> {
        self.ask(|reply| Command::Study { id, reply }).await
    }

    /// The released result of a study; not ready until it was recombined here.
    pub async fn result(&self, id: String) -> Result<ResultView, NodeError> {
        self.ask(|reply| Command::Outcome { id, reply }).await
    }

    /// The study's transcript file.
    pub async fn transcript(&self, id: String) -> Result<Vec<u8>, NodeError> {
        self.ask(|reply| Command::Transcript { id, reply }).await
    }

    /// The node's log of what it accepted.
    pub async fn log(&self) -> Result<LogView, NodeError> {
        self.ask(Command::Log).await
    }

    /// Proves that a statement is in the log.
    pub async fn prove_statement(&self, party: u8, number: u64) -> Result<ProofView, NodeError> {
        self.ask(|reply| Command::ProveStatement {
            party,
            number,
            reply,
        })
        .await
    }

    /// Proves that the log extends its first `size` entries.
    pub async fn prove_extension(&self, size: u64) -> Result<ProofView, NodeError> {
        self.ask(|reply| Command::ProveExtension { size, reply })
            .await
    }

    /// Ends the loop after what is being written is on disk.
    pub async fn shutdown(&self) -> Result<(), NodeError> {
        self.ask(Command::Shutdown).await
    }
}

#[cfg(test)]
impl NodeHandle {
    /// A handle whose requests the test answers itself.
    pub(crate) fn answered_by_test() -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(16);
        let (_, changes) = watch::channel(0);
        (Self { commands, changes }, inbox)
    }
}
