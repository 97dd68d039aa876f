//! What functions do that come with the server or with a known extension.
//!
//! Immutable and stable functions of the server compute, but for those listed; volatile ones are not trusted,
//! but for those listed. So a function that a later release adds is refused until it is known.

use crate::sql::catalog::{FIRST_NORMAL, Function};
use crate::sql::footprint::Hazard;

/// What is known of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Verdict {
    /// It computes from its arguments, or shows the structure of the database.
    Harmless,
    /// It does something worth a rule, but shows no table's values.
    Marked(&'static [Hazard]),
    /// It may show anything: it runs SQL given as text, reads files, or looks into other sessions.
    Touches(&'static [Hazard]),
    /// Nothing is known.
    Unproven,
}

/// What is known of a function.
pub(in crate::sql) fn verdict(function: &Function) -> Verdict {
    let name = function.name.name.as_str();
    match function.origin.as_deref() {
        Some("pg_catalog") if function.oid < FIRST_NORMAL => built_in(name, function),
        Some(extension) => of_extension(extension, name),
        None => Verdict::Unproven,
    }
}

fn built_in(name: &str, function: &Function) -> Verdict {
    if let Some(verdict) = dangerous(name) {
        return verdict;
    }
    // `ts_rewrite(tsquery, text)` runs its second argument; the one with three arguments computes.
    if name == "ts_rewrite" && function.arguments.len() == 2 {
        return Verdict::Touches(&[Hazard::SqlAsText]);
    }
    if function.volatility != 'v' || is_harmless_volatile(name) {
        return Verdict::Harmless;
    }
    Verdict::Unproven
}

fn dangerous(name: &str) -> Option<Verdict> {
    let has = |prefix: &str| name.starts_with(prefix);
    Some(match name {
        "query_to_xml"
        | "query_to_xmlschema"
        | "query_to_xml_and_xmlschema"
        | "cursor_to_xml"
        | "cursor_to_xmlschema"
        | "ts_stat" => Verdict::Touches(&[Hazard::SqlAsText]),
        _ if ["table_to_xml", "schema_to_xml", "database_to_xml"]
            .iter()
            .any(|prefix| has(prefix)) =>
        {
            Verdict::Touches(&[Hazard::SqlAsText])
        }
        "lo_import" | "lo_export" => Verdict::Touches(&[Hazard::ServerFile, Hazard::LargeObject]),
        "loread" | "lo_get" => Verdict::Touches(&[Hazard::LargeObject]),
        "lowrite" => Verdict::Marked(&[Hazard::LargeObject, Hazard::HiddenWrite]),
        _ if has("lo_") => Verdict::Marked(&[Hazard::LargeObject, Hazard::HiddenWrite]),
        "pg_stat_file"
        | "pg_current_logfile"
        | "pg_hba_file_rules"
        | "pg_show_all_file_settings"
        | "pg_ident_file_mappings" => Verdict::Touches(&[Hazard::ServerFile]),
        _ if has("pg_read_") || has("pg_ls_") => Verdict::Touches(&[Hazard::ServerFile]),
        "pg_stat_get_activity"
        | "pg_stat_get_backend_activity"
        | "pg_mcv_list_items"
        | "pg_stat_get_wal_receiver" => Verdict::Touches(&[Hazard::CatalogSecret]),
        _ if has("pg_logical_slot_") => {
            Verdict::Touches(&[Hazard::CatalogSecret, Hazard::SystemChange])
        }
        "pg_cancel_backend"
        | "pg_terminate_backend"
        | "pg_log_backend_memory_contexts"
        | "pg_promote" => Verdict::Marked(&[Hazard::Signal]),
        "pg_reload_conf" | "pg_rotate_logfile" | "pg_rotate_logfile_old" => {
            Verdict::Marked(&[Hazard::Signal, Hazard::SystemChange])
        }
        _ => return changing(name),
    })
}

fn changing(name: &str) -> Option<Verdict> {
    let has = |prefix: &str| name.starts_with(prefix);
    Some(match name {
        "nextval" | "setval" => Verdict::Marked(&[Hazard::HiddenWrite]),
        "pg_notify" => Verdict::Marked(&[Hazard::Notification]),
        _ if has("pg_advisory_") || has("pg_try_advisory_") => Verdict::Marked(&[Hazard::Lock]),
        _ if has("pg_sleep") => Verdict::Marked(&[Hazard::Sleep]),
        // What it does is in its arguments: looked at where it is called.
        "set_config" => Verdict::Harmless,
        "pg_switch_wal"
        | "pg_create_restore_point"
        | "pg_backup_start"
        | "pg_backup_stop"
        | "pg_start_backup"
        | "pg_stop_backup"
        | "pg_drop_replication_slot"
        | "pg_export_snapshot"
        | "pg_import_system_collations"
        | "pg_logical_emit_message"
        | "pg_replication_slot_advance"
        | "pg_stop_making_pinned_objects"
        | "pg_extension_config_dump"
        | "pg_nextoid" => Verdict::Marked(&[Hazard::SystemChange]),
        _ if has("pg_wal_replay_")
            || has("pg_create_")
            || has("pg_copy_")
            || has("pg_replication_origin_")
            || has("pg_stat_reset")
            || has("binary_upgrade_") =>
        {
            Verdict::Marked(&[Hazard::SystemChange])
        }
        _ if has("brin_") || name == "gin_clean_pending_list" => {
            Verdict::Marked(&[Hazard::HiddenWrite])
        }
        _ => return None,
    })
}

/// Whether it is the server's trigger that skips updates which change nothing.
pub(in crate::sql) fn suppresses(function: &Function) -> bool {
    function.oid < FIRST_NORMAL && function.name.name == "suppress_redundant_updates_trigger"
}

/// Volatile functions of the server that neither read tables nor change anything.
fn is_harmless_volatile(name: &str) -> bool {
    let has = |prefix: &str| name.starts_with(prefix);
    matches!(
        name,
        "random"
            | "random_normal"
            | "setseed"
            | "clock_timestamp"
            | "timeofday"
            | "gen_random_uuid"
            | "uuidv4"
            | "uuidv7"
            | "currval"
            | "lastval"
            | "current_query"
            | "pg_is_in_recovery"
            | "pg_is_wal_replay_paused"
            | "pg_get_wal_replay_pause_state"
            | "pg_blocking_pids"
            | "pg_safe_snapshot_blocking_pids"
            | "pg_isolation_test_session_is_blocked"
            | "pg_partition_tree"
            | "pg_partition_ancestors"
            | "pg_sequence_last_value"
            | "pg_get_sequence_data"
            | "pg_relation_size"
            | "pg_table_size"
            | "pg_indexes_size"
            | "pg_total_relation_size"
            | "pg_database_size"
            | "pg_tablespace_size"
            | "pg_stat_clear_snapshot"
            | "pg_stat_have_stats"
            | "pg_stat_force_next_flush"
            | "pg_stat_get_recovery_prefetch"
            | "pg_jit_available"
            | "pg_notification_queue_usage"
            | "pg_collation_actual_version"
            | "pg_database_collation_actual_version"
            | "pg_xact_status"
            | "txid_status"
            | "pg_last_committed_xact"
            | "pg_lock_status"
            | "pg_get_backend_memory_contexts"
            | "pg_get_shmem_allocations"
            | "pg_get_wal_resource_managers"
            | "amvalidate"
            | "txid_current"
            | "pg_current_xact_id"
            // They change the row they run for; `analyze::query::relation` says what of it.
            | "tsvector_update_trigger"
            | "tsvector_update_trigger_column"
    ) || has("pg_stat_get_xact_")
        || has("pg_xact_commit_timestamp")
        || has("pg_current_wal_")
        || has("pg_last_wal_")
        || has("pg_last_xact_")
        || has("pg_control_")
}

fn of_extension(extension: &str, name: &str) -> Verdict {
    match extension {
        "citext" | "hstore" | "pg_trgm" | "fuzzystrmatch" | "unaccent" | "pgcrypto"
        | "btree_gin" | "btree_gist" | "uuid-ossp" | "intarray" | "cube" | "earthdistance"
        | "ltree" | "isn" | "seg" | "intagg" | "vector" | "tsm_system_rows" | "tsm_system_time"
        | "plpgsql" => match name {
            // They change a setting of the session.
            "set_limit" => Verdict::Unproven,
            "plpgsql_call_handler" | "plpgsql_inline_handler" | "plpgsql_validator" => {
                Verdict::Unproven
            }
            _ => Verdict::Harmless,
        },
        "tablefunc" if name == "normal_rand" => Verdict::Harmless,
        "tablefunc" => Verdict::Touches(&[Hazard::SqlAsText]),
        "lo" if name == "lo_oid" => Verdict::Harmless,
        "xml2" => match name {
            "xpath_table" => Verdict::Touches(&[Hazard::SqlAsText]),
            "xslt_process" => Verdict::Touches(&[Hazard::ServerFile, Hazard::Network]),
            _ => Verdict::Harmless,
        },
        "dblink" => Verdict::Touches(&[Hazard::Network, Hazard::SqlAsText]),
        "postgres_fdw" => Verdict::Touches(&[Hazard::Network]),
        "adminpack" | "file_fdw" => Verdict::Touches(&[Hazard::ServerFile]),
        "pageinspect" | "pg_stat_statements" | "pg_visibility" | "pgstattuple" | "pgrowlocks"
        | "pg_buffercache" | "pg_freespacemap" | "pg_walinspect" | "amcheck" | "pg_surgery" => {
            Verdict::Touches(&[Hazard::CatalogSecret])
        }
        _ => Verdict::Unproven,
    }
}
