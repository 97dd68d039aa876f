//! Settings: which ones a session may not change, and which ones change how statements are read.

use crate::sql::footprint::Hazard;

/// What changing a setting amounts to; `value` is `None` when it is reset or not known.
pub(in crate::sql) fn hazard(name: &str, value: Option<&str>) -> Option<Hazard> {
    let value = value.map(|value| value.trim().to_ascii_lowercase());
    let value = value.as_deref();
    match name.to_ascii_lowercase().as_str() {
        "role" | "session_authorization" => Some(Hazard::SetRole),
        "standard_conforming_strings" if is_true(value) => None,
        "backslash_quote" if value == Some("safe_encoding") => None,
        "client_encoding" if value.is_none_or(is_utf8) => None,
        "default_transaction_read_only" | "transaction_read_only" if is_true(value) => None,
        "default_transaction_read_only" | "transaction_read_only" => Some(Hazard::ReadWrite),
        "standard_conforming_strings"
        | "backslash_quote"
        | "client_encoding"
        | "client_connection_check_interval"
        // How the server notices that the broker's machine is gone.
        | "tcp_keepalives_idle"
        | "tcp_keepalives_interval"
        | "tcp_keepalives_count"
        | "tcp_user_timeout"
        | "row_security"
        | "session_replication_role"
        | "allow_system_table_mods"
        | "zero_damaged_pages"
        | "ignore_checksum_failure"
        | "ignore_system_indexes"
        | "lo_compat_privileges"
        | "event_triggers"
        | "restrict_nonsystem_relation_kind" => Some(Hazard::PinnedSetting),
        "local_preload_libraries"
        | "session_preload_libraries"
        | "shared_preload_libraries"
        | "dynamic_library_path"
        | "extension_control_path"
        | "jit_provider" => Some(Hazard::LoadsCode),
        other if other.starts_with("log_") || other.starts_with("debug_") => {
            Some(Hazard::PinnedSetting)
        }
        other if other.starts_with("auto_explain.") || other.starts_with("pg_stat_statements.") => {
            Some(Hazard::PinnedSetting)
        }
        _ => None,
    }
}

/// Whether a setting changes how names in later statements are read.
pub(in crate::sql) fn changes_reading(name: &str) -> bool {
    name.eq_ignore_ascii_case("search_path")
}

/// Whether a setting tells the planner which ways to take.
pub(in crate::sql) fn steers(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("enable_")
        || name.ends_with("_cost")
        || name.starts_with("geqo")
        || matches!(
            name.as_str(),
            "work_mem"
                | "hash_mem_multiplier"
                | "effective_cache_size"
                | "cursor_tuple_fraction"
                | "from_collapse_limit"
                | "join_collapse_limit"
                | "plan_cache_mode"
                | "constraint_exclusion"
        )
}

/// Whether a setting limits how long something may take.
pub(in crate::sql) fn is_time_limit(name: &str) -> bool {
    matches!(
        name.to_ascii_lowercase().as_str(),
        "statement_timeout"
            | "lock_timeout"
            | "idle_in_transaction_session_timeout"
            | "idle_session_timeout"
    )
}

fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("on" | "true" | "yes" | "1" | "t" | "y"))
}

fn is_utf8(value: &str) -> bool {
    matches!(
        value
            .trim_matches(['\'', '"'])
            .replace(['-', '_'], "")
            .as_str(),
        "utf8" | "unicode"
    )
}
