//! Proxies and a web server of others, each a process that ends with the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A process that listens, with a folder of its own.
pub struct ServerProcess {
    pub port: u16,
    folder: TempDir,
    child: Child,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ServerProcess {
    /// `command` gets the folder and the port that it is to listen at.
    fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output = fs::File::create(folder.path().join("output")).unwrap();
        let mut command = command(folder.path(), port);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let name = command.get_program().to_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let mut server = Self { port, folder, child };
        assert!(server.wait_until_listening(), "{name:?} does not listen: {}", server.output());
        server
    }

    fn wait_until_listening(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end && self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// What it has written.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap()
    }
}

/// tinyproxy, which lets `user` through by Basic authentication, and nobody else.
pub fn start_tinyproxy(user: &str, password: &str) -> ServerProcess {
    ServerProcess::start(|folder, port| {
        let settings = folder.join("tinyproxy.conf");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\nAllow 127.0.0.1\n\
             BasicAuth {user} {password}\n"
        );
        fs::write(&settings, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(settings);
        command
    })
}

/// microsocks, for anybody or for one user.
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

/// nginx, in front of the server at `port`: https for clients whose certificates `client-ca.pem` has signed, with the
/// certificate `server.pem` and its key `server.key`, all in `folder`. It tells of their subjects.
pub fn start_nginx(folder: &Path, port: u16) -> ServerProcess {
    let keys = folder.display().to_string();
    ServerProcess::start(|own, listen| {
        let own_path = own.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {own_path}/{kind};\n"))
            .concat();
        let settings = own.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {own_path}/pid; error_log stderr info;\n\
             events {{}}\n\
             http {{ access_log off;\n{temporary}\
             server {{ listen 0.0.0.0:{listen} ssl; ssl_protocols TLSv1.2 TLSv1.3;\n\
             ssl_certificate {keys}/server.pem; ssl_certificate_key {keys}/server.key;\n\
             ssl_client_certificate {keys}/client-ca.pem; ssl_verify_client on;\n\
             location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $http_host;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header X-Client-Subject $ssl_client_s_dn; proxy_set_header X-Tls $ssl_protocol; }} }} }}\n"
        );
        fs::write(&settings, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(own).arg("-c").arg(settings).args(["-e", "stderr"]);
        command
    })
}
