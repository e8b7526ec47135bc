//! What may stand in a person's order for one boot. It ends up as words of an iPXE script, which knows no quotes:
//! what would be more than one word there, or a word of the script's own, is refused when it is ordered.

use std::fmt;

use super::Once;
use crate::model::field::{FieldError, quoted};

const SCHEMES: [&str; 3] = ["http://", "https://", "tftp://"];
const URL: &str = "http://10.0.0.1/boot/custom.ipxe";
/// What begins a variable of iPXE. Its value comes from the machine or off the wire, and may hold further commands.
const VARIABLE: &str = "${";
/// Words that end a command.
const ENDS: [&str; 3] = ["||", "&&", ";"];

impl Once {
    /// As many bytes as a URL may have: longer than any that firmware and servers agree on.
    pub const MAX_URL: usize = 2048;
    /// Linux on x86 takes 2,048 bytes, and iPXE adds the names of the RAM disks.
    pub const MAX_CMDLINE: usize = 1536;
    /// A kernel takes one; microcode and drivers of a person's own are a few more.
    pub const MAX_INITRDS: usize = 8;

    /// Whether a script can be made of it that does this and nothing else.
    pub fn check(&self) -> Result<(), FieldError> {
        match self {
            Self::Shell => Ok(()),
            Self::Chain { url } => check_url("url", url),
            Self::Kernel {
                kernel,
                initrds,
                cmdline,
            } => {
                check_url("kernel", kernel)?;
                if initrds.len() > Self::MAX_INITRDS {
                    let (count, limit) = (initrds.len(), Self::MAX_INITRDS);
                    let reason =
                        format!("{count} initial RAM disks are too many, {limit} is the limit");
                    return Err(FieldError::new("initrds", reason, URL));
                }
                initrds
                    .iter()
                    .try_for_each(|initrd| check_url("initrds", initrd))?;
                check_cmdline(cmdline)
            }
        }
    }
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("the iPXE shell"),
            Self::Chain { url } => f.write_str(url),
            Self::Kernel { kernel, .. } => write!(f, "the kernel {kernel}"),
        }
    }
}

fn check_url(field: &str, url: &str) -> Result<(), FieldError> {
    let wrong = |reason: String| Err(FieldError::new(field, reason, URL));
    let Some(rest) = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return wrong(format!(
            "{} does not begin with http://, https:// or tftp://",
            quoted(url)
        ));
    };
    if url.len() > Once::MAX_URL {
        let (length, limit) = (url.len(), Once::MAX_URL);
        return wrong(format!("{length} bytes are too many, {limit} is the limit"));
    }
    if rest.is_empty() || rest.starts_with(['/', ':', '?', '#', '@']) {
        return wrong(format!("{} names no host", quoted(url)));
    }
    if let Some(bad) = url.chars().find(|c| !c.is_ascii_graphic()) {
        let bad = quoted(&bad.to_string());
        return wrong(format!("{bad} has to be written with per cent signs"));
    }
    if url.contains(VARIABLE) {
        return wrong("it holds '${', which iPXE would replace".into());
    }
    Ok(())
}

fn check_cmdline(cmdline: &str) -> Result<(), FieldError> {
    let wrong = |reason: String| Err(FieldError::new("cmdline", reason, "console=ttyS0 quiet"));
    if cmdline.len() > Once::MAX_CMDLINE {
        let (length, limit) = (cmdline.len(), Once::MAX_CMDLINE);
        return wrong(format!("{length} bytes are too many, {limit} is the limit"));
    }
    if let Some(bad) = cmdline.chars().find(|c| !matches!(c, ' '..='~')) {
        let bad = quoted(&bad.to_string());
        return wrong(format!("{bad} is not printable ASCII"));
    }
    if cmdline.contains(VARIABLE) {
        return wrong("it holds '${', which iPXE would replace".into());
    }
    let own = |word: &&str| ENDS.contains(word) || word.starts_with('#');
    match cmdline.split(' ').find(own) {
        Some(word) => wrong(format!("the word {} ends a command in iPXE", quoted(word))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const FINE: &str = "http://10.0.0.1/vmlinuz";

    fn kernel(kernel: &str, initrd: &str, cmdline: &str) -> Once {
        Once::Kernel {
            kernel: kernel.into(),
            initrds: vec![initrd.into()],
            cmdline: cmdline.into(),
        }
    }

    #[test_case("http://10.0.0.1/vmlinuz")]
    #[test_case("https://boot.example.net:8443/a/b?c=d&e=%20f#g")]
    #[test_case("tftp://[fd00::1]/a")]
    fn a_url_is_taken_as_it_is(url: &str) {
        let url = url.to_owned();
        assert_eq!(Once::Chain { url }.check(), Ok(()));
    }

    #[test_case("", "does not begin"; "nothing")]
    #[test_case("/boot/vmlinuz", "does not begin"; "a path")]
    #[test_case("--replace", "does not begin"; "an option")]
    #[test_case("file:///etc/passwd", "does not begin"; "a file")]
    #[test_case("http://", "names no host"; "a scheme alone")]
    #[test_case("http:///vmlinuz", "names no host"; "no host")]
    #[test_case("http://a/b c", "per cent"; "two words")]
    #[test_case("http://a/b\nshell", "per cent"; "two lines")]
    #[test_case("http://a/b\u{a0}c", "per cent"; "a space that is not ASCII")]
    #[test_case("http://a/${net0/mac}", "replace"; "a variable")]
    fn a_url_that_a_script_would_read_otherwise_is_refused(url: &str, why: &str) {
        let chain = Once::Chain { url: url.into() };
        let error = chain.check().unwrap_err();
        assert!(error.reason.contains(why), "{error}");
        let url_of = |once: Once| once.check().unwrap_err().field;
        assert_eq!(url_of(kernel(url, FINE, "")), "kernel");
        assert_eq!(url_of(kernel(FINE, url, "")), "initrds");
    }

    #[test_case("")]
    #[test_case("console=ttyS0,115200n8 ip=dhcp a=\"b&&c\" -- single")]
    fn a_command_line_keeps_its_words(cmdline: &str) {
        assert_eq!(kernel(FINE, FINE, cmdline).check(), Ok(()));
    }

    #[test_case("quiet || shell", "'||'"; "another command")]
    #[test_case("quiet ; shell", "';'"; "a command behind it")]
    #[test_case("quiet #debug", "'#debug'"; "a comment")]
    #[test_case("quiet\nshell", "printable"; "two lines")]
    #[test_case("ip=${net0/ip}", "replace"; "a variable")]
    fn a_command_line_that_a_script_would_read_otherwise_is_refused(cmdline: &str, why: &str) {
        let error = kernel(FINE, FINE, cmdline).check().unwrap_err();
        assert_eq!(error.field, "cmdline");
        assert!(error.reason.contains(why), "{error}");
    }

    #[test]
    fn what_is_too_long_or_too_much_is_refused() {
        let long = |length: usize| format!("http://a/{}", "x".repeat(length));
        let url = long(Once::MAX_URL - 9);
        assert_eq!(Once::Chain { url }.check(), Ok(()));
        let url = long(Once::MAX_URL - 8);
        assert_eq!(Once::Chain { url }.check().unwrap_err().field, "url");
        let line = "x".repeat(Once::MAX_CMDLINE + 1);
        let error = kernel(FINE, FINE, &line).check().unwrap_err();
        assert_eq!(error.field, "cmdline");
        let many = Once::Kernel {
            kernel: FINE.into(),
            initrds: vec![FINE.into(); Once::MAX_INITRDS + 1],
            cmdline: String::new(),
        };
        assert_eq!(many.check().unwrap_err().field, "initrds");
    }
}
