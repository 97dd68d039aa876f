//! System relations that show more than the structure of the database.

use crate::model::name::ObjectName;
use crate::sql::footprint::Hazard;

/// What reading a system relation amounts to.
pub(in crate::sql) fn hazard(name: &ObjectName) -> Option<Hazard> {
    if name.schema != "pg_catalog" {
        return None;
    }
    match name.name.as_str() {
        "pg_statistic"
        | "pg_stats"
        | "pg_stats_ext"
        | "pg_stats_ext_exprs"
        | "pg_statistic_ext_data"
        | "pg_authid"
        | "pg_shadow"
        | "pg_largeobject"
        | "pg_replication_origin_status" => Some(Hazard::CatalogSecret),
        "pg_hba_file_rules" | "pg_file_settings" | "pg_ident_file_mappings" => {
            Some(Hazard::ServerFile)
        }
        _ => None,
    }
}

/// Relations that hold values of other tables, or secrets.
pub(in crate::sql) fn touches_everything(name: &ObjectName) -> bool {
    hazard(name).is_some()
}

/// Columns of otherwise harmless system relations that show other sessions' statements or secrets.
pub(in crate::sql) fn is_secret(name: &ObjectName, column: &str) -> bool {
    if name.schema == "information_schema" {
        return matches!(
            (name.name.as_str(), column),
            ("user_mapping_options", "option_value") | ("_pg_user_mappings", "umoptions")
        );
    }
    if name.schema != "pg_catalog" {
        return false;
    }
    matches!(
        (name.name.as_str(), column),
        ("pg_stat_activity", "query" | "application_name")
            | ("pg_user_mapping" | "pg_user_mappings", "umoptions")
            | ("pg_subscription", "subconninfo")
            | ("pg_prepared_xacts", "gid")
            | ("pg_stat_wal_receiver", "conninfo")
            | ("pg_attribute", "attmissingval")
    )
}

/// Relations of extensions that show the statements of others, whichever schema they are in.
pub(in crate::sql) fn is_statement_statistics(name: &ObjectName) -> bool {
    matches!(
        name.name.as_str(),
        "pg_stat_statements"
            | "pg_stat_monitor"
            | "pg_store_plans"
            | "pg_qualstats"
            | "pg_stat_kcache"
    )
}
