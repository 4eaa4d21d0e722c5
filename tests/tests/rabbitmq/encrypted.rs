//! `amqps://` with an authority of one's own.

use std::path::{Path, PathBuf};

use bus::{Declaration, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tests::brokers::Server;

use crate::scene::{ack, declared, fresh, in_time, open, publish, receiver, take};

const PORT: u16 = 11_676;
const TLS_PORT: u16 = 11_677;

/// An authority, and the file its certificate is in.
fn authority(directory: &Path, name: &str) -> (CertifiedIssuer<'static, KeyPair>, PathBuf) {
    let mut parameters = CertificateParams::new([]).expect("no names");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("signed");
    let file = directory.join(format!("{name}.pem"));
    std::fs::write(&file, authority.pem()).expect("written");
    (authority, file)
}

pub(crate) async fn amqps_trusts_the_authority_it_was_told_and_no_other() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = |name: &str| directory.path().join(name);
    let [(ours, ours_file), (_, others_file)] = ["ours", "others"].map(|name| authority(directory.path(), name));
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name").signed_by(&key, &ours);
    std::fs::write(place("server.pem"), certificate.expect("signed").pem()).expect("written");
    std::fs::write(place("server.key"), key.serialize_pem()).expect("written");
    let settings = format!(
        "listeners.ssl.local = 127.0.0.1:{TLS_PORT}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
         ssl_options.keyfile = {}\nssl_options.verify = verify_none",
        ours_file.display(),
        place("server.pem").display(),
        place("server.key").display(),
    );
    let _server = Server::rabbitmq_with(PORT, &settings, "");
    let url = |host: &str, ca: &Path| format!("amqps://guest:guest@{host}:{TLS_PORT}/%2f?ca={}", ca.display());

    let bus = open(&url("localhost", &ours_file)).await;
    let destination = declared(&bus, "encrypted").await;
    let receiver = receiver(&bus, &destination).await;
    publish(&bus, &destination, &["1"]).await;
    assert_eq!(ack(&receiver, take(&receiver, 1).await).await, ["1"]);

    // Another authority, and a host that is no name of the certificate.
    for (host, ca) in [("localhost", &others_file), ("127.0.0.1", &ours_file)] {
        let distrusting = open(&url(host, ca)).await;
        let declaring = [Declaration::of(fresh("refused"))];
        let error = in_time("an answer", distrusting.declare(&declaring)).await.expect_err("it is not trusted");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("certificate is not trusted; `ca=`"), "{error}");
        assert!(distrusting.state().to_string().contains("certificate"), "{}", distrusting.state());
    }
    let missing = open(&url("localhost", &place("missing.pem"))).await;
    let error = missing.declare(&[Declaration::of(fresh("refused"))]).await.expect_err("there is no such file");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("missing.pem"), "{error}");
}
