//! Four nodes in network namespaces of their own, on two bridges that a partition tears apart.
//!
//! Nothing of it needs root: the test starts itself again inside a user and a network namespace. Where the machine does
//! not allow that, a line says so; the relays of the other test separate nodes everywhere.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::common::text;
use super::hospital::Hospital;
use super::{audit, phase, study_file};

const ROOT: &str = "ORGANTWIN_NAMESPACE_ROOT";

fn succeeds(program: &str, args: &[&str]) -> bool {
    let run = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.is_ok_and(|status| status.success())
}

fn must(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

/// Takes four hospitals with a key and twins through a study in which the network falls apart.
pub(crate) fn partition(root: &Path) {
    let bridges = "ip link set lo up && ip link add name probe type bridge && ip link add name left type veth peer name right";
    if !succeeds("unshare", &["-Urn", "sh", "-c", bridges]) || !succeeds("nsenter", &["--version"])
    {
        println!("network namespaces are not allowed here: nodes were separated by relays only");
        return;
    }
    let status = Command::new("unshare")
        .arg("-Urn")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "namespaces::inside", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .status()
        .unwrap();
    assert!(
        status.success(),
        "the study across a partition of namespaces failed"
    );
}

/// A namespace lives as long as a process in it.
struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new(party: u8) -> Self {
        let holder = Command::new("unshare")
            .args(["-n", "sleep", "3600"])
            .spawn()
            .unwrap();
        let pid = holder.id().to_string();
        let namespace = Self { holder };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{pid}/ns/net"))
            .ok()
            .as_ref()
            == Some(&own)
        {
            std::thread::yield_now();
        }
        let outer = format!("v{party}");
        must(
            "ip",
            &[
                "link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ],
        );
        must("ip", &["link", "set", &outer, "master", "whole", "up"]);
        let address = format!("10.77.0.{party}/24");
        namespace.within(&["ip", "link", "set", "lo", "up"]);
        namespace.within(&["ip", "address", "add", &address, "dev", "eth0"]);
        namespace.within(&["ip", "link", "set", "eth0", "up"]);
        namespace
    }

    fn enter(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "-t", &pid, "-n"]
            .iter()
            .map(|word| (*word).to_owned())
            .collect()
    }

    fn within(&self, command: &[&str]) {
        let enter = self.enter();
        let words: Vec<&str> = enter[1..]
            .iter()
            .map(String::as_str)
            .chain(command.iter().copied())
            .collect();
        must(&enter[0], &words);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Puts parties 3 and 4 on a bridge.
fn attach(bridge: &str) {
    for party in [3, 4] {
        must(
            "ip",
            &["link", "set", &format!("v{party}"), "master", bridge],
        );
    }
}

#[test]
#[ignore = "the test of processes starts it inside a network namespace"]
fn inside() {
    let Ok(root) = std::env::var(ROOT) else {
        println!("this part runs inside a network namespace, started by the test of processes");
        return;
    };
    let root = Path::new(&root);
    must("ip", &["link", "set", "lo", "up"]);
    for bridge in ["whole", "apart"] {
        must("ip", &["link", "add", bridge, "type", "bridge"]);
        must("ip", &["link", "set", bridge, "up"]);
    }
    let namespaces: Vec<Namespace> = (1..=4).map(Namespace::new).collect();
    let mut hospitals: Vec<Hospital> = Vec::new();
    for (party, namespace) in (1u8..).zip(&namespaces) {
        let enter = namespace.enter();
        let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
        let hospital = Hospital::open(party, root).through(&enter);
        hospital.listen_on(&format!("/ip4/10.77.0.{party}/tcp/4100"));
        hospitals.push(hospital);
    }
    for hospital in &mut hospitals {
        hospital.start();
    }
    for from in 1..=4u8 {
        for to in from + 1..=4 {
            let address = format!("/ip4/10.77.0.{to}/tcp/4100");
            hospitals[usize::from(from - 1)].command(&[
                "roster",
                "locate",
                &to.to_string(),
                &address,
            ]);
        }
    }
    let connected = |hospital: &Hospital| {
        let status = hospital.command(&["status"]);
        status["peers"]
            .as_array()
            .is_some_and(|peers| peers.iter().all(|peer| peer["connected"] == true))
    };
    for hospital in &mut hospitals {
        hospital.until("all peers to connect", connected);
    }
    attach("apart");
    println!("namespaces: 1 and 2 are on another bridge than 3 and 4");
    let file = study_file(root, "namespaces");
    let proposed = hospitals[0].command(&["study", "propose", text(&file)]);
    let id = proposed["study"].as_str().unwrap().to_owned();
    for hospital in &mut hospitals[..2] {
        hospital.until("an approval", |hospital| {
            hospital.try_command(&["study", "approve", &id]).is_ok()
        });
    }
    for hospital in &hospitals[2..] {
        assert_eq!(
            phase(hospital, &id),
            "",
            "hospital {} heard of the study",
            hospital.party
        );
    }
    attach("whole");
    println!("namespaces: the network is whole again");
    hospitals[3].until("an approval", |hospital| {
        hospital.try_command(&["study", "approve", &id]).is_ok()
    });
    for hospital in &mut hospitals {
        hospital.until("the study to be opened", |hospital| {
            phase(hospital, &id) == "released"
        });
    }
    audit(&hospitals, root, &id);
    for hospital in &mut hospitals {
        hospital.stop();
    }
    println!("namespaces: opened and audited after the partition");
}
