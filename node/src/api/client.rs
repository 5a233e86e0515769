//! The command line's side of the API.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::runtime::{Runtime, Token};
use super::wire::{DepositRequest, LocateRequest, PlanRequest, Proposed, RejectRequest, Studies};
use crate::config::HospitalDir;
use crate::hospital::{
    CeremonyStatus, DepositReport, EpochRequest, EpochStatus, Forecast, LogView, NodeStatus,
    ProofView, ResultView, StudyRequest, StudySpec, StudyView, TwinsView, WithdrawalReport,
};
use crate::private_file::PrivateFileError;

/// Largest answer: a transcript with its squashed blocks.
const MAX_ANSWER: u64 = 1 << 30;
/// Longest a node may take: a deposit waits for the input masks of its batches.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node runs in the directory.
    #[error("no node runs in {dir}{why}; start it with `organtwin run --dir {dir}`")]
    NotRunning {
        /// The hospital's directory.
        dir: PathBuf,
        /// What was tried.
        why: String,
    },
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] PrivateFileError),
    /// The node refused; see its code.
    #[error("{}", .0.detail)]
    Problem(Problem),
    /// The connection or the answer broke.
    #[error("the node's answer did not arrive: {0}; look at the node's log")]
    Broken(String),
}

/// A connection to the node of one directory.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Token,
    dir: PathBuf,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// Finds the node of a directory. Nothing is sent yet.
    pub fn open(dir: &HospitalDir) -> Answer<Self> {
        let root = dir.root().to_path_buf();
        let not_running = |why: String| ClientError::NotRunning {
            dir: root.clone(),
            why,
        };
        let runtime = match Runtime::load(&dir.runtime()) {
            Ok(Some(runtime)) => runtime,
            Ok(None) => return Err(not_running(String::new())),
            Err(error) => return Err(not_running(format!(" (node.json: {error})"))),
        };
        let token = Token::load(&dir.api_token())?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Self {
            agent: config.into(),
            base: format!("http://{}", runtime.api),
            token,
            dir: root,
        })
    }

    fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Answer<Vec<u8>> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", self.token.header().as_str())
            .header("content-type", "application/json")
            .body(body.unwrap_or_default())
            .map_err(|error| ClientError::Broken(error.to_string()))?;
        let mut response = self.agent.run(request).map_err(|error| match error {
            ureq::Error::ConnectionFailed => self.unreachable(""),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                self.unreachable(" (nothing listens on the address in node.json)")
            }
            error => ClientError::Broken(error.to_string()),
        })?;
        let status = response.status();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec();
        let bytes = bytes.map_err(|error| ClientError::Broken(error.to_string()))?;
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(ClientError::Problem(problem)),
            Err(_) => Err(ClientError::Broken(format!(
                "status {status} without a problem document"
            ))),
        }
    }

    fn unreachable(&self, why: &str) -> ClientError {
        ClientError::NotRunning {
            dir: self.dir.clone(),
            why: why.to_owned(),
        }
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Answer<T> {
        let bytes = self.send(method, path, body)?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Broken(error.to_string()))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.call("GET", path, None)
    }

    /// The node at a glance.
    pub fn status(&self) -> Answer<NodeStatus> {
        self.get("/v1/status")
    }

    /// Notes where a peer listens.
    pub fn locate(&self, party: u8, address: &str) -> Answer<()> {
        let body = json(&LocateRequest {
            address: address.to_owned(),
        })?;
        self.send("PUT", &format!("/v1/peers/{party}/address"), Some(body))
            .map(drop)
    }

    /// Signs the roster.
    pub fn sign_roster(&self) -> Answer<()> {
        self.send("POST", "/v1/roster/signature", None).map(drop)
    }

    /// Where the ceremony stands.
    pub fn ceremony(&self) -> Answer<CeremonyStatus> {
        self.get("/v1/ceremony")
    }

    /// Consents to a key ceremony.
    pub fn start_ceremony(&self) -> Answer<CeremonyStatus> {
        self.call("POST", "/v1/ceremony", None)
    }

    /// Where the last change of the consortium stands.
    pub fn epoch(&self) -> Answer<EpochStatus> {
        self.get("/v1/epoch")
    }

    /// Proposes a change of the consortium, or approves it.
    pub fn change_epoch(&self, request: &EpochRequest) -> Answer<EpochStatus> {
        self.call("POST", "/v1/epoch", Some(json(request)?))
    }

    /// The twins that the node knows of.
    pub fn twins(&self) -> Answer<TwinsView> {
        self.get("/v1/twins")
    }

    /// Encrypts and deposits twins: all of them or none.
    pub fn deposit(&self, request: &DepositRequest) -> Answer<DepositReport> {
        self.call("POST", "/v1/twins", Some(json(request)?))
    }

    /// Withdraws a twin, or all twins of a pseudonym.
    pub fn withdraw(&self, id: &str) -> Answer<WithdrawalReport> {
        self.call("DELETE", &format!("/v1/twins/{}", segment(id)), None)
    }

    /// Forecasts a study.
    pub fn plan(&self, study: StudySpec) -> Answer<Forecast> {
        self.call(
            "POST",
            "/v1/studies/plan",
            Some(json(&PlanRequest { study })?),
        )
    }

    /// Proposes a study.
    pub fn propose(&self, request: &StudyRequest) -> Answer<Proposed> {
        self.call("POST", "/v1/studies", Some(json(request)?))
    }

    /// All studies.
    pub fn studies(&self) -> Answer<Studies> {
        self.get("/v1/studies")
    }

    /// One study.
    pub fn study(&self, id: &str) -> Answer<StudyView> {
        self.get(&format!("/v1/studies/{}", segment(id)))
    }

    /// Approves a study.
    pub fn approve(&self, id: &str) -> Answer<()> {
        self.send(
            "POST",
            &format!("/v1/studies/{}/approval", segment(id)),
            None,
        )
        .map(drop)
    }

    /// Rejects a study.
    pub fn reject(&self, id: &str, reason: &str) -> Answer<()> {
        let body = json(&RejectRequest {
            reason: reason.to_owned(),
        })?;
        self.send(
            "POST",
            &format!("/v1/studies/{}/rejection", segment(id)),
            Some(body),
        )
        .map(drop)
    }

    /// The released result of a study.
    pub fn result(&self, id: &str) -> Answer<ResultView> {
        self.get(&format!("/v1/studies/{}/result", segment(id)))
    }

    /// The transcript file of a study.
    pub fn transcript(&self, id: &str) -> Answer<Vec<u8>> {
        self.send(
            "GET",
            &format!("/v1/studies/{}/transcript", segment(id)),
            None,
        )
    }

    /// The node's log.
    pub fn log(&self) -> Answer<LogView> {
        self.get("/v1/log")
    }

    /// A proof that a statement is in the node's log.
    pub fn prove_statement(&self, party: u8, number: u64) -> Answer<ProofView> {
        self.get(&format!("/v1/log/statements/{party}/{number}"))
    }

    /// A proof that the node's log extends its first `size` entries.
    pub fn prove_extension(&self, size: u64) -> Answer<ProofView> {
        self.get(&format!("/v1/log/extensions/{size}"))
    }

    /// Ends the node.
    pub fn shutdown(&self) -> Answer<()> {
        self.send("POST", "/v1/shutdown", None).map(drop)
    }
}

fn json<T: Serialize>(value: &T) -> Answer<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| ClientError::Broken(error.to_string()))
}

/// An identifier as one segment of a path: what is not a letter, digit, - or _ cannot be part of one.
fn segment(id: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let kept: String = id.chars().filter(plain).take(100).collect();
    if kept.is_empty() {
        "-".to_owned()
    } else {
        kept
    }
}
