//! dnsmasq as a whole netboot server, loaders by TFTP and HTTP and a small iPXE script: so the lab
//! proves itself, and a broken boot can be told from a broken lab.

use std::{fs, time::Duration};

use super::{
    Lab, LabError,
    error::Doing,
    net::{FOREIGN, Host},
};

/// What an iPXE script of the lab prints first, on the console of whoever runs it.
pub const REACHED: &str = "DRAGONFLY-LAB script reached";
pub const SCRIPT: &str = "boot.ipxe";
const LOADERS: [&str; 4] = ["undionly.kpxe", "snponly.efi", "ipxe.efi", "ipxe-arm64.efi"];
const HTTP: &str = "http";
const STARTS_WITHIN: Duration = Duration::from_secs(5);

/// The ROM in QEMU's cards is iPXE already, with a driver of its own: from a BIOS it goes on to the
/// loader that another card's ROM would be given. Lines stay under 80 columns, where SeaBIOS breaks them.
const SCRIPT_TEXT: &str = "#!ipxe\n\
    iseq ${platform} pcbios && iseq ${net0/chip} virtio-net && chain --replace undionly.kpxe ||\n\
    echo\n\
    echo DRAGONFLY-LAB script reached, ${platform} ${buildarch} on ${net0/chip}, ${net0/ip}\n\
    exit\n";

/// Fills the lab's `files`, serves them by HTTP on `host`, and gives dnsmasq's lines for the rest.
pub(super) fn serve(lab: &Lab, host: &Host) -> Result<String, LabError> {
    let files = lab.record.path("files");
    for loader in LOADERS {
        let from = lab.tools.file(&format!("usr/lib/ipxe/{loader}"))?;
        let to = files.join(loader);
        fs::copy(&from, &to).doing(|| format!("copy {} to {}", from.display(), to.display()))?;
    }
    let script = files.join(SCRIPT);
    fs::write(&script, SCRIPT_TEXT).doing(|| format!("write {}", script.display()))?;
    serve_http(lab, host)?;
    Ok(format!(
        "enable-tftp\ntftp-root={files}\n\
         dhcp-match=set:ipxe,175\n\
         dhcp-match=set:bios,option:client-arch,0\n\
         dhcp-match=set:x64,option:client-arch,7\n\
         dhcp-match=set:x64,option:client-arch,9\n\
         dhcp-match=set:arm64,option:client-arch,11\n\
         dhcp-match=set:x64-http,option:client-arch,16\n\
         dhcp-match=set:arm64-http,option:client-arch,19\n\
         dhcp-option-force=tag:x64-http,60,HTTPClient\n\
         dhcp-option-force=tag:arm64-http,60,HTTPClient\n\
         dhcp-boot=tag:ipxe,{SCRIPT}\n\
         dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe\n\
         dhcp-boot=tag:x64,tag:!ipxe,snponly.efi\n\
         dhcp-boot=tag:arm64,tag:!ipxe,ipxe-arm64.efi\n\
         dhcp-boot=tag:x64-http,tag:!ipxe,http://{FOREIGN}/ipxe.efi\n\
         dhcp-boot=tag:arm64-http,tag:!ipxe,http://{FOREIGN}/ipxe-arm64.efi\n",
        files = files.display(),
    ))
}

/// busybox's own server: HEAD, GET and Range are all that firmware asks for.
fn serve_http(lab: &Lab, host: &Host) -> Result<(), LabError> {
    let mut httpd = lab.tools.command("busybox")?;
    httpd
        .args(["httpd", "-f", "-vv", "-p", &format!("{FOREIGN}:80"), "-h"])
        .arg(lab.record.path("files"));
    let process = lab.spawn(HTTP, host, &httpd)?;
    lab.until("the lab's HTTP server", STARTS_WITHIN, || {
        process.expect_alive()?;
        let open = host
            .netns
            .run(|| std::net::TcpStream::connect((FOREIGN, 80)).is_ok())?;
        Ok(open.then_some(()))
    })
}
