//! `dbgate logout`: end one's sessions, give the tokens back, forget them.

use serde::Serialize;
use url::Url;

use crate::api::types;
use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::remote::broker::Broker;
use crate::remote::sign_in::{self, Account};

/// Sign out: end your sessions, and forget your tokens here and at the issuer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave your open sessions open
    #[arg(long)]
    keep_sessions: bool,
}

#[derive(Serialize)]
struct SignedOut {
    broker: Url,
    was_signed_in: bool,
    sessions_ended: u64,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = Broker::new(globals.address()?)?;
    let account = globals.account(broker.clone())?;
    let told = tell_broker(ui, globals, args, &account).await;
    let forgotten = account.forget().await;
    // Whoever could not be told: what is kept here is gone before anything is reported.
    let was_signed_in = match forgotten {
        Ok(was_there) => was_there,
        Err(sign_in::Error::Issuer(error)) => {
            ui.warn(&format!(
                "the sign-in is forgotten here, but the issuer was not told: {error}"
            ))?;
            true
        }
        Err(error) => return Err(error.into()),
    };
    let sessions_ended = match told {
        Ok(ended) => ended,
        Err(error) if error.kind == Kind::Login => 0,
        Err(error) => {
            ui.warn("the sign-in is forgotten here, but the broker was not told")?;
            return Err(error);
        }
    };
    let signed_out = SignedOut {
        broker: broker.address().url.clone(),
        was_signed_in,
        sessions_ended,
    };
    if ui.is_json() {
        return ui.json("dbgate.logout/1", &signed_out);
    }
    ui.status(&match (was_signed_in, sessions_ended) {
        (false, 0) => "Nobody was signed in.".to_owned(),
        (_, 0) => "Signed out.".to_owned(),
        (_, 1) => "Signed out, and your open session was ended.".to_owned(),
        (_, count) => format!("Signed out, and your {count} open sessions were ended."),
    })
}

/// How many sessions ended with it. Leaves with the token that is kept, good or not, so that neither the issuer nor a browser is needed for it.
async fn tell_broker(
    ui: &Ui,
    globals: &Globals,
    args: &Args,
    account: &Account,
) -> Result<u64, Error> {
    let logout = types::Logout {
        keep_sessions: args.keep_sessions,
    };
    let broker = match (globals.id_token()?, account.kept().await) {
        (None, Ok(Some(token))) => Broker::new(globals.address()?)?.with_token(token),
        (None, Ok(None)) => return Ok(0),
        (None, Err(error)) => return Err(error.into()),
        (Some(_), _) => globals.broker(ui).await?,
    };
    Ok(broker.logout(&logout).await?.sessions_ended)
}
