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
    match told {
        Ok(()) => {}
        Err(error) if error.kind == Kind::Login => {}
        Err(error) => {
            ui.warn("the sign-in is forgotten here, but the broker was not told")?;
            return Err(error);
        }
    }
    let signed_out = SignedOut {
        broker: broker.address().url.clone(),
        was_signed_in,
    };
    if ui.is_json() {
        return ui.json("dbgate.logout/1", &signed_out);
    }
    ui.status(if was_signed_in {
        "Signed out."
    } else {
        "Nobody was signed in."
    })
}

/// Leaves with the token that is kept, good or not, so that neither the issuer nor a browser is needed for it.
async fn tell_broker(
    ui: &Ui,
    globals: &Globals,
    args: &Args,
    account: &Account,
) -> Result<(), Error> {
    let logout = types::Logout {
        keep_sessions: args.keep_sessions,
    };
    let broker = match (globals.id_token()?, account.kept().await) {
        (None, Ok(Some(token))) => Broker::new(globals.address()?)?.with_token(token),
        (None, Ok(None)) => return Ok(()),
        (None, Err(error)) => return Err(error.into()),
        (Some(_), _) => globals.broker(ui).await?,
    };
    broker.logout(&logout).await?;
    Ok(())
}
