//! `cargo xtask docs`: the documentation as a site, made by mdBook.

pub mod links;
mod pages;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::cargo;

use pages::Pages;

/// The version of mdBook that is installed if there is none.
const MDBOOK_VERSION: &str = "0.5.4";

/// The configuration of mdBook, next to its pages.
const CONFIGURATION: &str = include_str!("book.toml");

/// Checks the links, and writes the site to `target/site`.
pub fn run() -> Result<()> {
    let pages = Pages::of(cargo::workspace_root())?;
    check(&pages)?;
    let target = cargo::target_directory();
    let (book, site) = (target.join("book"), target.join("site"));
    pages.stage(&book.join("src"))?;
    std::fs::write(book.join("book.toml"), CONFIGURATION).context("could not write book.toml")?;
    let mdbook = mdbook()?;
    let mut command = Command::new(&mdbook);
    command.arg("build").arg("--dest-dir").arg(&site).arg(&book);
    let status = command.status().with_context(|| format!("could not run {}", mdbook.display()))?;
    ensure!(status.success(), "mdBook failed");
    println!("Wrote {}", site.join("index.html").display());
    Ok(())
}

/// Fails if a link leads nowhere, or if the table of contents lacks a page.
fn check(pages: &Pages) -> Result<()> {
    let mut faults = links::broken(pages);
    let missing = links::not_listed(pages).into_iter();
    faults.extend(missing.map(|page| format!("{} does not list {page}", pages::CONTENTS)));
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// The path of mdBook, which is installed below `target` if the user has none.
fn mdbook() -> Result<PathBuf> {
    let is_there = |path: &Path| {
        let found = Command::new(path).arg("--version").output();
        found.is_ok_and(|output| output.status.success())
    };
    let on_path = PathBuf::from("mdbook");
    if is_there(&on_path) {
        return Ok(on_path);
    }
    let tools = cargo::target_directory().join("tools");
    let own = tools.join("bin/mdbook");
    if !is_there(&own) {
        let mut install = cargo::command();
        install.args(["install", "mdbook", "--locked", "--version", MDBOOK_VERSION]);
        // Without its server and its watcher, which nothing here uses.
        install.args(["--no-default-features", "--features", "search", "--root"]).arg(&tools);
        cargo::run(install, "Building mdBook")?;
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_of_the_documentation_leads_somewhere_and_each_page_is_listed() -> Result<()> {
        check(&Pages::of(cargo::workspace_root())?)
    }
}
