//! What libpq takes from the environment: variables, and files in well-known places.

use std::path::{Path, PathBuf};

use super::conninfo::Parameters;
use super::service_file;
use crate::failure::{Failure, Result};

/// Parameters and the variables that are their defaults.
const VARIABLES: [(&str, &str); 25] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("gssencmode", "PGGSSENCMODE"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("require_auth", "PGREQUIREAUTH"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// Returns the value of a variable.
type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The environment of a process.
pub struct Environment {
    /// The value of a variable.
    pub variable: Variable,
    /// The name of the operating system's user.
    pub user: Option<String>,
    /// The home directory of the user.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        Self {
            variable: Box::new(|name| std::env::var(name).ok()),
            home: home.or_else(|| user.as_ref().map(|user| user.dir.clone())),
            user: user.map(|user| user.name),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A file of the user, if it is there.
    fn file_of_user(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path)).filter(|path| path.is_file())
    }

    /// The parameters with everything that libpq would add: a service, then variables, then
    /// defaults.
    ///
    /// # Errors
    /// If a service is not defined.
    pub fn complete(&self, mut parameters: Parameters) -> Result<Parameters> {
        let named = parameters.remove("service").or_else(|| self.variable("PGSERVICE"));
        if let Some(service) = named {
            for (keyword, value) in self.service(&service, parameters.remove("servicefile").as_deref())? {
                parameters.entry(keyword).or_insert(value);
            }
        }
        for (keyword, variable) in VARIABLES {
            if let Some(value) = self.variable(variable) {
                parameters.entry(keyword.to_owned()).or_insert(value);
            }
        }
        // An empty value stands for the default.
        parameters.retain(|_, value| !value.is_empty());
        if !parameters.contains_key("user") {
            let user = self.user.clone().ok_or_else(|| {
                Failure::new("could not find out the name of the operating system's user")
                    .hint("Specify \"user\" in the connection string.")
            })?;
            parameters.insert("user".to_owned(), user);
        }
        if !parameters.contains_key("dbname") {
            let user = parameters.get("user").cloned().unwrap_or_default();
            parameters.insert("dbname".to_owned(), user);
        }
        if let Some(file) = self.file_of_user(".postgresql/root.crt") {
            parameters.entry("sslrootcert".to_owned()).or_insert_with(|| file.display().to_string());
        }
        if let Some(file) = self.file_of_user(".postgresql/root.crl") {
            // libpq would refuse what it lists. It is not supported, and must not be ignored.
            parameters.entry("sslcrl".to_owned()).or_insert_with(|| file.display().to_string());
        }
        let certificate = self.file_of_user(".postgresql/postgresql.crt");
        if let Some((certificate, key)) = certificate.zip(self.file_of_user(".postgresql/postgresql.key")) {
            parameters.entry("sslcert".to_owned()).or_insert_with(|| certificate.display().to_string());
            parameters.entry("sslkey".to_owned()).or_insert_with(|| key.display().to_string());
        }
        Ok(parameters)
    }

    fn service(&self, service: &str, file: Option<&str>) -> Result<Parameters> {
        let of_user = file.map(PathBuf::from).or_else(|| self.variable("PGSERVICEFILE").map(PathBuf::from));
        let of_user = of_user.or_else(|| self.home.as_ref().map(|home| home.join(".pg_service.conf")));
        let of_system = match self.variable("PGSYSCONFDIR") {
            Some(directory) => vec![PathBuf::from(directory)],
            // libpq is built with one of these: Debian, PGDG's RPMs, the default of a source build.
            None => ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc"]
                .map(PathBuf::from)
                .to_vec(),
        };
        let of_system = of_system.into_iter().map(|directory| directory.join("pg_service.conf"));
        for path in of_user.into_iter().chain(of_system) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if let Some(found) = service_file::find(&text, service)? {
                return Ok(found);
            }
        }
        Err(Failure::new(format!("definition of service \"{service}\" not found"))
            .hint("Define it in ~/.pg_service.conf, or in the file that PGSERVICEFILE names."))
    }

    /// The text of the password file.
    ///
    /// # Errors
    /// If others can read the file: libpq ignores such a file with a warning, which would end in a
    /// message about a missing password.
    pub fn password_file(&self, path: Option<&str>) -> Result<Option<String>> {
        let path = match (path, &self.home) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(home)) => home.join(".pgpass"),
            (None, None) => return Ok(None),
        };
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        if is_open_to_others(&path) {
            let message = format!("password file \"{}\" has group or world access", path.display());
            return Err(Failure::new(message).hint("Permissions should be u=rw (0600) or less."));
        }
        Ok(Some(text))
    }
}

fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::nodes::conninfo;

    pub(in crate::nodes) fn environment(variables: &[(&str, &str)], home: Option<&Path>) -> Environment {
        let variables: HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment {
            variable: Box::new(move |name| variables.get(name).cloned()),
            user: Some("me".to_owned()),
            home: home.map(Path::to_owned),
        }
    }

    #[test]
    fn what_is_written_comes_before_the_service_and_that_before_variables() {
        let home = tempfile::tempdir().unwrap();
        let services = "[shop1]\nhost=server1\nport=5433\nuser=\n";
        std::fs::write(home.path().join(".pg_service.conf"), services).unwrap();
        let variables =
            [("PGHOST", "elsewhere"), ("PGSSLMODE", "require"), ("PGUSER", ""), ("PGSYSCONFDIR", "/none")];
        let environment = environment(&variables, Some(home.path()));
        let given = conninfo::parse("service=shop1 port=5434").unwrap();
        let complete = environment.complete(given).unwrap();
        let of = |keyword: &str| complete.get(keyword).map(String::as_str);
        assert_eq!(of("host"), Some("server1"));
        assert_eq!(of("port"), Some("5434"));
        assert_eq!(of("sslmode"), Some("require"));
        assert_eq!((of("user"), of("dbname")), (Some("me"), Some("me")), "an empty value is none");
        assert_eq!(of("service"), None);
        let unknown = environment.complete(conninfo::parse("service=none").unwrap()).unwrap_err();
        assert_eq!(unknown.message, "definition of service \"none\" not found");
    }

    #[test]
    fn a_password_file_that_others_can_read_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let environment = environment(&[], Some(home.path()));
        assert_eq!(environment.password_file(None).unwrap(), None);
        let path = home.path().join(".pgpass");
        std::fs::write(&path, "*:*:*:*:x\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(environment.password_file(None).unwrap_err().message.contains("has group or world access"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(environment.password_file(None).unwrap().as_deref(), Some("*:*:*:*:x\n"));
    }
}
