//! Addresses for all machines, by one socket: who waits for an answer is told of it by the exchange's number.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::Result;
use super::pxe::{self, Answer};

const OFFER: u8 = 2;
const ACK: u8 = 5;
/// RFC 2131 4.1 begins with four seconds; a bench has less patience.
const AGAIN: Duration = Duration::from_secs(2);
const TRIES: usize = 15;

pub struct Leases {
    socket: UdpSocket,
    waiting: Mutex<HashMap<u32, mpsc::Sender<Answer>>>,
}

impl Leases {
    pub async fn open() -> Result<Arc<Self>> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68)).await?;
        socket.set_broadcast(true)?;
        let leases = Arc::new(Self {
            socket,
            waiting: Mutex::default(),
        });
        let own = Arc::clone(&leases);
        tokio::spawn(async move { own.listen().await });
        Ok(leases)
    }

    /// DISCOVER to ACK; the address.
    pub async fn get(&self, mac: [u8; 6], number: u32) -> Result<Ipv4Addr> {
        let (tell, mut heard) = mpsc::channel(4);
        self.waiting.lock().unwrap().insert(number, tell);
        for _ in 0..TRIES {
            let Some(offer) = self
                .say(&pxe::discover(mac, number), OFFER, &mut heard)
                .await?
            else {
                continue;
            };
            let ack = self
                .say(&pxe::request(mac, &offer), ACK, &mut heard)
                .await?;
            if let Some(ack) = ack {
                self.waiting.lock().unwrap().remove(&number);
                return Ok(ack.address);
            }
        }
        Err(format!("no address for machine {number}").into())
    }

    async fn say(
        &self,
        packet: &[u8],
        kind: u8,
        heard: &mut mpsc::Receiver<Answer>,
    ) -> Result<Option<Answer>> {
        self.socket
            .send_to(packet, (Ipv4Addr::BROADCAST, 67))
            .await?;
        let answer = async {
            loop {
                match heard.recv().await {
                    Some(answer) if answer.kind == kind => return Some(answer),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        Ok(tokio::time::timeout(AGAIN, answer).await.unwrap_or(None))
    }

    async fn listen(&self) {
        let mut buffer = [0; 1500];
        while let Ok(read) = self.socket.recv(&mut buffer).await {
            let Some(answer) = pxe::answer(&buffer[..read]) else {
                continue;
            };
            let waiting = self.waiting.lock().unwrap().get(&answer.number).cloned();
            if let Some(waiting) = waiting {
                // What it does not hear now it asks for again.
                let _ = waiting.try_send(answer);
            }
        }
    }
}
