//! Connection strings, in the two forms of libpq: `keyword=value` pairs and URIs.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result};

/// The parameters of a connection by libpq's keyword.
pub type Parameters = BTreeMap<String, String>;

/// Reads a connection string. Messages never repeat a value, because it may be a password.
///
/// # Errors
/// If it is neither of the two forms.
pub fn parse(text: &str) -> Result<Parameters> {
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => uri(rest),
        None => pairs(text),
    }
}

fn malformed(reason: &str) -> Failure {
    Failure::new(format!("invalid connection string: {reason}"))
        .hint("Write it as for psql, for example \"host=server1 dbname=shop\" or \"service=shop1\".")
}

/// `keyword = 'value'` pairs, with `\` before a quote or a backslash.
fn pairs(text: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(parameters);
        }
        let mut keyword = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
            keyword.push(c);
        }
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if keyword.is_empty() || !keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(malformed("a keyword is expected before \"=\""));
        }
        if chars.next() != Some('=') {
            return Err(malformed(&format!("\"=\" is missing after \"{keyword}\"")));
        }
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let is_quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\'') if is_quoted => break,
                None if is_quoted => {
                    return Err(malformed(&format!("the quoted value of \"{keyword}\" does not end")));
                }
                None => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) if c.is_ascii_whitespace() && !is_quoted => break,
                Some(c) => value.push(c),
            }
        }
        parameters.insert(keyword, value);
    }
}

/// `user:password@host:port,host:port/database?keyword=value&...`, after the scheme.
fn uri(text: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let (address, query) = text.split_once('?').map_or((text, None), |(before, after)| (before, Some(after)));
    // A directory in the authority is percent-encoded, so the first slash begins the database.
    let (authority, database) =
        address.split_once('/').map_or((address, None), |(before, after)| (before, Some(after)));
    let (credentials, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(before, after)| (Some(before), after));
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').map_or((credentials, None), |(a, b)| (a, Some(b)));
        set(&mut parameters, "user", user)?;
        if let Some(password) = password {
            set(&mut parameters, "password", password)?;
        }
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = host_and_port(host)?;
        names.push(decoded(name)?);
        ports.push(decoded(port)?);
    }
    if names.iter().any(|name| !name.is_empty()) {
        parameters.insert("host".to_owned(), names.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.insert("port".to_owned(), ports.join(","));
    }
    set(&mut parameters, "dbname", database.unwrap_or_default())?;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) =
            pair.split_once('=').ok_or_else(|| malformed("a parameter of the URI has no value"))?;
        let keyword = match decoded(keyword)?.as_str() {
            "ssl" if value == "true" => {
                parameters.insert("sslmode".to_owned(), "require".to_owned());
                continue;
            }
            keyword => keyword.to_owned(),
        };
        parameters.insert(keyword, decoded(value)?);
    }
    Ok(parameters)
}

fn host_and_port(host: &str) -> Result<(&str, &str)> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) =
            rest.split_once(']').ok_or_else(|| malformed("\"]\" is missing after an address"))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, port)),
            None if rest.is_empty() => Ok((address, "")),
            None => Err(malformed("\":\" is expected after \"]\"")),
        };
    }
    Ok(host.split_once(':').unwrap_or((host, "")))
}

fn set(parameters: &mut Parameters, keyword: &str, value: &str) -> Result<()> {
    let value = decoded(value)?;
    if !value.is_empty() {
        parameters.insert(keyword.to_owned(), value);
    }
    Ok(())
}

fn decoded(text: &str) -> Result<String> {
    let invalid = || malformed("invalid percent-encoded character");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(invalid)?, rest.next().ok_or_else(invalid)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| invalid())?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
        bytes.push(if byte == 0 { return Err(invalid()) } else { byte });
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    fn pairs_of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        assert_eq!(read(""), []);
        let plain = pairs_of(&[("dbname", "shop"), ("host", "server1")]);
        assert_eq!(read("host=server1 dbname=shop"), plain);
        assert_eq!(read("  host = server1\n dbname\t=\tshop "), plain);
        let quoted = pairs_of(&[("dbname", "it's a \\ shop"), ("user", "")]);
        assert_eq!(read("dbname='it\\'s a \\\\ shop' user=''"), quoted);
        assert_eq!(read("host=a\\ b"), pairs_of(&[("host", "a b")]));
        assert_eq!(read("host=a host=b"), pairs_of(&[("host", "b")]));
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        assert_eq!(read("postgresql://"), []);
        let full = [
            ("dbname", "shop"),
            ("host", "a,b"),
            ("password", "p@ss:w"),
            ("port", "5433,"),
            ("sslmode", "verify-full"),
            ("user", "me"),
        ];
        assert_eq!(read("postgres://me:p%40ss%3aw@a:5433,b/shop?sslmode=verify-full"), pairs_of(&full));
        let socket = [("dbname", "shop"), ("host", "/run/pg")];
        assert_eq!(read("postgresql://%2Frun%2Fpg/shop"), pairs_of(&socket));
        assert_eq!(read("postgresql:///shop?host=/run/pg"), pairs_of(&socket));
        assert_eq!(read("postgresql://[::1]:99/"), pairs_of(&[("host", "::1"), ("port", "99")]));
        assert_eq!(read("postgresql://?ssl=true"), pairs_of(&[("sslmode", "require")]));
    }

    #[test]
    fn what_is_no_connection_string_is_refused_without_its_values() {
        for (text, reason) in [
            ("shop", "\"=\" is missing after \"shop\""),
            ("=x", "a keyword is expected"),
            ("password='secret", "the quoted value of \"password\" does not end"),
            ("postgres://a:secret%zz@h/", "invalid percent-encoded character"),
            ("postgres://u:secret@h/?dbname=a%00", "invalid percent-encoded character"),
            ("postgres://[::1/", "\"]\" is missing"),
            ("postgres://[::1]x/", "\":\" is expected"),
            ("postgres://h/?secret", "has no value"),
        ] {
            let failure = parse(text).unwrap_err();
            assert!(failure.message.contains(reason), "{text}: {}", failure.message);
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
    }
}
