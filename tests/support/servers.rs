//! Third-party proxies and nginx as child processes, killed on drop.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server process with a private directory.
pub struct ServerProcess {
    pub port: u16,
    directory: TempDir,
    child: Child,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ServerProcess {
    /// Starts the server. `command` receives the directory and the port to listen on.
    fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let directory = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output = fs::File::create(directory.path().join("output")).unwrap();
        let mut command = command(directory.path(), port);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let name = command.get_program().to_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let mut server = Self { port, directory, child };
        assert!(server.wait_until_listening(), "{name:?} does not listen: {}", server.output());
        server
    }

    fn wait_until_listening(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Standard output and standard error so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output")).unwrap()
    }
}

/// Starts tinyproxy with Basic authentication; only `user` is allowed.
pub fn start_tinyproxy(user: &str, password: &str) -> ServerProcess {
    ServerProcess::start(|directory, port| {
        let config_file = directory.join("tinyproxy.conf");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\nAllow 127.0.0.1\n\
             BasicAuth {user} {password}\n"
        );
        fs::write(&config_file, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(config_file);
        command
    })
}

/// Starts microsocks, without authentication or for one user.
pub fn start_microsocks(user: Option<(&str, &str)>) -> ServerProcess {
    ServerProcess::start(|_, port| {
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
        if let Some((name, password)) = user {
            command.args(["-u", name, "-P", password]);
        }
        command
    })
}

/// Starts nginx as a TLS-terminating proxy of the server at `port`.
///
/// It requires client certificates signed by `client-ca.pem` and uses the certificate `server.pem` with the
/// key `server.key`, all in `key_dir`. It forwards the subject of the client certificate in
/// `X-Client-Subject`.
pub fn start_nginx(key_dir: &Path, port: u16) -> ServerProcess {
    let keys = key_dir.display().to_string();
    ServerProcess::start(|directory, listen_port| {
        let path = directory.display();
        let temp_paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
            .concat();
        let config_file = directory.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr info;\n\
             events {{}}\n\
             http {{ access_log off;\n{temp_paths}\
             server {{ listen 0.0.0.0:{listen_port} ssl; ssl_protocols TLSv1.2 TLSv1.3;\n\
             ssl_certificate {keys}/server.pem; ssl_certificate_key {keys}/server.key;\n\
             ssl_client_certificate {keys}/client-ca.pem; ssl_verify_client on;\n\
             location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $http_host;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header X-Client-Subject $ssl_client_s_dn; proxy_set_header X-Tls $ssl_protocol; }} }} }}\n"
        );
        fs::write(&config_file, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).arg("-c").arg(config_file).args(["-e", "stderr"]);
        command
    })
}

/// Starts `openssl s_server` with the key and the certificate in the file `pem`. It accepts TLS connections,
/// and sends a page for a GET.
pub fn start_openssl_server(pem: &Path, args: &str) -> ServerProcess {
    ServerProcess::start(|_, port| {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-www", "-accept", &format!("127.0.0.1:{port}"), "-cert"]).arg(pem);
        command.arg("-key").arg(pem).args(args.split_whitespace());
        command
    })
}
