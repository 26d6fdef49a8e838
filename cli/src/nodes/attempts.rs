//! From parameters to the connections that are tried, one for each host.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use postgres::Config;
use postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};

use super::certificates::{Files, Verification};
use super::conninfo::Parameters;
use super::environment::Environment;
use super::passfile;
use crate::failure::{Failure, Result};

/// One connection that is tried.
#[derive(Debug)]
pub struct Attempt {
    /// Everything but TLS.
    pub config: Config,
    /// With the modes of encryption, in the order in which they are tried.
    pub modes: Vec<SslMode>,
    /// What is verified if it is encrypted.
    pub verification: Verification,
    /// The files for TLS.
    pub files: Files,
}

/// How libpq's `sslmode` is carried out: the modes that are tried, and what is verified.
fn encryption(mode: &str, has_authorities: bool) -> Result<(Vec<SslMode>, Verification)> {
    // As in libpq, a file with authorities makes "require" verify them.
    let unless_named = if has_authorities { Verification::Authority } else { Verification::Nothing };
    Ok(match mode {
        "disable" => (vec![SslMode::Disable], Verification::Nothing),
        "allow" => (vec![SslMode::Disable, SslMode::Require], Verification::Nothing),
        "prefer" => (vec![SslMode::Prefer, SslMode::Disable], Verification::Nothing),
        "require" => (vec![SslMode::Require], unless_named),
        "verify-ca" => (vec![SslMode::Require], Verification::Authority),
        "verify-full" => (vec![SslMode::Require], Verification::AuthorityAndHost),
        _ => return Err(invalid("sslmode", mode)),
    })
}

fn invalid(keyword: &str, value: &str) -> Failure {
    Failure::new(format!("invalid value for \"{keyword}\": \"{value}\""))
}

/// Without the value, which is a part of a password if a URI has an unescaped slash in it.
fn invalid_address(keyword: &str) -> Failure {
    Failure::new(format!("invalid value for \"{keyword}\""))
        .hint("In a URI, special characters of a password are written as %2F and so on.")
}

/// The value of a keyword, taken out.
struct Taken(Parameters);

impl Taken {
    fn take(&mut self, keyword: &str) -> Option<String> {
        self.0.remove(keyword)
    }

    fn number<T: std::str::FromStr>(&mut self, keyword: &str) -> Result<Option<T>> {
        let Some(value) = self.take(keyword) else { return Ok(None) };
        value.trim().parse().map(Some).map_err(|_| invalid(keyword, &value))
    }

    /// A keyword that is accepted with some values only, because they mean what happens anyway.
    fn only(&mut self, keyword: &str, accepted: &[&str]) -> Result<()> {
        match self.take(keyword) {
            Some(value) if !accepted.contains(&value.as_str()) => {
                Err(Failure::new(format!("\"{keyword}={value}\" is not supported by this program")))
            }
            _ => Ok(()),
        }
    }
}

/// The connections for complete parameters.
///
/// # Errors
/// If a parameter is invalid or not supported. None is ignored: it may be there for security.
pub fn attempts(parameters: Parameters, environment: &Environment) -> Result<Vec<Attempt>> {
    let mut taken = Taken(parameters);
    let mut common = Config::new();
    let user = taken.take("user").unwrap_or_default();
    let database = taken.take("dbname").unwrap_or_default();
    common.user(&user).dbname(&database);
    if let Some(options) = taken.take("options") {
        common.options(&options);
    }
    let name = taken.take("application_name").or_else(|| taken.take("fallback_application_name"));
    taken.take("fallback_application_name");
    common.application_name(name.as_deref().unwrap_or("pg_keyspace"));
    // libpq waits at least two seconds, and 0 means for ever.
    let patience: u64 = taken.number("connect_timeout")?.unwrap_or(10);
    if patience > 0 {
        common.connect_timeout(Duration::from_secs(patience.max(2)));
    }
    common.keepalives(taken.number::<u8>("keepalives")? != Some(0));
    for (keyword, set) in [
        ("keepalives_idle", Config::keepalives_idle as fn(&mut Config, Duration) -> &mut Config),
        ("keepalives_interval", Config::keepalives_interval),
    ] {
        if let Some(seconds @ 1..) = taken.number(keyword)? {
            set(&mut common, Duration::from_secs(seconds));
        }
    }
    if let Some(retries @ 1..) = taken.number("keepalives_count")? {
        common.keepalives_retries(retries);
    }
    if let Some(milliseconds @ 1..) = taken.number("tcp_user_timeout")? {
        common.tcp_user_timeout(Duration::from_millis(milliseconds));
    }
    match taken.take("target_session_attrs").as_deref() {
        None | Some("any") => {}
        Some("read-write" | "primary") => {
            common.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Some("read-only" | "standby") => {
            common.target_session_attrs(TargetSessionAttrs::ReadOnly);
        }
        Some(other) => return Err(invalid("target_session_attrs", other)),
    }
    match taken.take("sslnegotiation").as_deref() {
        None | Some("postgres") => {}
        Some("direct") => {
            common.ssl_negotiation(SslNegotiation::Direct);
        }
        Some(other) => return Err(invalid("sslnegotiation", other)),
    }
    taken.only("client_encoding", &["UTF8", "utf8", "UTF-8", "utf-8", "auto"])?;
    taken.only("channel_binding", &["disable", "prefer"])?;
    taken.only("gssencmode", &["disable", "prefer"])?;
    taken.only("load_balance_hosts", &["disable"])?;
    taken.only("sslcompression", &["0"])?;
    taken.only("sslsni", &["1"])?;
    taken.only("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"])?;

    let mode = taken.take("sslmode").unwrap_or_else(|| "prefer".to_owned());
    let mut files = Files {
        authorities: taken.take("sslrootcert"),
        certificate: taken.take("sslcert"),
        key: taken.take("sslkey"),
    };
    if files.certificate.is_some() != files.key.is_some() {
        return Err(Failure::new("\"sslcert\" and \"sslkey\" must be specified together"));
    }
    if files.authorities.as_deref() == Some("system") {
        if mode != "verify-full" {
            let message = format!("weak sslmode \"{mode}\" may not be used with sslrootcert=system");
            return Err(Failure::new(message).hint("Use \"verify-full\"."));
        }
        files.authorities = Some(authorities_of_the_system(environment)?);
    }
    let has_authorities = files.authorities.as_ref().is_some_and(|file| Path::new(file).is_file());
    let (modes, verification) = encryption(&mode, has_authorities)?;
    if verification != Verification::Nothing && !has_authorities {
        let file = files.authorities.as_deref().unwrap_or("~/.postgresql/root.crt");
        return Err(Failure::new(format!("root certificate file \"{file}\" does not exist")).hint(
            "Provide the file, use the system's authorities with sslrootcert=system, or change sslmode.",
        ));
    }

    let password = taken.take("password");
    let passwords = match &password {
        Some(_) => None,
        None => environment.password_file(taken.take("passfile").as_deref())?,
    };
    taken.take("passfile");
    let hosts = hosts(&mut taken)?;
    if let Some(unknown) = taken.0.keys().next() {
        return Err(Failure::new(format!(
            "connection parameter \"{unknown}\" is not supported by this program"
        )));
    }
    let attempt = |host: Host| {
        let mut config = common.clone();
        config.port(host.port);
        let (name, is_socket) = match &host.place {
            Place::Socket(directory) => {
                config.host_path(directory);
                (directory.as_str(), true)
            }
            Place::Network(name, address) => {
                config.host(name);
                if let Some(address) = address {
                    config.hostaddr(*address);
                }
                (name.as_str(), false)
            }
        };
        let wanted_host = if host.is_default { "localhost" } else { name };
        let found = passwords
            .as_ref()
            .and_then(|file| passfile::find(file, [wanted_host, &host.port.to_string(), &database, &user]));
        if let Some(password) = password.as_ref().or(found.as_ref()) {
            config.password(password);
        }
        // A socket is never encrypted.
        let modes = if is_socket { vec![SslMode::Disable] } else { modes.clone() };
        Attempt { config, modes, verification, files: files.clone() }
    };
    Ok(hosts.into_iter().map(attempt).collect())
}

fn authorities_of_the_system(environment: &Environment) -> Result<String> {
    let files = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let of_variable = (environment.variable)("SSL_CERT_FILE");
    let mut all = of_variable.into_iter().chain(files.map(str::to_owned));
    all.find(|file| Path::new(file).is_file()).ok_or_else(|| {
        Failure::new("could not find the system's root certificates")
            .hint("Name the file in SSL_CERT_FILE, or in \"sslrootcert\".")
    })
}

struct Host {
    place: Place,
    port: u16,
    /// Whether nobody named it. Password files know such a host as "localhost".
    is_default: bool,
}

enum Place {
    Socket(String),
    Network(String, Option<IpAddr>),
}

fn hosts(taken: &mut Taken) -> Result<Vec<Host>> {
    let list = |text: Option<String>| -> Vec<String> {
        text.map(|text| text.split(',').map(|part| part.trim().to_owned()).collect()).unwrap_or_default()
    };
    let (names, addresses) = (list(taken.take("host")), list(taken.take("hostaddr")));
    let ports = list(taken.take("port"));
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        let message =
            format!("could not match {} host names to {} hostaddr values", names.len(), addresses.len());
        return Err(Failure::new(message));
    }
    let count = names.len().max(addresses.len()).max(1);
    if ports.len() > 1 && ports.len() != count {
        return Err(Failure::new(format!("could not match {} port numbers to {count} hosts", ports.len())));
    }
    (0..count)
        .map(|at| {
            let port = ports.get(at).or(ports.first()).map(String::as_str).filter(|port| !port.is_empty());
            let port = match port {
                None => 5432,
                Some(text) => {
                    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| invalid_address("port"))?
                }
            };
            let name = names.get(at).filter(|name| !name.is_empty()).cloned();
            let address = match addresses.get(at).filter(|address| !address.is_empty()) {
                None => None,
                Some(text) => Some(text.parse::<IpAddr>().map_err(|_| invalid_address("hostaddr"))?),
            };
            let is_default = name.is_none() && address.is_none();
            let place = match (name, address) {
                (Some(name), None) if name.starts_with('/') || name.starts_with('@') => Place::Socket(name),
                (Some(name), address) => Place::Network(name, address),
                (None, Some(address)) => Place::Network(address.to_string(), Some(address)),
                (None, None) => Place::Socket(default_directory(port)),
            };
            Ok(Host { place, port, is_default })
        })
        .collect()
}

/// The directory of the socket. Packages use the first, and PostgreSQL as it comes the second.
fn default_directory(port: u16) -> String {
    let directories = ["/var/run/postgresql", "/tmp"];
    let has_socket = |directory: &&&str| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    (*directories.iter().find(has_socket).unwrap_or(&directories[0])).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use postgres::config::Host as ConfigHost;

    use super::*;
    use crate::nodes::conninfo;
    use crate::nodes::environment::tests::environment;

    fn of(text: &str) -> Result<Vec<Attempt>> {
        let environment = environment(&[("PGSYSCONFDIR", "/none")], None);
        attempts(environment.complete(conninfo::parse(text)?)?, &environment)
    }

    #[test]
    fn each_host_is_an_attempt_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".pgpass");
        std::fs::write(&path, "b:5433:shop:me:of b\nlocalhost:*:*:*:of the socket\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let environment = environment(&[], Some(home.path()));
        let given = conninfo::parse("host=a,b,/run/x port=5432,5433, dbname=shop").unwrap();
        let found = attempts(environment.complete(given).unwrap(), &environment).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|attempt| {
                let config = &attempt.config;
                (
                    config.get_hosts()[0].clone(),
                    config.get_ports()[0],
                    config.get_password().map(<[u8]>::to_vec),
                )
            })
            .collect();
        assert_eq!(seen[0], (ConfigHost::Tcp("a".to_owned()), 5432, None));
        assert_eq!(seen[1], (ConfigHost::Tcp("b".to_owned()), 5433, Some(b"of b".to_vec())));
        assert_eq!(seen[2], (ConfigHost::Unix("/run/x".into()), 5432, None));
        assert_eq!(found[1].modes, [SslMode::Prefer, SslMode::Disable]);
        assert_eq!(found[2].modes, [SslMode::Disable], "a socket is not encrypted");
        let default = attempts(environment.complete(Parameters::new()).unwrap(), &environment).unwrap();
        assert_eq!(default[0].config.get_password(), Some(&b"of the socket"[..]));
    }

    #[test]
    fn sslmode_means_what_it_means_to_libpq() {
        let one = |text: &str| of(text).map(|mut found| found.remove(0));
        assert_eq!(one("host=a sslmode=disable").unwrap().modes, [SslMode::Disable]);
        assert_eq!(one("host=a sslmode=allow").unwrap().modes, [SslMode::Disable, SslMode::Require]);
        let require = one("host=a sslmode=require").unwrap();
        assert_eq!((require.modes, require.verification), (vec![SslMode::Require], Verification::Nothing));
        // A file of authorities makes "require" verify them. Any file exists here.
        let file = tempfile::NamedTempFile::new().unwrap();
        let with = |mode: &str| format!("host=a sslmode={mode} sslrootcert={}", file.path().display());
        for (mode, verification) in [
            ("require", Verification::Authority),
            ("verify-ca", Verification::Authority),
            ("verify-full", Verification::AuthorityAndHost),
        ] {
            assert_eq!(one(&with(mode)).unwrap().verification, verification, "{mode}");
        }
        for (text, message) in [
            ("host=a sslmode=verify-full", "does not exist"),
            ("host=a sslmode=verify-ca sslrootcert=/none", "root certificate file \"/none\" does not exist"),
            ("host=a sslrootcert=system", "weak sslmode \"prefer\""),
            ("host=a sslmode=full", "invalid value for \"sslmode\": \"full\""),
            ("host=a channel_binding=require", "\"channel_binding=require\" is not supported"),
            ("host=a sslcrl=x", "connection parameter \"sslcrl\" is not supported"),
            ("host=a sslcert=x", "\"sslcert\" and \"sslkey\" must be specified together"),
            ("host=a port=0", "invalid value for \"port\""),
            ("host=a port=1,2", "could not match 2 port numbers to 1 hosts"),
            ("host=a hostaddr=b", "invalid value for \"hostaddr\""),
            ("host=a,b hostaddr=127.0.0.1", "could not match 2 host names to 1 hostaddr values"),
            ("host=a target_session_attrs=x", "invalid value for \"target_session_attrs\""),
        ] {
            let failure = one(text).unwrap_err();
            assert!(failure.message.contains(message), "{text}: {}", failure.message);
        }
    }
}
