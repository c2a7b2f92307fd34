//! File and line of a panic, for the message of AUTHGRANT_INTERNAL.
//!
//! The path omits the directories of the build machine. The payload of the panic is not read, because it may
//! contain external data.

use std::fmt;
use std::panic::Location;

/// Longer paths keep their last bytes. The longest path in a dependency has 94.
const MAX_PATH_LEN: usize = 112;

/// File and line of a panic. It has a fixed size, so that the panic hook does not allocate, and no `Drop`, so
/// that a thread-local of it can be used during thread exit.
#[derive(Clone, Copy)]
pub(crate) struct PanicLocation {
    file: [u8; MAX_PATH_LEN],
    length: u8,
    line: u32,
}

impl PanicLocation {
    pub(crate) fn new(location: &Location<'_>) -> Self {
        Self::from_parts(location.file(), location.line())
    }

    fn from_parts(file: &str, line: u32) -> Self {
        let mut stored = Self { file: [0; MAX_PATH_LEN], length: 0, line };
        let file = last_bytes(shorten_path(file), MAX_PATH_LEN).bytes();
        for (slot, byte) in stored.file.iter_mut().zip(file) {
            *slot = if byte == b'\\' { b'/' } else { byte };
            stored.length = stored.length.saturating_add(1);
        }
        stored
    }
}

/// Formatted as `src/cache/entry.rs:120`.
impl fmt::Display for PanicLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.get(..self.length.into()).and_then(|file| std::str::from_utf8(file).ok());
        write!(f, "{}:{}", file.unwrap_or("?"), self.line)
    }
}

/// Returns the last characters of `text` that fit into `max_len` bytes.
fn last_bytes(text: &str, max_len: usize) -> &str {
    let start = text.len().saturating_sub(max_len);
    (start..=text.len()).find_map(|start| text.get(start..)).unwrap_or_default()
}

const SEPARATORS: [char; 2] = ['/', '\\'];

/// Directories below which rustc finds the sources of dependencies, and how many directories below them are
/// omitted as well: the index of the registry, the commit of the standard library. The dependencies of the
/// standard library are in `/rust/deps`; with the component rust-src its sources are in `rustlib`.
const DEPENDENCY_ROOTS: [(&[&str], usize); 5] = [
    (&["registry", "src"], 1),
    (&["git", "checkouts"], 0),
    (&["rustc"], 1),
    (&["rustlib", "src", "rust"], 0),
    (&["rust", "deps"], 0),
];

/// Removes the directories of the build machine from a source path of rustc.
fn shorten_path(path: &str) -> &str {
    // Cargo runs rustc in the workspace, so this prefix is empty unless the crate is a dependency of another.
    let root = file!().strip_suffix("src/ffi/panic_location.rs").unwrap_or_default();
    if let Some(own) = path.strip_prefix(root)
        && own.starts_with("src")
    {
        return own;
    }
    if let Some(known) = DEPENDENCY_ROOTS.iter().find_map(|(names, more)| path_below_dirs(path, names, *more))
    {
        return known;
    }
    let is_absolute = path.starts_with(SEPARATORS) || path.get(1..2) == Some(":");
    if is_absolute { path_from_package(path) } else { path }
}

/// Returns the part of `path` below the last occurrence of the directories `names` and `more` directories
/// below these.
fn path_below_dirs<'a>(path: &'a str, names: &[&str], more: usize) -> Option<&'a str> {
    path_suffixes(path).find_map(|mut tail| {
        for name in names {
            tail = tail.strip_prefix(name)?.strip_prefix(SEPARATORS)?;
        }
        for _ in 0..more {
            tail = tail.split_once(SEPARATORS)?.1;
        }
        Some(tail)
    })
}

/// Returns the path from the directory of a package that is elsewhere (vendored, or a path dependency); only
/// the file name if the file is not in a `src` directory.
fn path_from_package(path: &str) -> &str {
    let in_src = |tail: &&str| tail.split(SEPARATORS).nth(1) == Some("src");
    path_suffixes(path).find(in_src).or_else(|| path_suffixes(path).next()).unwrap_or_default()
}

/// Returns the suffixes of `path` that begin with one of its components, the shortest first.
fn path_suffixes(path: &str) -> impl Iterator<Item = &str> {
    let starts = path.rmatch_indices(SEPARATORS).filter_map(|(at, _)| path.get(at.saturating_add(1)..));
    starts.chain(std::iter::once(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_without_build_directories() {
        let std = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860";
        let index = "index.example-1949cf8c6b5b557f";
        for (path, shown) in [
            ("src/cache/entry.rs", "src/cache/entry.rs"),
            ("src\\cache\\entry.rs", "src/cache/entry.rs"),
            (&format!("/root/.cargo/registry/src/{index}/ureq-3.5.1/src/run.rs"), "ureq-3.5.1/src/run.rs"),
            (
                &format!("/registry/src/me/registry/src/{index}/ureq-3.5.1/src/run.rs"),
                "ureq-3.5.1/src/run.rs",
            ),
            (
                &format!("C:\\Users\\me\\.cargo\\registry\\src\\{index}\\ureq-3.5.1\\src\\run.rs"),
                "ureq-3.5.1/src/run.rs",
            ),
            ("/root/.cargo/git/checkouts/ureq-0f1e/9a8b7c6/src/run.rs", "ureq-0f1e/9a8b7c6/src/run.rs"),
            (&format!("{std}/library/core/src/slice/index.rs"), "library/core/src/slice/index.rs"),
            (
                "/root/.rustup/toolchains/stable/lib/rustlib/src/rust/library/alloc/src/vec/mod.rs",
                "library/alloc/src/vec/mod.rs",
            ),
            ("/rust/deps/hashbrown-0.16.1/src/raw.rs", "hashbrown-0.16.1/src/raw.rs"),
            ("/home/me/product/vendor/ureq/src/run.rs", "ureq/src/run.rs"),
            ("/home/me/target/release/build/x-0f1e/out/table.rs", "table.rs"),
            ("C:/work/table.rs", "table.rs"),
            ("", ""),
            ("/", ""),
        ] {
            assert_eq!(PanicLocation::from_parts(path, 120).to_string(), format!("{shown}:120"), "{path}");
        }
    }

    #[test]
    fn long_path_keeps_its_end() {
        let path = format!("src/{}é/entry.rs", "x/".repeat(200));
        let shown = PanicLocation::from_parts(&path, 7).to_string();
        assert!(shown.ends_with("x/x/é/entry.rs:7") && shown.len() <= MAX_PATH_LEN + ":7".len(), "{shown}");
        let cut = PanicLocation::from_parts(&"é".repeat(MAX_PATH_LEN), 7).to_string();
        assert_eq!(cut, format!("{}:7", "é".repeat(MAX_PATH_LEN / 2)));
    }
}
