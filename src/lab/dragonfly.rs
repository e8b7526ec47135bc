//! The daemon under test on the lab's wire: the real binary, told that it is installed, with its data in the
//! lab's own folder. Its unix socket is reached from outside of the lab's namespaces as any file is.

use std::{
    env, fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::{Host, Lab, LabError, Process, error::Doing, net};

/// The host that the daemon lives on, and the process's name.
pub const HOST: &str = "dragonfly";
/// A store that is read whole, on a machine that emulates others meanwhile.
const READY_WITHIN: Duration = Duration::from_mins(1);
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// A running daemon of a lab.
#[derive(Clone, Debug)]
pub struct Dragonfly {
    pub host: Host,
    pub process: Process,
    pub socket: PathBuf,
    pub data: PathBuf,
    binary: PathBuf,
}

/// What a daemon answered: its status code and its body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Lab {
    /// Starts the daemon, on a host of its own the first time, and waits until it is ready. `change` may add to
    /// its command, such as variables of the environment. Without [`with_environments`] it has nothing that could
    /// look into a machine, and sends it to its disk.
    pub fn dragonfly(
        &self,
        binary: &Path,
        change: impl FnOnce(&mut Command),
    ) -> Result<Dragonfly, LabError> {
        let host = match self.host(HOST) {
            Ok(host) => host,
            Err(_) => self.add_host(HOST, Some(net::DRAGONFLY))?,
        };
        let folder = self.dir().join("dragonfly");
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let (data, socket) = (folder.join("data"), folder.join("d.sock"));
        let mut command = Command::new(binary);
        command.arg("server").arg("--data").arg(&data);
        command.arg("--socket").arg(&socket);
        command.env("DRAGONFLY_INSTALLED", "true");
        command.env("DRAGONFLY_NET_LINKS", "eth0");
        // A proxy of the machine that the lab is on is not in the lab.
        command.env("no_proxy", "*");
        command.env("DRAGONFLY_BOOT_LOADERS", self.tools().file("usr/lib/ipxe")?);
        command.env("DRAGONFLY_BOOT_AGENT", folder.join("no-environment"));
        change(&mut command);
        let process = self.spawn(HOST, &host, &command)?;
        let daemon = Dragonfly {
            host,
            process,
            socket,
            data,
            binary: binary.to_owned(),
        };
        daemon.wait_ready(self)?;
        Ok(daemon)
    }
}

/// Gives the daemon the boot environments.
pub fn with_environments(command: &mut Command) {
    command.env("DRAGONFLY_BOOT_AGENT", environments());
}

/// The folder with the boot environments: build/agent of this source tree, or what `DRAGONFLY_BOOT_AGENT` names.
/// Whether there is one, the daemon tells.
pub fn environments() -> PathBuf {
    env::var_os("DRAGONFLY_BOOT_AGENT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("build/agent"),
        PathBuf::from,
    )
}

impl Dragonfly {
    fn wait_ready(&self, lab: &Lab) -> Result<(), LabError> {
        let ready = lab.until("the daemon to be ready", READY_WITHIN, || {
            self.process.expect_alive()?;
            let answered = self.ask("GET", "/readyz", None);
            Ok(answered
                .is_ok_and(|answer| answer.code == 200)
                .then_some(()))
        });
        ready.map_err(|error| super::process::with_hint(error, &self.process.log))
    }

    /// One request to the API.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, LabError> {
        let talk = || format!("talk to the daemon at {}", self.socket.display());
        let mut stream = UnixStream::connect(&self.socket).doing(talk)?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).doing(talk)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).doing(talk)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).doing(talk)?;
        Ok(answer(&String::from_utf8_lossy(&bytes)))
    }

    /// What `path` holds, as JSON.
    pub fn get(&self, path: &str) -> Result<Value, LabError> {
        Ok(self.ask("GET", path, None)?.json())
    }

    /// The command line of the same binary, speaking to this daemon.
    pub fn cli(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words);
        command.arg("--server");
        command.arg(format!("unix:{}", self.socket.display()));
        command
    }
}

fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Answer {
        code: code.unwrap_or_default(),
        body: if chunked {
            whole(body)
        } else {
            body.to_owned()
        },
    }
}

/// The chunks of a body (RFC 9112 7.1), put together.
fn whole(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_default();
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else {
            break;
        };
        body.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_code_and_its_body() {
        let got = answer("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!((got.code, &*got.body), (404, "{}"));
        assert_eq!(got.json(), serde_json::json!({}));
    }

    #[test]
    fn chunks_are_put_together() {
        let got = answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1,2\r\n3\r\n,3]\r\n0\r\n\r\n",
        );
        assert_eq!(got.json(), serde_json::json!([1, 2, 3]));
    }
}
