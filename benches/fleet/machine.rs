//! A machine as the daemon sees it: from its address to its session.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use dragonfly::agent::client::identity::Identity;
use dragonfly::agent::client::trust;
use dragonfly::agent::cmdline::Cmdline;
use dragonfly::model::agent::{CHECK_IN, CheckIn, HELLO, Hello, Order, PROTOCOL, Welcome};
use dragonfly::model::disk::DiskKind;
use dragonfly::model::machine::{Disk, NetworkInterface};
use dragonfly::model::{Evidence, Hardware, MacAddr, NicEvidence, NicKind};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::Result;
use super::lease::Leases;

pub struct Machine {
    pub number: u32,
    pub mac: MacAddr,
    address: Ipv4Addr,
    server: SocketAddr,
    token: String,
    tls: TlsConnector,
}

impl Machine {
    /// Up to its agent: an address, the script, a key.
    pub async fn boot(number: u32, leases: &Leases, scripts: SocketAddr) -> Result<Self> {
        let mac = card(number, 0);
        let address = leases.get(mac.octets(), number).await?;
        let script = script(mac, address, scripts).await?;
        let line = script.lines().find(|line| line.starts_with("kernel "));
        let line = line.ok_or_else(|| format!("machine {number} is sent no agent: {script}"))?;
        let told = Cmdline::parse(line.trim_end_matches(" || goto failed"));
        let pin = told.pin.ok_or("a script without a pin")?;
        let key = Identity::new_key().map_err(|_| "no key could be made")?;
        let identity = Identity::of(key).map_err(|why| why.to_string())?;
        Ok(Self {
            number,
            mac,
            address,
            server: told.server.ok_or("a script without a server")?,
            token: told.token.ok_or("a script without a token")?,
            tls: Arc::new(trust::config(pin, Some(&identity))?).into(),
        })
    }

    /// A connection of its own, with the whole handshake.
    pub async fn connect(&self) -> Result<Session> {
        let stream = connect(self.address, self.server).await?;
        let name = ServerName::IpAddress(self.server.ip().into());
        let tls = self.tls.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(Session(sender))
    }

    /// Shows the token, and tells what it is.
    pub async fn enter(&self) -> Result<Session> {
        let mut session = self.connect().await?;
        let hello = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            token: self.token.clone(),
            mac: self.mac,
        };
        session.call::<Welcome>(HELLO, &hello).await?;
        self.check_in(&mut session, 0).await?;
        Ok(session)
    }

    /// `look` makes each differ from the one before, so that it has to be written down.
    pub async fn check_in(&self, session: &mut Session, look: u32) -> Result<Order> {
        let evidence = Evidence {
            primary_mac: self.mac,
            nics: [0, 1].map(|card_number| self.nic(card_number)).to_vec(),
            smbios_uuid: Some(Uuid::from_u128(
                0x4c4c_4544_0044_4a10_8054_b7c0_0000_0000 + u128::from(self.number),
            )),
            machine_id: None,
        };
        let told = CheckIn {
            evidence,
            hardware: self.hardware(look),
            address: Some(self.address.into()),
            before: None,
        };
        session.call(CHECK_IN, &told).await
    }

    fn nic(&self, card_number: u8) -> NicEvidence {
        NicEvidence {
            mac: card(self.number, card_number),
            kind: NicKind::Fixed,
        }
    }

    /// As a rack's machine has it: two cards, three disks, a list of devices.
    fn hardware(&self, look: u32) -> Hardware {
        let disk = |device: &str, number: u32| Disk {
            device: device.into(),
            size_bytes: 960_197_124_096,
            model: Some("SAMSUNG MZQL2960HCJR".into()),
            serial: Some(format!("S64FNE0R{:06}{number}", self.number)),
            wwn: Some(format!("eui.36344630{:08x}{number:08x}", self.number)),
            kind: Some(DiskKind::Nvme),
            sector_bytes: Some(512),
            links: vec![format!(
                "/dev/disk/by-id/nvme-SAMSUNG_MZQL2960HCJR_{}_{number}",
                self.number
            )],
            contents: Some(Vec::new()),
            ..Disk::default()
        };
        let nic = |name: &str, card_number| NetworkInterface {
            name: name.into(),
            mac: card(self.number, card_number),
            speed_mbps: Some(10_000),
            link_up: Some(true),
            driver: Some("ice".into()),
        };
        Hardware {
            cpu_model: Some("AMD EPYC 7302P 16-Core Processor".into()),
            cpu_cores: Some(16),
            cpu_threads: Some(32),
            memory_bytes: Some(128 << 30),
            disks: vec![disk("nvme0n1", 0), disk("nvme1n1", 1), disk("nvme2n1", 2)],
            network_interfaces: vec![nic("eno1", 0), nic("eno2", 1)],
            firmware: Some("uefi".into()),
            bios_version: Some(format!("2.{look}")),
            vendor: Some("Dell Inc.".into()),
            product: Some("PowerEdge R6515".into()),
            serial: Some(format!("F{:06}", self.number)),
            architecture: Some("amd64".into()),
            pci_ids: (0..24)
                .map(|n| format!("1022:{:04x}", 0x1480 + n))
                .collect(),
            ..Hardware::default()
        }
    }
}

/// A connection to the agents' port.
pub struct Session(SendRequest<Full<Bytes>>);

impl Session {
    /// The daemon closes what lies idle for long; agents come back.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub async fn call<T: DeserializeOwned>(
        &mut self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T> {
        let body = Bytes::from(serde_json::to_vec(question)?);
        let request = hyper::Request::post(path)
            .header("host", "dragonfly")
            .body(Full::new(body))?;
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&bytes)).into());
        }
        let text = if bytes.is_empty() {
            &b"null"[..]
        } else {
            &bytes[..]
        };
        Ok(serde_json::from_slice(text)?)
    }
}

/// A card of a vendor's, so that it counts for who the machine is.
fn card(machine: u32, number: u8) -> MacAddr {
    let [_, a, b, c] = machine.to_be_bytes();
    MacAddr::new([0x3c, 0xec, 0xef + number, a, b, c])
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What its iPXE fetches.
async fn script(mac: MacAddr, address: Ipv4Addr, scripts: SocketAddr) -> Result<String> {
    let mut stream = connect(address, scripts).await?;
    let ask = format!(
        "GET /ipxe/machine/{mac}?platform=efi&arch=x86_64 HTTP/1.1\r\nHost: {scripts}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(answer);
    }
    Err(format!("the script of {mac}: {answer}").into())
}
