//! Against `gpg` itself: what it signs is verified, and nothing else is.

use test_case::test_case;

use super::armor;
use super::gpg::Gpg;
use super::*;

const MESSAGE: &[u8] =
    b"# remark \nSHA256 (a.img) = 00\n- a dash\n-----BEGIN\n\n\tblanks \t\nf\xc3\xbcr\n\n";

fn ring(file: &[u8]) -> Keyring {
    Keyring::read(file).unwrap()
}

/// The lines of a text as they are signed.
fn as_signed(text: &[u8]) -> String {
    let text = str::from_utf8(text).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.trim_end_matches([' ', '\t']))
        .collect();
    lines.join("\r\n")
}

#[test_case("rsa3072", &[]; "rsa")]
#[test_case("rsa4096", &["--digest-algo=SHA384"]; "long rsa over sha384")]
#[test_case("ed25519", &["--digest-algo=SHA256"]; "ed25519 over sha256")]
#[test_case("ed25519", &[]; "ed25519")]
fn what_gnupg_signs_is_verified(algorithm: &str, more: &[&str]) {
    let gpg = Gpg::new();
    let key = gpg.key("vendor@example.net", algorithm, "sign");
    let keys = ring(&gpg.public(&key));
    let unpacked = gpg.run(&["--export", &key], b"");
    assert_eq!(ring(&unpacked), keys, "armored or not");
    for how in [&[][..], &["--armor"], &["--textmode"]] {
        let signature = gpg.sign(&key, MESSAGE, &[more, how].concat());
        assert_eq!(
            detached(&keys, MESSAGE, &signature),
            Ok(key.clone()),
            "{how:?}"
        );
        let other = [MESSAGE, b"x"].concat();
        assert_eq!(detached(&keys, &other, &signature), Err(Flaw::Wrong));
    }
    let file = gpg.clear(&key, MESSAGE);
    assert_eq!(
        signed_text(&keys, &file),
        Ok((as_signed(MESSAGE), key.clone()))
    );
    let crlf = String::from_utf8(file).unwrap().replace('\n', "\r\n");
    assert_eq!(
        signed_text(&keys, crlf.as_bytes()),
        Ok((as_signed(MESSAGE), key))
    );
}

#[test]
fn a_subkey_signs_where_its_primary_binds_it_and_it_agrees() {
    let gpg = Gpg::new();
    let primary = gpg.key("vendor@example.net", "ed25519", "cert");
    let subkey = gpg.subkey(&primary, "rsa3072");
    let signature = gpg.sign(&subkey, MESSAGE, &[]);
    let file = gpg.run(&["--export", &primary], b"");
    assert_eq!(
        detached(&ring(&file), MESSAGE, &signature),
        Ok(subkey.clone())
    );
    // Every packet of the key: without its binding the subkey is nothing, and with a wrong one neither.
    let ends: Vec<_> = (0..file.len())
        .filter(|at| Packets::of(&file[..*at]).all(|p| p.is_ok()))
        .collect();
    let bare = ring(&file[..*ends.last().unwrap()]);
    assert_eq!(bare.iter().count(), 1);
    assert_eq!(
        detached(&bare, MESSAGE, &signature),
        Err(Flaw::Stranger(subkey))
    );
    let from = ends.last().unwrap() + 3;
    for at in from..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x10;
        let Ok(keys) = Keyring::read(&changed) else {
            continue;
        };
        if keys.iter().count() == 2 {
            assert!(
                unsigned(&file[from..]).contains(&(at - from)),
                "byte {at} of the binding"
            );
        }
    }
}

/// Where the body of a signature holds what nobody signed: the parts behind those that are hashed, whose content is a hint
/// or proves itself.
fn unsigned(body: &[u8]) -> std::ops::Range<usize> {
    let number = |at: usize| usize::from(body[at]) << 8 | usize::from(body[at + 1]);
    let from = 6 + number(4);
    from..from + 2 + number(from)
}

#[test_case("rsa3072"; "rsa")]
#[test_case("ed25519"; "ed25519")]
fn a_change_anywhere_is_found(algorithm: &str) {
    let gpg = Gpg::new();
    let key = gpg.key("vendor@example.net", algorithm, "sign");
    let keys = ring(&gpg.public(&key));
    let signature = gpg.sign(&key, MESSAGE, &[]);
    let head = Packets::of(&signature).next().unwrap().unwrap().body.len();
    let head = signature.len() - head;
    let hints = unsigned(&signature[head..]);
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 0x10;
        if detached(&keys, MESSAGE, &changed).is_ok() {
            assert!(
                at >= head && hints.contains(&(at - head)),
                "byte {at} of the signature"
            );
        }
        assert!(
            detached(&keys, MESSAGE, &signature[..at]).is_err(),
            "cut at {at}"
        );
    }
    for at in 0..MESSAGE.len() {
        let mut changed = MESSAGE.to_vec();
        changed[at] ^= 0x10;
        assert_eq!(
            detached(&keys, &changed, &signature),
            Err(Flaw::Wrong),
            "byte {at}"
        );
    }
    let file = gpg.clear(&key, MESSAGE);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x10;
        if let Ok((text, _)) = signed_text(&keys, &changed) {
            assert_eq!(text, as_signed(MESSAGE), "byte {at}");
        }
    }
}

#[test]
fn what_is_not_signed_by_the_key_that_was_named_is_told_apart() {
    let gpg = Gpg::new();
    let key = gpg.key("vendor@example.net", "ed25519", "sign");
    let other = gpg.key("stranger@example.net", "ed25519", "sign");
    let keys = ring(&gpg.public(&key));
    let signature = gpg.sign(&other, MESSAGE, &[]);
    assert_eq!(
        detached(&keys, MESSAGE, &signature),
        Err(Flaw::Stranger(other.clone()))
    );
    let both = [signature, gpg.sign(&key, MESSAGE, &[])].concat();
    assert_eq!(
        detached(&keys, MESSAGE, &both),
        Ok(key.clone()),
        "one of two is enough"
    );
    let weak = gpg.sign(&key, MESSAGE, &["--digest-algo=SHA1"]);
    assert_eq!(detached(&keys, MESSAGE, &weak), Err(Flaw::Weak("SHA-1")));
    let revocation = gpg.file(&format!("openpgp-revocs.d/{}.rev", key.to_uppercase()));
    let revocation = String::from_utf8(revocation)
        .unwrap()
        .replace(":-----BEGIN", "-----BEGIN");
    gpg.run(&["--import"], revocation.as_bytes());
    assert_eq!(Keyring::read(&gpg.public(&key)), Err(Flaw::Revoked(key)));
}

#[test]
fn nothing_is_read_as_signed_that_is_not() {
    let gpg = Gpg::new();
    let key = gpg.key("vendor@example.net", "ed25519", "sign");
    let keys = ring(&gpg.public(&key));
    let file = String::from_utf8(gpg.clear(&key, b"AA  x\n")).unwrap();
    let above = format!("BB  x\n{file}");
    assert!(matches!(
        signed_text(&keys, above.as_bytes()),
        Err(Flaw::Form(_))
    ));
    let hidden = file.replacen("Hash: ", "BB  x\nHash: ", 1);
    assert!(matches!(
        signed_text(&keys, hidden.as_bytes()),
        Err(Flaw::Form(_))
    ));
    let behind = format!("{file}BB  x\n");
    assert_eq!(
        signed_text(&keys, behind.as_bytes()),
        Ok(("AA  x".into(), key))
    );
}

#[test_case(b"", "no armored block"; "nothing")]
#[test_case(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "no empty line"; "a head alone")]
#[test_case(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n", "breaks off"; "without a foot")]
#[test_case(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n", "sum is wrong"; "a wrong sum")]
#[test_case(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nm!==\n-----END PGP PUBLIC KEY BLOCK-----\n", "no base64"; "another alphabet")]
#[test_case(&[0x98, 6, 3, 0, 0, 0, 0, 1], "version 3"; "a key of old")]
#[test_case(&[0x98, 6, 4, 0, 0, 0, 0, 17], "algorithm 17"; "dsa")]
#[test_case(&[0xc6, 0xff, 0xff, 0xff, 0xff, 0xff], "breaks off"; "a length of four gibibytes")]
#[test_case(&[0xc6, 0xe0], "in parts"; "a packet in parts")]
#[test_case(&[0x9b], "without a length"; "a packet to the end")]
fn what_is_no_key_says_why(file: &[u8], why: &str) {
    let flaw = Keyring::read(file).unwrap_err().to_string();
    assert!(flaw.contains(why), "{flaw}");
}

#[test]
fn fuzz_openpgp_neither_panics_nor_believes() {
    let told = std::env::var("FUZZ_CASES").ok();
    let cases = told.and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    let file = include_bytes!("../../../../catalogue/keys/fedora-43.asc");
    let keys = ring(file);
    let packets = armor::opened(file, "PUBLIC KEY BLOCK").unwrap();
    bolero::check!().with_iterations(cases).for_each(|bytes: &[u8]| {
        let _ = Keyring::read(bytes);
        let mut changed = packets.clone();
        for (at, byte) in bytes.iter().enumerate() {
            let place = (at * 31 + usize::from(*byte)) % changed.len();
            changed[place] ^= *byte;
        }
        let _ = Keyring::read(&changed);
        let framed = [&[0x88, u8::try_from(bytes.len().min(255)).unwrap()], bytes].concat();
        assert!(detached(&keys, MESSAGE, &framed).is_err());
        let text = String::from_utf8_lossy(bytes);
        let clear = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n\n{text}"
        );
        assert!(signed_text(&keys, clear.as_bytes()).is_err());
    });
}
