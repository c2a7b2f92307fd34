//! Command-line program of the mock server, for tests in other languages and for `make demo`.
//!
//! Prints `ready URL` when it listens. Runs until its standard input is closed, so that it does not outlive
//! its parent.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, process, thread};

use mock_server::{ClientOptions, Config, GetResponse, MockServer};

const USAGE: &str = "usage: mock_server [--https | --http] [--port N] [--register ISSUER=CERT_OR_PUBKEY.pem]...
                 [--client ID:SECRET]... [--public-client ID]... [--user NAME:PASSWORD]... [--redirect-uri URI]...
                 [--audience TEXT] [--allow-get] [--config JSON] [--ca-out FILE] [--ready-file FILE] [--until-killed]
The users and redirect URIs apply to every --client and --public-client. Without any, a client can use only the grant
client_credentials, and a public client none. --config takes the members of Config to change, such as
{\"get\": \"html_ok\", \"clock_skew\": 300, \"certificate\": \"expired\", \"authorize\": \"form\"}.
The server stops when its standard input is closed, unless --until-killed is set.";

#[derive(Default)]
struct CliOptions {
    config: Config,
    clients: Vec<(String, PathBuf)>,
    keyless_clients: Vec<(String, Option<String>)>,
    users: BTreeMap<String, String>,
    redirect_uris: Vec<String>,
    ca_out: Option<PathBuf>,
    ready_file: Option<PathBuf>,
    until_killed: bool,
}

fn main() {
    if let Err(reason) = parse_options(env::args().skip(1)).and_then(run) {
        eprintln!("mock_server: {reason}");
        process::exit(2);
    }
}

fn parse_options(mut arguments: impl Iterator<Item = String>) -> Result<CliOptions, String> {
    let mut options = CliOptions::default();
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} requires a value"));
        match flag.as_str() {
            "--https" => options.config.https = true,
            "--http" => options.config.https = false,
            "--port" => options.config.port = value()?.parse().map_err(|_| "--port requires a number")?,
            "--register" => options.clients.push(parse_registration(&value()?)?),
            "--client" => {
                options.keyless_clients.push(split_pair(&value()?).map(|(id, secret)| (id, Some(secret)))?)
            }
            "--public-client" => options.keyless_clients.push((value()?, None)),
            "--user" => options.users.extend([split_pair(&value()?)?]),
            "--redirect-uri" => options.redirect_uris.push(value()?),
            "--config" => options.config = options.config.with_json(&value()?)?,
            "--audience" => options.config.audience = Some(value()?),
            "--allow-get" => options.config.get = GetResponse::Token,
            "--ca-out" => options.ca_out = Some(value()?.into()),
            "--ready-file" => options.ready_file = Some(value()?.into()),
            "--until-killed" => options.until_killed = true,
            _ => return Err(format!("unknown flag {flag}\n{USAGE}")),
        }
    }
    match (&options.ca_out, options.config.https) {
        (Some(_), false) => Err("--ca-out requires --https".to_owned()),
        _ => Ok(options),
    }
}

// Split at the last equals sign: an issuer may contain one.
fn parse_registration(text: &str) -> Result<(String, PathBuf), String> {
    let (issuer, file) = text.rsplit_once('=').ok_or("--register requires ISSUER=FILE")?;
    Ok((issuer.to_owned(), file.into()))
}

fn split_pair(text: &str) -> Result<(String, String), String> {
    let (name, secret) = text.split_once(':').ok_or_else(|| format!("{text:?} is not NAME:SECRET"))?;
    Ok((name.to_owned(), secret.to_owned()))
}

fn run(options: CliOptions) -> Result<(), String> {
    let port = options.config.port;
    let server = MockServer::try_start(options.config)
        .map_err(|e| format!("cannot listen at 127.0.0.1:{port}: {e}"))?;
    for (issuer, file) in &options.clients {
        let pem = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        server.register(issuer, &[pem], ClientOptions::default());
    }
    for (id, secret) in options.keyless_clients {
        let (users, redirect_uris) = (options.users.clone(), options.redirect_uris.clone());
        let registration = ClientOptions { secret, users, redirect_uris, ..ClientOptions::default() };
        server.register::<&str>(&id, &[], registration);
    }
    if let Some(file) = &options.ca_out {
        fs::copy(server.ca_pem_path(), file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let url = server.url("");
    if let Some(file) = &options.ready_file {
        write_atomically(file, &url).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let mut out = io::stdout();
    writeln!(out, "ready {url}").and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    wait_for_shutdown(options.until_killed);
    Ok(())
}

// Renames a complete file, so that a process that polls for it never reads a part.
fn write_atomically(file: &Path, text: &str) -> io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".part");
    fs::write(&temporary, format!("{text}\n"))?;
    fs::rename(&temporary, file)
}

fn wait_for_shutdown(until_killed: bool) {
    let mut buffer = [0_u8; 256];
    loop {
        if until_killed {
            thread::park();
        } else if !io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {
            return;
        }
    }
}
