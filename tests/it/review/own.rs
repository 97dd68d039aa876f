//! Nobody agrees to what they asked for themselves, in whatever guise (row E3).

use dbgate::broker::open::Outcome;
use dbgate::broker::{Ask, Error};
use dbgate::model::access::Access;
use dbgate::model::subject::{self, Subject};
use dbgate::store::request::{self, Request};

use crate::harness::world::{World, person};

const ISSUER: &str = "https://issuer.example";
const OTHER: &str = "https://other.example";

fn id(issuer: &str, sub: &str) -> subject::Id {
    subject::Id {
        issuer: issuer.to_owned(),
        sub: sub.to_owned(),
    }
}

/// Somebody else, who may decide.
fn reviewer(name: &str) -> Subject {
    person(name, &["reviewers"])
}

fn guest() -> Subject {
    person("gus", &["guests", "reviewers"])
}

fn altered(mut subject: Subject, alter: impl FnOnce(&mut Subject)) -> Subject {
    alter(&mut subject);
    subject
}

fn claim(name: &str, value: &str) -> impl FnOnce(&mut Subject) {
    let (name, value) = (name.to_owned(), value.to_owned());
    move |subject| {
        subject.claims.insert(name, value);
    }
}

fn agent_of(issuer: &str, sub: &str) -> impl FnOnce(&mut Subject) {
    let behalf = id(issuer, sub);
    move |subject| {
        subject.kind = subject::Kind::Agent;
        subject.behalf = Some(behalf);
    }
}

/// Who asks, and who would agree to it.
fn cases() -> Vec<(&'static str, Subject, Subject)> {
    let mail = |text: &str| {
        let text = text.to_owned();
        move |subject: &mut Subject| subject.display = text
    };
    vec![
        ("the same", guest(), guest()),
        (
            "the same by another device, which knows more groups",
            guest(),
            altered(guest(), |who| {
                who.groups.insert("leads".to_owned());
            }),
        ),
        (
            "the same after a change of groups",
            person("gus", &["guests"]),
            guest(),
        ),
        (
            "the same after losing the group to ask",
            guest(),
            reviewer("gus"),
        ),
        (
            "the same by another issuer",
            guest(),
            altered(guest(), |who| who.id.issuer = OTHER.to_owned()),
        ),
        (
            "another name at the same issuer, the same address",
            guest(),
            altered(reviewer("gus2"), mail("gus@example.com")),
        ),
        (
            "another issuer and name, the same address",
            guest(),
            altered(reviewer("x"), |who| {
                who.id = id(OTHER, "sub-x");
                who.display = "gus@example.com".to_owned();
            }),
        ),
        (
            "the same address in other letters",
            guest(),
            altered(reviewer("x"), mail("Gus@Example.COM")),
        ),
        (
            "the same address in a claim",
            guest(),
            altered(
                altered(reviewer("x"), mail("Gus")),
                claim("email", "gus@example.com"),
            ),
        ),
        (
            "the same address as the name to sign in with",
            guest(),
            altered(
                altered(reviewer("x"), mail("Gus")),
                claim("preferred_username", "gus@example.com"),
            ),
        ),
        (
            "asked without an address for a name, the same in a claim",
            altered(
                altered(guest(), mail("Gus")),
                claim("email", "gus@example.com"),
            ),
            altered(reviewer("x"), mail("gus@example.com")),
        ),
        (
            "an agent of who asks",
            guest(),
            altered(reviewer("bot"), agent_of(ISSUER, "sub-gus")),
        ),
        (
            "an agent of who asks, by another issuer",
            guest(),
            altered(reviewer("bot"), agent_of(OTHER, "sub-gus")),
        ),
        (
            "an agent that says it is a person",
            guest(),
            altered(reviewer("bot"), |who| {
                who.behalf = Some(id(ISSUER, "sub-gus"));
            }),
        ),
        (
            "the person behind the agent that asks",
            altered(person("bot", &["guests"]), agent_of(ISSUER, "sub-gus")),
            reviewer("gus"),
        ),
        (
            "the person behind the agent that asks, by another issuer",
            altered(person("bot", &["guests"]), agent_of(ISSUER, "sub-gus")),
            altered(reviewer("gus"), |who| who.id.issuer = OTHER.to_owned()),
        ),
        (
            "another agent of the same person",
            altered(person("bot", &["guests"]), agent_of(ISSUER, "sub-gus")),
            altered(reviewer("bot2"), agent_of(ISSUER, "sub-gus")),
        ),
        (
            "the agent itself",
            altered(
                person("bot", &["guests", "reviewers"]),
                agent_of(ISSUER, "sub-gus"),
            ),
            altered(reviewer("bot"), agent_of(ISSUER, "sub-gus")),
        ),
        (
            "an agent of somebody else",
            guest(),
            altered(reviewer("bot"), agent_of(ISSUER, "sub-rita")),
        ),
        (
            "a job",
            guest(),
            altered(reviewer("ci"), |who| who.kind = subject::Kind::Job),
        ),
        (
            "a job by the name of who asks",
            guest(),
            altered(guest(), |who| who.kind = subject::Kind::Job),
        ),
        (
            "somebody of another group",
            guest(),
            person("olga", &["operators"]),
        ),
    ]
}

async fn asked(world: &World, who: &Subject) -> Request {
    let ask: Ask = world.ask(Access::Read, 60);
    match world.broker.open_session(who, ask, None).await {
        Ok(Outcome::Pending(request)) => *request,
        other => panic!("it does not wait: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_agrees_to_their_own_request_in_whatever_guise() {
    let world = World::new().await;
    let cases = cases();
    for (what, who, approver) in &cases {
        let request = asked(&world, who).await;
        let agreed = world
            .broker
            .approve(&request.id, approver, None, None)
            .await;
        assert!(
            matches!(agreed, Err(Error::OwnRequest | Error::NotApprover { .. })),
            "{what}: {agreed:?}"
        );
        let now = world.broker.find_request(who, &request.id).await.unwrap();
        assert_eq!(now.state, request::State::Pending, "{what}");
        assert!(now.approvals.is_empty(), "{what}");
        world.broker.withdraw(&request.id, who).await.unwrap();
    }
    // It is not that nobody can.
    let who = guest();
    let request = asked(&world, &who).await;
    let agreed = world
        .broker
        .approve(&request.id, &reviewer("rita"), None, None)
        .await;
    assert_eq!(agreed.unwrap().state, request::State::Approved);
    println!(
        "{} ways to agree to one's own request, all refused",
        cases.len()
    );
}
