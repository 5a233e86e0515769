use organtwin_threshold::Secret;

use super::*;
use crate::identity;

fn key(byte: u8) -> SealingKey {
    SealingKey::KeyFile(Secret::new([byte; 32]))
}

/// A hospital with keys, a share, a blob, statements and records.
fn hospital(root: &Path) -> HospitalDir {
    let dir = HospitalDir::new(root.join("a"));
    identity::create(&dir, &Config::new("A")).unwrap();
    let session = dir.key().join("session");
    fs::create_dir_all(&session).unwrap();
    fs::write(session.join("share.sealed"), vec![5; 300_000]).unwrap();
    fs::create_dir_all(dir.key().join("vectors")).unwrap();
    fs::write(dir.key().join("vectors").join("0-0.vector"), b"left out").unwrap();
    let store = Store::open(&dir.db(), &dir.blobs()).unwrap();
    store.append(1, 0, b"first").unwrap();
    store.append(1, 1, b"second").unwrap();
    store.put(Tree::OwnTwins, b"twin", &"patient-7").unwrap();
    store.blobs().put(&vec![9; 100_000]).unwrap();
    store.flush().unwrap();
    dir
}

fn backup(root: &Path) -> (HospitalDir, PathBuf) {
    let dir = hospital(root);
    let out = root.join("a.backup");
    let summary = write(&dir, &key(1), 77, &out).unwrap();
    assert_eq!((summary.name.as_str(), summary.made_ms), ("A", 77));
    (dir, out)
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_backed_up_is_restored_and_knows_that_it_was() {
    let root = tempfile::tempdir().unwrap();
    let (dir, out) = backup(root.path());
    let to = root.path().join("b");
    restore(&out, &key(1), Some(&[3; 32]), &to).unwrap();
    let restored = HospitalDir::new(&to);
    assert_eq!(
        identity::load(&restored).unwrap().invitation("A"),
        identity::load(&dir).unwrap().invitation("A")
    );
    assert_eq!(
        Config::load(&restored).unwrap(),
        Config::load(&dir).unwrap()
    );
    let share = restored.key().join("session").join("share.sealed");
    assert_eq!(fs::read(share).unwrap(), vec![5; 300_000]);
    assert!(!restored.key().join("vectors").exists());
    let store = Store::open(&restored.db(), &restored.blobs()).unwrap();
    assert_eq!(
        store.statement(1, 1).unwrap().as_deref(),
        Some(&b"second"[..])
    );
    let name: Option<String> = store.get(Tree::OwnTwins, b"twin").unwrap();
    assert_eq!(name.as_deref(), Some("patient-7"));
    let hash = crate::store::Blobs::hash(&vec![9; 100_000]);
    assert!(store.blobs().get(&hash).unwrap().is_some());
    let mark: Option<Restored> = store.get(Tree::Meta, RESTORED).unwrap();
    assert_eq!(mark.unwrap().made_ms, 77);
    // The key that a backup is sealed with is not in it: it was given, and put in its place.
    let SealConfig::KeyFile { path } = Config::load(&restored).unwrap().seal else {
        panic!("sealed with a key file")
    };
    let sealed = crate::private_file::load(&to.join(path)).unwrap();
    assert_eq!(*sealed, [3; 32]);
}

#[test]
fn nothing_is_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let (dir, out) = backup(root.path());
    let before = fs::read(&out).unwrap();
    assert!(matches!(
        write(&dir, &key(1), 0, &out),
        Err(BackupError::Exists { .. })
    ));
    assert_eq!(fs::read(&out).unwrap(), before);
    assert!(matches!(
        restore(&out, &key(1), None, dir.root()),
        Err(BackupError::Exists { .. })
    ));
}

#[test]
fn a_running_node_is_not_backed_up() {
    let root = tempfile::tempdir().unwrap();
    let dir = hospital(root.path());
    let _lock = dir.lock().unwrap();
    let refused = write(&dir, &key(1), 0, &root.path().join("x")).unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
}

#[test]
fn a_bad_backup_is_one_error_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (_, out) = backup(root.path());
    let good = fs::read(&out).unwrap();
    let before = names(root.path());
    let middle = good.len() / 2;
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let bad = [
        ("empty", Vec::new()),
        (
            "no backup",
            b"hello, this is a text file and not a backup at all".to_vec(),
        ),
        ("cut in the middle", good[..middle].to_vec()),
        ("cut at a chunk", good[..41 + 65_552].to_vec()),
        ("cut by one byte", good[..good.len() - 1].to_vec()),
        ("longer", [good.as_slice(), b"x"].concat()),
        ("changed at the head", changed(30)),
        ("changed in the middle", changed(middle)),
        ("changed at the end", changed(good.len() - 1)),
    ];
    for (what, bytes) in bad {
        fs::write(&out, bytes).unwrap();
        let refused = restore(&out, &key(1), None, &root.path().join("b")).unwrap_err();
        assert!(
            matches!(refused, BackupError::Unusable { .. }),
            "{what}: {refused}"
        );
        assert_eq!(names(root.path()), before, "{what}");
    }
    fs::write(&out, good).unwrap();
    let refused = restore(&out, &key(2), None, &root.path().join("b")).unwrap_err();
    assert!(refused.to_string().contains("wrong"), "{refused}");
    assert_eq!(names(root.path()), before);
}

#[test]
fn a_backup_names_no_file_outside_its_directory() {
    for name in ["../x", "/etc/x", "a/../../x", ""] {
        let mut archive = archive::Writer::new(Vec::new());
        archive.file(name, &b"x"[..]).unwrap();
        let bytes = archive.finish().unwrap();
        assert!(
            archive::Reader::new(bytes.as_slice()).next().is_err(),
            "{name}"
        );
    }
}
