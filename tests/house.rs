//! The rooms of the house stand in an order, in `src/lib.rs`, and each uses only those below it.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rooms from the roof down. Those of one floor, which no blank line parts, may know each other.
fn floors() -> Vec<Vec<String>> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rooms = &lib[lib.find("pub mod ").unwrap()..];
    let name = |line: &str| line.trim_start_matches("pub mod ").trim_end_matches(';').to_owned();
    rooms.split("\n\n").map(|floor| floor.lines().map(name).collect()).collect()
}

fn files_of(room: &str) -> Vec<PathBuf> {
    let mut files = vec![source().join(format!("{room}.rs"))];
    let mut folders = vec![source().join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|file| file.exists());
    files
}

/// The rooms that a file names as `crate::room`.
fn rooms_used(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let ends = |c: char| !(c.is_alphanumeric() || c == '_');
    text.split("crate::").skip(1).map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

#[test]
fn each_room_uses_only_rooms_below_it() {
    let floors = floors();
    assert!(floors.len() > 10, "{floors:?}");
    let floor_of = |room: &str| floors.iter().position(|floor| floor.iter().any(|known| known == room));
    for (floor, room) in
        floors.iter().enumerate().flat_map(|(floor, rooms)| rooms.iter().map(move |room| (floor, room)))
    {
        let files = files_of(room);
        assert!(!files.is_empty(), "{room} is empty");
        for file in files {
            for used in rooms_used(&file) {
                let Some(used_floor) = floor_of(&used) else { continue };
                assert!(used_floor >= floor, "{} uses {used}, which stands above {room}", file.display());
            }
        }
    }
}

#[test]
fn unsafe_is_at_home_at_the_boundary_and_with_the_operating_system_alone() {
    for room in floors().concat() {
        for file in files_of(&room) {
            let text = fs::read_to_string(&file).unwrap();
            let allowed = room == "ffi" || room == "sys";
            assert!(allowed || !text.contains("allow(unsafe_code"), "{}", file.display());
        }
    }
}

/// The text of a source file without its unit tests.
fn without_tests(file: &Path) -> String {
    let name = file.file_name().unwrap().to_str().unwrap();
    if name.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(file).unwrap();
    text.split("mod tests {").next().unwrap().to_owned()
}

#[test]
fn environment_is_read_in_sys_alone() {
    let readers = [
        "env::var",
        "env::vars",
        "home_dir",
        "args_os",
        "env::args",
        "temp_dir",
        "getenv",
        "getpwuid",
        "current_exe",
    ];
    for room in floors().concat().into_iter().filter(|room| room != "sys") {
        for file in files_of(&room) {
            let text = without_tests(&file);
            let found = readers.iter().find(|reader| text.contains(*reader));
            assert_eq!(found, None, "{} does not ask crate::sys", file.display());
        }
    }
}
