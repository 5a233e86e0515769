//! The loop's inbox from this machine.

use tokio::sync::oneshot;

use super::error::NodeError;
use super::log::{LogView, ProofView};
use super::view::{
    CeremonyStatus, DepositReport, EpochRequest, EpochStatus, Forecast, NodeStatus, PreparedTwin,
    ResultView, StudyRequest, StudySpec, StudyView, TwinsView, WithdrawalReport,
};

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, NodeError>>;

/// One request to the loop.
pub(crate) enum Command {
    Status(Reply<NodeStatus>),
    Locate {
        party: u8,
        address: String,
        reply: Reply<()>,
    },
    SignRoster(Reply<()>),
    CeremonyStart(Reply<CeremonyStatus>),
    CeremonyStatus(Reply<CeremonyStatus>),
    EpochStatus(Reply<EpochStatus>),
    EpochChange {
        request: Box<EpochRequest>,
        reply: Reply<EpochStatus>,
    },
    Deposit {
        twins: Vec<PreparedTwin>,
        reply: Reply<DepositReport>,
    },
    Twins(Reply<TwinsView>),
    Withdraw {
        id: String,
        reply: Reply<WithdrawalReport>,
    },
    Plan {
        study: Box<StudySpec>,
        reply: Reply<Forecast>,
    },
    Propose {
        request: Box<StudyRequest>,
        reply: Reply<String>,
    },
    Approve {
        id: String,
        reply: Reply<()>,
    },
    Reject {
        id: String,
        reason: String,
        reply: Reply<()>,
    },
    Studies(Reply<Vec<StudyView>>),
    Study {
        id: String,
        reply: Reply<StudyView>,
    },
    Outcome {
        id: String,
        reply: Reply<ResultView>,
    },
    Transcript {
        id: String,
        reply: Reply<Vec<u8>>,
    },
    Log(Reply<LogView>),
    ProveStatement {
        party: u8,
        number: u64,
        reply: Reply<ProofView>,
    },
    ProveExtension {
        size: u64,
        reply: Reply<ProofView>,
    },
    Shutdown(Reply<()>),
}
