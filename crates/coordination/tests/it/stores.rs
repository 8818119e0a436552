//! The shared suite on every store.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use coordination::{EmbeddedStore, MemoryStore, Place, Store, StoreError, keep, space::Connect, suite};
use proto::v1;
use registry::{Change, Operation, Registry};
use testkit::services::{Kind, Service};

#[test]
fn the_embedded_store_passes_the_suite() {
    let home = tempfile::tempdir().unwrap();
    suite::run(&|name| {
        let directory = home.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Box::new(EmbeddedStore::open(&directory).unwrap())
    });
}

#[test]
fn the_memory_store_passes_the_suite() {
    let stores: Mutex<BTreeMap<String, Shared>> = Mutex::default();
    suite::run(&|name| Box::new(stores.lock().unwrap().entry(name.into()).or_default().clone()));
}

/// Runs the suite with a path of its own in the service for each law.
fn the_service_passes(connect: &dyn Fn(&str) -> Arc<dyn Connect>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    suite::run(&|name| {
        let connect = connect(&format!("/suite/{name}"));
        let store = runtime.block_on(async {
            let space = connect.connect().await.unwrap();
            keep::seize(space, connect.describe()).await.unwrap()
        });
        Box::new(store)
    });
}

fn connect(service: &Service, path: &str, timeout: Duration) -> Arc<dyn Connect> {
    coordination::connect(Place::parse(&service.url(path)).unwrap(), timeout)
}

const SESSION: Duration = Duration::from_secs(5);

#[test]
fn zookeeper_passes_the_suite() {
    let Some(server) = Service::start(Kind::ZooKeeper, 1) else { return };
    the_service_passes(&|path| connect(&server, path, SESSION));
}

#[test]
fn three_zookeepers_pass_the_suite() {
    let Some(servers) = Service::start(Kind::ZooKeeper, 3) else { return };
    the_service_passes(&|path| connect(&servers, path, SESSION));
}

#[test]
fn etcd_passes_the_suite() {
    let Some(server) = Service::start(Kind::Etcd, 1) else { return };
    the_service_passes(&|path| connect(&server, path, SESSION));
}

#[test]
fn three_etcds_pass_the_suite() {
    let Some(servers) = Service::start(Kind::Etcd, 3) else { return };
    the_service_passes(&|path| connect(&servers, path, SESSION));
}

#[test]
fn a_second_master_on_one_work_dir_is_told_so() {
    let home = tempfile::tempdir().unwrap();
    let _first = EmbeddedStore::open(home.path()).unwrap();
    let error = EmbeddedStore::open(home.path()).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[test]
fn nobody_else_reads_a_registry() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.redb");
    let check = || {
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}: {mode:o}", entry.path());
        }
    };
    drop(EmbeddedStore::open(directory.path()).unwrap());
    check();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    check();
    std::fs::write(&path, b"damaged").unwrap();
    drop(EmbeddedStore::open_to_replace(directory.path()).unwrap());
    check();
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = EmbeddedStore::open("/nowhere/at/all".as_ref()).err().unwrap().to_string();
    assert!(error.contains("/nowhere/at/all/registry.redb"), "{error}");
}

/// A memory store that outlives its handle, as a real store does.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<MemoryStore>>);

impl Store for Shared {
    fn load(&mut self) -> Result<Registry, StoreError> {
        self.0.lock().unwrap().load()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(changes)
    }

    fn describe(&self) -> String {
        "shared".into()
    }
}

/// A work directory with a registry of twelve agents and its last values, stored in several goes.
fn filled(home: &std::path::Path) -> Registry {
    let mut store = EmbeddedStore::open(home).unwrap();
    let mut registry = store.load().unwrap();
    for n in 0..12 {
        let id = Some(v1::AgentId { value: format!("agent-{n}") });
        let info = v1::AgentInfo { id, hostname: format!("host-{n}"), ..Default::default() };
        let mutation = registry::apply(&mut registry, &Operation::AdmitAgent(Box::new(info))).unwrap();
        store.commit(&registry.changes(&mutation)).unwrap();
    }
    registry
}

fn load(home: &std::path::Path) -> Result<Registry, StoreError> {
    EmbeddedStore::open(home)?.load()
}

/// What one fault of a disk does to the file is refused by its name, or does no harm.
fn is_told_or_harmless(path: &std::path::Path, damaged: &[u8], whole: &Registry, what: &str) {
    let home = tempfile::tempdir().unwrap();
    for name in ["registry.redb", "registry.mark"] {
        std::fs::copy(path.join(name), home.path().join(name)).unwrap();
    }
    std::fs::write(home.path().join("registry.redb"), damaged).unwrap();
    match load(home.path()) {
        Ok(read) => assert_eq!(read, *whole, "{what}: silently other"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("registry.redb is damaged"), "{what}: {error}");
            assert!(error.contains("meseta registry restore --replace"), "{what}: {error}");
        }
    }
}

#[test]
fn any_bit_of_the_embedded_registry_that_flips_and_any_cut_is_told_or_harmless() {
    let home = tempfile::tempdir().unwrap();
    let whole = filled(home.path());
    let content = std::fs::read(home.path().join("registry.redb")).unwrap();
    let mut rng = stdx::Rng::new(12);
    for n in 0..200 {
        // Half of them where there is something.
        let at = loop {
            let at = rng.below(content.len() as u64) as usize;
            if n % 2 == 0 || content[at] != 0 {
                break at;
            }
        };
        let mut damaged = content.clone();
        damaged[at] ^= 1 << rng.below(8);
        is_told_or_harmless(home.path(), &damaged, &whole, &format!("byte {at}"));
    }
    for _ in 0..200 {
        let length = rng.below(content.len() as u64) as usize;
        is_told_or_harmless(home.path(), &content[..length], &whole, &format!("cut at {length}"));
    }
    for at in 0..320 {
        let mut damaged = content.clone();
        damaged[at] ^= 1;
        is_told_or_harmless(home.path(), &damaged, &whole, &format!("byte {at} of the head"));
    }
}

#[test]
fn an_empty_an_absent_and_an_older_registry_are_no_new_one() {
    let home = tempfile::tempdir().unwrap();
    let older = filled(home.path());
    let path = home.path().join("registry.redb");
    let copy = std::fs::read(&path).unwrap();
    {
        let mut store = EmbeddedStore::open(home.path()).unwrap();
        store.commit(&[Change { key: registry::Key::Agent("agent-3".into()), value: None }]).unwrap();
    }
    std::fs::write(&path, "").unwrap();
    assert!(load(home.path()).unwrap_err().to_string().contains("it is empty"));
    std::fs::remove_file(&path).unwrap();
    let why = load(home.path()).unwrap_err().to_string();
    assert!(why.contains("13 changes were stored in it") && why.contains("registry.mark"), "{why}");
    std::fs::write(&path, copy).unwrap();
    let why = load(home.path()).unwrap_err().to_string();
    assert!(why.contains("the last 1 changes are lost"), "{why}");
    // On purpose; and a damaged mark alone is no harm.
    for mark in ["", "00000000000000000099 00000000\n"] {
        std::fs::write(home.path().join("registry.mark"), mark).unwrap();
        assert_eq!(load(home.path()).unwrap(), older);
    }
}

#[test]
fn a_damaged_registry_is_replaced_when_it_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let registry = filled(home.path());
    let path = home.path().join("registry.redb");
    std::fs::write(&path, "rubbish").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(matches!(keep::Keep::open(home.path()), Err(StoreError::Damaged { .. })));
    runtime.block_on(async {
        let mut keep = keep::Keep::open_to_replace(home.path()).unwrap();
        keep.write(&registry, true).await.unwrap();
    });
    assert_eq!(load(home.path()).unwrap(), registry);
    assert_eq!(std::fs::read(path.with_extension("redb.damaged")).unwrap(), b"rubbish");
}

/// A file as former versions left it: no sums, no count of commits.
#[test]
fn a_registry_of_a_former_version_is_read_and_given_sums() {
    const PARTS: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("registry");
    let home = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let registry = filled(other.path());
    {
        let database = redb::Database::create(home.path().join("registry.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        for (key, value) in registry.entries() {
            let former = [&[value[0], 1], &value[6..]].concat();
            transaction.open_table(PARTS).unwrap().insert(key.to_string().as_str(), &former[..]).unwrap();
        }
        transaction.commit().unwrap();
    }
    assert_eq!(load(home.path()).unwrap(), registry);
    let database = redb::Database::open(home.path().join("registry.redb")).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let table = transaction.open_table(PARTS).unwrap();
    let rows: Vec<_> = redb::ReadableTable::iter(&table).unwrap().map(|row| row.unwrap().1.value().to_vec()).collect();
    assert!(rows.len() == 12 && rows.iter().all(|row| registry::has_sum(row)));
}
