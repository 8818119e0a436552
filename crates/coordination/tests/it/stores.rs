//! The shared suite on every store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use coordination::{EmbeddedStore, MemoryStore, Place, Store, StoreError, keep, space::Connect, suite};
use registry::{Change, Registry};
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
