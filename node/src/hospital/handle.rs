//! The asynchronous command surface of a running node.

use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::command::{Command, Reply};
use super::error::{NodeError, StartError};
use super::view::{
    CeremonyStatus, DepositReport, Forecast, NodeStatus, PreparedTwin, ResultView, StudyRequest, StudySpec, StudyView,
    TwinsView,
};

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
            Err(failed) => Err(NodeError::Bug(format!("the node's loop ended abnormally: {failed}"))),
        }
    }
}

/// Starts the node of the hospital directory `dir`: takes the directory's lock, opens the store, listens.
///
/// Returns once the network listens. The lock is released when the loop has ended.
pub async fn start(dir: &Path, options: StartOptions) -> Result<RunningNode, StartError> {
    let _ = (dir, options);
    Err(StartError::NotInitialised { path: dir.to_path_buf(), what: "the loop is not built yet".into() })
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
        self.commands.send(command(reply)).await.map_err(|_| NodeError::Stopped)?;
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
        self.ask(|reply| Command::Locate { party, address, reply }).await
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

    /// States that the twin with this public or local identifier may not be used any more.
    pub async fn withdraw(&self, id: String) -> Result<(), NodeError> {
        self.ask(|reply| Command::Withdraw { id, reply }).await
    }

    /// Forecasts a study over the twins eligible now. States nothing.
    pub async fn plan(&self, study: StudySpec) -> Result<Forecast, NodeError> {
        self.ask(|reply| Command::Plan { study, reply }).await
    }

    /// Proposes a study and returns its identifier (the manifest's digest, hexadecimal).
    pub async fn propose(&self, request: StudyRequest) -> Result<String, NodeError> {
        self.ask(|reply| Command::Propose { request: Box::new(request), reply }).await
    }

    /// Approves a study. Identifiers may be abbreviated to an unambiguous prefix, here and below.
    pub async fn approve(&self, id: String) -> Result<(), NodeError> {
        self.ask(|reply| Command::Approve { id, reply }).await
    }

    /// Rejects a study with a reason of at most 200 bytes.
    pub async fn reject(&self, id: String, reason: String) -> Result<(), NodeError> {
        self.ask(|reply| Command::Reject { id, reason, reply }).await
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
