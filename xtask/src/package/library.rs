//! The library and the program: what they need from the system, what the library consists of, and
//! their stripped forms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

/// Libraries of glibc.
const GLIBC: [&str; 4] = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"];

/// The library of gcc that unwinds the stack.
const LIBGCC: &str = "libgcc_s.so.1";

/// What a version of glibc's symbols that is not a number stands for: the release that introduced
/// it.
const GLIBC_FEATURES: [(&str, Number); 1] = [("ABI_DT_RELR", Number(2, 36))];

/// Functions of the server that minor releases have added, each with the first release of a major
/// version that has it. Whether the library calls one depends on the headers that it was built with.
pub const ADDED_BY_MINOR_RELEASES: [(&str, &[(u32, u32)]); 1] =
    [("heap_datum_check", &[(15, 20), (16, 16), (17, 12), (18, 7)])];

/// Kinds of contents of a library, each with the sections of ELF that hold them.
const PARTS: [(&str, &[&str]); 8] = [
    ("code", &[".text", ".init", ".fini", ".plt"]),
    ("constants and texts", &[".rodata"]),
    ("tables for unwinding the stack", &[".eh_frame", ".eh_frame_hdr", ".gcc_except_table"]),
    (
        "addresses, and what the loader has to relocate",
        &[".rela", ".relr", ".data", ".got", ".init_array", ".fini_array"],
    ),
    ("descriptions of the SQL objects, from which the install script was made", &[".pgrxsc"]),
    ("names that are exported or imported", &[".dynsym", ".dynstr", ".gnu", ".hash"]),
    ("names for debuggers", &[".symtab", ".strtab"]),
    ("debug information", &[".debug", ".zdebug"]),
];

/// The number of crates whose share of the code is shown.
const SHOWN_CRATES: usize = 6;

/// A release number of glibc or gcc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(u32, u32);

/// A library or a program as it is packaged.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The stripped file.
    pub contents: Vec<u8>,
    /// The least glibc that has all symbols it uses.
    pub glibc: Number,
    /// The same of gcc's library, if it uses that.
    libgcc: Option<Number>,
}

/// The extension's library, and what it consists of.
#[derive(Clone, Debug)]
pub struct Library {
    /// The library itself.
    pub binary: Binary,
    /// Its size before it was stripped.
    pub built_bytes: u64,
    /// The least minor release of its major version of PostgreSQL, if it does not run with all.
    pub minor: Option<u32>,
    /// Bytes of each kind of contents before stripping, the largest first.
    parts: Vec<(&'static str, u64)>,
    /// Bytes of the code of each crate, the largest first. Generic code counts where it is
    /// compiled for a type.
    crates: Vec<(String, u64)>,
}

impl Binary {
    /// Reads and strips what cargo has built.
    ///
    /// # Errors
    ///
    /// If it is not a library or program, or needs libraries that no package here declares.
    pub fn read(built: &Path) -> Result<Self> {
        let sh = Shell::new().context("there is no working directory")?;
        let directory = tempfile::tempdir().context("could not create a temporary directory")?;
        let stripped = directory.path().join("stripped");
        // As Debian's dh_strip treats shared libraries. All that a program exports is unneeded, too.
        cmd!(
            sh,
            "strip --strip-unneeded --remove-section=.comment --remove-section=.note -o {stripped} {built}"
        )
        .quiet()
        .run()
        .with_context(|| format!("could not strip {}; binutils are needed", built.display()))?;
        let (glibc, libgcc) = needs(&readelf(&sh, &["--dynamic", "--version-info"], &stripped)?)?;
        let contents = std::fs::read(&stripped);
        Ok(Self { contents: contents.context("could not read the stripped file")?, glibc, libgcc })
    }

    /// The packages of Debian that it needs.
    pub fn debian_depends(&self) -> Vec<String> {
        let libgcc = self.libgcc.map(|number| format!("libgcc-s1 (>= {number})"));
        [format!("libc6 (>= {})", self.glibc)].into_iter().chain(libgcc).collect()
    }
}

fn readelf(sh: &Shell, arguments: &[&str], file: &Path) -> Result<String> {
    Ok(cmd!(sh, "readelf --wide {arguments...} {file}").env("LC_ALL", "C").quiet().read()?)
}

impl Library {
    /// Reads and strips the library that cargo has built for a version of PostgreSQL.
    ///
    /// # Errors
    ///
    /// As [`Binary::read`].
    pub fn read(built: &Path, major: u32) -> Result<Self> {
        let binary = Binary::read(built)?;
        let sh = Shell::new().context("there is no working directory")?;
        let sections = sections(&readelf(&sh, &["--sections"], built)?);
        ensure!(!sections.is_empty(), "{} has no sections", built.display());
        Ok(Self {
            binary,
            built_bytes: std::fs::metadata(built).context("could not read the library")?.len(),
            minor: least_minor(&cmd!(sh, "nm --dynamic --undefined-only {built}").quiet().read()?, major),
            parts: parts(&sections),
            crates: crates(&cmd!(sh, "nm --print-size --demangle {built}").quiet().read()?),
        })
    }

    /// What it consists of, for people.
    pub fn report(&self) -> String {
        let size = |bytes: u64| format!("{:.2} MB", bytes as f64 / 1e6);
        let stripped = self.binary.contents.len() as u64;
        let mut text = format!(
            "the library has {} ({} as built, before stripping) and needs glibc {}\n",
            size(stripped),
            size(self.built_bytes),
            self.binary.glibc
        );
        for (part, bytes) in &self.parts {
            text.push_str(&format!("{:>12}  {part}\n", size(*bytes)));
        }
        let crates: Vec<String> = self
            .crates
            .iter()
            .take(SHOWN_CRATES)
            .map(|(name, bytes)| format!("{name} {}", size(*bytes)))
            .collect();
        text.push_str(&format!("    of the code: {}\n", crates.join(", ")));
        text
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(str::parse::<u32>);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

/// The least glibc and libgcc, read from what readelf prints on needed libraries and versions.
fn needs(text: &str) -> Result<(Number, Option<Number>)> {
    let libraries: BTreeSet<&str> = text.lines().filter_map(needed_library).collect();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut library = "";
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after =
            |word: &str| words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1));
        if let Some(file) = after("File:") {
            library = file;
        } else if let (Some(name), true) = (after("Name:"), after("Flags:").is_some()) {
            versions.entry(library).or_default().push(name);
        }
    }
    let is_glibc = |name: &str| GLIBC.contains(&name) || name.starts_with("ld-linux");
    if let Some(unknown) = libraries.iter().find(|name| !is_glibc(name) && **name != LIBGCC) {
        bail!("{unknown} is needed, which the packages do not declare");
    }
    let most = |prefix: &str, wanted: &dyn Fn(&str) -> bool| -> Result<Option<Number>> {
        let names = versions.iter().filter(|(library, _)| wanted(library)).flat_map(|(_, names)| names);
        let mut most = None;
        for name in names {
            let rest = name.strip_prefix(prefix);
            let rest = rest.with_context(|| format!("unknown version of a symbol: {name}"))?;
            let feature =
                GLIBC_FEATURES.iter().find(|(feature, _)| *feature == rest).map(|(_, since)| *since);
            let number = feature.or_else(|| Number::parse(rest));
            most = most.max(Some(number.with_context(|| format!("unknown version of a symbol: {name}"))?));
        }
        Ok(most)
    };
    let glibc = most("GLIBC_", &is_glibc)?.context("no version of glibc is needed")?;
    let libgcc = most("GCC_", &|name| name == LIBGCC)?;
    ensure!(libgcc.is_some() || !libraries.contains(LIBGCC), "no version of {LIBGCC} is needed");
    Ok((glibc, libgcc))
}

/// The least minor release that has all functions which nm lists.
fn least_minor(imports: &str, major: u32) -> Option<u32> {
    let is_imported = |name: &str| imports.split_whitespace().any(|word| word == name);
    let added = ADDED_BY_MINOR_RELEASES.iter().filter(|(name, _)| is_imported(name));
    let releases = added.flat_map(|(_, releases)| releases.iter());
    releases.filter(|(of, _)| *of == major).map(|(_, minor)| *minor).max()
}

/// The library that a line of readelf's list of dynamic tags needs.
fn needed_library(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("(NEEDED)")?;
    rest.split_once('[')?.1.split_once(']').map(|(name, _)| name)
}

/// Names and sizes of the sections that take space in the file.
fn sections(text: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter_map(|line| {
        // [Nr] Name Type Address Off Size ...; the number may contain blanks.
        let (_, rest) = line.split_once(']')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (name, kind, size) = (words.first()?, words.get(1)?, words.get(4)?);
        let size = u64::from_str_radix(size, 16).ok()?;
        (name.starts_with('.') && *kind != "NOBITS").then(|| ((*name).to_owned(), size))
    });
    lines.collect()
}

fn parts(sections: &[(String, u64)]) -> Vec<(&'static str, u64)> {
    let part_of = |name: &str| {
        let found = PARTS.iter().find(|(_, prefixes)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        found.map_or("other", |(part, _)| *part)
    };
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, bytes) in sections {
        *sizes.entry(part_of(name)).or_default() += bytes;
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(part, bytes)| (std::cmp::Reverse(*bytes), *part));
    sizes
}

/// The code of each crate, by what nm prints of functions: address, size, kind and name.
fn crates(text: &str) -> Vec<(String, u64)> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [_, size, "t" | "T", name] = words[..] else { continue };
        let Ok(size) = u64::from_str_radix(size, 16) else { continue };
        // For a method of a trait, the type: "<keyspace::a::B as core::clone::Clone>::clone".
        let path = name.trim_start_matches(['<', '&', '(', '[']).trim_start_matches("mut ");
        let name = path.split("::").next().filter(|_| path.contains("::")).unwrap_or("others");
        *sizes.entry(name.to_owned()).or_default() += size;
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), name.clone()));
    sizes
}

#[cfg(test)]
impl Binary {
    /// A file for tests of formats.
    pub fn made_up() -> Self {
        Self { contents: b"code".to_vec(), glibc: Number(2, 34), libgcc: Some(Number(4, 2)) }
    }
}

#[cfg(test)]
impl Library {
    /// A library for tests of formats.
    pub fn made_up() -> Self {
        Self {
            binary: Binary::made_up(),
            built_bytes: 10,
            minor: Some(12),
            parts: vec![("code", 4)],
            crates: vec![("pg_keyspace".to_owned(), 4)],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const DYNAMIC: &str = "\
Dynamic section at offset 0x2 contains 29 entries:
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-x86-64.so.2]
Version needs section '.gnu.version_r' contains 2 entries:
  000000: Version: 1  File: libgcc_s.so.1  Cnt: 2
  0x0010:   Name: GCC_3.0  Flags: none  Version: 9
  0x0020:   Name: GCC_4.2.0  Flags: none  Version: 5
  0x0030: Version: 1  File: libc.so.6  Cnt: 3
  0x0040:   Name: GLIBC_2.2.5  Flags: none  Version: 10
  0x0050:   Name: GLIBC_2.34  Flags: none  Version: 8
  0x0060:   Name: GLIBC_2.9  Flags: none  Version: 7
";

    #[test]
    fn the_least_glibc_is_the_newest_version_of_a_symbol() {
        assert_eq!(needs(DYNAMIC).expect("needs"), (Number(2, 34), Some(Number(4, 2))));
        let newer = DYNAMIC.replace("GLIBC_2.9", "GLIBC_ABI_DT_RELR");
        assert_eq!(needs(&newer).expect("needs").0, Number(2, 36));
        assert_eq!(Binary::made_up().debian_depends(), ["libc6 (>= 2.34)", "libgcc-s1 (>= 4.2)"]);
    }

    #[test]
    fn the_least_minor_release_is_that_of_the_newest_function_called() {
        let imports = "                 U heap_datum_check\n                 U palloc\n";
        assert_eq!([15, 17, 18].map(|major| least_minor(imports, major)), [Some(20), Some(12), Some(7)]);
        assert_eq!(least_minor(imports, 19), None, "every release of 19 has it");
        assert_eq!(least_minor("                 U palloc\n", 15), None);
    }

    #[test]
    fn what_no_package_declares_is_an_error() {
        let other = DYNAMIC.replace("libgcc_s.so.1]", "libssl.so.3]");
        assert!(needs(&other).is_err_and(|error| error.to_string().contains("libssl.so.3")));
        for name in ["GLIBC_PRIVATE", "OTHER_1.0"] {
            let other = DYNAMIC.replace("GLIBC_2.34", name);
            assert!(needs(&other).is_err_and(|error| error.to_string().contains(name)), "{name}");
        }
    }

    #[test]
    fn code_counts_for_the_crate_of_its_type() {
        let text = "\
00000000000001 0000000000000010 t pg_keyspace::server::begin
00000000000002 0000000000000020 t <keyspace::facts::Facts as core::clone::Clone>::clone
00000000000003 0000000000000005 T pg_finfo_ulid
00000000000004 0000000000000300 r keyspace::TABLE
                 U palloc
";
        let expected = [("keyspace", 0x20), ("pg_keyspace", 0x10), ("others", 5)];
        assert_eq!(crates(text), expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }

    #[test]
    fn sections_are_summed_by_what_they_hold() {
        let text = "  [Nr] Name              Type            Address          Off    Size   ES Flg Lk Inf Al
  [ 0]                   NULL            0000000000000000 000000 000000 00      0   0  0
  [ 1] .text             PROGBITS        0000000000001000 001000 000010 00  AX  0   0 16
  [ 2] .eh_frame         PROGBITS        0000000000002000 002000 000100 00   A  0   0  8
  [ 3] .eh_frame_hdr     PROGBITS        0000000000003000 003000 000001 00   A  0   0  4
  [10] .bss              NOBITS          0000000000004000 004000 001000 00  WA  0   0  8
  [11] .shstrtab         STRTAB          0000000000000000 004000 000002 00      0   0  1
";
        let found = parts(&sections(text));
        assert_eq!(found, [("tables for unwinding the stack", 0x101), ("code", 0x10), ("other", 2)]);
    }
}
