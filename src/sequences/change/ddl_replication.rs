//! DDL replication: an `ALTER SEQUENCE` that moves a sequence into the class of one node must not
//! reach other nodes.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use crate::server::{other_extensions, settings as server_settings};

/// A setting of a replication tool that controls whether DDL is replicated.
struct Switch {
    /// The extension that uses the setting. If it is not installed, the setting is only a name to
    /// which any role can have given a value (fault A01).
    extension: &'static CStr,
    name: &'static CStr,
    /// The value that keeps DDL on this node.
    local: &'static CStr,
}

/// The known settings. No tool needs more than its setting: without replication it takes no global
/// lock, and it does not matter to it whether the statement came from a function.
const SWITCHES: [Switch; 4] = [
    // Spock.
    Switch { extension: c"spock", name: c"spock.enable_ddl_replication", local: c"off" },
    // pgactive, and BDR, from which it is derived.
    Switch { extension: c"pgactive", name: c"pgactive.skip_ddl_replication", local: c"on" },
    Switch { extension: c"bdr", name: c"bdr.skip_ddl_replication", local: c"on" },
    // EDB Postgres Distributed, where the value can name what is replicated.
    Switch { extension: c"bdr", name: c"bdr.ddl_replication", local: c"off" },
];

impl Switch {
    /// Whether DDL is replicated at present.
    fn is_on(&self) -> bool {
        if !other_extensions::is_installed(self.extension) {
            return false;
        }
        let mut is_true = false;
        // SAFETY: the call returns null for a setting that does not exist. The value is a string
        // that is read at once.
        let is_boolean = unsafe {
            let value = pg_sys::GetConfigOption(self.name.as_ptr(), true, false);
            // A placeholder that was set for one transaction only is empty afterwards.
            if value.is_null() || *value == 0 {
                return false;
            }
            pg_sys::parse_bool(value, &mut is_true)
        };
        if self.local == c"off" { !is_boolean || is_true } else { is_boolean && !is_true }
    }

    /// Whether the caller may change it.
    fn may_be_set(&self) -> bool {
        // SAFETY: both strings are NUL-terminated, and the call changes nothing.
        unsafe {
            pg_sys::set_config_option(
                self.name.as_ptr(),
                self.local.as_ptr(),
                server_settings::context(),
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                false,
                pgrx::PgLogLevel::DEBUG1 as i32,
                false,
            ) != 0
        }
    }

    fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }

    fn refusal(&self) -> Error {
        let state = if self.local == c"off" { "on" } else { "off" };
        Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "DDL replication would also alter the sequences of the other nodes",
        )
        .detail(format!("\"{}\" is {state}, and this role may not change it.", self.name()))
        .hint(format!("Run it as a superuser, or GRANT SET ON PARAMETER \"{}\" to the role.", self.name()))
    }
}

/// The setting that replicates DDL, if one does.
pub(crate) fn is_on() -> Option<&'static str> {
    SWITCHES.iter().find(|switch| switch.is_on()).map(Switch::name)
}

/// Refuses to go on if the caller cannot keep DDL on this node.
///
/// # Errors
/// 55000 if DDL is replicated and the caller may not change that.
pub(crate) fn check() -> Result<(), Error> {
    check_all(&SWITCHES)
}

fn check_all(switches: &[Switch]) -> Result<(), Error> {
    let refused = switches.iter().find(|switch| switch.is_on() && !switch.may_be_set());
    refused.map_or(Ok(()), |switch| Err(switch.refusal()))
}

/// Runs `step` without replicating its DDL (trap S15). The settings are restored afterwards.
///
/// # Errors
/// As for [`check`], before `step` begins.
pub(crate) fn locally<T>(step: impl FnOnce() -> T) -> Result<T, Error> {
    check()?;
    let on = SWITCHES.iter().filter(|switch| switch.is_on());
    let settings: Vec<(&CStr, &CStr)> = on.map(|switch| (switch.name, switch.local)).collect();
    if settings.is_empty() {
        return Ok(step());
    }
    Ok(server_settings::with(&settings, step))
}

#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used)]
#[pgrx::pg_schema]
mod tests {
    use keyspace::SqlState;
    use pgrx::prelude::*;

    use super::{Switch, check_all};

    /// Without the tools, their own settings are placeholders that everybody may set. These
    /// settings are not.
    #[pg_test]
    fn trap_s15_a_setting_that_the_caller_may_not_change_is_refused() {
        Spi::run("CREATE ROLE guest").unwrap();
        let switches = [
            Switch { extension: c"plpgsql", name: c"pg_keyspace.no_such_setting", local: c"off" },
            Switch { extension: c"plpgsql", name: c"log_statement_stats", local: c"on" },
        ];
        assert!(check_all(&switches).is_ok(), "a superuser may");
        Spi::run("SET ROLE guest").unwrap();
        let refused = check_all(&switches).unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::ObjectNotInPrerequisiteState);
        assert_eq!(
            refused.detail.as_deref(),
            Some("\"log_statement_stats\" is off, and this role may not change it.")
        );
        Spi::run("RESET ROLE; SET log_statement_stats = on; SET ROLE guest").unwrap();
        assert!(check_all(&switches).is_ok(), "it is as it should be");
        let switches = [Switch { extension: c"plpgsql", name: c"log_statement_stats", local: c"off" }];
        assert!(check_all(&switches).is_err(), "now the other way around");
    }
}
