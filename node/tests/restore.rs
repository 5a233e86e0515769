//! A consortium without a key, in one process: what a node says after it was restored from an old backup.

use std::path::{Path, PathBuf};
use std::time::Duration;

use organtwin::backup;
use organtwin::config::{Config, HospitalDir};
use organtwin::hospital::{self, NodeError, NodeHandle, NodeStatus, RunningNode, StartOptions};
use organtwin::identity::{self, RosterTerms};
use organtwin::jobs::keys::sealing_key;
use organtwin_protocol::roster::PassivePolicy;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn consortium(root: &Path) -> Vec<PathBuf> {
    let dirs: Vec<PathBuf> = NAMES.iter().map(|name| root.join(name)).collect();
    let invitations: Vec<_> = dirs
        .iter()
        .zip(NAMES)
        .map(|(dir, name)| {
            let mut config = Config::new(name);
            config.network.listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
            let keys = identity::create(&HospitalDir::new(dir), &config).unwrap();
            keys.invitation(name)
        })
        .collect();
    let terms = RosterTerms {
        consortium: "C".into(),
        threshold: 1,
        passive: PassivePolicy::Refused,
        instruction_class: organtwin_threshold::instruction_class().into(),
    };
    let roster = identity::make_roster(terms, &invitations).unwrap();
    for dir in &dirs {
        std::fs::write(HospitalDir::new(dir).roster(), roster.encode().unwrap()).unwrap();
    }
    dirs
}

async fn start(dir: &Path) -> RunningNode {
    hospital::start(dir, StartOptions::default()).await.unwrap()
}

async fn stop(node: RunningNode) {
    node.handle.shutdown().await.unwrap();
    node.finished().await.unwrap();
}

/// Waits until the node's status is as wanted.
async fn until(node: &NodeHandle, wanted: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
    let waiting = async {
        loop {
            let status = node.status().await.unwrap();
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("the status never came")
}

async fn meet(from: &RunningNode, to: &RunningNode, party: u8) {
    let address = to.handle.status().await.unwrap().listen.remove(0);
    from.handle.locate(party, address).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_restored_from_an_old_backup_uses_no_number_twice() {
    let root = tempfile::tempdir().unwrap();
    let dirs = consortium(root.path());
    // The backup knows nothing of what the first hospital says afterwards.
    let first = HospitalDir::new(&dirs[0]);
    let sealing = sealing_key(&Config::load(&first).unwrap(), &first, None).unwrap();
    let file = root.path().join("old.backup");
    backup::write(&first, &sealing, 1, &file).unwrap();

    let mut nodes = Vec::new();
    for dir in &dirs {
        nodes.push(start(dir).await);
    }
    for (party, other) in (2u8..).zip(&nodes[1..]) {
        meet(&nodes[0], other, party).await;
        until(&nodes[0].handle, |status| {
            status
                .peers
                .iter()
                .any(|peer| peer.party == party && peer.connected)
        })
        .await;
    }
    nodes[0].handle.sign_roster().await.unwrap();
    nodes[0].handle.ceremony_start().await.unwrap();
    for node in &nodes[1..] {
        until(&node.handle, |status| status.peers[0].statements == 2).await;
    }
    stop(nodes.remove(0)).await;

    let place = root.path().join("restored");
    let key: [u8; 32] = {
        let path = HospitalDir::new(&dirs[0]).root().to_path_buf();
        let organtwin::config::SealConfig::KeyFile { path: file } =
            Config::load(&HospitalDir::new(&path)).unwrap().seal
        else {
            panic!("sealed with a key file")
        };
        *organtwin::private_file::load(&path.join(file)).unwrap()
    };
    backup::restore(&file, &sealing, Some(&key), &place).unwrap();
    let restored = start(&place).await;
    let refused = restored.handle.sign_roster().await.unwrap_err();
    assert!(matches!(refused, NodeError::NotReady { .. }), "{refused}");
    let status = restored.handle.status().await.unwrap();
    assert!(
        status.work[0].contains("parties 2, 3, 4"),
        "{:?}",
        status.work
    );

    // Two of the others are not enough: one of them might keep silent.
    for (party, other) in (2u8..).zip(&nodes[..2]) {
        meet(&restored, other, party).await;
    }
    let status = until(&restored.handle, |status| status.work[0].contains("1 more")).await;
    assert!(status.work[0].contains("parties 4 "), "{:?}", status.work);

    meet(&restored, &nodes[2], 4).await;
    until(&restored.handle, |status| {
        !status.work.iter().any(|line| line.contains("restored"))
    })
    .await;
    // What it said before counts: signing again says nothing new, and what it says next has the next number.
    restored.handle.sign_roster().await.unwrap();
    let status = restored.handle.status().await.unwrap();
    assert_eq!(status.roster_signed_by, [1]);
    stop(restored).await;
    // The mark is gone: the next start needs nobody.
    let again = start(&place).await;
    assert!(again.handle.status().await.unwrap().work.is_empty());
    again.handle.sign_roster().await.unwrap();
    stop(again).await;
    for node in nodes {
        let status = node.handle.status().await.unwrap();
        assert!(status.faults.is_empty(), "{:?}", status.faults);
        stop(node).await;
    }
}
