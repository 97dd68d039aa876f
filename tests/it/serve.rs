//! `dbgate broker run`, as the built binary: what it says when it cannot serve, and how it goes on by itself.

use crate::harness::postgres::Server;
use crate::harness::site::{Site, Who};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_broker_on_a_data_directory_names_the_first() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let second = site.fail();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(7), "{said}");
    assert!(said.contains("in use by another broker"), "{said}");
    assert!(said.contains(&broker.child.id().to_string()), "{said}");
    // The first one goes on; and when it is killed, the directory is free at once.
    let rows = site.exec(&broker, "SELECT count(*) FROM customers");
    assert!(rows.status.success(), "{rows:?}");
    broker.kill();
    let again = site.run();
    let rows = site.dbgate(&again, Who::Auditor, &["status"]);
    assert!(rows.status.success(), "{rows:?}");
    assert_eq!(
        again.lines()[0]["message"],
        "serving",
        "{:?}",
        again.lines()
    );
    assert_eq!(again.get(&site, "/livez"), (200, "ok\n".to_owned()));
    again.signal(rustix::process::Signal::TERM);
    println!("served after {:?}", again.started);
}
