//! Password files: `host:port:database:user:password` in each line.

/// The password of the first line that matches.
///
/// A backslash quotes the character after it. `*` matches everything.
pub fn find(file: &str, [host, port, database, user]: [&str; 4]) -> Option<String> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(fields).find_map(|[of_host, of_port, of_database, of_user, password]| {
        let is_match = [(of_host, host), (of_port, port), (of_database, database), (of_user, user)]
            .into_iter()
            .all(|(pattern, value)| pattern == "*" || unquoted(&pattern) == value);
        is_match.then(|| unquoted(&password))
    })
}

/// The five fields of a line, still quoted: a quoted `*` is an ordinary character.
fn fields(line: &str) -> Option<[String; 5]> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let is_last = fields.len() == 5;
        let field = fields.last_mut()?;
        match c {
            '\\' => {
                field.push(c);
                field.extend(chars.next());
            }
            ':' if is_last => break,
            ':' => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields.try_into().ok()
}

fn unquoted(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# host:port:database:user:password\n\
        server1:5432:shop:me:one\n\
        \\:\\:1:*:*:me:six\n\
        localhost:*:*:\\*:star\n\
        broken line\n\
        *:*:*:me:a\\:b\\\\c\n";

    #[test]
    fn the_first_line_that_matches_counts() {
        let of = |wanted| find(FILE, wanted);
        assert_eq!(of(["server1", "5432", "shop", "me"]).as_deref(), Some("one"));
        assert_eq!(of(["::1", "5432", "shop", "me"]).as_deref(), Some("six"));
        assert_eq!(of(["server1", "5433", "shop", "me"]).as_deref(), Some("a:b\\c"));
        assert_eq!(of(["localhost", "5432", "shop", "*"]).as_deref(), Some("star"));
        assert_eq!(of(["localhost", "5432", "shop", "you"]), None);
        assert_eq!(find("", ["a", "b", "c", "d"]), None);
    }
}
