//! `organtwin run`: the hospital's node.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use super::Common;
use super::failure::Failure;
use super::output::{self, Output};
use crate::api::{ApiServer, Runtime, Token};
use crate::config::{Config, HospitalDir, SealConfig};
use crate::hospital::{self, StartOptions};

#[derive(Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Stop when standard input ends, so that no node outlives the process that started it
    #[arg(long)]
    until_stdin_closes: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    log_to_stderr();
    let dir = args.common.hospital();
    let config = Config::load(&dir)?;
    let passphrase = match config.seal {
        SealConfig::Passphrase => Some(passphrase("Passphrase: ")?),
        SealConfig::KeyFile { .. } => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("cannot start threads: {error}")))?;
    runtime.block_on(serve(args, &dir, &config, StartOptions { passphrase }))?;
    // A computation that is under way is not waited for: what it would have stated, it states after the next start.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    args: &RunArgs,
    dir: &HospitalDir,
    config: &Config,
    options: StartOptions,
) -> Result<(), Failure> {
    let api = ApiServer::bind(&config.api.listen).await?;
    let node = hospital::start(dir.root(), options).await?;
    let token = Token::load_or_create(&dir.api_token())?;
    let status = node.handle.status().await?;
    let runtime = Runtime::new(api.address().to_string(), status.listen.clone());
    runtime.save(&dir.runtime())?;
    ready(args.common.output, &runtime);

    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let server = tokio::spawn(api.serve(node.handle.clone(), token, async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    let handle = node.handle.clone();
    let mut finished = std::pin::pin!(node.finished());
    let ended = tokio::select! {
        ended = &mut finished => Some(ended),
        () = asked_to_stop(args.until_stdin_closes) => None,
    };
    let result = match ended {
        Some(ended) => ended,
        None => {
            tracing::info!("stopping");
            let _ = handle.shutdown().await;
            finished.await
        }
    };
    let _ = stop.send(true);
    let _ = std::fs::remove_file(dir.runtime());
    // Clients that keep a connection open do not keep the node alive.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), server).await;
    Ok(result?)
}

fn ready(output: Output, runtime: &Runtime) {
    output.show("organtwin.node/1", runtime, || {
        let mut text = format!("API       http://{}\n", runtime.api);
        for address in &runtime.listen {
            text += &format!("network   {address}\n");
        }
        text + "running; stop with Ctrl-C"
    });
}

async fn asked_to_stop(until_stdin_closes: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let (closed, stdin_closed) = tokio::sync::oneshot::channel();
    if until_stdin_closes {
        // A thread of its own: tokio's standard input would keep the runtime from ending.
        std::thread::spawn(move || {
            let mut sink = [0u8; 256];
            while std::io::stdin()
                .lock()
                .read(&mut sink)
                .is_ok_and(|read| read > 0)
            {}
            let _ = closed.send(());
        });
    } else {
        drop(closed);
    }
    let stdin = async {
        if until_stdin_closes {
            let _ = stdin_closed.await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let mut term = signal(SignalKind::terminate()).ok();
    let term = async {
        match &mut term {
            Some(term) => drop(term.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
        () = stdin => {}
    }
}

/// The passphrase from the environment or, on a terminal, from a prompt.
pub(super) fn passphrase(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if let Ok(given) = std::env::var("ORGANTWIN_PASSPHRASE") {
        return Ok(Zeroizing::new(given));
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| {
            Failure::Environment(format!(
                "no passphrase: {error}; set ORGANTWIN_PASSPHRASE or start from a terminal"
            ))
        })
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("ORGANTWIN_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,organtwin=info"));
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    if logger.try_init().is_err() {
        output::complain("a logger is set already");
    }
}
