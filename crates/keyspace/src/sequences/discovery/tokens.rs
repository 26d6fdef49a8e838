//! Splits SQL and PL/pgSQL into tokens, as PostgreSQL's own scanner does.

/// A token. Comments and white space are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A keyword or an identifier that is not quoted, in lower case.
    Word(Vec<u8>),
    /// A quoted identifier, without its quotation marks.
    Quoted(Vec<u8>),
    /// A string, without its quotation marks and escapes.
    Literal(Vec<u8>),
    /// A number or a parameter.
    Number,
    /// `:=`
    Assign,
    /// `::`
    Cast,
    /// Any other character.
    Symbol(u8),
}

impl Token {
    /// Whether it is this keyword.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word.as_bytes())
    }

    /// Whether it is this character.
    pub fn is_symbol(&self, symbol: u8) -> bool {
        *self == Self::Symbol(symbol)
    }

    /// The identifier that it is.
    pub fn identifier(&self) -> Option<&[u8]> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// The tokens of a source.
pub fn tokens(source: &[u8]) -> Vec<Token> {
    let mut scanner = Scanner { source, at: 0 };
    std::iter::from_fn(|| scanner.next()).collect()
}

/// The tokens of a source, each with its place in it.
pub fn placed_tokens(source: &[u8]) -> Vec<(Token, std::ops::Range<usize>)> {
    let mut scanner = Scanner { source, at: 0 };
    std::iter::from_fn(|| {
        scanner.skip_blanks();
        let begin = scanner.at;
        scanner.next().map(|token| (token, begin..scanner.at))
    })
    .collect()
}

/// Whether a byte can begin an identifier; all bytes beyond ASCII can.
pub(super) const fn begins_identifier(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Whether a byte can continue an identifier.
pub(super) const fn continues_identifier(byte: u8) -> bool {
    begins_identifier(byte) || byte.is_ascii_digit() || byte == b'$'
}

struct Scanner<'a> {
    source: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        let first = self.peek(0)?;
        Some(match (first, self.peek(1)) {
            (b'\'', _) => self.string(false),
            (b'e' | b'E', Some(b'\'')) => {
                self.at += 1;
                self.string(true)
            }
            (b'n' | b'N' | b'b' | b'B' | b'x' | b'X', Some(b'\'')) => {
                self.at += 1;
                self.string(false)
            }
            (b'u' | b'U', Some(b'&')) if matches!(self.peek(2), Some(b'\'' | b'"')) => {
                self.at += 2;
                return self.next();
            }
            (b'"', _) => Token::Quoted(self.quoted(b'"', false)),
            (b'$', Some(next)) if next == b'$' || begins_identifier(next) => self.dollar_quoted(),
            (b'$' | b'0'..=b'9', _) => self.number(),
            (b':', Some(b'=')) => self.two(Token::Assign),
            (b':', Some(b':')) => self.two(Token::Cast),
            _ if begins_identifier(first) => self.word(),
            _ => {
                self.at += 1;
                Token::Symbol(first)
            }
        })
    }

    fn two(&mut self, token: Token) -> Token {
        self.at += 2;
        token
    }

    /// Skips white space, and comments, which can be nested.
    fn skip_blanks(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if byte.is_ascii_whitespace() || byte == 0x0b => self.at += 1,
                (Some(b'-'), Some(b'-')) => {
                    let rest = self.source.get(self.at..).unwrap_or_default();
                    let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    self.at += length.unwrap_or(rest.len());
                }
                (Some(b'/'), Some(b'*')) => self.skip_comment(),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return,
            }
        }
    }

    fn string(&mut self, has_escapes: bool) -> Token {
        Token::Literal(self.quoted(b'\'', has_escapes))
    }

    /// The content of a string or a quoted identifier; a doubled quotation mark stands for itself.
    fn quoted(&mut self, mark: u8, has_escapes: bool) -> Vec<u8> {
        self.at += 1;
        let mut content = Vec::new();
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == mark {
                if self.peek(0) != Some(mark) {
                    break;
                }
                self.at += 1;
            } else if byte == b'\\' && has_escapes {
                // The escapes of control characters do not occur in names.
                let Some(escaped) = self.peek(0) else { break };
                self.at += 1;
                content.push(escaped);
                continue;
            }
            content.push(byte);
        }
        content
    }

    fn dollar_quoted(&mut self) -> Token {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let tag = rest.iter().skip(1).position(|byte| *byte == b'$' || !continues_identifier(*byte));
        let Some(length) = tag.filter(|length| rest.get(length + 1) == Some(&b'$')).map(|length| length + 2)
        else {
            self.at += 1;
            return Token::Symbol(b'$');
        };
        let (tag, after) = rest.split_at(length);
        let end = after.windows(length).position(|window| window == tag);
        let content = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
        self.at += length + content.len() + end.map_or(0, |_| length);
        Token::Literal(content.to_vec())
    }

    fn number(&mut self) -> Token {
        self.at += 1;
        // A range such as 1..10 has two numbers.
        while let Some(byte) = self.peek(0)
            && (continues_identifier(byte) || byte == b'.' && self.peek(1) != Some(b'.'))
        {
            self.at += 1;
        }
        Token::Number
    }

    fn word(&mut self) -> Token {
        let begin = self.at;
        while self.peek(0).is_some_and(continues_identifier) {
            self.at += 1;
        }
        Token::Word(self.source.get(begin..self.at).unwrap_or_default().to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn word(text: &str) -> Token {
        Token::Word(text.as_bytes().to_vec())
    }

    fn literal(text: &str) -> Token {
        Token::Literal(text.as_bytes().to_vec())
    }

    #[test]
    fn tokens_are_those_of_the_server() {
        let source = b"NEW.\"Id\" := Nextval('a.\"B\"'::regclass) -- 'c'\n /* 'd' /* 'e' */ */ + 1.5e3;";
        let expected = vec![
            word("new"),
            Token::Symbol(b'.'),
            Token::Quoted(b"Id".to_vec()),
            Token::Assign,
            word("nextval"),
            Token::Symbol(b'('),
            literal("a.\"B\""),
            Token::Cast,
            word("regclass"),
            Token::Symbol(b')'),
            Token::Symbol(b'+'),
            Token::Number,
            Token::Symbol(b';'),
        ];
        assert_eq!(tokens(source), expected);
    }

    #[test]
    fn strings_are_read_in_every_form() {
        let source = b"'it''s' E'it\\'s' $$it's$$ $a$it's $$ $a$ N'x' U&'y' $1 x$y 1..2";
        let expected = vec![
            literal("it's"),
            literal("it's"),
            literal("it's"),
            literal("it's $$ "),
            literal("x"),
            literal("y"),
            Token::Number,
            word("x$y"),
            Token::Number,
            Token::Symbol(b'.'),
            Token::Symbol(b'.'),
            Token::Number,
        ];
        assert_eq!(tokens(source), expected);
    }

    #[test]
    fn an_end_within_a_token_is_an_end() {
        for source in ["'a", "E'a\\", "\"a", "$a$b", "/* a /* b */", "-- a", "$", "$a", "u&"] {
            assert!(tokens(source.as_bytes()).len() <= 2, "{source}");
        }
    }

    proptest! {
        #[test]
        fn every_source_has_an_end(source in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(tokens(&source).len() <= source.len());
        }

        #[test]
        fn a_literal_is_read_back(content in "[a-z'$\\\\ ]{0,20}") {
            let source = format!("'{}'", content.replace('\'', "''"));
            prop_assert_eq!(tokens(source.as_bytes()), vec![literal(&content)]);
        }
    }
}
