//! Sessions that wait for somebody else's approval.

use std::time::Duration;

use dbgate::audit::event::Action;
use dbgate::broker::Error;
use dbgate::broker::open::Outcome;
use dbgate::model::access::Access;
use dbgate::model::subject;
use dbgate::store::request;

use crate::broker::{ann, join_all};
use crate::harness::long;
use crate::harness::world::{World, person};

#[tokio::test]
async fn a_session_waits_for_its_approval_and_uses_it_once() {
    let world = World::new().await;
    let guest = person("gus", &["guests"]);
    let ask = world.ask(Access::Read, 600);
    let Ok(Outcome::Pending(request)) = world.broker.open_session(&guest, ask.clone(), None).await
    else {
        panic!("it waits");
    };
    let Ok(Outcome::Pending(again)) = world.broker.open_session(&guest, ask.clone(), None).await
    else {
        panic!("it waits");
    };
    assert_eq!(
        request.id, again.id,
        "the same question twice is one request"
    );

    let own = person("gus", &["guests", "reviewers"]);
    let mut agent = person("bot", &["reviewers"]);
    agent.kind = subject::Kind::Agent;
    let mut his = person("bot", &["reviewers"]);
    his.behalf = Some(guest.id.clone());
    let mut elsewhere = person("gus", &["reviewers"]);
    elsewhere.id.issuer = "https://other.example".to_owned();
    let mut same_mail = person("other", &["reviewers"]);
    same_mail.display = "Gus@example.com".to_owned();
    for (who, what) in [
        (own, "who asks"),
        (agent, "an agent"),
        (his, "somebody who acts for who asks"),
        (elsewhere, "the same sub of another issuer"),
        (same_mail, "the same address"),
        (ann(), "somebody in no group"),
    ] {
        let refused = world.broker.approve(&request.id, &who, None, None).await;
        assert!(
            matches!(refused, Err(Error::OwnRequest | Error::NotApprover { .. })),
            "{what}: {refused:?}"
        );
    }
    let rita = person("rita", &["reviewers"]);
    let approved = world
        .broker
        .approve(&request.id, &rita, Some("fine".to_owned()), None)
        .await
        .unwrap();
    assert_eq!(approved.state, request::State::Approved);
    assert!(
        world
            .broker
            .approve(&request.id, &rita, None, None)
            .await
            .is_err()
    );

    let mut other = ask.clone();
    other.request = Some(request.id.clone());
    other.duration = Some(Duration::from_secs(1200));
    let refused = world.broker.open_session(&guest, other, None).await;
    assert!(matches!(refused, Err(Error::OtherRequest)), "{refused:?}");
    let mut with = ask;
    with.request = Some(request.id.clone());
    let opened = world.broker.open_session(&guest, with.clone(), None).await;
    assert!(matches!(opened, Ok(Outcome::Granted { .. })), "{opened:?}");
    let refused = world.broker.open_session(&guest, with, None).await;
    assert!(
        matches!(refused, Err(Error::Settled(request::State::Used))),
        "{refused:?}"
    );

    let events = world.events().await;
    let used = events
        .iter()
        .filter(|action| matches!(action, Action::RequestUsed { .. }))
        .count();
    assert_eq!(used, 1);
    world.broker.stop().await;
}

#[tokio::test]
async fn a_hundred_approvers_and_deniers_at_once_make_one_decision() {
    let rounds = if long() { 100 } else { 5 };
    let world = World::new().await;
    for round in 0..rounds {
        let guest = person(&format!("gus{round}"), &["guests"]);
        let ask = world.ask(Access::Read, 600);
        let Ok(Outcome::Pending(request)) = world.broker.open_session(&guest, ask, None).await
        else {
            panic!("it waits");
        };
        let deciding = (0..100).map(|number| {
            let (broker, id, guest) = (&world.broker, &request.id, &guest);
            async move {
                let who = person(&format!("rita{number}"), &["reviewers"]);
                match number % 3 {
                    0 => broker
                        .approve(id, &who, None, None)
                        .await
                        .map(|_| "approved"),
                    1 => broker
                        .deny(id, &who, "no".to_owned())
                        .await
                        .map(|_| "denied"),
                    _ => broker.withdraw(id, guest).await.map(|_| "withdrawn"),
                }
            }
        });
        let outcomes: Vec<_> = join_all(deciding).await.into_iter().flatten().collect();
        // An approved request may still be withdrawn; nothing else happens twice.
        let firm = outcomes.iter().filter(|o| **o != "withdrawn").count();
        assert!(
            firm <= 1 && !outcomes.is_empty() && outcomes.len() <= 2,
            "{outcomes:?}"
        );
    }
    world.broker.stop().await;
}
