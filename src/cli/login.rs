//! `dbgate login`: single sign-on in the browser.

use serde::Serialize;
use url::Url;

use crate::api::types::{IssuerInfo, SubjectView};
use crate::cli::error::Error;
use crate::cli::globals::{self, Globals};
use crate::cli::remembered;
use crate::cli::ui::{self, Ui};
use crate::config::client::TokenStore;
use crate::oidc::browser::{self, Surroundings};
use crate::remote::broker::{Address, Broker};
use crate::remote::sign_in::{Outcome, Renewal};

/// Sign in with your company's single sign-on, in the browser
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The broker to sign in at, such as https://db.example.com; it is remembered
    #[arg(value_name = "URL", value_parser = globals::broker_url)]
    broker: Option<Url>,

    /// The local port the browser comes back to; any free one by default
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// The issuer to sign in at, where the broker trusts several
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,

    /// Print the address to open instead of opening a browser (BROWSER names another one)
    #[arg(long)]
    no_browser: bool,
}

/// What is shown in the end.
#[derive(Serialize)]
struct SignedIn {
    broker: Url,
    subject: SubjectView,
    expires: String,
    renewed: bool,
    store: String,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = Broker::new(address(globals, args)?)?;
    let issuers = broker.info().await?.issuers;
    let issuer = choose_issuer(&issuers, args.issuer.as_deref())?;
    let kind = choose_store(ui, globals).await?;
    let account = globals.account_in(broker.clone(), kind)?;
    let pending = account.begin(issuer, args.port).await?;
    send(ui, pending.url(), args).await?;
    let outcome = {
        let _spinner = ui.spinner("Waiting for the browser");
        account.finish(pending).await?
    };
    let Address { url, ca_file } = broker.address().clone();
    let remember = crate::config::client::Config {
        url: Some(url),
        ca_file: ca_file.map(|path| std::path::absolute(&path).unwrap_or(path)),
        token_store: Some(kind).filter(|kind| *kind != TokenStore::Memory),
    };
    remembered::write(globals, &remember)?;
    tell(ui, globals, &broker, kind, outcome)
}

fn address(globals: &Globals, args: &Args) -> Result<Address, Error> {
    let mut globals = globals.clone();
    if args.broker.is_some() {
        globals.url.clone_from(&args.broker);
    }
    globals.address()
}

fn choose_issuer<'a>(
    issuers: &'a [IssuerInfo],
    wanted: Option<&str>,
) -> Result<&'a IssuerInfo, Error> {
    let names = || {
        let names: Vec<_> = issuers
            .iter()
            .map(|info| format!("`{}`", info.issuer))
            .collect();
        names.join(", ")
    };
    match (issuers, wanted) {
        ([], _) => Err(Error::setup("the broker names no issuer to sign in at")
            .with_hint("set `DBGATE_ID_TOKEN` to a token of an issuer it trusts")),
        ([only], None) => Ok(only),
        (_, None) => Err(Error::usage("the broker trusts several issuers")
            .with_hint(format!("name one with `--issuer`: {}", names()))),
        (_, Some(wanted)) => issuers
            .iter()
            .find(|info| info.issuer == wanted)
            .ok_or_else(|| {
                Error::usage(format!("the broker does not trust the issuer `{wanted}`"))
                    .with_hint(format!("it trusts {}", names()))
            }),
    }
}

/// Where the sign-in will be kept. It is tried before anybody signs in; a file is only used when somebody said so.
async fn choose_store(ui: &mut Ui, globals: &Globals) -> Result<TokenStore, Error> {
    let told = globals.token_store.map(TokenStore::from);
    let wanted = told.or(remembered::read(globals)?.token_store);
    let first = wanted.unwrap_or(TokenStore::Keyring);
    let failure = match globals.store(first)?.probe().await {
        Ok(()) => return Ok(first),
        Err(error) => error,
    };
    if told.is_some() || first != TokenStore::Keyring {
        return Err(failure.into());
    }
    let file = globals.store(TokenStore::File)?;
    if !ui.is_interactive() {
        return Err(Error::setup(failure.to_string()).with_hint(
            "choose with `--token-store file` (a file only you can read) or `--token-store memory`",
        ));
    }
    ui.warn(&failure.to_string())?;
    let question = format!(
        "Keep the sign-in in {} that only you can read?",
        file.place()
    );
    if !ui.confirm(&question, "`--token-store`")? {
        return Err(Error::from(failure).with_hint("`--token-store memory` keeps nothing"));
    }
    file.probe().await?;
    Ok(TokenStore::File)
}

/// Sends the person to the issuer: by the browser, else by words.
async fn send(ui: &mut Ui, url: &Url, args: &Args) -> Result<(), Error> {
    browser::check(url).map_err(|error| Error::failed(error.to_string()))?;
    let target = url.clone();
    let opened = if args.no_browser {
        Ok(false)
    } else {
        let surroundings = Surroundings::read(|name| std::env::var_os(name));
        let opening = tokio::task::spawn_blocking(move || browser::open(&target, &surroundings));
        match opening.await {
            Ok(opened) => opened.map(|()| true),
            Err(_) => Ok(false),
        }
    };
    match opened {
        Ok(true) => {
            ui.status("Your browser was opened. If it shows nothing, open this address:")?;
        }
        Ok(false) => ui.status("Open this address in your browser:")?,
        Err(why) => ui.status(&format!("Open this address in your browser ({why}):"))?,
    }
    ui.say(url.as_str())
}

fn tell(
    ui: &mut Ui,
    globals: &Globals,
    broker: &Broker,
    kind: TokenStore,
    outcome: Outcome,
) -> Result<(), Error> {
    let store = globals.store(kind)?;
    let signed_in = SignedIn {
        broker: broker.address().url.clone(),
        subject: outcome.subject,
        expires: outcome.expires.to_string(),
        renewed: outcome.renewal == Renewal::Silent && kind != TokenStore::Memory,
        store: store.place(),
    };
    ui.record(
        "dbgate.login/1",
        &signed_in,
        &[
            ("signed in as", |s| s.subject.display.clone()),
            ("groups", |s| s.subject.groups.join(", ")),
            ("broker", |s| s.broker.to_string()),
            ("until", |s| {
                if s.renewed {
                    "you log out (renewed silently)".to_owned()
                } else {
                    ui::seconds(&s.expires)
                }
            }),
            ("kept in", |s| s.store.clone()),
        ],
    )?;
    if kind == TokenStore::Memory {
        ui.warn("nothing was kept: the next command has to sign in again")?;
    }
    Ok(())
}
