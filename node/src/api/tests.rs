use std::path::PathBuf;

use crate::config::HospitalDir;
use crate::hospital::command::Command;
use crate::hospital::{DepositReport, DepositedTwin, NodeError, NodeHandle, OwnTwin, TwinsView};

use super::*;

/// A served API whose loop answers like a small hospital with the twin `known`.
struct Served {
    root: tempfile::TempDir,
    base: String,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn answer(command: Command) {
    match command {
        Command::Twins(reply) => {
            let known = OwnTwin {
                local_id: "known".into(),
                id: "00".into(),
                organ: "kidney".into(),
                received_by: vec![],
                withdrawn: false,
                admission: "admitted".into(),
                reason: None,
            };
            let _ = reply.send(Ok(TwinsView {
                own: vec![known],
                ..TwinsView::default()
            }));
        }
        Command::Deposit { twins, reply } => {
            let slots = crate::twins::schema("kidney").unwrap().slots();
            assert!(twins.iter().all(|twin| twin.weights.len() == slots));
            let deposited = twins.into_iter().map(|twin| DepositedTwin {
                local_id: twin.local_id,
                id: "01".into(),
            });
            let _ = reply.send(Ok(DepositReport {
                twins: deposited.collect(),
                bytes_per_twin: 8000,
            }));
        }
        Command::Approve { id, reply } => {
            let refused = NodeError::NotFound {
                kind: "study",
                id,
                list: "organtwin study list",
            };
            let _ = reply.send(Err(refused));
        }
        Command::Outcome { reply, .. } => {
            let _ = reply.send(Err(NodeError::not_ready("nothing is released", "wait")));
        }
        Command::Locate { reply, .. } => drop(reply.send(Ok(()))),
        _ => {}
    }
}

async fn served() -> Served {
    let root = tempfile::tempdir().unwrap();
    let dir = HospitalDir::new(root.path());
    let token = Token::load_or_create(&dir.api_token()).unwrap();
    let (node, mut inbox) = NodeHandle::answered_by_test();
    tokio::spawn(async move {
        while let Some(command) = inbox.recv().await {
            answer(command);
        }
    });
    let server = ApiServer::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", server.address());
    Runtime::new(server.address().to_string(), vec![])
        .save(&dir.runtime())
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(server.serve(node, token, async move { drop(stopped.await) }));
    Served {
        root,
        base,
        _stop: stop,
    }
}

impl Served {
    async fn client<T: Send + 'static>(
        &self,
        call: impl FnOnce(Client) -> Result<T, ClientError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let dir = HospitalDir::new(self.root.path());
        tokio::task::spawn_blocking(move || call(Client::open(&dir)?))
            .await
            .unwrap()
    }

    /// A raw request; its status, content type and problem code.
    async fn raw(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, String, String) {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(body).unwrap();
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .into();
            let mut response = agent.run(request).unwrap();
            let content_type = response
                .headers()
                .get("content-type")
                .map(|value| value.to_str().unwrap().to_owned());
            let problem: serde_json::Value = response.body_mut().read_json().unwrap();
            (
                response.status().as_u16(),
                content_type.unwrap_or_default(),
                problem["code"].as_str().unwrap().to_owned(),
            )
        })
        .await
        .unwrap()
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.root.path().join("api-token"))
            .unwrap()
            .trim()
            .to_owned()
    }
}

fn twin(local_id: &str) -> TwinInput {
    let features = [("crcl_goti_ml_min".to_owned(), Some(80.0))].into();
    TwinInput {
        local_id: local_id.into(),
        organ: "kidney".into(),
        features,
    }
}

fn code<T>(answer: Result<T, ClientError>) -> String {
    match answer {
        Err(ClientError::Problem(problem)) => problem.code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("expected a problem"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_the_token_are_refused() {
    let served = served().await;
    for token in [None, Some(""), Some("0000"), Some("x")] {
        let (status, content_type, code) = served.raw("GET", "/v1/twins", token, vec![]).await;
        assert_eq!((status, code.as_str()), (401, "unauthorized"));
        assert_eq!(content_type, "application/problem+json");
    }
    assert!(served.client(|client| client.twins()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_problem_document() {
    let served = served().await;
    let token = served.token();
    let cases = [
        ("GET", "/v1/nothing", vec![], 404, "no_such_route"),
        ("DELETE", "/v1/status", vec![], 405, "no_such_method"),
        ("POST", "/v1/studies/plan", b"{".to_vec(), 400, "usage"),
        (
            "POST",
            "/v1/twins",
            br#"{"twins":[],"extra":1}"#.to_vec(),
            400,
            "usage",
        ),
        (
            "PUT",
            "/v1/peers/notanumber/address",
            b"{}".to_vec(),
            400,
            "usage",
        ),
        ("POST", "/v1/studies/ab/approval", vec![], 404, "not_found"),
        ("GET", "/v1/studies/ab/result", vec![], 409, "not_ready"),
    ];
    for (method, path, body, status, code) in cases {
        let got = served.raw(method, path, Some(&token), body).await;
        assert_eq!(
            got,
            (status, "application/problem+json".into(), code.into()),
            "{method} {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_refused() {
    let served = served().await;
    let token = served.token();
    let (status, _, code) = served
        .raw(
            "POST",
            "/v1/twins",
            Some(&token),
            vec![b' '; (16 << 20) + 1],
        )
        .await;
    assert_eq!((status, code.as_str()), (413, "too_large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_encoded_and_deposited() {
    let served = served().await;
    let request = DepositRequest {
        twins: vec![twin("a"), twin("b")],
    };
    let report = served
        .client(move |client| client.deposit(&request))
        .await
        .unwrap();
    assert_eq!(
        report
            .twins
            .iter()
            .map(|twin| twin.local_id.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_not_deposited_twice() {
    let served = served().await;
    for twins in [vec![twin("known")], vec![twin("a"), twin("a")]] {
        let request = DepositRequest { twins };
        assert_eq!(
            code(served.client(move |client| client.deposit(&request)).await),
            "already_deposited"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unsound_twin_refuses_the_whole_deposit() {
    let served = served().await;
    let out_of_range = TwinInput {
        features: [("crcl_goti_ml_min".to_owned(), Some(1e9))].into(),
        ..twin("a")
    };
    let unknown = TwinInput {
        features: [("shoe_size".to_owned(), Some(42.0))].into(),
        ..twin("a")
    };
    let organ = TwinInput {
        organ: "spleen".into(),
        ..twin("a")
    };
    for broken in [
        out_of_range,
        unknown,
        organ,
        twin(""),
        twin("Jane Doe"),
        twin(&"x".repeat(65)),
    ] {
        let request = DepositRequest {
            twins: vec![twin("good"), broken],
        };
        assert_eq!(
            code(served.client(move |client| client.deposit(&request)).await),
            "usage"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_loopback_and_a_taken_port_are_refused() {
    assert!(matches!(
        ApiServer::bind("0.0.0.0:0").await,
        Err(ServeError::NotLoopback { .. })
    ));
    assert!(matches!(
        ApiServer::bind("here").await,
        Err(ServeError::Address { .. })
    ));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let Err(refused) = ApiServer::bind(&address).await else {
        panic!("the port was taken twice")
    };
    assert!(refused.to_string().contains(&address), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_named_with_the_command_that_starts_one() {
    let root = tempfile::tempdir().unwrap();
    let dir = HospitalDir::new(root.path());
    Token::load_or_create(&dir.api_token()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    Runtime::new(free.to_string(), vec![])
        .save(&dir.runtime())
        .unwrap();
    let answer = tokio::task::spawn_blocking(move || Client::open(&dir).unwrap().status())
        .await
        .unwrap();
    let Err(error) = answer else {
        panic!("nobody answers there")
    };
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert!(error.to_string().contains("organtwin run --dir"), "{error}");
}

#[test]
fn a_directory_without_a_node_is_named() {
    let root = tempfile::tempdir().unwrap();
    let dir = HospitalDir::new(PathBuf::from(root.path()));
    assert!(matches!(
        Client::open(&dir),
        Err(ClientError::NotRunning { .. })
    ));
}
