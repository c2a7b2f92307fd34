//! What is measured beside authgrant and is written in Rust: yup-oauth2, jsonwebtoken's `encode` with a plain ureq, and
//! the raw signature of aws-lc-rs. Each line of standard input is a figure with its arguments, each line of standard
//! output its numbers; see benches/bench.h.

use std::error::Error;
use std::fs;
use std::io::{BufRead, Write, stdout};

mod clock;
mod encode;
mod raw;
mod scene;
mod yup;

use scene::Scene;

/// What most functions here end with.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let scene = Scene::from_environment()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["first", store] => first(&scene, store),
        _ => serve(&scene),
    }
}

/// Opens the key store, fetches one token, and says how many nanoseconds that took from the beginning of `main`.
fn first(scene: &Scene, store: &str) -> Outcome<()> {
    let started = clock::wall();
    let key = scene::key_of_pkcs12(&fs::read(store)?)?;
    yup::Peer::new(scene, key)?.fetch()?;
    println!("{}", clock::wall() - started);
    Ok(())
}

fn serve(scene: &Scene) -> Outcome<()> {
    let mut raw = raw::Peer::new(scene)?;
    let encode = encode::Peer::new(scene)?;
    let yup = yup::Peer::new(scene, fs::read_to_string(scene.file("rsa.pem"))?)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split(' ').collect::<Vec<_>>()[..] {
            ["raw", algorithm, count] => clock::each(count.parse()?, || raw.sign(algorithm))?,
            ["raw-threads", threads, count] => raw.on_threads(threads.parse()?, count.parse()?)?,
            ["encode", algorithm, count] => clock::each(count.parse()?, || encode.sign(algorithm).map(drop))?,
            ["encode-fetch", count] => clock::each(count.parse()?, || encode.fetch())?,
            ["yup-fetch", count] => clock::each(count.parse()?, || yup.fetch())?,
            _ => format!("error {line}"),
        };
        writeln!(stdout(), "{answer}")?;
    }
    Ok(())
}
