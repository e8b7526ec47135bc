//! Reads a stream of server-sent events, as the WHATWG's "event stream interpretation" has it. Pure: bytes
//! in, messages out, however the bytes were cut.

/// As long as one message may be; a longer one ends the stream.
const MAX_MESSAGE: usize = 1024 * 1024;

/// One message of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: Option<String>,
    pub event: String,
    pub data: String,
}

/// A message that is longer than [`MAX_MESSAGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// What was read of the message that is under way.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    message: Message,
    has_data: bool,
    after_return: bool,
}

impl Reader {
    /// Takes the next bytes and hands out the messages that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut done = Vec::new();
        for &byte in bytes {
            let newline_of_pair = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if newline_of_pair => {}
                b'\n' | b'\r' => done.extend(self.end_line()),
                _ if self.line.len() + self.message.data.len() >= MAX_MESSAGE => {
                    return Err(TooLong);
                }
                _ => self.line.push(byte),
            }
        }
        Ok(done)
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.event),
            "id" => self.message.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
                self.has_data = true;
            }
            // A comment keeps the line open; other fields are for browsers.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b": hello\n\nid: e1\nevent: machine.registered\ndata: {\"a\":1}\n\n\
          id: e2\r\nevent:x\r\ndata:one\r\ndata: two\r\n\r\nevent: nothing\n\nretry: 3\n";

    fn read(cut: usize) -> Vec<Message> {
        let mut reader = Reader::default();
        STREAM
            .chunks(cut)
            .flat_map(|chunk| reader.push(chunk).unwrap())
            .collect()
    }

    #[test]
    fn messages_are_the_same_however_the_bytes_are_cut() {
        let whole = read(STREAM.len());
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0].id.as_deref(), Some("e1"));
        assert_eq!(whole[0].event, "machine.registered");
        assert_eq!(whole[0].data, "{\"a\":1}");
        assert_eq!(whole[1].data, "one\ntwo");
        assert!((1..40).all(|cut| read(cut) == whole));
    }

    #[test]
    fn a_message_without_end_is_refused_before_it_fills_the_memory() {
        let mut reader = Reader::default();
        let chunk = vec![b'x'; 65_536];
        let ended = (0..32).any(|_| reader.push(&chunk) == Err(TooLong));
        assert!(ended);
    }
}
