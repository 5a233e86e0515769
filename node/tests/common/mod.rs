//! Running the binary as an operator would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary, without anything of the caller's environment that could change what it does.
pub(crate) fn organtwin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_organtwin"));
    command
        .env_remove("ORGANTWIN_PASSPHRASE")
        .env_remove("ORGANTWIN_LOG")
        .stdin(Stdio::null());
    command
}

/// What a finished command said.
pub(crate) struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The object on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Finished {
    finish(organtwin().args(arguments).output().unwrap())
}

pub(crate) fn finish(output: Output) -> Finished {
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The committed scenarios.
#[allow(dead_code, reason = "not every file of tests runs scenarios")]
pub(crate) fn scenarios() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}
