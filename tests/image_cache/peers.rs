//! Real peers on loopback: nginx with a file, and Debian's container registry. Ended when dropped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dragonfly::lab::{LabError, Tools};
use tempfile::TempDir;

use super::common::await_that;

fn command(program: &str) -> Option<Command> {
    match Tools::find().and_then(|tools| tools.command(program)) {
        Ok(command) => Some(command),
        Err(error @ LabError::Missing { .. }) => {
            eprintln!("SKIPPED a test: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

struct Running(Child);

impl Running {
    fn start(command: &mut Command, port: u16) -> Self {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(quiet.spawn().unwrap());
        await_that("the peer listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// nginx with one file, sent at a given rate.
pub struct Nginx {
    home: TempDir,
    port: u16,
    _running: Running,
}

impl Nginx {
    pub fn start(bytes: u64, rate: &str) -> Option<Self> {
        let mut command = command("nginx")?;
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        write_file(&home.path().join("file"), bytes);
        let at = home.path().display();
        // One process, so that its end is the end of all of it.
        let text = format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {at}/pid;\nerror_log {at}/error.log;\n\
             events {{ }}\n\
             http {{ log_format told '$status $http_range'; access_log {at}/access.log told; sendfile on;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; root {at}; limit_rate {rate}; }} }}\n"
        );
        let config = home.path().join("nginx.conf");
        fs::write(&config, text).unwrap();
        command.arg("-e").arg(home.path().join("error.log"));
        command.arg("-c").arg(config);
        let running = Running::start(&mut command, port);
        Some(Self {
            home,
            port,
            _running: running,
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/file", self.port)
    }

    pub fn file(&self) -> PathBuf {
        self.home.path().join("file")
    }

    /// Status and range of each request for the file, once its answer has ended.
    pub fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.home.path().join("access.log")).unwrap_or_default();
        let asked = text.lines().filter(|line| !line.starts_with("400"));
        asked.map(str::to_owned).collect()
    }
}

/// Every page differs, as those of a real image do.
fn write_file(path: &Path, bytes: u64) {
    let words = (0..bytes / 8).flat_map(|n| n.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    fs::write(path, words.collect::<Vec<u8>>()).unwrap();
}

/// As `sha256:…`, by the machine's own program.
pub fn sum(path: &Path) -> String {
    let out = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    format!("sha256:{}", text.split(' ').next().unwrap())
}

/// Debian's docker-registry with an empty store.
pub struct Registry {
    home: TempDir,
    port: u16,
    _running: Running,
}

/// What was pushed.
pub struct Pushed {
    pub manifest: Vec<u8>,
    pub digest: String,
    pub layer: String,
}

impl Registry {
    pub fn start() -> Option<Self> {
        let mut command = command("docker-registry")?;
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = home.path().display();
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {at}/store\nhttp:\n  addr: 127.0.0.1:{port}\n"
        );
        let config = home.path().join("config.yml");
        fs::write(&config, text).unwrap();
        command.arg("serve").arg(config);
        let running = Running::start(&mut command, port);
        Some(Self {
            home,
            port,
            _running: running,
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// An image of one layer, with plain curl as the distribution specification tells.
    pub fn push(&self, name: &str, tag: &str, layer: &[u8]) -> Pushed {
        let layer_digest = self.blob(name, layer);
        let config = b"{\"architecture\":\"amd64\",\"os\":\"linux\"}";
        let config_digest = self.blob(name, config);
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest, "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer_digest, "size": layer.len(),
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        let file = self.file("manifest", &manifest);
        let url = format!("{}/v2/{name}/manifests/{tag}", self.url());
        let media = "Content-Type: application/vnd.oci.image.manifest.v1+json";
        curl(&["-X", "PUT", "-H", media, "--data-binary", &at(&file), &url]);
        Pushed {
            digest: sum(&file),
            manifest,
            layer: layer_digest,
        }
    }

    fn blob(&self, name: &str, bytes: &[u8]) -> String {
        let file = self.file("blob", bytes);
        let digest = sum(&file);
        let begin = format!("{}/v2/{name}/blobs/uploads/", self.url());
        let head = curl(&["-X", "POST", "-D", "-", "-o", "/dev/null", &begin]);
        let place = head
            .lines()
            .find_map(|line| line.strip_prefix("Location: "))
            .expect("a place to upload to");
        let url = format!("{}&digest={digest}", place.trim());
        let media = "Content-Type: application/octet-stream";
        curl(&["-X", "PUT", "-H", media, "--data-binary", &at(&file), &url]);
        digest
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn at(path: &Path) -> String {
    format!("@{}", path.display())
}

fn curl(words: &[&str]) -> String {
    let out = Command::new("curl")
        .args(["-sS", "--fail", "--noproxy", "*"])
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{words:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}
