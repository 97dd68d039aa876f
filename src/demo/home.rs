//! Where the demo's database lives: a server of our own, or one that is there and is left as it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::demo::database::{self, ADMIN, Admin, Content, DATABASE, GUEST, HBA, Host, Made};
use crate::demo::dsn::Dsn;
use crate::demo::locate::Programs;
use crate::demo::place::{Upstream, token};
use crate::demo::postgres::{self, SUPERUSER, Server};
use crate::demo::run::Error;
use crate::model::secret::Secret;
use crate::model::time::Entropy;
use crate::server::Surroundings;
use crate::upstream;
use crate::upstream::check::{self, Grant, State};
use crate::upstream::target::{Address, Target, Tls};

/// A server with the demo's database on it.
#[derive(Debug)]
pub struct Home {
    /// Which server it is, for people.
    pub about: String,
    /// The folder of its programs, where it is known.
    pub bin: Option<PathBuf>,
    dsn: Dsn,
    host: Host,
    admin: Admin,
    made: Made,
    /// Ends with us, and everything on it.
    own: Option<Server>,
}

impl Home {
    /// Starts a server of our own in a folder.
    ///
    /// # Errors
    /// When it does not start.
    pub fn build(
        programs: Programs,
        dir: PathBuf,
        executable: &Path,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let password = Secret::new(token(entropy, 24));
        let server = Server::start(&postgres::Options {
            dir,
            password: password.clone(),
            executable: executable.to_owned(),
            hba: HBA.to_owned(),
            programs: programs.clone(),
        })?;
        let target = Target {
            name: DATABASE.parse()?,
            address: Address::Unix {
                directory: server.socket_dir.clone(),
                port: server.port,
            },
            database: SUPERUSER.to_owned(),
            admin: SUPERUSER.to_owned(),
            password: Some(password.clone()),
            tls: Tls::Off,
        };
        Ok(Self {
            about: format!("{} in {}", programs.version, programs.bin.display()),
            bin: Some(programs.bin),
            dsn: Dsn::local(server.port, SUPERUSER, password),
            host: Host {
                target,
                dbname: DATABASE,
            },
            admin: Admin::new(Secret::new(token(entropy, 24)), entropy)?,
            made: Made::Nothing,
            own: Some(server),
        })
    }

    /// Moves in on a server that is there.
    ///
    /// # Errors
    /// When whom to trust can't be read.
    pub fn visit(dsn: Dsn, entropy: &dyn Entropy) -> Result<Self, Error> {
        let target = dsn.target(DATABASE.parse()?)?;
        Ok(Self {
            about: format!("the server at {}", target.address),
            bin: None,
            dsn,
            host: Host {
                target,
                dbname: GUEST,
            },
            admin: Admin::new(Secret::new(token(entropy, 24)), entropy)?,
            made: Made::Nothing,
            own: None,
        })
    }

    /// Makes roles, database and content.
    ///
    /// # Errors
    /// When PostgreSQL refuses a step.
    pub async fn furnish(&mut self, content: &Content) -> Result<(), database::Error> {
        self.host
            .prepare(&self.admin, content, &mut self.made)
            .await
    }

    /// Whether the broker can work on a server that we did not set up.
    ///
    /// # Errors
    /// With everything that stands in the way.
    pub async fn examine(&self, surroundings: &Surroundings) -> Result<(), Error> {
        if self.own.is_some() {
            return Ok(());
        }
        let target = Target {
            database: self.host.dbname.to_owned(),
            admin: ADMIN.to_owned(),
            password: Some(self.admin.password.clone()),
            ..self.host.target.clone()
        };
        let grant = Grant {
            roles: vec!["dbgate_write".to_owned()],
            owner: Some("dbgate_owner".to_owned()),
        };
        let ask = check::Ask {
            target: Arc::new(target),
            grants: BTreeSet::from([grant]),
            parameters: Vec::new(),
            stuck: Vec::new(),
            known: BTreeSet::new(),
            clock: Arc::clone(&surroundings.clock),
            entropy: Arc::clone(&surroundings.entropy),
        };
        let items = match check::run(&ask).await {
            Ok(report) => report.items,
            Err(error) if error.is_unavailable() => return Err(unfit(&error)),
            Err(error) => vec![check::outside(&ask.target, &error)],
        };
        // A server that lets in too many is for its owner to mend; the demo only has to get in.
        let stops =
            |item: &&check::Item| item.state == State::Missing && !item.item.starts_with("pg_hba");
        let wrong: Vec<_> = items.iter().filter(stops).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let texts: Vec<_> = wrong.iter().map(|item| item.text.as_str()).collect();
        let mends = wrong.iter().flat_map(|item| &item.mend);
        Err(Error::Unfit {
            why: texts.join("; "),
            lines: mends.map(|mend| self.here(&mend.line)).collect(),
        })
    }

    /// The broker is on this machine.
    fn here(&self, line: &str) -> String {
        if self.dsn.is_local() {
            line.replace("BROKER_ADDRESS", "127.0.0.1")
        } else {
            line.to_owned()
        }
    }

    /// How the broker gets in.
    #[must_use]
    pub fn upstream(&self) -> Upstream<'_> {
        Upstream {
            host: match &self.own {
                Some(server) => server.socket_dir.display().to_string(),
                None => self.dsn.host.clone(),
            },
            port: self.dsn.port,
            dbname: self.host.dbname,
            password: &self.admin.password,
            encrypted: self.dsn.encrypted,
            ca_file: self.dsn.ca_file.as_deref(),
        }
    }

    /// The way in beside dbgate, of the role that made everything.
    #[must_use]
    pub fn admin_dsn(&self) -> String {
        self.dsn.url(self.host.dbname)
    }

    /// Drops what was made on a server that was there, or ends our own.
    ///
    /// # Errors
    /// When something could not be dropped.
    pub async fn leave(&mut self) -> Result<(), Error> {
        if let Some(server) = &mut self.own {
            server.stop();
            return Ok(());
        }
        let made = std::mem::take(&mut self.made);
        self.host.remove(made).await.map_err(|source| Error::Left {
            source,
            sql: self.host.leftovers(),
        })
    }
}

fn unfit(error: &upstream::Error) -> Error {
    Error::Unfit {
        why: error.to_string(),
        lines: Vec::new(),
    }
}
