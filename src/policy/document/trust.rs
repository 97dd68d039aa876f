//! `[[trust]]`: functions the administrator vouches for.

use crate::config::problem::Problems;
use crate::config::table::Table;
use crate::model::name::{DatabaseName, ObjectName};
use crate::policy::document::allow::globs;
use crate::policy::pattern::{self, Glob};

/// Functions that read nothing protected, write nothing and reveal nothing by their errors.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    databases: Vec<Glob>,
    pub(super) functions: Vec<ObjectName>,
}

impl Trust {
    pub(super) fn concerns(&self, database: &DatabaseName) -> bool {
        self.databases.is_empty()
            || self
                .databases
                .iter()
                .any(|glob| glob.matches(database.as_str()))
    }

    pub(super) fn read(mut table: Table<'_>, problems: &mut Problems) -> Self {
        let trust = Self {
            databases: globs(&mut table, "databases", problems),
            functions: table.each("functions", function, problems),
        };
        if !table.has("functions") {
            problems.push(table.problem(table.span(), "`functions` is missing"));
        }
        table.finish(problems);
        trust
    }
}

/// Each by its full name: who trusts a pattern trusts what others will create.
fn function(text: &str) -> Result<ObjectName, String> {
    let pattern: pattern::Object = text.parse().map_err(|error| format!("{error}"))?;
    pattern
        .exact()
        .ok_or_else(|| format!("`{text}` is a pattern; name each trusted function in full"))
}
