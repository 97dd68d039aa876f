//! Who the demo's issuer knows.

/// Somebody who can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// `sub`, and the word to call them by.
    pub sub: &'static str,
    /// The name on the button.
    pub name: &'static str,
    /// What they do.
    pub role: &'static str,
    /// For display.
    pub email: &'static str,
    /// Their one group.
    pub group: &'static str,
    /// `person` or `job`.
    pub kind: &'static str,
}

/// The engineer.
pub const ADA: Account = Account {
    sub: "ada",
    name: "Ada",
    role: "engineer",
    email: "ada@demo.example",
    group: "engineers",
    kind: "person",
};

/// The reviewer.
pub const REX: Account = Account {
    sub: "rex",
    name: "Rex",
    role: "reviewer",
    email: "rex@demo.example",
    group: "reviewers",
    kind: "person",
};

/// The auditor.
pub const ANN: Account = Account {
    sub: "ann",
    name: "Ann",
    role: "auditor",
    email: "ann@demo.example",
    group: "auditors",
    kind: "person",
};

/// The job.
pub const CI: Account = Account {
    sub: "ci",
    name: "CI",
    role: "job",
    email: "ci@demo.example",
    group: "ci",
    kind: "job",
};

/// Engineer, reviewer, auditor, job: this order is relied on.
pub const PEOPLE: &[Account] = &[ADA, REX, ANN, CI];

/// The one with that `sub`.
#[must_use]
pub fn find(sub: &str) -> Option<&'static Account> {
    PEOPLE.iter().find(|account| account.sub == sub)
}
