//! One hospital's directory and process, spoken to through the commands that an operator types.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{self, text};

/// How long anything may take; the machine may be busy with other things.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(150);

/// A hospital.
pub(crate) struct Hospital {
    pub(crate) party: u8,
    pub(crate) dir: PathBuf,
    /// What every command is run through: nothing, or a command that enters a network namespace.
    through: Vec<String>,
    process: Option<Child>,
    /// How often it was killed.
    pub(crate) kills: u32,
}

impl Hospital {
    /// Makes a hospital's directory.
    pub(crate) fn init(party: u8, root: &Path) -> Self {
        let dir = root.join(format!("hospital-{party}"));
        let hospital = Self::open(party, root);
        let name = format!("Hospital {party}");
        common::run(&[
            "init",
            "--name",
            &name,
            "--key-file",
            "--dir",
            text(&dir),
            "--json",
        ])
        .expect(0);
        hospital
    }

    /// Takes a directory that is there.
    pub(crate) fn open(party: u8, root: &Path) -> Self {
        Self {
            party,
            dir: root.join(format!("hospital-{party}")),
            through: Vec::new(),
            process: None,
            kills: 0,
        }
    }

    /// Runs everything of this hospital through another command.
    pub(crate) fn through(mut self, command: &[&str]) -> Self {
        self.through = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Changes where the node listens.
    pub(crate) fn listen_on(&self, multiaddress: &str) {
        let file = self.dir.join("organtwin.toml");
        let mut config: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        let network = config
            .entry("network")
            .or_insert_with(|| toml::Table::new().into());
        let listen = toml::Value::Array(vec![multiaddress.into()]);
        network
            .as_table_mut()
            .unwrap()
            .insert("listen".into(), listen);
        // The lines of another run lead nowhere here.
        config.remove("peers");
        std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    }

    fn program(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_organtwin");
        match self.through.split_first() {
            None => Command::new(binary),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
        }
    }

    /// Begins `organtwin ARGS.. --dir DIR --json`.
    pub(crate) fn begin(&self, args: &[&str]) -> Child {
        self.program()
            .args(args)
            .args(["--dir", text(&self.dir), "--json"])
            .env_remove("ORGANTWIN_PASSPHRASE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a command to its end; `Err` has what it said.
    pub(crate) fn try_command(&self, args: &[&str]) -> Result<Value, String> {
        let finished = common::finish(self.begin(args).wait_with_output().unwrap());
        if finished.code == 0 {
            Ok(finished.json())
        } else {
            Err(format!("{}{}", finished.stdout, finished.stderr))
        }
    }

    /// Runs a command that must succeed.
    pub(crate) fn command(&self, args: &[&str]) -> Value {
        self.try_command(args)
            .unwrap_or_else(|said| panic!("hospital {}: {args:?}: {said}", self.party))
    }

    /// Starts the node and waits until it answers; returns where it listens.
    pub(crate) fn start(&mut self) -> SocketAddr {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("node.log"))
            .unwrap();
        let runtime = self.dir.join("node.json");
        if runtime.exists() {
            std::fs::remove_file(&runtime).unwrap();
        }
        let child = self
            .program()
            .args(["run", "--until-stdin-closes", "--dir", text(&self.dir)])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        let mut address = None;
        self.until("the node to answer", |hospital| {
            let Ok(status) = hospital.try_command(&["status"]) else {
                return false;
            };
            address = status["listen"][0].as_str().and_then(socket);
            address.is_some()
        });
        address.unwrap()
    }

    /// Whether its process runs; it must not have ended by itself.
    fn check(&mut self) {
        if let Some(process) = &mut self.process
            && let Ok(Some(status)) = process.try_wait()
        {
            let log = std::fs::read_to_string(self.dir.join("node.log")).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(15).collect();
            panic!(
                "hospital {} ended by itself ({status}): {end:#?}",
                self.party
            );
        }
    }

    /// Looks again and again until something holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + LONGEST;
        loop {
            self.check();
            if holds(self) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "hospital {}: waited too long for {what}",
                self.party
            );
            std::thread::sleep(LOOK);
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
            self.kills += 1;
        }
    }

    /// Ends the process in order.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }
}

impl Drop for Hospital {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The socket address in a multiaddress like `/ip4/127.0.0.1/tcp/4001`.
fn socket(multiaddress: &str) -> Option<SocketAddr> {
    let mut words = multiaddress.split('/').skip(1);
    let (ip, port) = (words.nth(1)?, words.nth(1)?);
    format!("{ip}:{port}").parse().ok()
}
