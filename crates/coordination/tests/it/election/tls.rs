//! etcd over TLS: it proves who it is, and so do we.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use testkit::services::{Settings, Site, Tls};

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn write(&self, path: PathBuf) -> PathBuf {
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// A certificate for 127.0.0.1 and its key.
    fn sign(&self, home: &Path, name: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        let (cert_path, key_path) = (home.join(format!("{name}.pem")), home.join(format!("{name}.key")));
        std::fs::write(&cert_path, cert.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        (cert_path, key_path)
    }
}

#[test]
fn masters_meet_at_an_etcd_with_tls() {
    if Kind::Etcd.missing().is_some() {
        testkit::skip("etcd is not installed (apt-get install etcd-server)");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let ca = authority.write(home.path().join("ca.pem"));
    let other = stranger.write(home.path().join("other.pem"));
    let (cert, key) = authority.sign(home.path(), "server");
    let settings = Settings { tls: Some(Tls { ca: ca.clone(), cert, key }), ..Settings::default() };
    let server = Service::start_at(Kind::Etcd, &Site::on_loopback(1), home.path(), &settings);
    let (cert, key) = authority.sign(home.path(), "master");
    let url = server.url("/mesos").replace("etcd://", "https://");
    let (ca, other, cert, key) = (ca.display(), other.display(), cert.display(), key.display());
    let connect = |query: String| -> Arc<dyn Connect> {
        coordination::connect(Place::parse(&format!("{url}?{query}")).unwrap(), Duration::from_secs(2))
    };
    let right = connect(format!("ca={ca}&cert={cert}&key={key}"));
    Runtime::new().unwrap().block_on(async {
        for (query, expected) in [
            (String::new(), "UnknownIssuer"),
            (format!("ca={other}&cert={cert}&key={key}"), "UnknownIssuer"),
            (format!("ca={ca}"), "does not answer as etcd does"),
            (format!("ca={ca}&cert={cert}"), "a certificate without its private key"),
            ("ca=/nowhere.pem".to_owned(), "/nowhere.pem"),
            (format!("ca={key}"), "it holds none"),
        ] {
            let why = stand(&connect(query.clone()), config("m")).failed().await.to_string();
            assert!(why.contains(expected), "{query}: {why}");
        }
        let mut first = stand(&right, config("first"));
        let mut reign = first.elected().await;
        let second = stand(&right, config("second"));
        second.standing_by().await;
        for n in 0..20 {
            admit(&mut reign, n).await.unwrap();
        }
        let mut detector = Detector::with(Arc::clone(&right));
        assert_eq!(detector.wait(PATIENCE).await.unwrap(), "127.0.0.1:5050");
        first.candidacy.resign().await;
        let mut second = second;
        assert_eq!(second.elected().await.registry, reign.registry);
    });
}
