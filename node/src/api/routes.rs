//! The routes: each one is a message to the loop and its answer.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use organtwin_simulations::encode;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::wire::{
    DepositRequest, LocateRequest, PlanRequest, Proposed, RejectRequest, Studies, TwinInput,
};
use crate::hospital::{
    CeremonyStatus, DepositReport, EpochRequest, EpochStatus, Forecast, LogView, NodeHandle,
    NodeStatus, PreparedTwin, ProofView, ResultView, StudyRequest, StudyView, TwinsView,
    WithdrawalReport,
};
use crate::twins;

/// Most twins of one deposit.
const MAX_TWINS: usize = 10_000;
/// Longest name of a patient within the hospital, bytes.
const MAX_LOCAL_ID: usize = 64;

type Answer<T> = Result<axum::Json<T>, Problem>;

pub(super) fn routes() -> Router<NodeHandle> {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/peers/{party}/address", put(locate))
        .route("/v1/roster/signature", post(sign_roster))
        .route("/v1/ceremony", get(ceremony).post(start_ceremony))
        .route("/v1/epoch", get(epoch).post(change_epoch))
        .route("/v1/twins", get(twins).post(deposit))
        .route("/v1/twins/{id}", delete(withdraw))
        .route("/v1/studies/plan", post(plan))
        .route("/v1/studies", get(studies).post(propose))
        .route("/v1/studies/{id}", get(study))
        .route("/v1/studies/{id}/approval", post(approve))
        .route("/v1/studies/{id}/rejection", post(reject))
        .route("/v1/studies/{id}/result", get(result))
        .route("/v1/studies/{id}/transcript", get(transcript))
        .route("/v1/log", get(log))
        .route("/v1/log/statements/{party}/{number}", get(prove_statement))
        .route("/v1/log/extensions/{size}", get(prove_extension))
        .route("/v1/shutdown", post(shutdown))
}

/// Reads a JSON body; axum's own extractor answers in plain text, not as a problem.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::usage(format!("the body is not what is expected: {error}")))
}

async fn status(State(node): State<NodeHandle>) -> Answer<NodeStatus> {
    Ok(axum::Json(node.status().await?))
}

async fn locate(
    State(node): State<NodeHandle>,
    Path(party): Path<u8>,
    bytes: Bytes,
) -> Result<StatusCode, Problem> {
    let request: LocateRequest = body(&bytes)?;
    node.locate(party, request.address).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sign_roster(State(node): State<NodeHandle>) -> Result<StatusCode, Problem> {
    node.sign_roster().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ceremony(State(node): State<NodeHandle>) -> Answer<CeremonyStatus> {
    Ok(axum::Json(node.ceremony_status().await?))
}

async fn start_ceremony(State(node): State<NodeHandle>) -> Answer<CeremonyStatus> {
    Ok(axum::Json(node.ceremony_start().await?))
}

async fn epoch(State(node): State<NodeHandle>) -> Answer<EpochStatus> {
    Ok(axum::Json(node.epoch_status().await?))
}

async fn change_epoch(State(node): State<NodeHandle>, bytes: Bytes) -> Answer<EpochStatus> {
    let request: EpochRequest = body(&bytes)?;
    Ok(axum::Json(node.epoch_change(request).await?))
}

async fn twins(State(node): State<NodeHandle>) -> Answer<TwinsView> {
    Ok(axum::Json(node.twins().await?))
}

async fn deposit(State(node): State<NodeHandle>, bytes: Bytes) -> Answer<DepositReport> {
    let request: DepositRequest = body(&bytes)?;
    if request.twins.is_empty() || request.twins.len() > MAX_TWINS {
        let detail = format!(
            "expected 1 to {MAX_TWINS} twins, got {}; split the deposit",
            request.twins.len()
        );
        return Err(Problem::usage(detail));
    }
    let own = node.twins().await?.own;
    let mut taken: BTreeSet<(String, String)> = own
        .into_iter()
        .filter(|twin| !twin.withdrawn)
        .map(|twin| (twin.organ, twin.local_id))
        .collect();
    let mut prepared = Vec::with_capacity(request.twins.len());
    for (position, twin) in request.twins.into_iter().enumerate() {
        if !taken.insert((twin.organ.clone(), twin.local_id.clone())) {
            let detail = format!(
                "twin {} of the request is deposited already, or twice in it",
                position + 1
            );
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "already_deposited",
                detail,
            ));
        }
        prepared.push(encoded(position, twin)?);
    }
    Ok(axum::Json(node.deposit(prepared).await?))
}

fn encoded(position: usize, twin: TwinInput) -> Result<PreparedTwin, Problem> {
    let refuse =
        |what: String| Problem::usage(format!("twin {} of the request: {what}", position + 1));
    let plain = twin
        .local_id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if twin.local_id.is_empty() || twin.local_id.len() > MAX_LOCAL_ID || !plain {
        return Err(refuse(format!(
            "expected a local_id of 1 to {MAX_LOCAL_ID} letters, digits, - or _"
        )));
    }
    let Some(schema) = twins::schema(&twin.organ) else {
        let organs = twins::organs().join(", ");
        return Err(refuse(format!("expected an organ among {organs}")));
    };
    let weights = encode(&schema, &twin.features).map_err(|error| refuse(error.to_string()))?;
    Ok(PreparedTwin {
        local_id: twin.local_id,
        organ: twin.organ,
        weights: weights.as_slice().to_vec(),
    })
}

async fn withdraw(
    State(node): State<NodeHandle>,
    Path(id): Path<String>,
) -> Answer<WithdrawalReport> {
    Ok(axum::Json(node.withdraw(id).await?))
}

async fn plan(State(node): State<NodeHandle>, bytes: Bytes) -> Answer<Forecast> {
    let request: PlanRequest = body(&bytes)?;
    Ok(axum::Json(node.plan(request.study).await?))
}

async fn propose(State(node): State<NodeHandle>, bytes: Bytes) -> Answer<Proposed> {
    let request: StudyRequest = body(&bytes)?;
    Ok(axum::Json(Proposed {
        study: node.propose(request).await?,
    }))
}

async fn studies(State(node): State<NodeHandle>) -> Answer<Studies> {
    Ok(axum::Json(Studies {
        studies: node.studies().await?,
    }))
}

async fn study(State(node): State<NodeHandle>, Path(id): Path<String>) -> Answer<StudyView> {
    Ok(axum::Json(node.study(id).await?))
}

async fn approve(
    State(node): State<NodeHandle>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    node.approve(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reject(
    State(node): State<NodeHandle>,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<StatusCode, Problem> {
    let request: RejectRequest = body(&bytes)?;
    node.reject(id, request.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn result(State(node): State<NodeHandle>, Path(id): Path<String>) -> Answer<ResultView> {
    Ok(axum::Json(node.result(id).await?))
}

async fn transcript(
    State(node): State<NodeHandle>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let bytes = node.transcript(id).await?;
    Ok(([(header::CONTENT_TYPE, "application/cbor")], bytes))
}

async fn log(State(node): State<NodeHandle>) -> Answer<LogView> {
    Ok(axum::Json(node.log().await?))
}

async fn prove_statement(
    State(node): State<NodeHandle>,
    Path((party, number)): Path<(u8, u64)>,
) -> Answer<ProofView> {
    Ok(axum::Json(node.prove_statement(party, number).await?))
}

async fn prove_extension(
    State(node): State<NodeHandle>,
    Path(size): Path<u64>,
) -> Answer<ProofView> {
    Ok(axum::Json(node.prove_extension(size).await?))
}

async fn shutdown(State(node): State<NodeHandle>) -> Result<StatusCode, Problem> {
    node.shutdown().await?;
    Ok(StatusCode::NO_CONTENT)
}
