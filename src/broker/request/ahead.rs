//! A statement is asked about ahead of its use.

use std::sync::Arc;

use crate::audit::event::footprint::Footprint;
use crate::audit::event::{self, Action, Client, Context, Event};
use crate::audit::scrub;
use crate::broker::place::{Place, View};
use crate::broker::request::{What, lines};
use crate::broker::{Ask, Broker, Error, record};
use crate::model::subject::Subject;
use crate::policy::open::{self, Grant, Opening};
use crate::policy::{self, Decision, Held, Question, Shown};
use crate::sql::footprint::Analyzed;
use crate::sql::scope::Scope;
use crate::sql::{self, plan};
use crate::store::request::{self, Request};

/// Who asks what, and by what it is judged.
struct Asking<'a> {
    place: &'a Place,
    view: View,
    subject: &'a Subject,
    ask: &'a Ask,
    statement: &'a str,
    context: Context,
}

impl Broker {
    /// Asks for the approval of a statement before it is run; who asks runs it later with the request's id.
    ///
    /// # Errors
    /// When the policy refuses it or asks for no approval, or the text is not one statement.
    pub async fn request_statement(
        &self,
        subject: &Subject,
        ask: &Ask,
        statement: &str,
        client: Option<Client>,
    ) -> Result<Request, Error> {
        let place = self.place(subject, &ask.database)?;
        let database = &place.target().name;
        let view = match place.view() {
            Some(view) => view,
            None => place
                .refresh()
                .await
                .map_err(|error| Error::database(database, error))?,
        };
        let now = self.core.clock.now();
        let grant = match open::open(&view.policy, &ask.question(subject, database, true, now)) {
            Opening::Granted(grant) => grant,
            Opening::Refused(denial) => return Err(Error::Denied(denial)),
            Opening::Review(_) => return Err(Error::Internal),
        };
        let asking = Asking {
            place,
            view,
            subject,
            ask,
            statement,
            context: record::asked(subject, Some(database), ask.reason(), client),
        };
        let one = self.read(&asking).await?;
        let footprint = Footprint::describe(one.facts(), &asking.view.catalog);
        let held = self.held(&asking, one, &footprint).await?;
        let what = asking.what(&held, &grant, &footprint).await;
        let binding = held.binding().to_string();
        let of = (request::Kind::Statement, &what);
        let request = self.request(subject, ask, of, (held.demand(), binding));
        let decision = record::reviewed(&asking.view.policy, &what.rule);
        let event = Event::new(
            asking.context,
            Action::StatementHeld {
                statement: event::Statement {
                    statement: what.statement.unwrap_or_default().into(),
                    parameters: None,
                    footprint: Some(footprint),
                    decision: Some(decision),
                },
                request: request.id.clone(),
                needed: request.needed,
                approvers: request.approvers.clone(),
                binding: request.binding.clone(),
            },
        );
        self.desk.open(request.clone(), event, None).await?;
        Ok(request)
    }

    /// The one statement.
    async fn read(&self, asking: &Asking<'_>) -> Result<Analyzed, Error> {
        let view = &asking.view;
        let mut scope = Scope::new("dbgate");
        scope.trusted = view.policy.trusted(&asking.place.target().name).collect();
        let text: Arc<str> = Arc::from(asking.statement);
        let mut analyzed = match sql::analyze(&text, &[], &view.catalog, &scope) {
            Ok(analyzed) => analyzed,
            Err(error) => {
                let said = scrub::quoting(&error.message, asking.statement);
                self.refused(asking, asking.on_record(), (error.sqlstate, &said))
                    .await?;
                return Err(error.into());
            }
        };
        match (analyzed.pop(), analyzed.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Error::OneStatement),
        }
    }

    /// The statement as one that has to wait.
    async fn held(
        &self,
        asking: &Asking<'_>,
        one: Analyzed,
        footprint: &Footprint,
    ) -> Result<Box<Held>, Error> {
        let (view, ask) = (&asking.view, asking.ask);
        let question = Question {
            policy: &view.policy,
            protection: &view.protection,
            catalog: &view.catalog,
            subject: asking.subject,
            database: &asking.place.target().name,
            session: policy::Session {
                access: ask.access,
                reason: ask.reason(),
                approved: false,
                shown: &Shown::default(),
            },
            parameters: &[],
            approved: None,
            wanted: true,
            now: self.core.clock.now(),
        };
        match policy::decide(&question, one) {
            Decision::Review(held) => Ok(held),
            Decision::Deny(denial) => {
                let on_record = event::Statement {
                    footprint: Some(footprint.clone()),
                    decision: Some(record::denied(&view.policy, &denial)),
                    ..asking.on_record()
                };
                let said = scrub::quoting(&denial.message, asking.statement);
                self.refused(asking, on_record, (denial.sqlstate, &said))
                    .await?;
                Err(Error::Denied(denial))
            }
            Decision::Allow(_) => Err(Error::NoReview),
        }
    }

    async fn refused(
        &self,
        asking: &Asking<'_>,
        on_record: event::Statement,
        (sqlstate, said): (&str, &str),
    ) -> Result<(), Error> {
        let context = asking.context.clone();
        let refused = record::statement_refused(context, on_record, sqlstate, said);
        self.core.log.append(refused).await?;
        Ok(())
    }
}

impl Asking<'_> {
    fn on_record(&self) -> event::Statement {
        event::Statement {
            statement: scrub::statement(self.statement).into_owned().into(),
            parameters: None,
            footprint: None,
            decision: None,
        }
    }

    /// What approvers read.
    async fn what(&self, held: &Held, grant: &Grant, footprint: &Footprint) -> What {
        let text = held.statement().text();
        let asked = plan::question(held.facts(), text, &self.view.catalog);
        let planned = match (asked, grant.roles.first()) {
            (Some(asked), Some(role)) => self.place.plan(role, &asked).await,
            _ => None,
        };
        What {
            statement: Some(scrub::statement(text).into_owned()),
            footprint: lines(footprint),
            expected_rows: planned.as_deref().and_then(plan::rows),
            rule: held.demand().rule.clone(),
            access: self.ask.access.to_string(),
            countable: held.facts().is_countable(&self.view.catalog),
            ..What::default()
        }
    }
}
