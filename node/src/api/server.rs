//! Listening, the token and the bounds around the routes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::problem::Problem;
use super::routes::routes;
use super::runtime::Token;
use crate::hospital::NodeHandle;

/// Largest request body: ten thousand twins in the clear fit.
const MAX_BODY: usize = 16 << 20;
/// Requests worked on at once; more are refused, not queued.
const MAX_REQUESTS: usize = 64;

/// Why the API does not come up.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not one.
    #[error("api.listen is '{given}'; expected an address and port such as 127.0.0.1:0")]
    Address {
        /// What the configuration says.
        given: String,
    },
    /// The API would be reachable from elsewhere.
    #[error(
        "api.listen is {address}, which is not a loopback address; put a proxy with TLS before the node to reach it from elsewhere"
    )]
    NotLoopback {
        /// What the configuration says.
        address: SocketAddr,
    },
    /// The port is taken.
    #[error(
        "cannot listen on {address} for the API: {source}; choose another `api.listen` in organtwin.toml, or port 0 for a free one"
    )]
    Listen {
        /// What the configuration says.
        address: SocketAddr,
        /// The operating system's word.
        source: std::io::Error,
    },
}

/// The bound API, not yet serving.
pub struct ApiServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl ApiServer {
    /// Binds a loopback address.
    pub async fn bind(listen: &str) -> Result<Self, ServeError> {
        let address: SocketAddr = listen.parse().map_err(|_| ServeError::Address {
            given: listen.chars().take(100).collect(),
        })?;
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback { address });
        }
        let failed = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; requests under way are finished.
    pub async fn serve(
        self,
        node: NodeHandle,
        token: Token,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let gate = Arc::new(Gate {
            token,
            free: Semaphore::new(MAX_REQUESTS),
        });
        let app = routes()
            .fallback(async || {
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "no_such_route",
                    "there is no such route",
                )
            })
            .method_not_allowed_fallback(async || {
                Problem::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "no_such_method",
                    "the route has no such method",
                )
            })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn_with_state(gate, admit))
            .with_state(node);
        axum::serve(self.listener, app)
            .with_graceful_shutdown(stop)
            .await
    }
}

struct Gate {
    token: Token,
    free: Semaphore,
}

async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let offered = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let offered = offered.and_then(|value| value.strip_prefix("Bearer "));
    if !offered.is_some_and(|offered| gate.token.matches(offered)) {
        let detail =
            "expected the token of the directory's file api-token as `Authorization: Bearer TOKEN`";
        return Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
    }
    let Ok(_free) = gate.free.try_acquire() else {
        let detail = format!("{MAX_REQUESTS} requests are under way; try again");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).into_response();
    };
    let response = next.run(request).await;
    // The extractors' own refusals (a body too large, a bad path) become problems as well.
    let status = response.status();
    let is_problem = |response: &Response| {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| value == "application/problem+json")
    };
    if status.is_client_error() && !is_problem(&response) {
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE {
            "too_large"
        } else {
            "usage"
        };
        let detail = match code {
            "too_large" => format!("expected a body of at most {MAX_BODY} bytes"),
            _ => "the request is not what the route expects".to_owned(),
        };
        return Problem::new(status, code, detail).into_response();
    }
    response
}
